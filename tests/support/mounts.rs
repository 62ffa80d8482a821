//! Real file systems on loop mounts, made once for a run and shared by its tests.
//!
//! The mounts live in a mount namespace of the test process, so that a killed run leaves none behind. Its sparse image
//! files remain then; the next run removes them, known by their directory's name and by their dead owner's process id.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::needs::find_program;

/// Names every directory that a run makes: this, the process id of its owner, and a random end.
const MARK: &str = "landfall-e2e-";

/// A kind of file system that tests place disks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fs {
    Xfs,
    Btrfs,
    Ext4,
    Tmpfs,
    /// Wherever temporary files are: for tests to which the file system does not matter.
    Temp,
}

impl Fs {
    const MOUNTED: [Self; 4] = [Self::Xfs, Self::Btrfs, Self::Ext4, Self::Tmpfs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Ext4 => "ext4",
            Self::Tmpfs => "tmpfs",
            Self::Temp => "temp",
        }
    }

    /// The program and options that make it. Discarding is left out: the image file is a fresh hole.
    fn maker(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Xfs => Some(("mkfs.xfs", &["-q", "-K", "-m", "reflink=1"])),
            Self::Btrfs => Some(("mkfs.btrfs", &["-q", "-K"])),
            Self::Ext4 => Some(("mkfs.ext4", &["-q", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"])),
            Self::Tmpfs | Self::Temp => None,
        }
    }
}

/// The run's directory, and where each file system is mounted or why it is not.
pub(crate) struct Mounts {
    run_dir: tempfile::TempDir,
    namespace: Result<(), String>,
    dirs: BTreeMap<Fs, Result<PathBuf, String>>,
}

impl Mounts {
    /// Makes everything that this machine can give. Called before any thread is started, since a namespace is a thread's.
    pub(crate) fn prepare() -> Self {
        remove_left_over_runs();
        let run_dir = tempfile::Builder::new()
            .prefix(&format!("{MARK}{}-", std::process::id()))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory for the run");
        let namespace = own_namespace();
        let mut dirs = BTreeMap::from([(Fs::Temp, Ok(run_dir.path().join("temp")))]);
        fs::create_dir(run_dir.path().join("temp")).unwrap();
        for kind in Fs::MOUNTED {
            let mounted = namespace.clone().and_then(|()| mount_one(run_dir.path(), kind));
            dirs.insert(kind, mounted);
        }
        Self { run_dir, namespace, dirs }
    }

    pub(crate) fn run_dir(&self) -> &Path {
        self.run_dir.path()
    }

    /// Whether tests can mount something of their own.
    pub(crate) fn namespace(&self) -> Result<(), String> {
        self.namespace.clone()
    }

    pub(crate) fn dir(&self, kind: Fs) -> Result<&Path, String> {
        self.dirs[&kind].as_deref().map_err(Clone::clone)
    }

    /// Unmounts everything and removes the run's directory. Loop devices go with their mounts.
    pub(crate) fn finish(self) {
        for kind in Fs::MOUNTED {
            if let Ok(dir) = &self.dirs[&kind] {
                umount2(dir, MntFlags::empty()).unwrap_or_else(|error| panic!("unmount {}: {error}", dir.display()));
            }
        }
        let path = self.run_dir.path().to_owned();
        self.run_dir.close().unwrap_or_else(|error| panic!("remove {}: {error}", path.display()));
    }
}

/// A mount made by one test, gone when dropped.
pub(crate) struct OwnMount(PathBuf);

impl OwnMount {
    /// A tmpfs of this many bytes at `dir`.
    pub(crate) fn tmpfs(dir: &Path, bytes: u64) -> Self {
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(format!("size={bytes}").as_str()))
            .expect("mount a tmpfs");
        Self(dir.to_owned())
    }

    /// A file system of this many bytes at `dir`, in the sparse file `image`.
    pub(crate) fn image(kind: Fs, image: &Path, bytes: u64, dir: &Path) -> Self {
        make_image(kind, image, bytes).and_then(|()| mount_image(kind, image, dir)).expect("mount an image");
        Self(dir.to_owned())
    }

    /// `from` seen at `dir` as well.
    pub(crate) fn bind(from: &Path, dir: &Path) -> Self {
        mount(Some(from), dir, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("bind a directory");
        Self(dir.to_owned())
    }

    /// `dir` bound upon itself, read-only.
    pub(crate) fn read_only(dir: &Path) -> Self {
        let own = Self::bind(dir, dir);
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, dir, None::<&str>, flags, None::<&str>).expect("remount read-only");
        own
    }
}

impl Drop for OwnMount {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("unmount {}: {error}", self.0.display());
        }
    }
}

fn own_namespace() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("not root".to_owned());
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("unshare: {error}"))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|error| format!("make mounts private: {error}"))
}

fn mount_one(run_dir: &Path, kind: Fs) -> Result<PathBuf, String> {
    // Sparse images hold the largest hole that a test makes, and cost only what is written.
    const SIZE: u64 = 8 << 30;
    let dir = run_dir.join(kind.name());
    fs::create_dir(&dir).unwrap();
    match kind.maker() {
        None => mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=1g"))
            .map_err(|error| format!("mount: {error}"))?,
        Some(_) => {
            let image = run_dir.join(format!("{}.img", kind.name()));
            make_image(kind, &image, SIZE)?;
            mount_image(kind, &image, &dir)?;
        }
    }
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Ok(dir)
}

/// Makes a file system in a sparse file of this size.
pub(crate) fn make_image(kind: Fs, image: &Path, size: u64) -> Result<(), String> {
    let (program, options) = kind.maker().ok_or_else(|| format!("{} needs no image", kind.name()))?;
    let maker = find_program(program).ok_or_else(|| format!("{program} is not installed"))?;
    fs::File::create(image).and_then(|file| file.set_len(size)).map_err(|error| error.to_string())?;
    succeed(Command::new(maker).args(options).arg(image))
}

/// Mounts what [`make_image`] made, or a copy of it.
pub(crate) fn mount_image(kind: Fs, image: &Path, dir: &Path) -> Result<(), String> {
    // XFS would not mount two copies of one file system at once.
    let options = if kind == Fs::Xfs { "loop,nouuid" } else { "loop" };
    succeed(Command::new("mount").args(["-o", options, "-t", kind.name()]).arg(image).arg(dir))
}

pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Removes what killed runs left: loop devices upon their image files, and their directories.
fn remove_left_over_runs() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(MARK)) else { continue };
        let owner = rest.split('-').next().unwrap_or_default();
        if owner.parse::<u32>().is_err() || Path::new("/proc").join(owner).exists() {
            continue;
        }
        let dir = entry.path();
        for device in loop_devices_of(&dir) {
            if let Err(reason) = succeed(Command::new("losetup").arg("-d").arg(&device)) {
                eprintln!("left over from a killed run: {}: {reason}", device.display());
            }
        }
        if let Err(error) = fs::remove_dir_all(&dir) {
            eprintln!("left over from a killed run: {}: {error}", dir.display());
        }
    }
}

fn loop_devices_of(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/sys/block") else { return Vec::new() };
    let backed_by = |block: &Path| fs::read_to_string(block.join("loop/backing_file")).unwrap_or_default();
    entries
        .flatten()
        .filter(|block| Path::new(backed_by(&block.path()).trim_end()).starts_with(dir))
        .map(|block| Path::new("/dev").join(block.file_name()))
        .collect()
}
