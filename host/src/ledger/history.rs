//! The history: every decision and what came of it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landfall_handler_api::Result;
use rusqlite::{Transaction, params};
use serde::Serialize;

use super::{Ledger, failed, now};
use crate::faults::Point;

/// Entries that are kept; the oldest go first.
const KEEP: i64 = 2_000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deed {
    /// An image was placed, or that failed.
    Place,
    /// A placement was removed.
    Remove,
    /// A placement was moved.
    Move,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Remove => "remove",
            Self::Move => "move",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryEntry {
    /// Its number, rising.
    pub(crate) id: i64,
    /// When, in milliseconds since 1970.
    pub(crate) at: i64,
    /// `place`, `remove`, `move`.
    pub(crate) deed: String,
    /// Whether it was done.
    pub(crate) ok: bool,
    /// The target.
    pub(crate) path: PathBuf,
    /// The decision and its outcome.
    pub(crate) record: serde_json::Value,
}

impl HistoryEntry {
    /// The user that it was done for, where that is known.
    pub(crate) fn caller(&self) -> Option<u32> {
        let of = |part: &str| self.record.get(part)?.get("caller")?.as_u64()?.try_into().ok();
        of("placed").or_else(|| of("decision"))
    }
}

pub(super) fn write_history(
    transaction: &Transaction<'_>,
    deed: Deed,
    ok: bool,
    path: &Path,
    record: &serde_json::Value,
) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO history (at, deed, ok, path, record) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![now(), deed.name(), ok, path.as_os_str().as_bytes(), record.to_string()],
        )
        .map_err(failed("change"))?;
    let newest = transaction.last_insert_rowid();
    transaction
        .execute("DELETE FROM history WHERE id <= ?1", [newest.saturating_sub(KEEP)])
        .map_err(failed("change"))?;
    Ok(())
}

impl Ledger {
    /// Writes down something that failed.
    pub(crate) fn record_failure(&self, deed: Deed, path: &Path, record: &serde_json::Value) -> Result<()> {
        self.change(Point::LedgerHistory, |transaction| write_history(transaction, deed, false, path, record))
    }

    /// The newest `most` entries, the newest first.
    pub(crate) fn history(&self, most: u32) -> Result<Vec<HistoryEntry>> {
        let connection = self.connection.borrow();
        let mut statement = connection
            .prepare("SELECT id, at, deed, ok, path, record FROM history ORDER BY id DESC LIMIT ?1")
            .map_err(failed("read"))?;
        let rows = statement
            .query_map([most], |row| {
                let path: Vec<u8> = row.get(4)?;
                let record: String = row.get(5)?;
                Ok(HistoryEntry {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    deed: row.get(2)?,
                    ok: row.get(3)?,
                    path: PathBuf::from(std::ffi::OsStr::from_bytes(&path)),
                    record: serde_json::from_str(&record).unwrap_or(serde_json::Value::Null),
                })
            })
            .map_err(failed("read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("read"))
    }
}
