//! What this node has placed, why, and what it knows of its sources: one SQLite file, shared by every process.
//!
//! A change of the disk is announced here before it is made and confirmed after. A process that dies in between leaves an
//! announcement that the next one settles by looking at the inode (`reconcile.rs`).

mod bench;
mod damage;
mod directory;
mod history;
mod job;
mod placements;
mod reconcile;
mod remembered;
mod scans;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::disk;
use crate::faults::{self, Point};
use crate::measured::Measured;

pub(crate) use bench::{Benched, Subject};
pub(crate) use damage::damage;
pub(crate) use history::{Deed, HistoryEntry};
pub(crate) use job::{Job, PathLock};
pub(crate) use placements::{Facts, PlacedDisk, Placement, State};

/// What turns each layout into the next, beginning with an empty file.
const STEPS: [&str; 5] =
    [include_str!("schema.sql"), bench::OLD_TABLE, remembered::VERDICT, bench::TABLE, history::CALLER];
/// The layout of the file, in `user_version`: how many of the steps it has taken.
const LAYOUT: i64 = STEPS.len() as i64;
/// How long to wait for another process's transaction. Each is a few milliseconds.
const BUSY: Duration = Duration::from_secs(20);

/// The ledger of a node.
pub(crate) struct Ledger {
    connection: RefCell<Connection>,
    directory: PathBuf,
    measured: Measured,
}

impl Ledger {
    /// Opens the ledger in `state_dir`, making both as needed, and settles what dead processes left.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let ledger = Self::open_unsettled(state_dir)?;
        ledger.reconcile()?;
        Ok(ledger)
    }

    /// Opens it once more in a process that opened it before, for another thread.
    pub(crate) fn open_settled(state_dir: &Path) -> Result<Self> {
        Self::open_unsettled(state_dir)
    }

    fn open_unsettled(state_dir: &Path) -> Result<Self> {
        directory::prepare(state_dir)?;
        let connection = Connection::open(state_dir.join(directory::LEDGER)).map_err(failed("open"))?;
        connection.busy_timeout(BUSY).map_err(failed("open"))?;
        // What is committed survives a power cut. The log is not folded back when the last process leaves: that would cost
        // every placement several syncs.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed("open"))?;
        turn_log_on(&connection).map_err(failed("open"))?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(failed("open"))?;
        let ledger = Self {
            connection: RefCell::new(connection),
            directory: state_dir.to_owned(),
            measured: Measured::new(state_dir),
        };
        ledger.lay_out()?;
        Ok(ledger)
    }

    /// What the node has measured of its sources.
    pub(crate) fn measured(&self) -> &Measured {
        &self.measured
    }

    /// Waits for other processes' transactions no longer than this from now on.
    pub(crate) fn wait_at_most(&self, limit: Duration) -> Result<()> {
        self.connection.borrow().busy_timeout(limit.min(BUSY)).map_err(failed("set up"))
    }

    fn layout(connection: &Connection) -> Result<i64> {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("read the layout of"))
    }

    fn lay_out(&self) -> Result<()> {
        if Self::layout(&self.connection.borrow())? == LAYOUT {
            return Ok(());
        }
        self.change(Point::LedgerLayOut, |transaction| {
            let found = Self::layout(transaction)?;
            let steps = usize::try_from(found).ok().and_then(|taken| STEPS.get(taken..)).ok_or_else(|| {
                let message = format!("the ledger has layout {found}, this version knows {LAYOUT}");
                Error::new(ErrorKind::Io, "ledger-layout", message).scoped(Scope::Node)
            })?;
            // None where another process was first.
            for step in steps {
                transaction.execute_batch(step).map_err(failed("lay out"))?;
            }
            transaction.pragma_update(None, "user_version", LAYOUT).map_err(failed("lay out"))
        })
    }

    /// Runs `action` in one transaction that is on the disk when this returns.
    fn change<T>(&self, point: Point, action: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.borrow_mut();
        let mut change = || -> Result<T> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed("change"))?;
            let value = action(&transaction)?;
            transaction.commit().map_err(failed("change"))?;
            Ok(value)
        };
        disk::retry(|| faults::call(point, || Ok(change())))
            .unwrap_or_else(|error| Err(Error::os(&error, "change the ledger").scoped(Scope::Node)))
    }
}

/// Turns the write-ahead log on. SQLite does not wait by itself when several processes do that to a new file at once.
fn turn_log_on(connection: &Connection) -> rusqlite::Result<()> {
    use rusqlite::ErrorCode;
    let began = Instant::now();
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
                    && began.elapsed() < BUSY =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Turns SQLite's errors into ours: a full disk, a busy or read-only file, a broken one.
fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    move |error| {
        let (kind, code) = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => (ErrorKind::NoSpace, "ledger-full"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (ErrorKind::Unavailable, "ledger-busy"),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                (ErrorKind::Denied, "ledger-unwritable")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (ErrorKind::Io, "ledger-corrupt"),
            _ => (ErrorKind::Io, "ledger"),
        };
        Error::new(kind, code, format!("could not {what} the ledger: {error}")).scoped(Scope::Node)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_layout(layout: i64, state_dir: &Path) {
        directory::prepare(state_dir).unwrap();
        let connection = Connection::open(state_dir.join(directory::LEDGER)).unwrap();
        for (step, _) in STEPS.iter().zip(0..layout) {
            connection.execute_batch(step).unwrap();
        }
        connection.pragma_update(None, "user_version", layout).unwrap();
    }

    fn tables(ledger: &Ledger) -> Vec<String> {
        let connection = ledger.connection.borrow();
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn an_older_ledger_is_migrated_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let state = |name: &str| folder.path().join(name);
        let new = tables(&Ledger::open(&state("new")).unwrap());
        for layout in 0..LAYOUT {
            let state = state(&layout.to_string());
            at_layout(layout, &state);
            if layout > 0 {
                let old = Connection::open(state.join(directory::LEDGER)).unwrap();
                old.execute("INSERT INTO plugin_scan (path, version, outcome) VALUES (x'61', 'v', 'found')", [])
                    .unwrap();
            }
            for _ in 0..2 {
                let ledger = Ledger::open(&state).unwrap();
                assert_eq!(Ledger::layout(&ledger.connection.borrow()).unwrap(), LAYOUT);
                assert_eq!(tables(&ledger), new);
                assert_eq!(ledger.scan(Path::new("a"), "v").is_some(), layout > 0);
            }
        }
    }

    #[test]
    fn a_layout_that_is_not_known_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        at_layout(LAYOUT + 1, folder.path());
        let error = Ledger::open(folder.path()).map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.scope()), ("ledger-layout", Scope::Node));
        assert_eq!(error.message(), "the ledger has layout 6, this version knows 5");
    }
}
