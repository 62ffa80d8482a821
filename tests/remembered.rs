//! A digest is computed once for each version of a source, and never believed of another version.

use std::fs::{self, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noise, noisy_file, overwrite};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Btrfs, Fs::Ext4, Fs::Tmpfs] {
        let name = |what: &str| format!("remembered::{what}_on_{}", fs.name());
        cases.push(Case::new(name("second_placement"), move |world| second(world, fs)).on(fs));
        cases.push(Case::new(name("changed_sources"), move |world| changed(world, fs)).on(fs));
        cases.push(Case::new(name("open_writers"), move |world| writer(world, fs)).on(fs));
    }
    cases.push(Case::new("remembered::policy_of_the_store", policy));
    cases
}

/// Waits until the file's last change is so old that its digest may be remembered.
fn settle(path: &Path) {
    crate::support::clock::until_older(path, 2_100);
}

fn second(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 1 << 20, 1);
    let record = sandbox.record_of_file(&source);
    // Too fresh: another write in the same tick of the clock would not show.
    assert_eq!(sandbox.place(&record, "fresh-1").run().success()["verified"], "computed");
    assert_eq!(sandbox.place(&record, "fresh-2").run().success()["verified"], "computed");
    settle(&source);
    assert_eq!(sandbox.place(&record, "first").run().success()["verified"], "computed");
    for name in ["second", "third"] {
        let answer = sandbox.place(&record, name).run();
        assert_eq!(answer.success()["verified"], "remembered", "{answer:#?}");
        assert_same_bytes(&source, &sandbox.out(name));
    }
    // Another state directory remembers nothing.
    fs::remove_dir_all(sandbox.home("state")).unwrap();
    assert_eq!(sandbox.place(&record, "forgotten").run().success()["verified"], "computed");
}

/// Whoever has the file open for writing can change it, through a mapping, without a trace.
fn writer(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 1 << 20, 1);
    let record = sandbox.record_of_file(&source);
    settle(&source);
    let verified = |name: &str| sandbox.place(&record, name).run().success()["verified"].clone();
    let open = || fs::OpenOptions::new().write(true).open(&source).unwrap();
    let first = open();
    assert_eq!(verified("not-kept"), "computed");
    drop(first);
    assert_eq!(verified("kept"), "computed");
    assert_eq!(verified("used"), "remembered");
    let second = open();
    assert_eq!(verified("not-used"), "computed");
    drop(second);
    assert_eq!(verified("used-again"), "remembered");
}

fn changed(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let [forged, swapped, aside] = ["forged.raw", "swapped.raw", "aside.raw"].map(|name| sandbox.store(name));
    noisy_file(&forged, 1 << 20, 1);
    noisy_file(&swapped, 1 << 20, 2);
    noisy_file(&aside, 1 << 20, 3);
    let records = [&forged, &swapped].map(|source| sandbox.record_of_file(source));
    settle(&aside);
    for (number, record) in records.iter().enumerate() {
        sandbox.place(record, &format!("first-{number}")).run().success();
        let answer = sandbox.place(record, &format!("second-{number}")).run();
        assert_eq!(answer.success()["verified"], "remembered", "{answer:#?}");
    }

    // Other bytes, the same size, the time of modification forged back; and another file in the place of the old one.
    let meta = forged.metadata().unwrap();
    let times = FileTimes::new().set_modified(meta.modified().unwrap());
    overwrite(&forged, 4096, &noise(100, 9));
    fs::File::options().write(true).open(&forged).unwrap().set_times(times).unwrap();
    assert_eq!(
        (forged.metadata().unwrap().mtime(), forged.metadata().unwrap().mtime_nsec()),
        (meta.mtime(), meta.mtime_nsec())
    );
    fs::rename(&aside, &swapped).unwrap();
    for _ in 0..2 {
        for record in &records {
            sandbox.place(record, "disk").run().failure("corrupt", "digest-mismatch", "location");
        }
        // What was refused while it was fresh is refused when it is not.
        settle(&forged);
        settle(&swapped);
    }
    sandbox.only(&["first-0", "first-1", "second-0", "second-1"]);
}

fn policy(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 1 << 20, 1);
    let record = sandbox.record_of_file(&source);
    settle(&source);
    for (policy, expected) in
        [("always", ["computed", "computed"]), ("once", ["computed", "remembered"]), ("never", ["no", "no"])]
    {
        fs::remove_dir_all(sandbox.home("state")).unwrap_or_default();
        sandbox.configure("", &sandbox.store_table(&format!("verify = {policy:?}")));
        for (number, expected) in expected.into_iter().enumerate() {
            let answer = sandbox.place(&record, &format!("{policy}-{number}")).run();
            assert_eq!(answer.success()["verified"], expected, "{policy}: {answer:#?}");
        }
    }
    // Never means never: wrong bytes of the right size pass, and the answer does not claim otherwise.
    overwrite(&source, 0, &noise(100, 7));
    let answer = sandbox.place(&record, "unverified").run();
    assert_eq!(answer.success()["verified"], "no", "{answer:#?}");
    assert!(answer.document()["digest"].is_null(), "{answer:#?}");
}
