//! What the agent knows of its placements, and that it touches nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::record::sha512;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Btrfs, Fs::Ext4, Fs::Tmpfs] {
        let name = format!("ledger::remove_and_move_on_{}", fs.name());
        cases.push(Case::new(name, move |world| remove_and_move(world, fs)).on(fs));
    }
    cases.extend([
        Case::new("ledger::only_its_own_files", only_own),
        Case::new("ledger::move_across_file_systems", across).on(Fs::Xfs).on(Fs::Ext4),
        Case::new("ledger::placements_tell_what_was_placed", told),
        Case::new("ledger::history_tells_failures_too", history),
        Case::new("ledger::missing_directory_of_a_placement", vanished),
        Case::new("ledger::damaged_or_unwritable_state", damaged).needs(&[Need::Root]),
    ]);
    cases
}

fn remove_and_move(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    let record = sandbox.record_of_file(&source);
    let moved =
        |from: &str, to: &str| sandbox.landfall("move").arg(sandbox.out(from)).arg(sandbox.out(to)).json().run();
    sandbox.place(&record, "one").run().success();
    let inode = sandbox.out("one").metadata().unwrap().ino();
    moved("one", "two").success();
    sandbox.only(&["two"]);
    assert_eq!(sandbox.out("two").metadata().unwrap().ino(), inode);
    assert_eq!(sandbox.placements(), [sandbox.out("two")]);

    // Into another directory, and never onto something.
    fs::create_dir(sandbox.out("sub")).unwrap();
    moved("two", "sub/three").success();
    assert_eq!(sandbox.placements(), [sandbox.out("sub/three")]);
    fs::write(sandbox.out("taken"), "mine").unwrap();
    symlink("nowhere", sandbox.out("link")).unwrap();
    moved("sub/three", "taken").failure("exists", "exists", "request");
    moved("sub/three", "link").failure("exists", "exists-not-a-file", "request");
    moved("sub/three", "sub").failure("exists", "exists-not-a-file", "request");
    moved("sub/three", "missing/disk").failure("not-found", "enoent", "request");
    moved("sub/three", "sub/three").failure("exists", "exists", "request");
    assert_eq!(fs::read(sandbox.out("taken")).unwrap(), b"mine");
    assert_same_bytes(&source, &sandbox.out("sub/three"));
    assert_eq!(sandbox.placements(), [sandbox.out("sub/three")]);

    sandbox.landfall("remove").arg(sandbox.out("sub/three")).json().run().success();
    assert!(!sandbox.out("sub/three").exists());
    assert!(sandbox.placements().is_empty());
    let again = sandbox.landfall("remove").arg(sandbox.out("sub/three")).json().run();
    again.failure("not-found", "no-placement", "request");
    sandbox.only(&["link", "sub", "taken"]);
    assert_same_bytes(&source, &source);
}

fn only_own(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    let record = sandbox.record_of_file(&source);
    let remove = |name: &str| sandbox.landfall("remove").arg(sandbox.out(name)).json().run();
    let moved = |name: &str| sandbox.landfall("move").arg(sandbox.out(name)).arg(sandbox.out("elsewhere")).json().run();

    // Never placed.
    fs::write(sandbox.out("foreign"), "mine").unwrap();
    fs::create_dir(sandbox.out("directory")).unwrap();
    for name in ["foreign", "directory"] {
        remove(name).failure("denied", "not-a-placement", "request");
        moved(name).failure("denied", "not-a-placement", "request");
    }
    remove("nothing").failure("not-found", "no-placement", "request");
    assert_eq!(fs::read(sandbox.out("foreign")).unwrap(), b"mine");

    // Placed, and since replaced by somebody else: another file, a link to the very disk, nothing.
    for replace in [true, false] {
        sandbox.place(&record, "disk").run().success();
        fs::rename(sandbox.out("disk"), sandbox.out("aside")).unwrap();
        if replace {
            fs::copy(&source, sandbox.out("disk")).unwrap();
        } else {
            symlink("aside", sandbox.out("disk")).unwrap();
        }
        remove("disk").failure("denied", "not-the-placement", "request");
        moved("disk").failure("denied", "not-the-placement", "request");
        assert!(sandbox.out("aside").exists() && sandbox.out("disk").symlink_metadata().is_ok());
        assert!(!sandbox.out("elsewhere").exists());
        fs::remove_file(sandbox.out("disk")).unwrap();
        // Put back, it is the ledger's own again.
        fs::rename(sandbox.out("aside"), sandbox.out("disk")).unwrap();
        remove("disk").success();
    }
    // Removed by somebody else: the ledger follows.
    sandbox.place(&record, "disk").run().success();
    fs::remove_file(sandbox.out("disk")).unwrap();
    remove("disk").failure("not-found", "placement-gone", "request");
    sandbox.place(&record, "disk").run().success();
    remove("disk").success();
    sandbox.only(&["directory", "foreign"]);
}

fn across(world: &World) {
    let sandbox = Sandbox::across(world, Fs::Ext4, Fs::Xfs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    sandbox.place(sandbox.record_of_file(&source), "disk").run().success();
    let elsewhere = sandbox.store("disk");
    let answer = sandbox.landfall("move").arg(sandbox.out("disk")).arg(&elsewhere).json().run();
    answer.failure("unsupported", "other-file-system", "request");
    assert!(!elsewhere.exists());
    sandbox.only(&["disk"]);
    assert_eq!(sandbox.placements(), [sandbox.out("disk")]);
}

fn told(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    sandbox.place(sandbox.record_of_file(&source), "disk").run().success();
    let answer = sandbox.landfall("placements").json().run();
    let row = answer.success()["placements"][0].clone();
    assert_eq!(row["path"], sandbox.out("disk").to_str().unwrap(), "{row:#}");
    assert_eq!((&row["state"], &row["stands"]), (&"placed".into(), &true.into()), "{row:#}");
    assert_eq!(row["inode"], sandbox.out("disk").metadata().unwrap().ino(), "{row:#}");
    let placement = &row["placed"];
    assert_eq!(placement["image"], "8bcd4b5a-6c5b-4c5f-9f3e-0e0d6c1a7a01", "{placement:#}");
    assert_eq!(placement["handler"], "file", "{placement:#}");
    assert_eq!(placement["digest"], format!("sha512:{}", sha512(&source)), "{placement:#}");
    assert!(["copy", "reflink"].contains(&placement["method"].as_str().unwrap()), "{placement:#}");
    let text = sandbox.landfall("placements").run();
    text.success();
    assert!(text.stdout.contains(sandbox.out("disk").to_str().unwrap()), "{text:#?}");
    assert!(text.stdout.contains("8bcd4b5a"), "{text:#?}");
}

fn history(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    let record = sandbox.record_of_file(&source);
    sandbox.place(&record, "disk").run().success();
    sandbox.place(&record, "disk").run().failure("exists", "exists", "request");
    noisy_file(&source, 80_000, 2);
    sandbox.place(&record, "other").run().failure("corrupt", "digest-mismatch", "location");
    sandbox.landfall("move").arg(sandbox.out("disk")).arg(sandbox.out("moved")).json().run().success();
    sandbox.landfall("remove").arg(sandbox.out("moved")).json().run().success();

    let answer = sandbox.landfall("history").json().run();
    let document = answer.success();
    let events = document["entries"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    // The newest first; a failure has its cause with the attempt, or with the request when there was none.
    let seen: Vec<(&str, bool)> = events
        .iter()
        .map(|event| (event["deed"].as_str().unwrap_or_default(), event["ok"].as_bool().unwrap_or_default()))
        .collect();
    assert_eq!(seen, [("remove", true), ("move", true), ("place", false), ("place", false), ("place", true)]);
    assert!(events[2].to_string().contains("digest-mismatch"), "{:#}", events[2]);
    assert!(events[3].to_string().contains("\"exists\""), "why it failed is told: {:#}", events[3]);
    // Why it was placed so: the decision is written down.
    assert!(events[4].to_string().contains("weight 0"), "{:#}", events[4]);
    let text = sandbox.landfall("history").run();
    text.success();
    assert!(text.stdout.contains("digest-mismatch"), "{text:#?}");
}

fn vanished(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    let record = sandbox.record_of_file(&source);
    fs::create_dir(sandbox.out("sub")).unwrap();
    sandbox.place(&record, "sub/disk").run().success();
    fs::remove_dir_all(sandbox.out("sub")).unwrap();
    let answer = sandbox.landfall("remove").arg(sandbox.out("sub/disk")).json().run();
    answer.failure("not-found", "enoent", "request");
    sandbox.place(&record, "disk").run().success();
    assert!(sandbox.placements().contains(&sandbox.out("disk")));
}

fn damaged(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.give_to_nobody();
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 80_000, 1);
    let record = sandbox.record_of_file(&source);

    // Without a ledger nothing is placed: nobody would know of it.
    fs::create_dir(sandbox.home("state")).unwrap();
    sandbox.place(&record, "disk").unprivileged().run().failure("denied", "eacces", "node");
    sandbox.only(&[]);
    fs::remove_dir(sandbox.home("state")).unwrap();

    sandbox.place(&record, "disk").run().success();
    for name in names(&sandbox.home("state")).iter().filter(|name| name.contains("sqlite")) {
        fs::write(sandbox.home("state").join(name), vec![0x5a; 8192]).unwrap();
    }
    let answer = sandbox.place(&record, "second").run();
    answer.failure("io", "ledger-corrupt", "node");
    sandbox.only(&["disk"]);
}
