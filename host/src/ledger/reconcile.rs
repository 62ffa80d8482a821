//! Settles what dead processes announced and did not confirm: the disk decides.

use std::ffi::OsStr;
use std::path::Path;

use landfall_handler_api::{ErrorKind, Result};
use rusqlite::Transaction;

use super::placements::{confirm_row, delete, move_row, select};
use super::{Ledger, Placement};
use crate::complaint::complain;
use crate::disk;
use crate::faults::Point;
use crate::stage::{remove_with_disks, stage_error};
use crate::target::{Occupant, Target, occupant};

impl Ledger {
    /// Looks at every announced change whose job is dead: what the disk shows is confirmed, the rest dropped, and a hidden
    /// name that was left is removed.
    pub(crate) fn reconcile(&self) -> Result<()> {
        let open = "WHERE state != 'placed' ORDER BY id";
        let dead = |transaction: &Transaction<'_>| -> Result<Vec<Placement>> {
            let mut dead = select(transaction, open)?;
            let mut kept = Vec::new();
            for placement in dead.drain(..) {
                if !self.is_alive(placement.job)? {
                    kept.push(placement);
                }
            }
            Ok(kept)
        };
        {
            // Mostly there is nothing, and nothing need be written.
            let mut connection = self.connection.borrow_mut();
            let transaction = connection.transaction().map_err(super::failed("read"))?;
            if dead(&transaction)?.is_empty() {
                return Ok(());
            }
        }
        self.change(Point::LedgerReconcile, |transaction| {
            for placement in dead(transaction)? {
                match outcome(&placement) {
                    Ok(outcome) => write(transaction, &placement, &outcome)?,
                    // One directory that cannot be used now is no reason for the node to do nothing at all.
                    Err(error) => complain(format_args!("{} is not settled yet: {error}", placement.path.display())),
                }
            }
            Ok(())
        })
    }
}

/// Settles one announced change.
pub(super) fn settle(transaction: &Transaction<'_>, placement: &Placement) -> Result<()> {
    write(transaction, placement, &outcome(placement)?)
}

/// What came of an announced change.
enum Outcome<'a> {
    /// The disk stands where the row says.
    Here,
    /// It stands where it was to be moved.
    There(&'a Path),
    /// It is not there, or not there any more.
    Nowhere,
}

/// Looks at the disk, and removes a hidden name that was left. What is seen is then on the disk, so that the ledger does
/// not come to say what a power cut takes back.
fn outcome(placement: &Placement) -> Result<Outcome<'_>> {
    remove_spare_of(placement)?;
    for path in placement.destination.iter().chain([&placement.path]) {
        sync_directory_of(path)?;
    }
    match &placement.destination {
        Some(destination) if stands_at(destination, placement)? => Ok(Outcome::There(destination)),
        _ if stands_at(&placement.path, placement)? => Ok(Outcome::Here),
        _ => Ok(Outcome::Nowhere),
    }
}

fn write(transaction: &Transaction<'_>, placement: &Placement, outcome: &Outcome<'_>) -> Result<()> {
    match outcome {
        Outcome::Here => confirm_row(transaction, placement.id),
        Outcome::There(destination) => move_row(transaction, placement.id, destination),
        Outcome::Nowhere => delete(transaction, placement.id),
    }
}

/// Whether the placement's inode stands at `path`.
pub(super) fn stands_at(path: &Path, placement: &Placement) -> Result<bool> {
    let Some(target) = target_at(path)? else { return Ok(false) };
    Ok(target.occupant()?.is_some_and(|occupant| occupant.is(&placement.identity)))
}

/// The target at `path`; `None` where its directory is gone.
pub(super) fn target_at(path: &Path) -> Result<Option<Target>> {
    match Target::open(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.os_errno() == Some(libc::ENOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync_directory_of(path: &Path) -> Result<()> {
    let Some(target) = target_at(path)? else { return Ok(()) };
    disk::sync_directory(Point::LedgerSyncDirectory, target.directory())
        .map_err(|error| stage_error(&error, "sync the target's directory"))
}

/// Removes the hidden name that a placement may have left.
pub(super) fn remove_spare_of(placement: &Placement) -> Result<()> {
    match &placement.spare {
        Some(spare) => remove_spare(&placement.path, spare, placement),
        None => Ok(()),
    }
}

fn remove_spare(path: &Path, spare: &OsStr, placement: &Placement) -> Result<()> {
    let Some(target) = target_at(path)? else { return Ok(()) };
    let directory = target.directory();
    match occupant(directory, spare)? {
        Some(Occupant::File(version)) if version.identity.is(&placement.identity) => {
            disk::unlink(Point::PublishUnlink, directory, spare)
        }
        Some(Occupant::Directory(version)) if version.identity.is(&placement.identity) => {
            remove_with_disks(directory, spare)
        }
        _ => Ok(()),
    }
    .map_err(|error| stage_error(&error, "remove a spare name"))
}
