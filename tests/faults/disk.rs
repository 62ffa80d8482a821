//! A file system of one test, whose power can be cut: it is shut down without writing its log, unmounted and mounted
//! again, so that only what a command waited for is there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use super::site::make_store;
use crate::support::mounts::{Fs, make_image, mount_image, succeed};
use crate::support::needs::find_program;
use crate::support::world::World;

/// Large enough for mkfs.xfs.
const SIZE: u64 = 512 << 20;

/// A mounted file system in a file, with a store on it. Unmounted when dropped.
pub(super) struct Disk {
    fs: Fs,
    image: PathBuf,
    dir: PathBuf,
    _home: TempDir,
}

impl Disk {
    /// A copy of one that was made once: its store is old enough for digests to be remembered.
    pub(super) fn new(world: &World, fs: Fs) -> Self {
        static MADE: Mutex<BTreeMap<Fs, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let first = made.entry(fs).or_insert_with(|| make(world, fs));
        let home = own_dir(fast(world));
        let (image, dir) = (home.path().join("image"), home.path().join("disk"));
        succeed(Command::new("cp").arg("--sparse=always").args([&*first, &image])).unwrap();
        drop(made);
        fs::create_dir(&dir).unwrap();
        mount_image(fs, &image, &dir).unwrap();
        Self { fs, image, dir, _home: home }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything so far is on the disk.
    pub(super) fn sync(&self) {
        rustix::fs::syncfs(fs::File::open(&self.dir).unwrap()).unwrap();
    }

    /// Nothing that is not on the disk now ever gets there.
    pub(super) fn cut(&self) {
        let xfs_io = find_program("xfs_io").expect("xfsprogs is installed");
        // Without -f, so without a last write of the log.
        succeed(Command::new(xfs_io).args(["-x", "-c", "shutdown"]).arg(&self.dir)).unwrap();
        unmount(&self.dir).unwrap();
        mount_image(self.fs, &self.image, &self.dir).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.dir) {
            eprintln!("unmount {}: {error}", self.dir.display());
        }
    }
}

fn make(world: &World, fs: Fs) -> PathBuf {
    let (image, dir) = (fast(world).join(format!("faults-{}.img", fs.name())), own_dir(fast(world)));
    make_image(fs, &image, SIZE).and_then(|()| mount_image(fs, &image, dir.path())).unwrap();
    make_store(&dir.path().join("store"));
    unmount(dir.path()).unwrap();
    image
}

/// A file system seen through a FUSE server, which lacks calls and copies by itself. Unmounted when dropped.
pub(super) struct Mirror {
    dir: TempDir,
    server: Child,
}

impl Mirror {
    pub(super) fn of(world: &World, disk: &Disk) -> Self {
        let dir = own_dir(fast(world));
        let bindfs = find_program("bindfs").expect("bindfs is installed");
        // A file that is removed while it is open is gone, rather than renamed and kept.
        let options = ["-f", "-o", "hard_remove"];
        let mut server = Command::new(bindfs).args(options).args([disk.dir(), dir.path()]).spawn().unwrap();
        let device = |path: &Path| path.metadata().unwrap().dev();
        while device(dir.path()) == device(fast(world)) {
            assert!(server.try_wait().unwrap().is_none(), "bindfs ended at once");
            std::thread::yield_now();
        }
        Self { dir, server }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // The server ends with its mount; until then it uses the disk.
        let ended = unmount(self.dir.path()).map_err(Into::into).and_then(|()| self.server.wait());
        if let Err(error) = ended {
            eprintln!("unmount {}: {error}", self.dir.path().display());
        }
    }
}

/// Unmounts. A child that another test is just starting has this process's descriptors until it runs its program.
fn unmount(dir: &Path) -> Result<(), Errno> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match umount2(dir, MntFlags::empty()) {
            Err(Errno::EBUSY) if Instant::now() < end => std::thread::yield_now(),
            done => return done,
        }
    }
}

/// Where syncs cost the least.
pub(super) fn fast(world: &World) -> &Path {
    world.mounts.dir(Fs::Tmpfs).or_else(|_| world.mounts.dir(Fs::Temp)).expect("a directory for temporary files")
}

/// A directory that goes with its value.
pub(super) fn own_dir(parent: &Path) -> TempDir {
    tempfile::Builder::new().prefix("faults-").tempdir_in(parent).expect("a temporary directory")
}
