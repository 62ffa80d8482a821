//! The socket: handed over by systemd, or made.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use crate::config::Agent;

/// A socket that is listened on.
pub(super) struct Listening {
    pub(super) listener: UnixListener,
    /// What was made; none for one that was handed over, which stays.
    pub(super) made: Option<Made>,
}

/// A socket in the file system: where, and which inode.
pub(super) struct Made {
    path: PathBuf,
    inode: (u64, u64),
}

impl Listening {
    /// Takes the socket that systemd hands over (`sd_listen_fds(3)`), or makes one. Somebody else's, whose agent is alive, is
    /// left alone.
    pub(super) fn open(agent: &Agent) -> Result<Self> {
        let path = &agent.socket;
        let failed = |what: &str| {
            let what = format!("{what} {}", path.display());
            move |error: io::Error| Error::os(&error, what).scoped(Scope::Node)
        };
        let handed = listenfd::ListenFd::from_env().take_unix_listener(0).map_err(failed("take the socket for"))?;
        if let Some(listener) = handed {
            return Ok(Self { listener, made: None });
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
        }
        refuse_live(path)?;
        // Under another name first, so that nobody can connect before it has its mode, and one takes the other's place at once.
        let spare = spare_name(path)?;
        let listener = UnixListener::bind(&spare).map_err(failed("listen on"))?;
        let named = || -> io::Result<(u64, u64)> {
            std::fs::set_permissions(&spare, std::fs::Permissions::from_mode(agent.socket_mode))?;
            let metadata = std::fs::symlink_metadata(&spare)?;
            std::fs::rename(&spare, path)?;
            Ok((metadata.dev(), metadata.ino()))
        };
        match named() {
            Ok(inode) => Ok(Self { listener, made: Some(Made { path: path.clone(), inode }) }),
            Err(error) => {
                // It has served its purpose either way.
                let _ = std::fs::remove_file(&spare);
                Err(failed("listen on")(error))
            }
        }
    }
}

impl Made {
    /// Takes the socket away, unless another agent has put its own there.
    pub(super) fn remove(self) {
        let is_ours = std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode);
        if is_ours {
            // The next agent replaces it anyway.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A name beside the socket, of five bytes: a socket's path must not become too long by it.
fn spare_name(path: &Path) -> Result<PathBuf> {
    Ok(path.with_file_name(format!(".{:04x}", crate::stage::random()? & 0xffff)))
}

/// Refuses to take the place of an agent that serves. One that is being stopped does not accept any more.
fn refuse_live(path: &Path) -> Result<()> {
    if UnixStream::connect(path).is_err() || is_stopping(path) {
        return Ok(());
    }
    let message = format!("an agent listens on {} already", path.display());
    Err(Error::new(ErrorKind::Exists, "agent-running", message).scoped(Scope::Request))
}

/// Whether whoever listens says that it is being stopped, or says nothing.
fn is_stopping(path: &Path) -> bool {
    use std::io::{Read, Write};
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
        stream.set_write_timeout(Some(std::time::Duration::from_secs(2)))?;
        stream.write_all(b"GET /v0/health HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(64 << 10).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let serving = b"\"state\":\"serving\"";
    ask().map_or(true, |answer| !answer.windows(serving.len()).any(|part| part == serving))
}
