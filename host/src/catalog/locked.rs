//! All directories of records of this node, locked: what is decided by all of their records is decided by none that Landfall changes
//! meanwhile.

use std::os::fd::OwnedFd;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use landfall_select::LocationStatus;

use super::directory::RecordDirectory;
use super::locations::status;
use crate::cancel::Cancel;
use crate::config::{Catalog, Config};
use crate::redact::printable;
use crate::stored::Stored;

/// The directories and their locks.
pub(crate) struct LockedCatalogs<'a> {
    config: &'a Config,
    directories: Vec<(String, RecordDirectory<'a>, OwnedFd)>,
}

/// A record and where it is.
pub(crate) struct Found {
    /// The catalog's name.
    pub(crate) catalog: String,
    /// The image's id.
    pub(crate) id: String,
    /// The record.
    pub(crate) record: ImageRecord,
    /// When its file was last changed, in seconds since 1970.
    pub(crate) changed_at: i64,
}

impl<'a> LockedCatalogs<'a> {
    /// Locks every directory that is a catalog, in one order for all who do. Nothing else may be locked by the caller.
    pub(crate) fn lock(config: &'a Config, cancel: &Cancel) -> Result<Self> {
        let mut opened: Vec<((u64, u64), String, RecordDirectory<'_>)> = Vec::new();
        for (name, catalog) in &config.catalogs {
            let Catalog::Directory { path } = catalog else { continue };
            let directory = RecordDirectory::open(path, config)?;
            let identity = directory.identity()?;
            // One directory may have several names.
            if !opened.iter().any(|(known, ..)| *known == identity) {
                opened.push((identity, name.clone(), directory));
            }
        }
        opened.sort_by_key(|(identity, ..)| *identity);
        let mut directories = Vec::with_capacity(opened.len());
        for (_, name, directory) in opened {
            let lock = directory.lock(cancel)?;
            directories.push((name, directory, lock));
        }
        Ok(Self { config, directories })
    }

    /// Every record. One that cannot be read fails it: nobody knows what that uses.
    pub(crate) fn records(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for (catalog, directory, _) in &self.directories {
            for id in directory.ids()? {
                let record = directory.record(&id).map_err(|error| {
                    let message =
                        format!("{}: what this record uses is not known, and nothing is deleted", error.message());
                    Error::new(error.kind(), "record-unreadable", message).scoped(Scope::Request)
                })?;
                let changed_at = directory.changed_at(&id)?;
                found.push(Found { catalog: catalog.clone(), id, record, changed_at });
            }
        }
        Ok(found)
    }

    /// Changes a record.
    pub(crate) fn change<T>(
        &self,
        catalog: &str,
        id: &str,
        cancel: &Cancel,
        edit: impl Fn(&mut ImageRecord) -> Result<T>,
    ) -> Result<T> {
        let found = self.directories.iter().find(|(name, ..)| name == catalog);
        let (_, directory, lock) = found.ok_or_else(|| {
            let message = format!("there is no catalog {}", printable(catalog));
            Error::new(ErrorKind::NotFound, "catalog", message).scoped(Scope::Request)
        })?;
        directory.change_locked(id, lock, cancel, edit)
    }

    /// Refuses a location whose bytes are being deleted on behalf of whichever record.
    pub(crate) fn refuse_being_deleted(&self, location: &Location) -> Result<()> {
        let wanted = Stored::of(location, self.config);
        for found in self.records()? {
            for other in &found.record.locations {
                let is_going = other.deletion_began.is_some() && status(other)? != LocationStatus::Deleted;
                if is_going && wanted.may_be(&Stored::of(other, self.config)) {
                    let message = format!("its bytes are being deleted, for image {}", printable(&found.id));
                    return Err(Error::new(ErrorKind::Invalid, "deletion-began", message).scoped(Scope::Request));
                }
            }
        }
        Ok(())
    }
}
