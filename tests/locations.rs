//! The life of locations in a directory of records: what may be done to them, by several at once, and through kills and faults.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use serde_json::{Value, json};

use crate::faults::FaultBuild;
use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::command::Landfall;
use crate::support::disk::noisy_file;
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("locations::{name}"), run).mode_independent();
    vec![
        case("commands", commands),
        case("illegal_moves_are_refused", illegal),
        case("placing_follows_the_statuses", placing),
        case("writers_race", race).on(Fs::Xfs),
        case("an_editor_that_knows_of_no_lock", editor),
        case("sweep_on_xfs", |world| sweep(world, Fs::Xfs)).on(Fs::Xfs),
        case("sweep_on_ext4", |world| sweep(world, Fs::Ext4)).on(Fs::Ext4),
    ]
}

/// A node with one catalog and one image in it, which is in a file store.
struct Site<'w> {
    sandbox: Sandbox<'w>,
    catalog: PathBuf,
}

impl<'w> Site<'w> {
    fn new(world: &'w World, fs: Fs) -> Self {
        let sandbox = Sandbox::on(world, fs);
        let catalog = sandbox.out("catalog");
        fs::create_dir(&catalog).unwrap();
        let tables = format!("[catalog.images]\ntype = \"directory\"\npath = {catalog:?}\n{}", sandbox.store_table(""));
        sandbox.configure("", &tables);
        let stored = sandbox.store("stored.raw");
        noisy_file(&stored, 100_000, 3);
        let mut record = record_of(&stored);
        record["id"] = json!("image");
        record["hw_disk_bus"] = json!("virtio");
        let site = Self { sandbox, catalog };
        site.write(&record);
        site
    }

    fn write(&self, record: &Value) {
        fs::write(self.file(), serde_json::to_vec(record).unwrap()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.catalog.join("image.json")
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    fn command(&self, words: &[&str]) -> Landfall {
        self.sandbox.landfall("locations").args(words).json()
    }

    fn run(&self, words: &[&str]) -> Answer {
        self.command(words).run()
    }

    /// The name of the location with this URL.
    fn name(&self, url: &str) -> String {
        let listed = self.run(&["list", "image"]);
        let rows = listed.success()["locations"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["url"] == url).unwrap_or_else(|| panic!("no {url} in {rows:?}"));
        row["name"].as_str().unwrap().to_owned()
    }

    /// What stands in the catalog beside the record and the lock.
    fn left(&self) -> Vec<String> {
        names(&self.catalog).into_iter().filter(|name| name != "image.json" && name != ".landfall-lock").collect()
    }
}

fn commands(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let stored = format!("file://{}", site.sandbox.store("stored.raw").display());
    let listed = site.run(&["list", "image"]);
    let document = listed.success();
    assert_eq!((&document["status"], &document["catalog"]), (&json!("active"), &json!("images")));
    assert_eq!(document["locations"][0]["status"], "active");
    let before = fs::read(site.file()).unwrap();
    assert_eq!(fs::read(site.file()).unwrap(), before, "listing writes nothing");

    // A secret is kept in the record and shown to nobody.
    let url = "swift+https://user:CANARY-SECRET@auth.example/v3/container/object";
    let added =
        site.run(&["add", "image", url, "--status", "pending", "--store", "far", "--metrics", "{\"weight\": 3}"]);
    assert!(!added.success().to_string().contains("CANARY-SECRET"));
    let record = site.record();
    assert_eq!(record["locations"][1]["url"], url);
    assert_eq!(record["locations"][1]["metadata"]["store"], "far");
    assert_eq!(record["locations"][1]["metrics"]["weight"], 3);
    assert_eq!((&record["status"], &record["hw_disk_bus"]), (&json!("active"), &json!("virtio")));
    let text = site.sandbox.landfall("locations").args(["list", "image"]).run();
    assert!(text.stdout.contains("pending") && !text.stdout.contains("CANARY-SECRET"), "{}", text.stdout);
    site.run(&["add", "image", url]).failure("exists", "location-exists", "request");

    let far = added.document()["locations"][1]["name"].as_str().unwrap().to_owned();
    let near = site.name(&stored);
    for (location, status, image) in [
        (&near, "pending_delete", "saving"),
        (&far, "active", "active"),
        (&far, "pending_delete", "pending_delete"),
        (&near, "active", "active"),
        (&far, "deleted", "active"),
        // Said once more, it is done already.
        (&far, "deleted", "active"),
    ] {
        let answer = site.run(&["set-status", "image", location, status]);
        assert_eq!(answer.success()["status"], image, "{status}");
        assert_eq!(site.record()["status"], image);
    }
    assert!(site.record()["locations"][1]["status_since"].as_str().unwrap().ends_with('Z'));
    site.run(&["remove", "image", &far]).success();
    site.run(&["remove", "image", &near]).failure("invalid", "bytes-left", "request");
    let gone = site.run(&["remove", "image", &near, "--keep-bytes"]);
    assert_eq!((&gone.success()["status"], &gone.document()["locations"]), (&json!("queued"), &json!([])));
    assert!(site.sandbox.store("stored.raw").exists());
    assert_eq!(site.left(), Vec::<String>::new());
}

fn illegal(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let near = site.name(&format!("file://{}", site.sandbox.store("stored.raw").display()));
    let before = fs::read(site.file()).unwrap();
    for (words, kind, code) in [
        (vec!["set-status", "image", near.as_str(), "deleted"], "invalid", "status-move"),
        (vec!["set-status", "image", near.as_str(), "pending"], "invalid", "status-move"),
        (vec!["set-status", "image", "0123456789ab", "active"], "not-found", "location"),
        (vec!["remove", "image", "0123456789ab"], "not-found", "location"),
        (vec!["list", "none"], "not-found", "image"),
        (vec!["list", "../image"], "invalid", "image-id"),
        (vec!["list", "image", "--catalog", "other"], "not-found", "catalog"),
        (vec!["add", "image", "file:///x", "--metadata", "[1]"], "invalid", "location-json"),
        (vec!["add", "none", "file:///x"], "not-found", "image"),
    ] {
        site.run(&words).failure(kind, code, "request");
    }
    let long = format!("file:///{}", "x".repeat(9000));
    site.run(&["add", "image", &long]).failure("limit", "url-length", "request");
    assert_eq!(fs::read(site.file()).unwrap(), before);
    // What is no regular file is no record.
    fs::rename(site.file(), site.catalog.join("other")).unwrap();
    std::os::unix::fs::symlink("other", site.file()).unwrap();
    assert_ne!(site.run(&["set-status", "image", &near, "pending_delete"]).status, 0);
    assert_eq!(fs::read(site.catalog.join("other")).unwrap(), before);
}

fn placing(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let near = site.name(&format!("file://{}", site.sandbox.store("stored.raw").display()));
    site.sandbox.place("image", "one").run().success();
    site.run(&["set-overlay", "image", "deactivated"]).success();
    site.sandbox.place("image", "two").run().failure("denied", "image-deactivated", "image");
    // A hand that sets the status only does not withdraw that.
    let mut record = site.record();
    record["status"] = json!("active");
    site.write(&record);
    site.sandbox.place("image", "two").run().failure("denied", "image-deactivated", "image");
    site.run(&["set-overlay", "image", "none"]).success();
    site.sandbox.place("image", "two").run().success();
    site.run(&["set-status", "image", &near, "pending_delete"]).success();
    site.sandbox.place("image", "three").run().failure("not-found", "image-status", "image");
    site.run(&["set-status", "image", &near, "active"]).success();
    site.sandbox.place("image", "three").run().success();
    site.run(&["set-overlay", "image", "killed"]).success();
    site.sandbox.place("image", "four").run().failure("not-found", "image-status", "image");
    site.run(&["set-overlay", "image", "none"]).failure("invalid", "status-move", "request");
}

/// Several processes change one record at once: nothing that any of them was told of is lost, and every reader sees a whole record.
fn race(world: &World) {
    const WRITERS: usize = 6;
    let rounds = world.rounds(6, 60);
    let site = Site::new(world, Fs::Xfs);
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let record: Value = serde_json::from_slice(&fs::read(site.file()).unwrap()).unwrap();
                assert_eq!(record["id"], "image");
                reads += 1;
            }
            reads
        });
        let writer = |writer: usize| {
            let site = &site;
            move || {
                for round in 0..rounds {
                    let url = format!("file:///{writer}/{round}");
                    let added = site.run(&["add", "image", &url, "--status", "pending"]);
                    let rows = added.success()["locations"].as_array().unwrap().clone();
                    let name = rows.iter().find(|row| row["url"] == url.as_str()).unwrap()["name"].clone();
                    site.run(&["set-status", "image", name.as_str().unwrap(), "active"]).success();
                }
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(writer(number))).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 0);
    let record = site.record();
    let locations = record["locations"].as_array().unwrap();
    assert_eq!(locations.len(), 1 + WRITERS * rounds);
    assert!(locations.iter().skip(1).all(|location| location["status"] == "active"));
    assert_eq!(site.left(), Vec::<String>::new());
}

/// Somebody renames another record into place between the comparison and the exchange: neither change is lost.
fn editor(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let faulty = FaultBuild::get(world);
    let near = site.name(&format!("file://{}", site.sandbox.store("stored.raw").display()));
    let running = Landfall::new(&faulty.landfall)
        .arg("locations")
        .arg("--config")
        .arg(site.sandbox.home("landfall.toml"))
        .args(["set-status", "image", &near, "pending_delete"])
        .json()
        .env("LANDFALL_FAULTS", "record.exchange=stop-before")
        .spawn();
    let pid = running.pid();
    // It stops itself in front of the exchange, with the lock held and the comparison made.
    let stopped = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT).unwrap();
    assert!(matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)), "{stopped:?}");
    let mut record = site.record();
    record["name"] = json!("edited");
    let new = site.catalog.join("new");
    fs::write(&new, serde_json::to_vec(&record).unwrap()).unwrap();
    fs::rename(&new, site.file()).unwrap();
    running.signal(Signal::SIGCONT);
    assert_eq!(running.finish().success()["status"], "pending_delete");
    let record = site.record();
    assert_eq!((&record["name"], &record["locations"][0]["status"]), (&json!("edited"), &json!("pending_delete")));
    assert_eq!(site.left(), Vec::<String>::new());
}

/// Every fault at every point: the record is the old or the new, whole; and the same command made once more makes it the new.
fn sweep(world: &World, fs: Fs) {
    const DEEDS: [&str; 6] = ["kill-before", "kill-after", "eintr", "eio", "enospc", "short"];
    let build = FaultBuild::get(world);
    let site = Site::new(world, fs);
    let near = site.name(&format!("file://{}", site.sandbox.store("stored.raw").display()));
    let before = site.record();
    let trace = site.sandbox.home("trace");
    let faulty = |faults: &str| {
        Landfall::new(&build.landfall)
            .arg("locations")
            .arg("--config")
            .arg(site.sandbox.home("landfall.toml"))
            .args(["set-status", "image", &near, "pending_delete"])
            .arg("--json")
            .env("LANDFALL_FAULTS", faults)
            .env("LANDFALL_FAULT_TRACE", &trace)
    };
    let met = |faults: &str| {
        site.write(&before);
        let _ = fs::remove_file(&trace);
        let answer = faulty(faults).run();
        assert_eq!(answer.status, 0, "{}", answer.stdout);
        fs::read_to_string(&trace).unwrap().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let no_exchange = "record.exchange#*=einval";
    let usual: Vec<String> = met("");
    let without: Vec<String> = met(no_exchange);
    let known: BTreeSet<&str> =
        build.points.iter().map(String::as_str).filter(|point| point.starts_with("record.")).collect();
    let seen: BTreeSet<&str> =
        usual.iter().chain(&without).map(String::as_str).filter(|point| point.starts_with("record.")).collect();
    assert_eq!(seen, known, "every point of a record is met");
    let (mut cases, mut kills, mut failures) = (0, 0, 0);
    for (lacking, points) in [("", &usual), (no_exchange, &without)] {
        for point in points.iter().filter(|point| !(lacking == no_exchange && *point == "record.exchange")) {
            for deed in DEEDS {
                site.write(&before);
                let place = format!("{point}={deed},{lacking}");
                let answer = faulty(&place).run();
                let record = site.record();
                let status = record["locations"][0]["status"].as_str().unwrap_or("active").to_owned();
                let is_new = status == "pending_delete" && record["status"] == "pending_delete";
                assert!(is_new || record == before, "{place}: {record:#}");
                if deed.starts_with("kill") {
                    assert_ne!(answer.status, 0, "{place}");
                    kills += 1;
                } else if answer.status == 0 {
                    assert!(is_new, "{place}: claimed and not done");
                } else {
                    assert!(answer.stdout.contains("\"ok\": false"), "{place}: {}", answer.stdout);
                    failures += 1;
                }
                // Once more, by the product itself.
                let again = site.run(&["set-status", "image", &near, "pending_delete"]);
                assert_eq!(again.success()["status"], "pending_delete", "{place}");
                let mut left = site.left();
                // What a killed one left is collected by the next change, which this was not where the first one was made.
                left.retain(|name| !(is_new && name == ".landfall-record"));
                assert_eq!(left, Vec::<String>::new(), "{place}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, (usual.len() + without.len() - 1) * DEEDS.len());
    assert_eq!(kills, cases / 3);
    assert!(failures > 10, "{failures} of {cases} commands failed");
}
