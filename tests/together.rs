//! Several processes at once: on one target, on many, and on one ledger.

use std::fs;
use std::path::PathBuf;

use crate::support::answer::status_of;
use crate::support::case::Case;
use crate::support::command::Running;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::record::sha512;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Ext4, Fs::Tmpfs] {
        let name = |what: &str| format!("together::{what}_on_{}", fs.name());
        cases.push(Case::new(name("one_target"), move |world| one_target(world, fs)).on(fs));
        cases.push(Case::new(name("replacing_one_target"), move |world| replacing(world, fs)).on(fs));
    }
    cases.push(Case::new("together::eight_targets", eight_targets));
    cases.push(Case::new("together::one_removal_and_one_move", one_change));
    cases.push(Case::new("together::first_use_of_a_ledger", first_use));
    cases
}

/// Two images of one size, so that a mixture of both would show.
fn two_images(sandbox: &Sandbox<'_>) -> [(PathBuf, PathBuf); 2] {
    ["a.raw", "b.raw"].map(|name| {
        let source = sandbox.store(name);
        noisy_file(&source, 1 << 20, u64::from(name.as_bytes()[0]));
        let record = sandbox.record_of_file(&source);
        (source, record)
    })
}

fn one_target(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let images = two_images(&sandbox);
    for round in 0..world.rounds(10, 200) {
        let name = format!("disk-{round}");
        let running = [0, 1].map(|one| sandbox.place(&images[one].1, &name).spawn());
        let answers = running.map(|one| one.finish());
        let winners: Vec<usize> = (0..2).filter(|&one| answers[one].status == 0).collect();
        let &[winner] = &winners[..] else { panic!("exactly one wins: {answers:#?}") };
        answers[winner].success();
        answers[1 - winner].failure("exists", "exists", "request");
        assert_same_bytes(&images[winner].0, &sandbox.out(&name));
        sandbox.only(&[&name]);
        assert_eq!(sandbox.placements(), [sandbox.out(&name)]);
        sandbox.landfall("remove").arg(sandbox.out(&name)).json().run().success();
    }
}

fn replacing(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let images = two_images(&sandbox);
    let digests = images.each_ref().map(|(source, _)| sha512(source));
    sandbox.place(&images[0].1, "disk").run().success();
    for _ in 0..world.rounds(10, 200) {
        let running = [0, 1].map(|one| sandbox.place(&images[one].1, "disk").arg("--replace").spawn());
        for one in running {
            one.finish().success();
        }
        assert!(digests.contains(&sha512(&sandbox.out("disk"))), "one of both, whole");
        sandbox.only(&["disk"]);
        assert_eq!(sandbox.placements(), [sandbox.out("disk")]);
    }
    // The ledger names the inode that is there.
    sandbox.landfall("remove").arg(sandbox.out("disk")).json().run().success();
    sandbox.only(&[]);
}

fn eight_targets(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let images = two_images(&sandbox);
    for round in 0..world.rounds(2, 20) {
        let names: Vec<String> = (0..8).map(|one| format!("disk-{round}-{one}")).collect();
        let running: Vec<_> =
            names.iter().enumerate().map(|(one, name)| sandbox.place(&images[one % 2].1, name).spawn()).collect();
        for one in running {
            one.finish().success();
        }
        let expected: Vec<PathBuf> = names.iter().map(|name| sandbox.out(name)).collect();
        assert_eq!(sandbox.placements(), expected);
        for (one, path) in expected.iter().enumerate() {
            assert_same_bytes(&images[one % 2].0, path);
        }
        let removals: Vec<_> =
            expected.iter().map(|path| sandbox.landfall("remove").arg(path).json().spawn()).collect();
        for one in removals {
            one.finish().success();
        }
        sandbox.only(&[]);
        assert!(sandbox.placements().is_empty());
    }
}

/// Two removals of one placement, two moves of one, and two to one place: one of both is done, and the ledger knows which.
fn one_change(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let images = two_images(&sandbox);
    let out = |name: &str| sandbox.out(name);
    let change = |words: [&str; 3]| {
        let paths = words[1..].iter().filter(|name| !name.is_empty()).map(|name| out(name));
        sandbox.landfall(words[0]).args(paths).json().spawn()
    };
    let table = [
        [["remove", "a", ""], ["remove", "a", ""]],
        [["move", "a", "c"], ["move", "a", "d"]],
        [["move", "a", "c"], ["move", "b", "c"]],
        [["move", "a", "c"], ["remove", "a", ""]],
    ];
    for _ in 0..world.rounds(3, 60) {
        for pair in table {
            sandbox.place(&images[0].1, "a").run().success();
            sandbox.place(&images[1].1, "b").run().success();
            let answers = pair.map(change).map(Running::finish);
            let done = answers.iter().filter(|answer| answer.status == 0).count();
            assert_eq!(done, 1, "{answers:#?}");
            let refused = answers.iter().find(|answer| answer.status != 0).unwrap();
            let kind = refused.document()["error"]["kind"].as_str().unwrap();
            assert!(["not-found", "unavailable", "exists"].contains(&kind), "{refused:#?}");
            let mut there: Vec<PathBuf> = names(sandbox.out_dir()).iter().map(|name| out(name)).collect();
            there.sort();
            assert_eq!(sandbox.placements(), there, "{answers:#?}");
            for path in there {
                sandbox.landfall("remove").arg(path).json().run().success();
            }
            sandbox.only(&[]);
        }
    }
}

fn first_use(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let images = two_images(&sandbox);
    for round in 0..world.rounds(3, 40) {
        let state = sandbox.home("state");
        if state.exists() {
            fs::remove_dir_all(&state).unwrap();
        }
        let names: Vec<String> = (0..4).map(|one| format!("disk-{round}-{one}")).collect();
        let running: Vec<_> = names.iter().map(|name| sandbox.place(&images[0].1, name).spawn()).collect();
        for one in running {
            let answer = one.finish();
            assert_ne!(answer.status, status_of("internal"), "{answer:#?}");
            answer.success();
        }
        assert_eq!(sandbox.placements().len(), 4);
    }
}
