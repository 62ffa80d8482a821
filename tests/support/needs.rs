//! What a test needs of the machine it runs on, and whether it is there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::mounts::{Fs, Mounts};
use super::openstack;

/// Something a test cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// User id 0, for owners, devices and mounts.
    Root,
    /// A private mount namespace that a test can add mounts to.
    Mount,
    /// A mounted file system of this type.
    FileSystem(Fs),
    /// A program on the search path.
    Program(&'static str),
    /// A kernel that tells what is written in a file system.
    Fanotify,
    /// A file system in user space that mirrors a directory.
    Fuse,
    /// Swift, Keystone and Glance, as tests/install.sh installs them.
    OpenStack,
    /// boto3, as Debian's Python has it.
    Boto,
    /// A fuzzer of HTTP interfaces, as tests/install.sh installs it.
    Fuzzer,
}

impl Need {
    /// `Err(reason)` when it is not there.
    pub(crate) fn check(self, mounts: &Mounts) -> Result<(), String> {
        match self {
            Self::Root if nix::unistd::geteuid().is_root() => Ok(()),
            Self::Root => Err("needs user id 0".to_owned()),
            Self::Mount => mounts.namespace().map_err(|reason| format!("needs a mount namespace: {reason}")),
            Self::FileSystem(fs) => {
                mounts.dir(fs).map(|_| ()).map_err(|reason| format!("needs {}: {reason}", fs.name()))
            }
            Self::Fanotify if Path::new("/proc/sys/fs/fanotify").exists() => Self::Root.check(mounts),
            Self::Fanotify => Err("needs a kernel with fanotify".to_owned()),
            Self::Fuse if !Path::new("/dev/fuse").exists() => Err("needs /dev/fuse".to_owned()),
            Self::Fuse => Self::Program("bindfs").check(mounts),
            Self::OpenStack => openstack::installed(),
            Self::Boto => has_boto(),
            Self::Fuzzer => has_fuzzer(),
            Self::Program(name) => find_program(name)
                .map(|_| ())
                .ok_or_else(|| format!("needs the program {name}, which is not installed")),
        }
    }
}

/// Looked for once.
fn has_boto() -> Result<(), String> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let look = || Command::new("/usr/bin/python3").args(["-c", "import boto3"]).output();
    let found = *FOUND.get_or_init(|| look().is_ok_and(|output| output.status.success()));
    if found { Ok(()) } else { Err("needs Debian's python3-boto3, which is not installed".to_owned()) }
}

/// Runs the fuzzer's script.
pub(crate) fn fuzzer() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace");
    let mut command = Command::new(find_program("python3").unwrap_or_else(|| "python3".into()));
    command.arg(root.join("tests/agent/fuzzer/fuzzer.py"));
    command
}

/// Looked for once.
fn has_fuzzer() -> Result<(), String> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found = *FOUND.get_or_init(|| fuzzer().arg("check").output().is_ok_and(|output| output.status.success()));
    if found { Ok(()) } else { Err("needs schemathesis, which is not installed".to_owned()) }
}

/// The program's path; the administrator's directories count even where the search path lacks them.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
