//! How the bytes get there: by reflink, hard link or copy, and that the answer names the way truthfully.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use serde_json::Value;

use crate::support::case::Case;
use crate::support::disk::{
    allocated, assert_coarse_holes, assert_same_bytes, data_pieces, extents, noise, noisy_file, overwrite, sparse_file,
};
use crate::support::mounts::{Fs, OwnMount};
use crate::support::needs::Need;
use crate::support::record::{record_of, sha512};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const MIB: u64 = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Btrfs] {
        cases.push(
            Case::new(format!("zero_copy::reflink_on_{}", fs.name()), move |world| reflink(world, fs))
                .on(fs)
                .needs(&[Need::Program("filefrag")]),
        );
    }
    let pairs = [
        (Fs::Ext4, Fs::Ext4),
        (Fs::Tmpfs, Fs::Tmpfs),
        (Fs::Xfs, Fs::Ext4),
        (Fs::Ext4, Fs::Xfs),
        (Fs::Btrfs, Fs::Xfs),
        (Fs::Xfs, Fs::Btrfs),
        (Fs::Tmpfs, Fs::Ext4),
        (Fs::Ext4, Fs::Tmpfs),
    ];
    for (from, to) in pairs {
        let name = format!("zero_copy::copy_{}_to_{}", from.name(), to.name());
        cases.push(Case::new(name, move |world| sparse_copy(world, from, to)).on(from).on(to));
    }
    cases.push(
        Case::new("zero_copy::read_only_store_on_xfs", read_only_store).on(Fs::Xfs).needs(&[Need::Program("filefrag")]),
    );
    cases.push(Case::new("zero_copy::hard_link_only_where_allowed", hard_link).on(Fs::Ext4).needs(&[Need::Root]));
    cases.push(Case::new("zero_copy::failed_hard_link_leaves_nothing", failed_hard_link).on(Fs::Ext4));
    for fs in [Fs::Xfs, Fs::Ext4] {
        let name = |what: &str| format!("zero_copy::{what}_on_{}", fs.name());
        cases.push(
            Case::new(name("owner_mode_and_size"), move |world| attributes(world, fs)).on(fs).needs(&[Need::Root]),
        );
        cases.push(Case::new(name("nothing_of_the_source_but_bytes"), move |world| bare_bytes(world, fs)).on(fs));
    }
    cases
}

/// The one target of a successful answer.
fn target(document: &Value) -> &Value {
    let targets = document["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 1, "{document:#}");
    &targets[0]
}

fn reflink(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 8 << 20, 1);
    let record = sandbox.record_of_file(&source);

    let answer = sandbox.place(&record, "one").run();
    let document = answer.success();
    assert_eq!(document["method"], "reflink", "{document:#}");
    assert_eq!(document["handler"], "file", "{document:#}");
    assert_eq!(target(document)["bytes"], 8 << 20, "{document:#}");
    assert_eq!(target(document)["path"], sandbox.out("one").to_str().unwrap(), "{document:#}");
    assert_eq!(target(document)["format"], "raw", "{document:#}");
    sandbox.place(&record, "two").run().success();

    for path in [&source, &sandbox.out("one"), &sandbox.out("two")] {
        let (all, shared) = extents(path);
        assert!(all > 0 && shared == all, "{shared} of {all} extents of {} are shared", path.display());
    }
    let before = sha512(&source);
    assert_same_bytes(&source, &sandbox.out("one"));

    // A write to a clone reaches neither the store nor another clone; a write to the store reaches no clone.
    overwrite(&sandbox.out("one"), MIB, &noise(8192, 77));
    assert_eq!(sha512(&source), before);
    assert_eq!(sha512(&sandbox.out("two")), before);
    overwrite(&source, 2 * MIB, &noise(8192, 78));
    assert_eq!(sha512(&sandbox.out("two")), before);
    assert_ne!(sha512(&source), before);
    sandbox.only(&["one", "two"]);
}

/// A store that this node cannot write to is cloned from all the same, where the kernel clones between mounts.
fn read_only_store(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Xfs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 2 << 20, 1);
    let record = sandbox.record_of_file(&source);
    let _mount = OwnMount::read_only(sandbox.store_dir());
    let answer = sandbox.place(&record, "disk").run();
    assert_eq!(answer.success()["method"], "reflink", "{answer:#?}");
    assert_same_bytes(&source, &sandbox.out("disk"));
    let (all, shared) = extents(&sandbox.out("disk"));
    assert!(all > 0 && shared == all, "{shared} of {all} extents are shared");
}

fn sparse_copy(world: &World, from: Fs, to: Fs) {
    let sandbox = Sandbox::across(world, from, to);
    let source = sandbox.store("sparse.raw");
    let mut pieces = vec![(0, MIB as usize), (5 * MIB + 4096, 4096), (31 * MIB, MIB as usize), (63 * MIB, 100)];
    // Holes finer than the grain, which must not be passed on.
    pieces.extend((0..128).map(|index| (8 * MIB + index * 8192, 4096)));
    sparse_file(&source, 64 * MIB + 513, &pieces);
    // Zeros that are stored as data, which must become holes where they fill a grain.
    overwrite(&source, 16 * MIB, &vec![0; 4 << 20]);
    assert!(data_pieces(&source).iter().any(|(at, len)| *at <= 17 * MIB && at + len >= 18 * MIB), "zeros are stored");

    let record = sandbox.record_of_file(&source);
    let answer = sandbox.place(&record, "disk").run();
    let document = answer.success();
    let method = document["method"].as_str().expect("a method");
    assert!(["copy", "copy-range"].contains(&method), "{document:#}");
    let disk = sandbox.out("disk");
    assert_same_bytes(&source, &disk);
    assert_coarse_holes(&disk);
    let pieces = data_pieces(&disk);
    let stored_in = |start: u64, end: u64| pieces.iter().any(|(at, len)| *at < end && at + len > start);
    assert!(!stored_in(16 * MIB, 20 * MIB), "zeros became a hole: {pieces:?}");
    assert!(!stored_in(40 * MIB, 60 * MIB), "the hole was kept: {pieces:?}");
    // Data is 4 MiB and a few grains; the rest of 64 MiB takes no room.
    assert!(allocated(&disk) <= 5 * MIB, "{} bytes allocated", allocated(&disk));
    assert_eq!(disk.metadata().unwrap().mode() & 0o7777, 0o600);
    sandbox.only(&["disk"]);
}

fn same_inode(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.symlink_metadata().map(|meta| (meta.dev(), meta.ino())).unwrap();
    id(one) == id(other)
}

fn hard_link(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Ext4);
    let source = sandbox.store("base.raw");
    noisy_file(&source, 300_000, 5);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o444)).unwrap();
    let record = sandbox.record_of_file(&source);
    // Not configured: never, whatever the caller asks for.
    let answer = sandbox.place(&record, "plain").args(["--access", "ro"]).run();
    assert_ne!(answer.success()["method"], "hardlink");
    assert!(!same_inode(&source, &sandbox.out("plain")));

    sandbox.configure("", &sandbox.store_table("hardlink = true"));
    let table: [(&str, &[&str], bool); 7] = [
        ("ro", &["--access", "ro"], true),
        ("ro-replacing", &["--access", "ro", "--replace"], true),
        ("rw", &["--access", "rw"], false),
        ("default-access", &[], false),
        ("other-mode", &["--access", "ro", "--mode", "0644"], false),
        ("other-owner", &["--access", "ro", "--owner", "1000:1000"], false),
        ("grown", &["--access", "ro", "--size", "400000"], false),
    ];
    for (name, options, linked) in table {
        let answer = sandbox.place(&record, name).args(options).run();
        let document = answer.success();
        assert_eq!(document["method"] == "hardlink", linked, "{name}: {document:#}");
        assert_eq!(same_inode(&source, &sandbox.out(name)), linked, "{name}");
    }
    let meta = source.metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, 0, 0o444), "the store's file is as it was");
    let other = sandbox.out("other-owner").metadata().unwrap();
    assert_eq!((other.uid(), other.gid()), (1000, 1000));
}

fn failed_hard_link(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Ext4);
    sandbox.configure("", &sandbox.store_table("hardlink = true"));
    let source = sandbox.store("base.raw");
    noisy_file(&source, 300_000, 5);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o444)).unwrap();
    let mut record = record_of(&source);
    record["os_hash_value"] = "0".repeat(128).into();
    let record = sandbox.record("lying.json", &record);

    let answer = sandbox.place(&record, "disk").args(["--access", "ro"]).run();
    answer.failure("corrupt", "digest-mismatch", "location");
    sandbox.only(&[]);
    assert_eq!(source.metadata().unwrap().nlink(), 1, "no second name of the store's file is left");
    assert_eq!(source.metadata().unwrap().len(), 300_000);
}

fn attributes(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 100_000, 9);
    chown(&source, Some(2000), Some(2001)).unwrap();
    let record = sandbox.record_of_file(&source);

    let answer = sandbox
        .place(&record, "given")
        .args(["--owner", "1234:4321", "--mode", "0640", "--size", "1000001"])
        // The mode is the one asked for, whatever the caller's mask.
        .under(&["sh", "-c", "umask 077; exec \"$@\"", "sh"])
        .run();
    let document = answer.success();
    assert_eq!(target(document)["bytes"], 1_000_001);
    let disk = sandbox.out("given");
    let meta = disk.metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (1234, 4321, 0o640));
    let bytes = fs::read(&disk).unwrap();
    assert_eq!(bytes.len(), 1_000_001);
    assert!(bytes[..100_000] == fs::read(&source).unwrap()[..]);
    assert!(bytes[100_000..].iter().all(|&byte| byte == 0));

    sandbox.place(&record, "default").under(&["sh", "-c", "umask 0; exec \"$@\"", "sh"]).run().success();
    let meta = sandbox.out("default").metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, 0, 0o600));

    let answer = sandbox.place(&record, "in-units").args(["--size", "1MiB"]).run();
    assert_eq!(target(answer.success())["bytes"], 1 << 20);
    sandbox.place(&record, "same").args(["--size", "100000"]).run().success();
    let answer = sandbox.place(&record, "shrunk").args(["--size", "99999"]).run();
    answer.failure("invalid", "size-too-small", "request");
    sandbox.only(&["default", "given", "in-units", "same"]);
}

fn bare_bytes(world: &World, fs: Fs) {
    use rustix::fs::{XattrFlags, listxattr, setxattr};
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 50_000, 3);
    setxattr(&source, "user.planted", b"x", XattrFlags::empty()).unwrap();
    // A version 2 list: owner rw, user 1000 rw, group none, mask rw, others none.
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 6, 1000), (4, 0, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend([&tag.to_le_bytes()[..], &rights.to_le_bytes()[..], &id.to_le_bytes()[..]].concat());
    }
    setxattr(&source, "system.posix_acl_access", &list, XattrFlags::empty()).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o6755)).unwrap();

    let attributes = |path: &Path| {
        let mut names = [0_u8; 4096];
        let len = listxattr(path, &mut names[..]).unwrap();
        String::from_utf8_lossy(&names[..len]).into_owned()
    };
    assert!(attributes(&source).contains("user.planted") && attributes(&source).contains("posix_acl_access"));
    let record = sandbox.record_of_file(&source);
    sandbox.place(&record, "disk").run().success();
    assert_eq!(sandbox.out("disk").metadata().unwrap().mode() & 0o7777, 0o600);
    assert!(!attributes(&sandbox.out("disk")).contains("user.planted"));
    assert!(!attributes(&sandbox.out("disk")).contains("posix_acl"));
}
