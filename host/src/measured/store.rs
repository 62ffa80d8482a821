//! The node's own measurements: one SQLite file beside the ledger. What is lost of it is measured again: a power cut may take the
//! last ones, and a file that cannot be read gives way to a new one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall_measure::{Credit, Sample};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use rustix::fs::{Mode, OFlags};

use super::way::Way;
use crate::complaint::complain;

/// The file's name in the state directory.
const FILE: &str = "measured.sqlite";
/// The layout of the file, in `user_version`.
const LAYOUT: i64 = 1;
const TABLES: &str = "
    CREATE TABLE way (
        id INTEGER PRIMARY KEY, place TEXT NOT NULL, chain TEXT NOT NULL, last REAL NOT NULL, UNIQUE (place, chain)
    );
    CREATE TABLE sample (
        id INTEGER PRIMARY KEY, way INTEGER NOT NULL REFERENCES way (id) ON DELETE CASCADE,
        at REAL NOT NULL, bytes INTEGER NOT NULL, first_byte REAL, seconds REAL NOT NULL, failure TEXT
    );
    CREATE INDEX sample_by_way ON sample (way, id);
    CREATE TABLE credit (one INTEGER PRIMARY KEY CHECK (one = 1), seconds REAL NOT NULL);";
/// Samples that are kept of each way; the oldest go first.
const SAMPLES_MAX: i64 = 64;
/// Ways that are kept; the one goes first that was least lately used. Whoever writes URLs into records makes new ones.
const WAYS_MAX: i64 = 4096;
/// How long another process's transaction is waited for: no placement is worth less than a measurement.
const BUSY: Duration = Duration::from_millis(500);

/// The measurements.
pub(crate) struct Measured {
    file: PathBuf,
    /// Opened when it is first needed; none where that failed.
    connection: RefCell<Option<Option<Connection>>>,
}

impl Measured {
    /// Those in `state_dir`, which need not be there yet.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { file: state_dir.join(FILE), connection: RefCell::new(None) }
    }

    /// Writes down what came of an attempt, `failure` being the code of an error. A failure to is told, and is none of the
    /// placement's.
    pub(crate) fn learn(&self, way: &Way, sample: &Sample, failure: Option<&str>) {
        self.change(|transaction| {
            let id: Option<i64> = transaction
                .query_row("SELECT id FROM way WHERE place = ?1 AND chain = ?2", [&way.place, &way.chain], |row| {
                    row.get(0)
                })
                .optional()?;
            let id = match id {
                Some(id) => {
                    transaction.execute("UPDATE way SET last = ?2 WHERE id = ?1", params![id, sample.at])?;
                    id
                }
                None => {
                    transaction.execute(
                        "INSERT INTO way (place, chain, last) VALUES (?1, ?2, ?3)",
                        params![way.place, way.chain, sample.at],
                    )?;
                    let id = transaction.last_insert_rowid();
                    transaction.execute(
                        "DELETE FROM way WHERE id IN (SELECT id FROM way ORDER BY last DESC LIMIT -1 OFFSET ?1)",
                        [WAYS_MAX],
                    )?;
                    id
                }
            };
            transaction.execute(
                "INSERT INTO sample (way, at, bytes, first_byte, seconds, failure) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, sample.at, sample.bytes.cast_signed(), sample.first_byte, sample.seconds, failure],
            )?;
            transaction.execute(
                "DELETE FROM sample WHERE way = ?1 AND id <=
                 (SELECT id FROM sample WHERE way = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                [id, SAMPLES_MAX],
            )?;
            Ok(())
        });
    }

    /// A placement took so many seconds, where it was a try `instead_of` those that the best was expected to take.
    pub(crate) fn spent(&self, seconds: f64, instead_of: Option<f64>) {
        self.change(|transaction| {
            let mut credit = credit(transaction)?;
            credit.spent(seconds, instead_of);
            transaction.execute("INSERT OR REPLACE INTO credit (one, seconds) VALUES (1, ?1)", [credit.seconds])?;
            Ok(())
        });
    }

    /// The samples of all ways from these places, the oldest first, and what may be spent on finding out.
    pub(crate) fn of(&self, places: &[String]) -> (BTreeMap<Way, Vec<Sample>>, Credit) {
        let read = |connection: &Connection| -> rusqlite::Result<_> {
            let mut found: BTreeMap<Way, Vec<Sample>> = BTreeMap::new();
            let mut statement = connection.prepare_cached(
                "SELECT chain, at, bytes, first_byte, seconds, failure IS NOT NULL FROM sample JOIN way ON way.id = way
                 WHERE place = ?1 ORDER BY sample.id",
            )?;
            for place in places {
                let mut rows = statement.query([place])?;
                while let Some(row) = rows.next()? {
                    let way = Way { place: place.clone(), chain: row.get(0)? };
                    found.entry(way).or_default().push(Sample {
                        at: row.get(1)?,
                        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
                        first_byte: row.get(3)?,
                        seconds: row.get(4)?,
                        failed: row.get(5)?,
                    });
                }
            }
            Ok((found, credit(connection)?))
        };
        self.with(|connection| read(connection)).unwrap_or_default()
    }

    fn change(&self, action: impl Fn(&Transaction<'_>) -> rusqlite::Result<()>) {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            action(&transaction)?;
            transaction.commit()
        });
    }

    /// Nothing where it cannot be done.
    fn with<T>(&self, action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Option<T> {
        let mut opened = self.connection.borrow_mut();
        let connection = opened.get_or_insert_with(|| self.open()).as_mut()?;
        match action(connection) {
            Ok(done) => Some(done),
            Err(error) => {
                complain(format_args!("the measurements of this node cannot be used: {error}"));
                None
            }
        }
    }

    fn open(&self) -> Option<Connection> {
        let opened = open(&self.file).or_else(|error| {
            use rusqlite::ErrorCode;
            if !matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
                return Err(error);
            }
            complain(format_args!("the measurements of this node are lost, and begun anew: {error}"));
            for end in ["", "-wal", "-shm"] {
                let mut name = self.file.clone().into_os_string();
                name.push(end);
                // What stays is found again when it is opened.
                let _ = std::fs::remove_file(name);
            }
            open(&self.file)
        });
        opened
            .inspect_err(|error| complain(format_args!("the measurements of this node cannot be opened: {error}")))
            .ok()
    }
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    // The owner's alone, as the ledger is, and SQLite's own files beside it; a link is followed by neither.
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(file, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(errno.to_string()),
        )
    })?;
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    // Folding the log back whenever a process ends would cost each placement several syncs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // As with the ledger, but that the last measurements need not survive a power cut.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")?;
    let layout = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if layout(&connection)? != LAYOUT {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first.
        if layout(&transaction)? != LAYOUT {
            transaction
                .execute_batch("DROP TABLE IF EXISTS sample; DROP TABLE IF EXISTS way; DROP TABLE IF EXISTS credit;")?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
        }
        transaction.commit()?;
    }
    Ok(connection)
}

fn credit(connection: &Connection) -> rusqlite::Result<Credit> {
    let seconds: Option<f64> = connection.query_row("SELECT seconds FROM credit", [], |row| row.get(0)).optional()?;
    Ok(seconds.filter(|seconds| seconds.is_finite()).map_or_else(Credit::default, |seconds| Credit { seconds }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn way(place: &str) -> Way {
        Way { place: place.to_owned(), chain: "http".to_owned() }
    }

    fn sample(at: f64) -> Sample {
        Sample { at, bytes: 1000, first_byte: Some(0.5), seconds: 2.0, failed: false }
    }

    #[test]
    fn what_was_measured_is_found_again_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let measured = Measured::new(folder.path());
        assert_eq!(measured.of(&["a b".to_owned()]), (BTreeMap::new(), Credit::default()));
        for at in 0..100 {
            measured.learn(&way("a b"), &sample(f64::from(at)), None);
        }
        measured.learn(&way("other"), &sample(1.0), Some("timed-out"));
        let again = Measured::new(folder.path());
        let (found, _) = again.of(&["a b".to_owned(), "other".to_owned(), "none".to_owned()]);
        assert_eq!(found.len(), 2);
        let samples = &found[&way("a b")];
        assert_eq!((samples.len(), samples[0], samples[63]), (64, sample(36.0), sample(99.0)));
        assert!(found[&way("other")][0].failed);
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        measured.spent(100.0, Some(90.0));
        let (_, credit) = again.of(&[]);
        assert!(credit.seconds < Credit::default().seconds);
    }

    #[test]
    fn ways_that_nobody_takes_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let measured = Measured::new(folder.path());
        for number in 0..WAYS_MAX + 10 {
            measured.learn(&way(&format!("place {number}")), &sample(number as f64), None);
        }
        let at = |number: i64| measured.of(&[format!("place {number}")]).0.len();
        assert_eq!((at(9), at(10), at(WAYS_MAX + 9)), (0, 1, 1));
    }

    #[test]
    fn a_broken_file_gives_way_to_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(FILE),
            "this is no database, but a text that is long enough to be read as one",
        )
        .unwrap();
        let measured = Measured::new(folder.path());
        measured.learn(&way("a"), &sample(1.0), None);
        assert_eq!(measured.of(&["a".to_owned()]).0.len(), 1);
        // Where nothing can be made, nothing is known, and nothing fails.
        let nowhere = Measured::new(Path::new("/proc/nowhere"));
        nowhere.learn(&way("a"), &sample(1.0), None);
        assert!(nowhere.of(&["a".to_owned()]).0.is_empty());
    }
}
