//! Settles what dead processes announced and did not confirm: the disk decides.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

use landfall_handler_api::{ErrorKind, Result};
use rusqlite::Transaction;

use super::placements::{confirm_row, delete, move_row, select};
use super::{Ledger, Placement, State};
use crate::disk;
use crate::faults::Point;
use crate::target::{Occupant, Target, occupant};

impl Ledger {
    /// Looks at every announced change whose job is dead: what the disk shows is confirmed, the rest dropped, and a hidden
    /// name that was left is removed.
    pub(super) fn reconcile(&self) -> Result<()> {
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
                settle(transaction, &placement)?;
            }
            Ok(())
        })
    }
}

pub(super) fn settle(transaction: &Transaction<'_>, placement: &Placement) -> Result<()> {
    match placement.state {
        State::Placed => Ok(()),
        State::Intent => {
            let placed = stands_at(&placement.path, placement)?;
            if let Some(spare) = &placement.spare {
                remove_spare(&placement.path, spare, placement)?;
            }
            if placed { confirm_row(transaction, placement.id) } else { delete(transaction, placement.id) }
        }
        State::Removing => {
            if stands_at(&placement.path, placement)? {
                confirm_row(transaction, placement.id)
            } else {
                delete(transaction, placement.id)
            }
        }
        State::Moving => match &placement.destination {
            Some(destination) if stands_at(destination, placement)? => move_row(transaction, placement.id, destination),
            _ if stands_at(&placement.path, placement)? => confirm_row(transaction, placement.id),
            _ => delete(transaction, placement.id),
        },
    }
}

/// Whether the placement's inode stands at `path`.
pub(super) fn stands_at(path: &Path, placement: &Placement) -> Result<bool> {
    match Target::open(path).and_then(|target| target.occupant()) {
        Ok(Some(Occupant::File(version))) => Ok(version.identity.is(&placement.identity)),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_spare(path: &Path, spare: &OsStr, placement: &Placement) -> Result<()> {
    let target = match Target::open(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let directory = target.directory();
    let is_ours = matches!(
        occupant(directory.as_fd(), spare)?,
        Some(Occupant::File(version)) if version.identity.is(&placement.identity)
    );
    if is_ours {
        disk::unlink(Point::PublishUnlink, directory, spare)
            .map_err(|error| crate::stage::stage_error(&error, "remove a spare name"))?;
    }
    Ok(())
}
