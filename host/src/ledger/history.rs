//! The history: every decision and what came of it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landfall_handler_api::Result;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;

use super::{Ledger, failed, now};
use crate::faults::Point;

/// Entries that are kept of each user; the oldest go first. Nobody's failures push out what was done for others.
const KEEP: i64 = 2_000;
/// Entries that are kept in all. Beyond, the oldest go first of the user who has the most.
const KEEP_ALL: i64 = 20_000;
/// Bytes of entries that are read at once: in memory they are ten times that.
const TEXT_MAX: usize = 4 << 20;
/// Adds the user that an entry is of.
pub(super) const CALLER: &str = "ALTER TABLE history ADD COLUMN caller INTEGER;
    CREATE INDEX history_by_caller ON history (caller, id);";

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
        caller_of(&self.record)
    }
}

fn caller_of(record: &serde_json::Value) -> Option<u32> {
    let of = |part: &str| record.get(part)?.get("caller")?.as_u64()?.try_into().ok();
    of("placed").or_else(|| of("decision"))
}

pub(super) fn write_history(
    transaction: &Transaction<'_>,
    deed: Deed,
    ok: bool,
    path: &Path,
    record: &serde_json::Value,
) -> Result<()> {
    let caller = caller_of(record);
    transaction
        .execute(
            "INSERT INTO history (at, deed, ok, path, record, caller) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![now(), deed.name(), ok, path.as_os_str().as_bytes(), record.to_string(), caller],
        )
        .map_err(failed("change"))?;
    let drop_oldest = |caller: Option<u32>, keep: i64| {
        transaction
            .execute(
                "DELETE FROM history WHERE caller IS ?1 AND id <=
                 (SELECT id FROM history WHERE caller IS ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![caller, keep],
            )
            .map_err(failed("change"))
    };
    drop_oldest(caller, KEEP)?;
    let all: i64 =
        transaction.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).map_err(failed("read"))?;
    if all > KEEP_ALL {
        let most = "SELECT caller, count(*) FROM history GROUP BY caller ORDER BY count(*) DESC LIMIT 1";
        let (caller, entries): (Option<u32>, i64) =
            transaction.query_row(most, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed("read"))?;
        drop_oldest(caller, entries.saturating_sub(1))?;
    }
    Ok(())
}

fn entry_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<HistoryEntry> {
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
}

impl Ledger {
    /// Writes down something that failed.
    pub(crate) fn record_failure(&self, deed: Deed, path: &Path, record: &serde_json::Value) -> Result<()> {
        self.change(Point::LedgerHistory, |transaction| write_history(transaction, deed, false, path, record))
    }

    /// The entry of this number, if it is still kept.
    pub(crate) fn history_entry(&self, id: i64) -> Result<Option<HistoryEntry>> {
        let connection = self.connection.borrow();
        let query = "SELECT id, at, deed, ok, path, record FROM history WHERE id = ?1";
        connection.query_row(query, params![id], entry_from_row).optional().map_err(failed("read"))
    }

    /// The newest `most` entries, the newest first: those of one user, or all. Fewer where they are long: at least one, and as many as
    /// [`TEXT_MAX`] has room for.
    pub(crate) fn history(&self, most: u32, caller: Option<u32>) -> Result<Vec<HistoryEntry>> {
        let connection = self.connection.borrow();
        let which = if caller.is_some() { "WHERE caller = ?2" } else { "WHERE ?2 IS NULL" };
        let query = format!("SELECT id, at, deed, ok, path, record FROM history {which} ORDER BY id DESC LIMIT ?1");
        let mut statement = connection.prepare(&query).map_err(failed("read"))?;
        let mut rows = statement.query(params![most, caller]).map_err(failed("read"))?;
        let (mut entries, mut text) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next().map_err(failed("read"))? {
            let length = row.get_ref(5).map_err(failed("read"))?.as_str().map_or(0, str::len);
            text = text.saturating_add(length);
            if text > TEXT_MAX && !entries.is_empty() {
                break;
            }
            entries.push(entry_from_row(row).map_err(failed("read"))?);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nobody_pushes_out_what_was_done_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("state")).unwrap();
        let record = |caller: u32| json!({ "decision": { "caller": caller } });
        let write = |caller: u32, times: i64| {
            ledger
                .change(Point::LedgerHistory, |transaction| {
                    (0..times).try_for_each(|_| {
                        write_history(transaction, Deed::Place, false, Path::new("/x"), &record(caller))
                    })
                })
                .unwrap();
        };
        write(1, 3);
        write(2, KEEP + 10);
        let count = |caller| ledger.history(u32::MAX, caller).unwrap().len() as i64;
        assert_eq!((count(Some(1)), count(Some(2)), count(None)), (3, KEEP, KEEP + 3));
        assert_eq!(ledger.history(2, None).unwrap()[0].caller(), Some(2));
        // Many users together have a bound, too, and who has least keeps what it has.
        for caller in 3..=12 {
            write(caller, KEEP);
        }
        assert_eq!((count(Some(1)), count(None)), (3, KEEP_ALL));
    }
}
