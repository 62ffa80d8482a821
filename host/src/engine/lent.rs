//! A stage that was given to another process to be written: what that process could do to it besides.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use landfall_handler_api::{Error, ErrorKind, Result};

use super::lease;
use crate::disk;
use crate::stage::stage_error;

/// Names of extended attributes, with their terminating zeros. No file of ours has more.
const NAMES_MAX: usize = 4096;

/// How a file was before it was given away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lent {
    owner: (u32, u32),
    mode: u32,
    links: u64,
    /// The names of its extended attributes; access lists are among them.
    attributes: Vec<u8>,
}

impl Lent {
    /// How `file` is now.
    pub(super) fn of(file: &File) -> Result<Self> {
        let metadata = file.metadata().map_err(|error| stage_error(&error, "stat the stage"))?;
        let mut attributes = vec![0; NAMES_MAX];
        match rustix::fs::flistxattr(file, attributes.as_mut_slice()) {
            Ok(length) => attributes.truncate(length),
            // A file system without any.
            Err(rustix::io::Errno::OPNOTSUPP) => attributes.clear(),
            Err(errno) => return Err(stage_error(&errno.into(), "list the attributes of the stage")),
        }
        Ok(Self { owner: (metadata.uid(), metadata.gid()), mode: metadata.mode(), links: metadata.nlink(), attributes })
    }

    /// Refuses what whoever had the file was not to do to it, now that they are dead: other sizes, owners, access lists and
    /// names, and a descriptor that somebody else still has.
    pub(super) fn refuse_changes(&self, file: &File, size: u64) -> Result<()> {
        let found = file.metadata().map_err(|error| stage_error(&error, "stat the stage"))?.len();
        if found != size {
            let message = format!("the output has {size} bytes, and {found} were written");
            return Err(Error::new(ErrorKind::Crashed, "output-overrun", message));
        }
        if Self::of(file)? != *self {
            let message = "owner, mode, names or attributes of the output were changed";
            return Err(Error::new(ErrorKind::Crashed, "output-tampered", message));
        }
        if lease::is_open_elsewhere(file) {
            return Err(Error::new(ErrorKind::Crashed, "output-held", "somebody still has the output open"));
        }
        // Blocks that were allocated beyond the end go.
        disk::set_size(file.as_fd(), size).map_err(|error| stage_error(&error, "set the stage's size"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_change_is_noticed() {
        let code = |change: &dyn Fn(&File, &std::path::Path)| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("stage");
            let file = std::fs::OpenOptions::new().create_new(true).read(true).write(true).open(&path).unwrap();
            file.set_len(100).unwrap();
            let lent = Lent::of(&file).unwrap();
            change(&file, &path);
            lent.refuse_changes(&file, 100).err().map(|error| error.code().to_owned())
        };
        assert_eq!(code(&|_, _| ()), None);
        assert_eq!(code(&|file, _| file.set_len(101).unwrap()).as_deref(), Some("output-overrun"));
        let tampered = Some("output-tampered");
        assert_eq!(
            code(&|file, _| file.set_permissions(PermissionsExt::from_mode(0o666)).unwrap()).as_deref(),
            tampered
        );
        assert_eq!(code(&|_, path| std::fs::hard_link(path, path.with_extension("2")).unwrap()).as_deref(), tampered);
        let held = std::cell::RefCell::new(None);
        let hold = |_: &File, path: &std::path::Path| {
            *held.borrow_mut() = Some(std::fs::OpenOptions::new().write(true).open(path).unwrap());
        };
        assert_eq!(code(&hold).as_deref(), Some("output-held"));
    }
}
