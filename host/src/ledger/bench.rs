//! The bench: handlers that crashed and are not used for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use landfall_handler_api::Result;
use rusqlite::{OptionalExtension, params};

use super::{Ledger, failed, now};
use crate::faults::Point;

/// Crashes that are kept of one handler; the oldest go first.
const KEEP: i64 = 1_000;

/// A handler that crashed on so many different images is at fault, whatever the image.
const IMAGES: usize = 3;

/// The second step of the ledger's layout: a table that does not know locations.
pub(super) const OLD_TABLE: &str = "
CREATE TABLE crash (
    handler TEXT NOT NULL,
    image TEXT NOT NULL,
    at INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (handler, image)
) STRICT;
";

/// The fourth step. What was on the bench for a while is not worth to be carried over.
pub(super) const TABLE: &str = "
DROP TABLE crash;
CREATE TABLE crash (
    handler TEXT NOT NULL,
    -- What its record says of it: id and digest.
    image TEXT NOT NULL,
    -- Where it was read from, redacted; empty for an unpacker, which is given the bytes.
    location TEXT NOT NULL,
    -- Milliseconds since 1970.
    at INTEGER NOT NULL,
    -- The error's code.
    code TEXT NOT NULL,
    PRIMARY KEY (handler, image, location)
) STRICT;
";

/// What a handler crashed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The image, by id and digest: neither is enough alone, since anybody's record may give the digest of another's image.
    pub(crate) image: String,
    /// Where it was read from, redacted: another location may do better. Empty for an unpacker, which is given the bytes.
    pub(crate) location: String,
}

/// Why a handler is not used for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Benched {
    /// When it last crashed, in milliseconds since 1970.
    pub(crate) since: i64,
    /// 1: it crashed on this image. More: on so many different images, so that it is not used for any.
    pub(crate) images: usize,
    /// The code of that crash.
    pub(crate) code: String,
}

impl Ledger {
    /// Writes down that `handler` crashed. An earlier crash on the same subject is replaced, and what is older than `keep`
    /// dropped.
    pub(crate) fn crashed(&self, handler: &str, on: &Subject, code: &str, keep: Duration) -> Result<()> {
        self.change(Point::LedgerCrash, |transaction| {
            let now = now();
            transaction
                .execute("DELETE FROM crash WHERE at < ?1", [now.saturating_sub(milliseconds(keep))])
                .map_err(failed("change"))?;
            // A replaced row gets a new number: the numbers are the order of crashes, whatever the clock says.
            transaction
                .execute(
                    "INSERT OR REPLACE INTO crash (handler, image, location, at, code) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![handler, on.image, on.location, now, code],
                )
                .map_err(failed("change"))?;
            transaction
                .execute(
                    "DELETE FROM crash WHERE handler = ?1 AND rowid NOT IN
                     (SELECT rowid FROM crash WHERE handler = ?1 ORDER BY rowid DESC LIMIT ?2)",
                    params![handler, KEEP],
                )
                .map_err(failed("change"))?;
            Ok(())
        })
    }

    /// Whether `handler` is on the bench now: within the last `bench` it crashed on this very subject, if one is given, or on
    /// three different images.
    pub(crate) fn benched(&self, handler: &str, on: Option<&Subject>, bench: Duration) -> Result<Option<Benched>> {
        if bench.is_zero() {
            return Ok(None);
        }
        self.pull_back_crashes()?;
        let after = now().saturating_sub(milliseconds(bench));
        let connection = self.connection.borrow();
        let mut statement = connection
            .prepare("SELECT image, location, at, code FROM crash WHERE handler = ?1 AND at > ?2 ORDER BY rowid DESC")
            .map_err(failed("read"))?;
        let crashes = statement
            .query_map(params![handler, after], |row| {
                let subject = Subject { image: row.get(0)?, location: row.get(1)? };
                Ok((subject, Benched { since: row.get(2)?, images: 1, code: row.get(3)? }))
            })
            .map_err(failed("read"))?;
        let mut crashes = crashes.collect::<rusqlite::Result<Vec<_>>>().map_err(failed("read"))?;
        if let Some(at) = crashes.iter().position(|(crashed_on, _)| Some(crashed_on) == on) {
            return Ok(Some(crashes.swap_remove(at).1));
        }
        let images = crashes.iter().map(|(subject, _)| &subject.image).collect::<BTreeSet<_>>().len();
        let newest = crashes.into_iter().next().filter(|_| images >= IMAGES);
        Ok(newest.map(|(_, newest)| Benched { images, ..newest }))
    }

    /// A crash in the future was written before the clock went back. It counts as now, on the disk too: else the bench
    /// would last for as long as the clock was wrong.
    fn pull_back_crashes(&self) -> Result<()> {
        let ahead = self.connection.borrow().query_row("SELECT 1 FROM crash WHERE at > ?1", [now()], |_| Ok(()));
        match ahead.optional().map_err(failed("read"))? {
            None => Ok(()),
            Some(()) => self.change(Point::LedgerCrash, |transaction| {
                transaction.execute("UPDATE crash SET at = ?1 WHERE at > ?1", [now()]).map_err(failed("change"))?;
                Ok(())
            }),
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn on(image: &str) -> Subject {
        Subject { image: image.to_owned(), location: "here".to_owned() }
    }

    struct Bench {
        ledger: Ledger,
        _directory: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self { ledger: Ledger::open(directory.path()).unwrap(), _directory: directory }
        }

        fn crashed(&self, handler: &str, image: &str) {
            self.ledger.crashed(handler, &on(image), "worker-killed", 10 * MINUTE).unwrap();
        }

        /// Moves every crash into the past, or with a negative number into the future.
        fn age(&self, milliseconds: i64) {
            self.ledger.connection.borrow().execute("UPDATE crash SET at = at - ?1", [milliseconds]).unwrap();
        }

        /// On how many images the handler crashed, if it is benched.
        fn images(&self, handler: &str, image: &str) -> Option<usize> {
            self.ledger.benched(handler, Some(&on(image)), MINUTE).unwrap().map(|benched| benched.images)
        }

        fn rows(&self) -> i64 {
            self.ledger.connection.borrow().query_row("SELECT count(*) FROM crash", [], |row| row.get(0)).unwrap()
        }
    }

    #[test]
    fn a_crash_benches_the_handler_for_the_image_and_the_time() {
        let bench = Bench::new();
        assert_eq!(bench.images("http", "a"), None);
        let before = now();
        bench.crashed("http", "a");
        let benched = bench.ledger.benched("http", Some(&on("a")), MINUTE).unwrap().unwrap();
        assert!((before..=now()).contains(&benched.since));
        assert_eq!((benched.images, benched.code.as_str()), (1, "worker-killed"));
        assert_eq!((bench.images("http", "b"), bench.images("swift", "a")), (None, None));

        bench.age(50_000);
        assert_eq!(bench.images("http", "a"), Some(1));
        bench.age(10_000);
        assert_eq!(bench.images("http", "a"), None);
    }

    #[test]
    fn locations_of_one_image_are_one_image() {
        let bench = Bench::new();
        for location in ["one", "two", "three", "four"] {
            let subject = Subject { location: location.to_owned(), ..on("a") };
            bench.ledger.crashed("http", &subject, "worker-signal", MINUTE).unwrap();
        }
        assert_eq!(bench.images("http", "a"), None);
        assert_eq!(bench.ledger.benched("http", None, MINUTE).unwrap(), None);
        bench.crashed("http", "b");
        bench.crashed("http", "c");
        assert_eq!(bench.ledger.benched("http", None, MINUTE).unwrap().unwrap().images, 3);
    }

    #[test]
    fn a_new_crash_begins_the_time_anew() {
        let bench = Bench::new();
        bench.crashed("http", "a");
        bench.age(60_000);
        bench.ledger.crashed("http", &on("a"), "stalled", 10 * MINUTE).unwrap();
        let benched = bench.ledger.benched("http", Some(&on("a")), MINUTE).unwrap().unwrap();
        assert_eq!((benched.code.as_str(), bench.rows()), ("stalled", 1));
    }

    #[test]
    fn three_images_bench_the_handler_for_all() {
        let bench = Bench::new();
        for image in ["a", "b", "b"] {
            bench.crashed("http", image);
        }
        assert_eq!(bench.images("http", "z"), None, "two images");
        bench.ledger.crashed("http", &on("c"), "last", 10 * MINUTE).unwrap();
        let benched = bench.ledger.benched("http", Some(&on("z")), MINUTE).unwrap().unwrap();
        assert_eq!((benched.images, benched.code.as_str()), (3, "last"));
        assert_eq!((bench.images("http", "a"), bench.images("swift", "z")), (Some(1), None));

        bench.age(60_000);
        bench.crashed("http", "d");
        assert_eq!(bench.images("http", "z"), None, "three of the four are over");
    }

    #[test]
    fn without_a_time_nobody_is_benched() {
        let bench = Bench::new();
        for image in ["a", "b", "c"] {
            bench.ledger.crashed("http", &on(image), "worker-killed", Duration::ZERO).unwrap();
        }
        bench.age(-1_000_000);
        for image in ["a", "z"] {
            assert_eq!(bench.ledger.benched("http", Some(&on(image)), Duration::ZERO).unwrap(), None);
        }
    }

    #[test]
    fn a_clock_that_went_back_does_not_bench_for_longer() {
        let bench = Bench::new();
        bench.crashed("http", "a");
        bench.age(-1_000_000_000);
        let since = bench.ledger.benched("http", Some(&on("a")), MINUTE).unwrap().unwrap().since;
        assert!(since <= now());
        bench.age(60_000);
        assert_eq!(bench.images("http", "a"), None);
    }

    #[test]
    fn old_crashes_are_dropped() {
        let bench = Bench::new();
        bench.crashed("http", "a");
        bench.age(1_000_000);
        bench.crashed("swift", "a");
        assert_eq!(bench.rows(), 1);
        // The longest time has no begin.
        bench.ledger.crashed("swift", &on("b"), "worker-killed", Duration::MAX).unwrap();
        assert!(bench.ledger.benched("swift", Some(&on("b")), Duration::MAX).unwrap().is_some());
    }

    #[test]
    fn no_handler_has_more_rows_than_are_kept() {
        let bench = Bench::new();
        bench.crashed("swift", "a");
        let rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                    INSERT INTO crash SELECT 'http', 'image' || n, 'here', ?2, 'c' FROM n";
        bench.ledger.connection.borrow().execute(rows, params![KEEP, now()]).unwrap();
        bench.crashed("http", "image2");
        assert_eq!(bench.rows(), KEEP + 1);
        bench.crashed("http", "one more");
        assert_eq!(bench.rows(), KEEP + 1);
        let oldest = "SELECT image FROM crash WHERE handler = 'http' ORDER BY rowid LIMIT 1";
        let oldest: String = bench.ledger.connection.borrow().query_row(oldest, [], |row| row.get(0)).unwrap();
        assert_eq!(oldest, "image3", "the first one went, the second crashed again");
        assert_eq!(bench.images("http", "one more"), Some(1));
    }
}
