//! Files that a login names.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

const BYTES_MAX: u64 = 1 << 20;

/// The text of a file that nobody but root and this process's user can change.
pub(super) fn read(path: &Path) -> Result<String> {
    let bad = |kind, why: String| {
        let message = format!("read {}: {why}", path.display());
        Error::new(kind, "cloud-file", message).scoped(Scope::Request)
    };
    // Not to wait for the other end of a FIFO.
    let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Io,
        };
        bad(kind, error.to_string())
    })?;
    let metadata = file.metadata().map_err(|error| bad(ErrorKind::Io, error.to_string()))?;
    if !metadata.is_file() {
        return Err(bad(ErrorKind::Invalid, "it is no regular file".to_owned()));
    }
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    if mode & 0o022 != 0 || (owner != 0 && owner != nix::unistd::geteuid().as_raw()) {
        return Err(bad(ErrorKind::Denied, format!("others can change it (owner {owner}, mode {mode:o})")));
    }
    let mut text = String::new();
    match file.take(BYTES_MAX.saturating_add(1)).read_to_string(&mut text) {
        Ok(read) if read as u64 > BYTES_MAX => {
            Err(bad(ErrorKind::Limit, format!("it has more than {BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(bad(ErrorKind::Invalid, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_can_change_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clouds.yaml");
        std::fs::write(&path, "text").unwrap();
        for (mode, expected) in [(0o600, None), (0o644, None), (0o666, Some(ErrorKind::Denied))] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).err().map(|error| error.kind()), expected, "{mode:o}");
        }
        let kind = |path: &Path| read(path).unwrap_err().kind();
        assert_eq!(kind(directory.path()), ErrorKind::Invalid);
        assert_eq!(kind(&directory.path().join("none")), ErrorKind::NotFound);
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::Invalid);
    }
}
