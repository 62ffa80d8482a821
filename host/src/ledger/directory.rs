//! The directory that the ledger is in. Whoever can write there decides what counts as verified, so it must be this user's
//! or root's alone.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

/// The ledger's file in the state directory.
pub(super) const LEDGER: &str = "ledger.sqlite";

/// Makes the directory and the ledger's file as needed, whatever the umask, and refuses what others could have written.
pub(super) fn prepare(state_dir: &Path) -> Result<()> {
    let failed = |what: &str, path: &Path, error: std::io::Error| {
        Error::os(&error, format_args!("{what} {}", path.display())).scoped(Scope::Node)
    };
    if let Some(parent) = state_dir.parent() {
        std::fs::create_dir_all(parent).map_err(|error| failed("make the directory", parent, error))?;
    }
    match DirBuilder::new().mode(0o700).create(state_dir) {
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make the state directory", state_dir, error)),
        Ok(()) => std::fs::set_permissions(state_dir, Permissions::from_mode(0o700))
            .map_err(|error| failed("set the mode of the state directory", state_dir, error))?,
    }
    refuse_untrusted(state_dir)?;
    let ledger = state_dir.join(LEDGER);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&ledger) {
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => refuse_untrusted(&ledger),
        Err(error) => Err(failed("make the ledger", &ledger, error)),
        // The log's files take their mode from this one.
        Ok(file) => file
            .set_permissions(Permissions::from_mode(0o600))
            .map_err(|error| failed("set the mode of the ledger", &ledger, error)),
    }
}

fn refuse_untrusted(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Error::os(&error, format_args!("stat {}", path.display())).scoped(Scope::Node))?;
    let user = nix::unistd::geteuid().as_raw();
    let shared = metadata.mode() & 0o022 != 0;
    if !shared && (metadata.uid() == user || metadata.uid() == 0) {
        return Ok(());
    }
    let message = format!("{} can be written by others than this user and root", path.display());
    Err(Error::new(ErrorKind::Denied, "state-untrusted", message).scoped(Scope::Node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        prepare(&state).unwrap();
        prepare(&state).unwrap();
        for (path, mode) in [(state.join(LEDGER), 0o666), (state.clone(), 0o777)] {
            let own = std::fs::metadata(&path).unwrap().permissions();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(prepare(&state).unwrap_err().code(), "state-untrusted");
            std::fs::set_permissions(&path, own).unwrap();
        }
        prepare(&state).unwrap();
    }
}
