//! Several disks in a directory: all of them under its name, or nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::left_over::assert_only;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const NAMES: [&str; 2] = ["disk-0.raw", "disks.json"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Btrfs, Fs::Ext4, Fs::Tmpfs] {
        let name = format!("directories::life_on_{}", fs.name());
        cases.push(Case::new(name, move |world| life(world, fs)).on(fs));
    }
    cases.extend([
        Case::new("directories::occupied_names", occupied),
        Case::new("directories::impossible_options", options),
        Case::new("directories::owner_and_mode", dressed).needs(&[Need::Root]),
        Case::new("directories::what_somebody_else_put_there", foreign),
    ]);
    cases
}

/// A sandbox with an image in its store.
fn with_image(world: &World, fs: Fs) -> (Sandbox<'_>, PathBuf, PathBuf) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 200_000, 1);
    let record = sandbox.record_of_file(&source);
    (sandbox, source, record)
}

fn place(sandbox: &Sandbox<'_>, record: &PathBuf, name: &str) -> crate::support::command::Landfall {
    sandbox.landfall("place").arg(record).arg("--to-dir").arg(sandbox.out(name)).json()
}

fn document(sandbox: &Sandbox<'_>, name: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.out(name).join("disks.json")).unwrap()).unwrap()
}

fn life(world: &World, fs: Fs) {
    let (sandbox, source, record) = with_image(world, fs);
    let out = |name: &str| sandbox.out(name);
    let answer = place(&sandbox, &record, "vm/").run();
    let path = out("vm/disk-0.raw");
    let target = json!({ "path": path.to_str().unwrap(), "bytes": 200_000, "format": "raw" });
    assert_eq!(answer.success()["targets"], json!([target]));
    sandbox.only(&["vm"]);
    assert_only(&out("vm"), &NAMES);
    assert_same_bytes(&source, &path);
    let image: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let expected = json!({
        "schema": "landfall.disks/0",
        "image": image["id"],
        "disks": [{ "file": "disk-0.raw", "bytes": 200_000, "format": "raw" }],
        "machine": null,
    });
    assert_eq!(document(&sandbox, "vm"), expected);
    assert_eq!(out("vm").metadata().unwrap().mode() & 0o7777, 0o700);
    for name in NAMES {
        assert_eq!(out("vm").join(name).metadata().unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    assert_eq!(sandbox.placements(), [out("vm")]);

    sandbox.landfall("move").arg(out("vm")).arg(out("moved")).json().run().success();
    assert_only(&out("moved"), &NAMES);
    assert_eq!(sandbox.placements(), [out("moved")]);
    sandbox.landfall("remove").arg(out("moved")).json().run().success();
    sandbox.only(&[]);
    assert!(sandbox.placements().is_empty());
    sandbox.landfall("remove").arg(out("moved")).json().run().failure("not-found", "no-placement", "request");
}

fn occupied(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    fs::create_dir(sandbox.out("empty")).unwrap();
    fs::write(sandbox.out("file"), "before").unwrap();
    std::os::unix::fs::symlink("empty", sandbox.out("link")).unwrap();
    for (name, code) in [("empty", "exists-not-a-file"), ("file", "exists"), ("link", "exists-not-a-file")] {
        place(&sandbox, &record, name).run().failure("exists", code, "request");
    }
    sandbox.only(&["empty", "file", "link"]);
    assert_only(&sandbox.out("empty"), &[]);
    assert_eq!(fs::read(sandbox.out("file")).unwrap(), b"before");
    place(&sandbox, &record, "vm").run().success();
    place(&sandbox, &record, "vm").run().failure("exists", "exists-not-a-file", "request");
    // Nor is it a disk's place.
    sandbox.place(&record, "vm").arg("--replace").run().failure("exists", "exists-not-a-file", "request");
    assert_only(&sandbox.out("vm"), &NAMES);
}

fn options(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    for words in [&["--replace"][..], &["--size", "1GiB"], &["--format", "as-is"]] {
        let answer = place(&sandbox, &record, "vm").args(words).run();
        answer.failure("invalid", "directory-options", "request");
        sandbox.only(&[]);
    }
    let both = sandbox.landfall("place").arg(&record).arg("--to-dir").arg(sandbox.out("vm")).args(["--to", "x"]);
    both.run().usage("cannot be used with");
    sandbox.landfall("place").arg(&record).run().usage("--to <PATH>");
    place(&sandbox, &record, "missing/vm").run().failure("invalid", "target-directory", "request");
    let plan = sandbox.landfall("plan").arg(&record).arg("--to-dir").arg(sandbox.out("vm")).json().run();
    plan.success();
    sandbox.only(&[]);
}

fn dressed(world: &World) {
    let (sandbox, _, record) = with_image(world, Fs::Temp);
    place(&sandbox, &record, "vm").args(["--owner", "1000:1001", "--mode", "0640"]).run().success();
    for (name, mode) in [("vm", 0o750), ("vm/disk-0.raw", 0o640), ("vm/disks.json", 0o640)] {
        let metadata = sandbox.out(name).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1000, 1001, mode), "{name}");
    }
}

fn foreign(world: &World) {
    let (sandbox, source, record) = with_image(world, Fs::Temp);
    place(&sandbox, &record, "vm").run().success();
    let nvram = sandbox.out("vm/nvram");
    fs::write(&nvram, "mine").unwrap();
    let remove = || sandbox.landfall("remove").arg(sandbox.out("vm")).json().run();
    remove().failure("denied", "directory-not-ours", "request");
    assert_same_bytes(&source, &sandbox.out("vm/disk-0.raw"));
    assert_eq!(fs::read(&nvram).unwrap(), b"mine");
    assert_eq!(sandbox.placements(), [sandbox.out("vm")]);
    // One of the disks may be gone, or be written to: it is the directory that was placed.
    fs::remove_file(&nvram).unwrap();
    fs::remove_file(sandbox.out("vm/disk-0.raw")).unwrap();
    remove().success();
    sandbox.only(&[]);

    // Another directory of that name is nobody's.
    place(&sandbox, &record, "vm").run().success();
    fs::rename(sandbox.out("vm"), sandbox.out("other")).unwrap();
    fs::create_dir(sandbox.out("vm")).unwrap();
    fs::set_permissions(sandbox.out("vm"), PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(sandbox.out("vm/disk-0.raw"), "not placed").unwrap();
    remove().failure("denied", "not-the-placement", "request");
    assert_eq!(fs::read(sandbox.out("vm/disk-0.raw")).unwrap(), b"not placed");
}
