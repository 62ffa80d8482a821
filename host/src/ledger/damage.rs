//! Whether what was placed is still all there.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use landfall_handler_api::{Error, Result, Scope};
use rustix::fs::{Mode, OFlags};

use super::Placement;
use crate::identity::FileVersion;
use crate::target::{Occupant, Target, occupant};

/// What is missing of a placement that stands at `target`, in words. Disks that grew are as good as ever: images of formats
/// that allocate grow with use, and so does what its owner enlarges.
pub(crate) fn damage(target: &Target, placement: &Placement) -> Result<Option<String>> {
    let facts = &placement.facts;
    match target.occupant()? {
        Some(Occupant::File(version)) if version.identity.is(&placement.identity) => {
            Ok(shortage("it", &version, facts.bytes))
        }
        Some(Occupant::Directory(version)) if version.identity.is(&placement.identity) => {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(target.directory(), target.name(), flags, Mode::empty())
                .map_err(|errno| Error::os(&errno.into(), "open a directory of disks").scoped(Scope::Request))?;
            for disk in &facts.disks {
                let lack = match occupant(directory.as_fd(), OsStr::new(&disk.file))? {
                    Some(Occupant::File(version)) => shortage(&disk.file, &version, disk.bytes),
                    Some(_) => Some(format!("{} is no disk any more", disk.file)),
                    None => Some(format!("{} is missing", disk.file)),
                };
                if lack.is_some() {
                    return Ok(lack);
                }
            }
            Ok(None)
        }
        Some(_) => Ok(Some("something else stands there".to_owned())),
        None => Ok(Some("it is gone".to_owned())),
    }
}

fn shortage(name: &str, version: &FileVersion, placed: u64) -> Option<String> {
    let size = version.size;
    (size < placed).then(|| format!("{name} has {size} bytes of the {placed} that were placed"))
}
