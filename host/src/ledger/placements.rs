//! Placements: announced, confirmed, removed, moved.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Deed, write_history};
use super::{Job, Ledger, failed, now};
use crate::digest::Digest;
use crate::engine::Method;
use crate::faults::Point;
use crate::identity::FileIdentity;
use crate::verify::Verified;

/// What was placed, by whom, from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Facts {
    /// The image's id.
    pub(crate) image: Option<String>,
    /// The locations' URLs, redacted.
    pub(crate) locations: Vec<String>,
    /// The id of the handler that gave the bytes.
    pub(crate) handler: String,
    /// Its id and those of the handlers that took the bytes apart, in their order; none where there are none such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) handlers: Vec<String>,
    /// How the bytes came.
    pub(crate) method: Method,
    /// The digest of the stored bytes, `ALGORITHM:HEX`.
    #[schemars(with = "Option<String>")]
    pub(crate) digest: Option<Digest>,
    /// How that digest is known.
    pub(crate) verified: Verified,
    /// Bytes of the target.
    pub(crate) bytes: u64,
    /// The target's disk format.
    pub(crate) format: String,
    /// The disks, where the target is a directory of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) disks: Vec<PlacedDisk>,
    /// The user that it was placed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<u32>,
    /// What the agent was asked for, as a digest: the same call made again is told from another one by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
}

/// A disk in a directory that was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlacedDisk {
    /// Its name there.
    pub(crate) file: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// The name in the group of the image whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_name: Option<String>,
}

/// Where a placement is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// About to be published.
    Intent,
    /// Published.
    Placed,
    /// About to be removed.
    Removing,
    /// About to be moved.
    Moving,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Placed => "placed",
            Self::Removing => "removing",
            Self::Moving => "moving",
        }
    }

    fn from_name(name: &str) -> Self {
        [Self::Intent, Self::Removing, Self::Moving]
            .into_iter()
            .find(|state| state.name() == name)
            .unwrap_or(Self::Placed)
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The ledger's number.
    pub(crate) id: i64,
    /// Absolute path, its directory resolved.
    pub(crate) path: PathBuf,
    /// Where in its life.
    pub(crate) state: State,
    /// The job that last changed it.
    pub(crate) job: i64,
    /// A hidden name beside the path that the job may have left.
    pub(crate) spare: Option<std::ffi::OsString>,
    /// Where a move goes.
    pub(crate) destination: Option<PathBuf>,
    /// The placed inode.
    pub(crate) identity: FileIdentity,
    /// What was placed.
    pub(crate) facts: Facts,
    /// When, in milliseconds since 1970.
    pub(crate) at: i64,
}

const COLUMNS: &str = "id, path, state, job, spare, destination, file_system, inode, born, facts, at";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Placement> {
    let bytes_path = |bytes: Vec<u8>| PathBuf::from(OsStr::from_bytes(&bytes));
    let facts: String = row.get(9)?;
    Ok(Placement {
        id: row.get(0)?,
        path: bytes_path(row.get(1)?),
        state: State::from_name(&row.get::<_, String>(2)?),
        job: row.get(3)?,
        spare: row.get::<_, Option<Vec<u8>>>(4)?.map(|bytes| OsStr::from_bytes(&bytes).to_owned()),
        destination: row.get::<_, Option<Vec<u8>>>(5)?.map(bytes_path),
        identity: FileIdentity {
            file_system: row.get::<_, i64>(6)?.cast_unsigned(),
            inode: row.get::<_, i64>(7)?.cast_unsigned(),
            born: row.get(8)?,
        },
        facts: serde_json::from_str(&facts)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(9, rusqlite::types::Type::Text, error.into()))?,
        at: row.get(10)?,
    })
}

pub(super) fn select(transaction: &Transaction<'_>, condition: &str) -> Result<Vec<Placement>> {
    let text = format!("SELECT {COLUMNS} FROM placement {condition}");
    let mut statement = transaction.prepare(&text).map_err(failed("read"))?;
    let rows = statement.query_map([], from_row).map_err(failed("read"))?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed("read"))
}

/// Who is refused a change of a placement that another job is changing.
fn in_use(path: &Path) -> Error {
    let message = format!("{} is being changed by another process", path.display());
    Error::new(ErrorKind::Unavailable, "placement-in-use", message).scoped(Scope::Request)
}

impl Ledger {
    /// Announces that `identity` is about to be published at `path`; `spare` is a hidden name beside it that it may have on
    /// the way. Gives the placement's number.
    pub(crate) fn intend(
        &self,
        job: &Job,
        path: &Path,
        spare: Option<&OsStr>,
        identity: &FileIdentity,
        facts: &Facts,
    ) -> Result<i64> {
        let facts = facts_text(facts)?;
        self.change(Point::LedgerIntent, |transaction| {
            transaction
                .execute(
                    "INSERT INTO placement (path, state, job, spare, file_system, inode, born, facts, at)
                     VALUES (?1, 'intent', ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        path.as_os_str().as_bytes(),
                        job.number(),
                        spare.map(OsStr::as_bytes),
                        identity.file_system.cast_signed(),
                        identity.inode.cast_signed(),
                        identity.born,
                        facts,
                        now(),
                    ],
                )
                .map_err(failed("change"))?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// The announced placement is published; what it replaced leaves the ledger. `record` goes to the history.
    pub(crate) fn confirm(&self, id: i64, record: &serde_json::Value) -> Result<()> {
        self.change(Point::LedgerConfirm, |transaction| {
            let placement = row(transaction, id)?;
            // Another process may have replaced it already, and confirmed that.
            if super::reconcile::stands_at(&placement.path, &placement)? {
                confirm_row(transaction, id)?;
            } else {
                delete(transaction, id)?;
            }
            write_history(transaction, Deed::Place, true, &placement.path, record)
        })
    }

    /// The announced placement got no name. A hidden name that it had on the way goes.
    pub(crate) fn drop_intent(&self, id: i64) -> Result<()> {
        self.change(Point::LedgerDrop, |transaction| {
            super::reconcile::remove_spare_of(&row(transaction, id)?)?;
            delete(transaction, id)
        })
    }

    /// The announced placement failed on the way; the disk decides what is left of it.
    pub(crate) fn settle_intent(&self, id: i64) -> Result<()> {
        self.change(Point::LedgerDrop, |transaction| super::reconcile::settle(transaction, &row(transaction, id)?))
    }

    /// Every placement, the oldest first, in whatever state.
    pub(crate) fn placements(&self) -> Result<Vec<Placement>> {
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction().map_err(failed("read"))?;
        select(&transaction, "ORDER BY id")
    }

    /// Whether what was placed stands at its path now, and all of it; if not, in words why.
    pub(crate) fn damage(&self, placement: &Placement) -> Option<String> {
        let found = super::reconcile::target_at(&placement.path).and_then(|target| match target {
            Some(target) => super::damage(&target, placement),
            None => Ok(Some("its directory is gone".to_owned())),
        });
        found.unwrap_or_else(|error| Some(format!("it cannot be looked at: {}", error.message())))
    }

    /// Where the placement came from, if it was moved to where it is and nothing was done to it since.
    pub(crate) fn moved_from(&self, placement: &Placement) -> Result<Option<PathBuf>> {
        let connection = self.connection.borrow();
        let text = "SELECT deed, record FROM history WHERE path = ?1 AND ok = 1 ORDER BY id DESC LIMIT 1";
        let path = placement.path.as_os_str().as_bytes();
        let last: Option<(String, String)> = connection
            .query_row(text, params![path], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed("read"))?;
        let Some((_, record)) = last.filter(|(deed, _)| deed == "move") else { return Ok(None) };
        let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
        let is_this = record["placement"].as_i64() == Some(placement.id);
        Ok(record["from"].as_str().filter(|_| is_this).map(PathBuf::from))
    }

    /// The placement at `path`.
    pub(crate) fn placement_at(&self, path: &Path) -> Result<Option<Placement>> {
        let connection = self.connection.borrow();
        let text = format!("SELECT {COLUMNS} FROM placement WHERE path = ?1 AND state != 'intent' ORDER BY id DESC");
        connection.query_row(&text, params![path.as_os_str().as_bytes()], from_row).optional().map_err(failed("read"))
    }

    /// Announces that the placement is about to be removed, if nobody else is changing it.
    /// `spare` is a hidden name beside it that a directory has on the way.
    pub(crate) fn intend_remove(&self, job: &Job, placement: &Placement, spare: Option<&OsStr>) -> Result<()> {
        self.change(Point::RemoveIntent, |transaction| {
            begin_change(transaction, job, placement, State::Removing, Way { spare, destination: None })
        })
    }

    /// The placement is gone from the disk.
    pub(crate) fn forget(&self, placement: &Placement, record: &serde_json::Value) -> Result<()> {
        self.change(Point::RemoveForget, |transaction| {
            delete(transaction, placement.id)?;
            write_history(transaction, Deed::Remove, true, &placement.path, record)
        })
    }

    /// The placement was gone from the disk when its caller looked. Forgotten, unless another process is changing it or has
    /// just done so.
    pub(crate) fn forget_gone(&self, placement: &Placement, record: &serde_json::Value) -> Result<()> {
        self.change(Point::RemoveForget, |transaction| {
            let found = select(transaction, &format!("WHERE id = {}", placement.id))?;
            let is_as_seen = |found: &Placement| found.state == State::Placed && found.path == placement.path;
            if !found.first().is_some_and(is_as_seen) || super::reconcile::stands_at(&placement.path, placement)? {
                return Err(in_use(&placement.path));
            }
            delete(transaction, placement.id)?;
            write_history(transaction, Deed::Remove, true, &placement.path, record)
        })
    }

    /// The announced change did not happen; the placement is as it was.
    pub(crate) fn restore(&self, placement: &Placement) -> Result<()> {
        self.change(Point::LedgerDrop, |transaction| confirm_row(transaction, placement.id))
    }

    /// Announces that the placement is about to be moved, if nobody else is changing it.
    pub(crate) fn intend_move(&self, job: &Job, placement: &Placement, destination: &Path) -> Result<()> {
        self.change(Point::MoveIntent, |transaction| {
            begin_change(
                transaction,
                job,
                placement,
                State::Moving,
                Way { spare: None, destination: Some(destination) },
            )
        })
    }

    /// The placement has its new path.
    pub(crate) fn confirm_move(
        &self,
        placement: &Placement,
        destination: &Path,
        record: &serde_json::Value,
    ) -> Result<()> {
        self.change(Point::MoveConfirm, |transaction| {
            move_row(transaction, placement.id, destination)?;
            write_history(transaction, Deed::Move, true, destination, record)
        })
    }
}

fn facts_text(facts: &Facts) -> Result<String> {
    serde_json::to_string(facts).map_err(|error| Error::new(ErrorKind::Internal, "facts", error.to_string()))
}

/// Where else a placement may be found while it is changed.
struct Way<'a> {
    spare: Option<&'a OsStr>,
    destination: Option<&'a Path>,
}

fn begin_change(
    transaction: &Transaction<'_>,
    job: &Job,
    placement: &Placement,
    state: State,
    way: Way<'_>,
) -> Result<()> {
    let destination = way.destination.map(|path| path.as_os_str().as_bytes());
    let changed = transaction
        .execute(
            "UPDATE placement SET state = ?1, job = ?2, destination = ?3, spare = ?4 WHERE id = ?5 AND state = 'placed'",
            params![state.name(), job.number(), destination, way.spare.map(OsStr::as_bytes), placement.id],
        )
        .map_err(failed("change"))?;
    if changed == 1 { Ok(()) } else { Err(in_use(&placement.path)) }
}

/// Makes a row a confirmed placement and drops what stood at its path before.
pub(super) fn confirm_row(transaction: &Transaction<'_>, id: i64) -> Result<()> {
    transaction
        .execute("UPDATE placement SET state = 'placed', spare = NULL, destination = NULL WHERE id = ?1", [id])
        .map_err(failed("change"))?;
    transaction
        .execute(
            "DELETE FROM placement WHERE id != ?1 AND state = 'placed'
             AND path = (SELECT path FROM placement WHERE id = ?1)",
            [id],
        )
        .map_err(failed("change"))?;
    Ok(())
}

pub(super) fn move_row(transaction: &Transaction<'_>, id: i64, destination: &Path) -> Result<()> {
    transaction
        .execute(
            "UPDATE placement SET path = ?1, state = 'placed', destination = NULL WHERE id = ?2",
            params![destination.as_os_str().as_bytes(), id],
        )
        .map_err(failed("change"))?;
    Ok(())
}

pub(super) fn delete(transaction: &Transaction<'_>, id: i64) -> Result<()> {
    transaction.execute("DELETE FROM placement WHERE id = ?1", [id]).map_err(failed("change"))?;
    Ok(())
}

fn row(transaction: &Transaction<'_>, id: i64) -> Result<Placement> {
    let text = format!("SELECT {COLUMNS} FROM placement WHERE id = ?1");
    transaction.query_row(&text, [id], from_row).map_err(failed("read"))
}
