//! Where a disk may go, what stands there already, and what is missing or full.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;

use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::left_over::{assert_only, names};
use crate::support::mounts::{Fs, OwnMount};
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Btrfs, Fs::Ext4, Fs::Tmpfs] {
        let name = format!("targets::existing_ones_on_{}", fs.name());
        cases.push(Case::new(name, move |world| existing(world, fs)).on(fs));
    }
    cases.extend([
        Case::new("targets::missing_or_wrong_directories", directories),
        Case::new("targets::directory_without_write_right", no_right).needs(&[Need::Root]),
        Case::new("targets::read_only_mount", read_only).needs(&[Need::Mount]),
        Case::new("targets::full_file_system", full).needs(&[Need::Mount]),
        Case::new("targets::names", odd_names),
        Case::new("targets::one_image_twice", twice),
    ]);
    cases
}

/// A sandbox with an image in its store.
fn with_image(world: &World, fs: Fs) -> (Sandbox<'_>, PathBuf, PathBuf) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 100_000, 1);
    let record = sandbox.record_of_file(&source);
    (sandbox, source, record)
}

fn existing(world: &World, fs: Fs) {
    let (sandbox, source, record) = with_image(world, fs);
    let out = |name: &str| sandbox.out(name);
    let elsewhere = sandbox.home("elsewhere");
    fs::write(&elsewhere, "other").unwrap();
    fs::write(out("file"), "before").unwrap();
    fs::create_dir(out("directory")).unwrap();
    symlink(&elsewhere, out("link")).unwrap();
    symlink(sandbox.home("nowhere"), out("dangling")).unwrap();
    nix::unistd::mkfifo(&out("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    let before = names(sandbox.out_dir());
    let as_before = || {
        assert_eq!(names(sandbox.out_dir()), before);
        assert_eq!(fs::read(out("file")).unwrap(), b"before");
        assert_eq!(fs::read(&elsewhere).unwrap(), b"other");
        assert!(!sandbox.home("nowhere").exists());
        assert!(fs::read_dir(out("directory")).unwrap().next().is_none());
    };

    sandbox.place(&record, "file").run().failure("exists", "exists", "request");
    as_before();
    for name in ["directory", "link", "dangling", "fifo"] {
        for replace in [&[][..], &["--replace"][..]] {
            let answer = sandbox.place(&record, name).args(replace).run();
            answer.failure("exists", "exists-not-a-file", "request");
            as_before();
        }
    }
    assert!(sandbox.placements().is_empty());

    let held = fs::File::open(out("file")).unwrap();
    sandbox.place(&record, "file").arg("--replace").run().success();
    assert_same_bytes(&source, &out("file"));
    assert_eq!(names(sandbox.out_dir()), before);
    // Who had the old file open keeps the old bytes: it was replaced, not written to.
    assert_eq!(held.metadata().unwrap().len(), 6);
    assert_eq!(held.metadata().unwrap().nlink(), 0);
    assert_eq!(sandbox.placements(), [out("file")]);
    sandbox.place(&record, "fresh").arg("--replace").run().success();
    // A refusal for want of the right bytes must leave what was to be replaced.
    noisy_file(&source, 100_000, 2);
    sandbox.place(&record, "fresh").arg("--replace").run().failure("corrupt", "digest-mismatch", "location");
    assert_eq!(out("fresh").metadata().unwrap().len(), 100_000);
}

fn directories(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    fs::write(sandbox.out("file"), "x").unwrap();
    fs::create_dir(sandbox.out("real")).unwrap();
    symlink("real", sandbox.out("link")).unwrap();
    let table = [
        ("missing/disk", ["invalid", "target-directory", "request"]),
        ("file/disk", ["io", "enotdir", "request"]),
        ("real/", ["invalid", "target-name", "request"]),
        ("real/.", ["invalid", "target-name", "request"]),
        ("real/..", ["invalid", "target-name", "request"]),
        ("disk/", ["invalid", "target-name", "request"]),
    ];
    for (name, [kind, code, scope]) in table {
        sandbox.place(&record, name).run().failure(kind, code, scope);
        sandbox.only(&["file", "link", "real"]);
        assert_only(&sandbox.out("real"), &[]);
    }
    // The caller's own directories may be links and have dots; the ledger knows the real path.
    sandbox.place(&record, "link/one").run().success();
    sandbox.place(&record, "real/../real/two").run().success();
    assert_eq!(sandbox.placements(), [sandbox.out("real/one"), sandbox.out("real/two")]);
    let relative = sandbox.landfall("place").arg(&record).args(["--to", "three", "--json"]);
    relative.current_dir(&sandbox.out("real")).run().success();
    assert_only(&sandbox.out("real"), &["one", "two", "three"]);
    assert_eq!(sandbox.placements().len(), 3);
}

fn no_right(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    sandbox.give_to_nobody();
    fs::create_dir(sandbox.out("closed")).unwrap();
    sandbox.place(&record, "open").unprivileged().run().success();
    sandbox.place(&record, "closed/disk").unprivileged().run().failure("denied", "eacces", "request");
    fs::set_permissions(sandbox.out("closed"), PermissionsExt::from_mode(0o700)).unwrap();
    sandbox.place(&record, "closed/disk").unprivileged().run().failure("denied", "eacces", "request");
    assert_only(&sandbox.out("closed"), &[]);
    let given = sandbox.place(&record, "given").args(["--owner", "0:0"]).unprivileged().run();
    given.failure("denied", "eperm", "request");
    sandbox.only(&["closed", "open"]);
}

fn read_only(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    let dir = sandbox.out("frozen");
    fs::create_dir(&dir).unwrap();
    let mount = OwnMount::read_only(&dir);
    sandbox.place(&record, "frozen/disk").run().failure("io", "erofs", "node");
    drop(mount);
    assert_only(&dir, &[]);
    sandbox.place(&record, "frozen/disk").run().success();
}

fn full(world: &World) {
    let (sandbox, _, _) = with_image(world, Fs::Temp);
    let dir = sandbox.out("small");
    fs::create_dir(&dir).unwrap();
    let _mount = OwnMount::tmpfs(&dir, 1 << 20);
    let big = sandbox.store("big.raw");
    noisy_file(&big, 3 << 20, 1);
    let record = sandbox.record_of_file(&big);
    // Seen before the first byte.
    sandbox.place(&record, "small/disk").run().failure("no-space", "space-short", "node");
    assert_only(&dir, &[]);
    assert!(sandbox.placements().is_empty());
    let fits = sandbox.store("fits.raw");
    noisy_file(&fits, 500_000, 1);
    sandbox.place(sandbox.record_of_file(&fits), "small/disk").run().success();
    // The same room a second time is not there, and the first disk stays as it is.
    let second = sandbox.store("second.raw");
    noisy_file(&second, 800_000, 2);
    sandbox.place(sandbox.record_of_file(&second), "small/disk-2").run().failure("no-space", "space-short", "node");
    assert_only(&dir, &["disk"]);
    assert_same_bytes(&fits, &dir.join("disk"));
    // Replacing needs the room of both until the new one is published.
    let replacing = sandbox.place(sandbox.record_of_file(&second), "small/disk").arg("--replace").run();
    replacing.failure("no-space", "space-short", "node");
    assert_same_bytes(&fits, &dir.join("disk"));
}

fn odd_names(world: &World) {
    let (sandbox, source, record) = with_image(world, Fs::Temp);
    let longest = "n".repeat(255);
    let good: [&[u8]; 6] =
        [longest.as_bytes(), b"new\nline", b"\xff\xfe", b"\x1b[31mred", b" ", "\u{202e}dlrow".as_bytes()];
    for name in good {
        let name = OsStr::from_bytes(name);
        let path = sandbox.out_dir().join(name);
        let to = |command: &str| sandbox.landfall(command).arg(&record).arg("--to").arg(&path);
        to("plan").run().success();
        to("place").run().success();
        assert_same_bytes(&source, &path);
        assert_eq!(to("place").run().status, 20, "{name:?}");
        sandbox.landfall("placements").run().success();
        sandbox.landfall("history").run().success();
        sandbox.landfall("history").json().run().success();
        sandbox.landfall("remove").arg(&path).json().run().success();
        sandbox.only(&[]);
    }
    sandbox.place(&record, &"n".repeat(256)).run().failure("invalid", "target-name", "request");
    sandbox.only(&[]);
}

fn twice(world: &World) {
    let (sandbox, source, record) = with_image(world, Fs::Temp);
    sandbox.place(&record, "one").run().success();
    sandbox.place(&record, "two").run().success();
    sandbox.place(&record, "one").run().failure("exists", "exists", "request");
    for name in ["one", "two"] {
        assert_same_bytes(&source, &sandbox.out(name));
    }
    let inode = |path: &Path| path.metadata().unwrap().ino();
    assert_ne!(inode(&sandbox.out("one")), inode(&sandbox.out("two")));
    assert_eq!(sandbox.placements(), [sandbox.out("one"), sandbox.out("two")]);
}
