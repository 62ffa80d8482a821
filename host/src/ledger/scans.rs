//! What scanning a plugin file found, for exactly the file that was scanned.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::params;

use super::{Ledger, failed};
use crate::complaint::complain;
use crate::faults::Point;

impl Ledger {
    /// What was found in the file `path` when it was `version`.
    pub(crate) fn scan(&self, path: &Path, version: &str) -> Option<String> {
        self.connection
            .borrow()
            .query_row(
                "SELECT outcome FROM plugin_scan WHERE path = ?1 AND version = ?2",
                params![path.as_os_str().as_bytes(), version],
                |row| row.get(0),
            )
            // Nothing there, or nothing readable: the file is scanned again.
            .ok()
    }

    /// Remembers what was found. Not being able to is no failure of anything: the file is scanned again next time.
    pub(crate) fn remember_scan(&self, path: &Path, version: &str, outcome: &str) {
        let done = self.change(Point::LedgerScan, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO plugin_scan (path, version, outcome) VALUES (?1, ?2, ?3)",
                    params![path.as_os_str().as_bytes(), version, outcome],
                )
                .map_err(failed("change"))?;
            Ok(())
        });
        if let Err(error) = done {
            complain(&error);
        }
    }
}
