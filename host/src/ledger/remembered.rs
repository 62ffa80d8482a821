//! Digests of sources, remembered for exactly the version of the inode that was read.

use landfall_handler_api::Result;
use rusqlite::{OptionalExtension, params};

use super::{Ledger, failed};
use crate::digest::{Algorithm, Digest};
use crate::engine::Remembered;
use crate::faults::Point;
use crate::identity::FileVersion;

/// Digests that are kept; the oldest go first.
const KEEP: i64 = 100_000;

impl Ledger {
    /// Remembers the digest of `version`. A file system that keeps no birth times has 0 there.
    pub(crate) fn remember(&self, version: &FileVersion, digest: &Digest) -> Result<()> {
        self.change(Point::LedgerRemember, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO remembered
                     (file_system, inode, born, size, modified, changed, algorithm, value)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        version.identity.file_system.cast_signed(),
                        version.identity.inode.cast_signed(),
                        version.identity.born.unwrap_or(0),
                        version.size.cast_signed(),
                        version.modified,
                        version.changed,
                        digest.algorithm.name(),
                        digest.value,
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

impl Remembered for Ledger {
    fn digest(&self, version: &FileVersion, algorithm: Algorithm) -> Option<Digest> {
        let connection = self.connection.borrow();
        let value: Option<String> = connection
            .query_row(
                "SELECT value FROM remembered WHERE file_system = ?1 AND inode = ?2 AND born = ?3 AND size = ?4
                 AND modified = ?5 AND changed = ?6 AND algorithm = ?7",
                params![
                    version.identity.file_system.cast_signed(),
                    version.identity.inode.cast_signed(),
                    version.identity.born.unwrap_or(0),
                    version.size.cast_signed(),
                    version.modified,
                    version.changed,
                    algorithm.name(),
                ],
                |row| row.get(0),
            )
            // A ledger that cannot be read remembers nothing; the digest is then computed.
            .optional()
            .ok()
            .flatten();
        value.map(|value| Digest { algorithm, value })
    }
}
