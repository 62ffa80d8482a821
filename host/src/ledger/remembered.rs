//! Digests of sources and verdicts on their format, remembered for exactly the version of the inode that was read.

use landfall_handler_api::Result;
use rusqlite::{OptionalExtension, params};

use super::{Ledger, failed};
use crate::digest::{Algorithm, Digest};
use crate::engine::Remembered;
use crate::faults::Point;
use crate::identity::FileVersion;

/// Beside a digest, what the bytes were found to be.
pub(super) const VERDICT: &str = "ALTER TABLE remembered ADD COLUMN verdict TEXT;";

/// Digests that are kept; the oldest go first.
const KEEP: i64 = 100_000;

impl Ledger {
    /// Remembers the digest of `version`, and that its format was found to be as `verdict` says. A file system that keeps no
    /// birth times has 0 there.
    pub(crate) fn remember(&self, version: &FileVersion, digest: &Digest, verdict: &str) -> Result<()> {
        self.change(Point::LedgerRemember, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO remembered
                     (file_system, inode, born, size, modified, changed, algorithm, value, verdict)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        version.identity.file_system.cast_signed(),
                        version.identity.inode.cast_signed(),
                        version.identity.born.unwrap_or(0),
                        version.size.cast_signed(),
                        version.modified,
                        version.changed,
                        digest.algorithm.name(),
                        digest.value,
                        verdict,
                    ],
                )
                .map_err(failed("change"))?;
            let newest = transaction.last_insert_rowid();
            transaction
                .execute("DELETE FROM remembered WHERE rowid <= ?1", [newest.saturating_sub(KEEP)])
                .map_err(failed("change"))?;
            Ok(())
        })
    }
}

impl Ledger {
    /// What is remembered of `old` holds for `new`: the same content, whose inode only got or lost a name by our own hand.
    pub(crate) fn carry(&self, old: &FileVersion, new: &FileVersion) -> Result<()> {
        if !new.same_after_link(old) || old.changed == new.changed {
            return Ok(());
        }
        self.change(Point::LedgerRemember, |transaction| {
            transaction
                .execute(
                    "UPDATE remembered SET changed = ?1 WHERE file_system = ?2 AND inode = ?3 AND born = ?4
                     AND size = ?5 AND modified = ?6 AND changed = ?7",
                    params![
                        new.changed,
                        old.identity.file_system.cast_signed(),
                        old.identity.inode.cast_signed(),
                        old.identity.born.unwrap_or(0),
                        old.size.cast_signed(),
                        old.modified,
                        old.changed,
                    ],
                )
                .map_err(failed("change"))?;
            Ok(())
        })
    }
}

impl Ledger {
    /// A column of what is remembered of `version` beside its digest by `algorithm`. A ledger that cannot be read remembers
    /// nothing; what was asked for is then found out anew.
    fn recall(&self, column: &str, version: &FileVersion, algorithm: Algorithm) -> Option<String> {
        let connection = self.connection.borrow();
        let text = format!(
            "SELECT {column} FROM remembered WHERE file_system = ?1 AND inode = ?2 AND born = ?3 AND size = ?4
             AND modified = ?5 AND changed = ?6 AND algorithm = ?7"
        );
        let found = connection.query_row(
            &text,
            params![
                version.identity.file_system.cast_signed(),
                version.identity.inode.cast_signed(),
                version.identity.born.unwrap_or(0),
                version.size.cast_signed(),
                version.modified,
                version.changed,
                algorithm.name(),
            ],
            |row| row.get::<_, Option<String>>(0),
        );
        found.optional().ok().flatten().flatten()
    }

    /// Whether the format of `version` was found to be as `verdict` says when its digest was computed.
    pub(crate) fn has_verdict(&self, version: &FileVersion, algorithm: Algorithm, verdict: &str) -> bool {
        self.recall("verdict", version, algorithm).as_deref() == Some(verdict)
    }
}

impl Remembered for Ledger {
    fn digest(&self, version: &FileVersion, algorithm: Algorithm) -> Option<Digest> {
        self.recall("value", version, algorithm).map(|value| Digest { algorithm, value })
    }
}
