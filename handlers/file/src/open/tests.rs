//! One store on a temporary directory, and everything that can be wrong with a path beneath it.

use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};
use tempfile::TempDir;

use super::*;

struct Site {
    directory: TempDir,
}

impl Site {
    /// `images/` is the store, seen as `/var/lib/images` by its own host; `secret` is not in it.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("images")).unwrap();
        std::fs::create_dir(directory.path().join("images/sub")).unwrap();
        std::fs::write(directory.path().join("images/disk"), b"0123456789").unwrap();
        std::fs::write(directory.path().join("images/sub/disk"), b"below").unwrap();
        std::fs::write(directory.path().join("secret"), b"secret").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> StoreRef {
        let mut store = StoreRef::default();
        store.id = "main".to_owned();
        store.root = "/var/lib/images".to_owned();
        store.mountpoint = self.path("images").to_str().unwrap().to_owned();
        store
    }

    fn open(&self, name: &str) -> Result<OpenFile> {
        open_in(&self.store(), &format!("/var/lib/images/{name}"))
    }

    fn refusal(&self, name: &str) -> (ErrorKind, String) {
        let error = self.open(name).unwrap_err();
        (error.kind(), error.code().to_owned())
    }
}

fn denied(code: &str) -> (ErrorKind, String) {
    (ErrorKind::Denied, code.to_owned())
}

#[test]
fn a_file_is_opened_with_its_size_and_version() {
    let site = Site::new();
    let file = site.open("disk").unwrap();
    assert_eq!((Source::size(&file), file.ranged()), (Some(10), true));
    assert_eq!(file.file.metadata().unwrap().ino(), std::fs::metadata(site.path("images/disk")).unwrap().ino());
    assert!(file.descriptor().is_some());
    let before = file.validator().unwrap();
    std::fs::write(site.path("images/disk"), b"012345678").unwrap();
    assert_ne!(site.open("disk").unwrap().validator().unwrap(), before);
    assert_eq!(site.open("sub//disk").unwrap().size, 5);
}

#[test]
fn roots_are_compared_by_component() {
    assert_eq!(beneath("/mnt/a/x/y", "/mnt/a").as_deref(), Some("x/y"));
    assert_eq!(beneath("//mnt//a/x", "/mnt/a/").as_deref(), Some("x"));
    assert_eq!(beneath("/mnt/a", "/mnt/a").as_deref(), Some(""));
    assert_eq!(beneath("/x", "/").as_deref(), Some("x"));
    for (path, root) in [("/mnt/abc/x", "/mnt/a"), ("/mnt", "/mnt/a"), ("/x", ""), ("/x", "x"), ("/a/b", "/b")] {
        assert_eq!(beneath(path, root), None, "{path} {root}");
    }
    let site = Site::new();
    assert_eq!(open_in(&site.store(), "/var/lib/imagesque/disk").unwrap_err().code(), "outside-store");
    assert_eq!(open_in(&site.store(), "/etc/passwd").unwrap_err().code(), "outside-store");
}

#[test]
fn only_regular_files_are_opened() {
    let site = Site::new();
    assert_eq!(site.refusal("sub"), denied("not-a-regular-file"));
    assert_eq!(site.refusal(""), denied("not-a-regular-file"));
    let listener = std::os::unix::net::UnixListener::bind(site.path("images/socket")).unwrap();
    assert_eq!(site.refusal("socket"), denied("not-a-regular-file"));
    drop(listener);
    assert_eq!(site.refusal("none"), (ErrorKind::NotFound, "no-such-file".to_owned()));
    assert_eq!(site.refusal("disk/below"), (ErrorKind::NotFound, "no-such-file".to_owned()));
    assert_eq!(site.refusal(&"x".repeat(300)), (ErrorKind::Invalid, "path-too-long".to_owned()));
}

#[test]
fn a_fifo_without_a_writer_does_not_hang() {
    let site = Site::new();
    mkfifoat(CWD, site.path("images/fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    let begun = Instant::now();
    assert_eq!(site.refusal("fifo"), denied("not-a-regular-file"));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_device_is_not_touched() {
    let site = Site::new();
    let made = mknodat(
        CWD,
        site.path("images/null"),
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        rustix::fs::makedev(1, 3),
    );
    // Making a device takes a capability that not everybody who runs tests has.
    if made.is_ok() {
        assert_eq!(site.refusal("null"), denied("not-a-regular-file"));
    }
}

#[test]
fn symbolic_links_lead_nowhere() {
    let site = Site::new();
    symlink("../secret", site.path("images/out")).unwrap();
    symlink("disk", site.path("images/in")).unwrap();
    symlink(site.path("images"), site.path("images/sub/up")).unwrap();
    symlink("/proc/self/fd/0", site.path("images/magic")).unwrap();
    for name in ["out", "in", "sub/up/disk", "magic"] {
        assert_eq!(site.refusal(name), denied("symlink"), "{name}");
    }
}

#[test]
fn a_mountpoint_may_be_a_symbolic_link() {
    let site = Site::new();
    symlink("images", site.path("link")).unwrap();
    let mut store = site.store();
    store.mountpoint = site.path("link").to_str().unwrap().to_owned();
    assert!(open_in(&store, "/var/lib/images/disk").is_ok());
    store.mountpoint = site.path("none").to_str().unwrap().to_owned();
    let error = open_in(&store, "/var/lib/images/disk").unwrap_err();
    assert_eq!(error.code(), "store-unavailable");
    store.mountpoint = "images".to_owned();
    assert_eq!(open_in(&store, "/var/lib/images/disk").unwrap_err().code(), "bad-store");
}

#[test]
fn another_file_system_is_not_entered() {
    let mut store = StoreRef::default();
    store.root = "/".to_owned();
    store.mountpoint = "/".to_owned();
    assert_eq!(open_in(&store, "/proc/version").unwrap_err().code(), "other-mount");
}

#[test]
fn a_component_that_is_swapped_for_a_link_never_leads_out() {
    let site = Site::new();
    std::fs::create_dir(site.path("outside")).unwrap();
    std::fs::write(site.path("outside/disk"), b"must not be read").unwrap();
    symlink(site.path("outside"), site.path("images/link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (link, real, aside) = (site.path("images/link"), site.path("images/sub"), site.path("images/aside"));
            while !stop.load(Ordering::Relaxed) {
                std::fs::rename(&real, &aside).unwrap();
                std::fs::rename(&link, &real).unwrap();
                std::fs::rename(&real, &link).unwrap();
                std::fs::rename(&aside, &real).unwrap();
            }
        });
        for _ in 0..2000 {
            if let Ok(file) = site.open("sub/disk") {
                assert_eq!(file.size, 5, "a file from outside was opened");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
