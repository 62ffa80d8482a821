//! What this node has placed, why, and what it knows of its sources: one SQLite file, shared by every process.
//!
//! A change of the disk is announced here before it is made and confirmed after. A process that dies in between leaves an
//! announcement that the next one settles by looking at the inode (`reconcile.rs`).

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

pub(crate) use history::Deed;
pub(crate) use job::{Job, PathLock};
pub(crate) use placements::{Facts, Placement};

/// The layout of the file, in `user_version`.
const LAYOUT: i64 = 1;
/// How long to wait for another process's transaction. Each is a few milliseconds.
const BUSY: Duration = Duration::from_secs(20);

/// The ledger of a node.
pub(crate) struct Ledger {
    connection: RefCell<Connection>,
    directory: PathBuf,
}

impl Ledger {
    /// Opens the ledger in `state_dir`, making both as needed, and settles what dead processes left.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let ledger = Self::open_unsettled(state_dir)?;
        ledger.reconcile()?;
        Ok(ledger)
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
        let ledger = Self { connection: RefCell::new(connection), directory: state_dir.to_owned() };
        ledger.lay_out()?;
        Ok(ledger)
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
        self.change(Point::LedgerLayOut, |transaction| match Self::layout(transaction)? {
            // Another process was first.
            LAYOUT => Ok(()),
            0 => {
                transaction.execute_batch(include_str!("schema.sql")).map_err(failed("lay out"))?;
                transaction.pragma_update(None, "user_version", LAYOUT).map_err(failed("lay out"))
            }
            other => {
                let message = format!("the ledger has layout {other}, this version knows {LAYOUT}");
                Err(Error::new(ErrorKind::Io, "ledger-layout", message).scoped(Scope::Node))
            }
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
