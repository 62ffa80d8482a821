//! Reading the file, and whether it may be believed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use landfall_handler_api::ErrorKind;

use super::error::{ConfigError, Finding};

/// Far more than any site needs; a file that is larger is not a configuration.
const BYTES_MAX: u64 = 1 << 20;

/// Where the configuration is when nobody names a file.
pub(super) const DEFAULT_PATH: &str = "/etc/landfall/landfall.toml";

/// The text of the file at `path`.
pub(super) fn read(path: &Path, user: u32) -> Result<String, ConfigError> {
    // The same descriptor is judged and read, so that nobody can change files in between.
    let file = File::open(path).map_err(|error| cannot("open", path, &error))?;
    let metadata = file.metadata().map_err(|error| cannot("look at", path, &error))?;
    if user == 0
        && let Some((reason, help)) = distrust(&metadata)
    {
        let message = format!("the configuration file {} cannot be trusted: {reason}", path.display());
        let finding = Finding::without_place(message).help(help);
        return Err(unread(ErrorKind::Denied, "config-untrusted", path, finding));
    }
    if metadata.is_dir() {
        let message = format!("the configuration file {} is a directory", path.display());
        return Err(unread(ErrorKind::Invalid, "config", path, Finding::without_place(message)));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot("read", path, &error))?;
    if bytes.len() as u64 > BYTES_MAX {
        let message = format!("the configuration file {} is larger than 1 MiB", path.display());
        return Err(unread(ErrorKind::Limit, "config", path, Finding::without_place(message)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("the configuration file {} is not UTF-8 in line {line}", path.display());
        unread(ErrorKind::Invalid, "config", path, Finding::without_place(message))
    })
}

/// The text of the file at its default place, if there is one.
pub(super) fn read_default(path: &Path, user: u32) -> Result<Option<String>, ConfigError> {
    // A link that leads nowhere is a mistake: it must not turn a node's rules into the defaults.
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read(path, user).map(Some),
    }
}

/// Why a file must not steer an agent that runs as root, and what to do about it.
fn distrust(metadata: &Metadata) -> Option<(String, &'static str)> {
    let file_type = metadata.file_type();
    if metadata.uid() != 0 {
        return Some((format!("it belongs to user {}", metadata.uid()), "give it to root: chown root FILE"));
    }
    // /dev/null stands for an empty file, and everyone may write to it.
    if metadata.mode() & 0o002 != 0 && !file_type.is_char_device() {
        return Some(("anyone can write to it".to_owned(), "take that away: chmod o-w FILE"));
    }
    None
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> ConfigError {
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, format!("there is no configuration file {}", path.display())),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, format!("no permission to {verb} the configuration file {}", path.display()))
        }
        _ => (ErrorKind::Io, format!("cannot {verb} the configuration file {}: {error}", path.display())),
    };
    unread(kind, "config", path, Finding::without_place(message))
}

fn unread(kind: ErrorKind, code: &'static str, path: &Path, finding: Finding) -> ConfigError {
    ConfigError::unread(kind, code, path.display().to_string(), finding)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const USER: u32 = 1000;

    fn failure(result: Result<String, ConfigError>) -> (ErrorKind, &'static str) {
        let error = result.expect_err("must not be read");
        (error.kind(), error.code())
    }

    #[test]
    fn what_cannot_be_read_has_a_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        assert_eq!(failure(read(&path, USER)), (ErrorKind::NotFound, "config"));
        assert_eq!(failure(read(folder.path(), USER)), (ErrorKind::Invalid, "config"));
        assert_eq!(failure(read(&path.join("x"), USER)), (ErrorKind::NotFound, "config"));

        std::fs::write(&path, vec![b'#'; BYTES_MAX as usize]).unwrap();
        assert!(read(&path, USER).is_ok());
        std::fs::write(&path, vec![b'#'; BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(failure(read(&path, USER)), (ErrorKind::Limit, "config"));

        std::fs::write(&path, b"# one\n# \xff\n").unwrap();
        let error = read(&path, USER).unwrap_err();
        assert!(error.to_string().ends_with("is not UTF-8 in line 2"), "{error}");

        if !nix::unistd::geteuid().is_root() {
            std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
            assert_eq!(failure(read(&path, USER)), (ErrorKind::Denied, "config"));
        }
        let denied = cannot("open", &path, &io::Error::from_raw_os_error(13));
        assert_eq!(denied.kind(), ErrorKind::Denied);
    }

    #[test]
    fn only_an_absent_default_file_means_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        assert_eq!(read_default(&path, USER).unwrap(), None);
        assert_eq!(read_default(&folder.path().join("no/landfall.toml"), USER).unwrap(), None);
        symlink("nowhere", &path).unwrap();
        assert_eq!(read_default(&path, USER).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn root_believes_only_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        std::fs::write(&path, "").unwrap();
        if nix::unistd::geteuid().is_root() {
            assert!(read(&path, 0).is_ok());
            chown(&path, Some(USER), None).unwrap();
            assert_eq!(failure(read(&path, 0)), (ErrorKind::Denied, "config-untrusted"));
            chown(&path, Some(0), None).unwrap();
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert_eq!(failure(read(&path, 0)), (ErrorKind::Denied, "config-untrusted"));
        assert!(read(&path, USER).is_ok());
        assert!(read(Path::new("/dev/null"), 0).is_ok());
    }
}
