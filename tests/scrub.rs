//! The scrubber: exactly the bytes of locations that are pending_delete go, and of nothing that anybody uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::faults::FaultBuild;
use crate::support::agent::Agent;
use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::command::Landfall;
use crate::support::disk::noisy_file;
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("scrub::{name}"), run);
    vec![
        case("what_is_pending_goes_and_nothing_else", whole),
        case("a_location_comes_back_until_its_bytes_go", restored),
        case("a_record_that_cannot_be_read_stops_it", unreadable).mode_independent(),
        case("a_store_that_is_not_mounted", unmounted),
        case("a_direct_url_is_a_location", direct).mode_independent(),
        case("by_the_handlers_that_are_used", used).mode_independent(),
        case("what_goes_at_once", bounded).mode_independent(),
        case("two_scrubbers_at_once", two).mode_independent(),
        case("the_agent_scrubs_by_itself", by_itself),
        case("sweep_on_xfs", |world| sweep(world, Fs::Xfs)).on(Fs::Xfs).mode_independent(),
        case("sweep_on_ext4", |world| sweep(world, Fs::Ext4)).on(Fs::Ext4).mode_independent(),
    ]
}

/// Two catalogs, a store whose bytes may be deleted, and one whose bytes may not.
struct Site<'w> {
    sandbox: Sandbox<'w>,
    catalogs: [PathBuf; 2],
    kept: PathBuf,
}

impl<'w> Site<'w> {
    fn new(world: &'w World, fs: Fs) -> Self {
        let sandbox = Sandbox::on(world, fs);
        let catalogs = ["near", "far"].map(|name| sandbox.out(name));
        let kept = sandbox.out("kept");
        for directory in catalogs.iter().chain([&kept]) {
            fs::create_dir(directory).unwrap();
        }
        // One directory is a catalog under two names: it is locked once.
        let tables = format!(
            "[catalog.near]\ntype = \"directory\"\npath = {:?}\n[catalog.again]\ntype = \"directory\"\npath = {:?}\n\
             [catalog.far]\ntype = \"directory\"\npath = {:?}\n{}\n[[store]]\nid = \"kept\"\ntype = \"file\"\nroot = {kept:?}\n",
            catalogs[0],
            catalogs[0],
            catalogs[1],
            sandbox.store_table("delete = true"),
        );
        sandbox.configure("", &tables);
        Self { sandbox, catalogs, kept }
    }

    /// Stores a file; gives its URL.
    fn store(&self, name: &str) -> String {
        noisy_file(&self.sandbox.store(name), 5_000, 7);
        self.url(name)
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}", self.sandbox.store(name).display())
    }

    /// Puts a record into a catalog, with these locations: URL, status, and since when.
    fn image(&self, catalog: usize, id: &str, locations: &[(String, &str, Option<&str>)]) {
        let some = self.sandbox.store("some");
        noisy_file(&some, 5_000, 7);
        let mut record = record_of(&some);
        fs::remove_file(some).unwrap();
        record["id"] = json!(id);
        let location = |(url, status, since): &(String, &str, Option<&str>)| {
            let mut location = json!({ "url": url, "metadata": {}, "status": status });
            if let Some(since) = since {
                location["status_since"] = json!(since);
            }
            location
        };
        record["locations"] = locations.iter().map(location).collect();
        fs::write(self.file(catalog, id), serde_json::to_vec_pretty(&record).unwrap()).unwrap();
    }

    fn file(&self, catalog: usize, id: &str) -> PathBuf {
        self.catalogs[catalog].join(format!("{id}.json"))
    }

    fn record(&self, catalog: usize, id: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(catalog, id)).unwrap()).unwrap()
    }

    fn statuses(&self, catalog: usize, id: &str) -> Vec<String> {
        let record = self.record(catalog, id);
        let locations = record["locations"].as_array().unwrap();
        locations.iter().map(|location| location["status"].as_str().unwrap().to_owned()).collect()
    }

    fn command(&self, more: &[&str]) -> Landfall {
        self.sandbox.landfall("scrub").args(more).json()
    }

    fn scrub(&self, more: &[&str]) -> Answer {
        self.command(more).run()
    }

    fn stored(&self) -> Vec<String> {
        names(self.sandbox.store_dir())
    }
}

/// What came of each location, by image and file name.
fn outcomes(document: &Value) -> BTreeMap<String, String> {
    let rows = document["locations"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let name = row["url"].as_str().unwrap().rsplit('/').next().unwrap();
            (format!("{}/{name}", row["image"].as_str().unwrap()), row["outcome"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn whole(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let old = Some(LONG_AGO);
    let names = ["active", "old", "shared", "spelled", "young", "dateless", "linked", "begun", "both"];
    let urls: BTreeMap<&str, String> = names.into_iter().map(|name| (name, site.store(name))).collect();
    let url = |name: &str| urls[name].clone();
    // A second name of what somebody uses; a link; a directory; what is elsewhere.
    fs::hard_link(site.sandbox.store("active"), site.sandbox.store("second-name")).unwrap();
    std::os::unix::fs::symlink(site.sandbox.store("active"), site.sandbox.store("symlink")).unwrap();
    fs::create_dir(site.sandbox.store("directory")).unwrap();
    let outside = site.sandbox.home("outside");
    fs::write(&outside, "somebody's").unwrap();
    noisy_file(&site.kept.join("kept"), 1_000, 1);
    let now = now();
    site.image(
        0,
        "a",
        &[
            (url("active"), "active", None),
            (url("old"), "pending_delete", old),
            (url("shared"), "pending_delete", old),
            (url("spelled"), "pending_delete", old),
            (url("young"), "pending_delete", Some(&now)),
            (url("dateless"), "pending_delete", None),
            (url("begun"), "pending_delete", Some(&now)),
        ],
    );
    let mut begun = site.record(0, "a");
    begun["locations"][6]["deletion_began"] = json!(LONG_AGO);
    fs::write(site.file(0, "a"), begun.to_string()).unwrap();
    site.image(
        0,
        "b",
        &[
            (site.url("second-name"), "pending_delete", old),
            (site.url("symlink"), "pending_delete", old),
            (site.url("directory"), "pending_delete", old),
            (site.url("gone"), "pending_delete", old),
            (format!("file://{}", outside.display()), "pending_delete", old),
            (format!("file://{}", site.kept.join("kept").display()), "pending_delete", old),
            ("http://mirror.example.org/both".to_owned(), "pending_delete", old),
            (url("both"), "pending_delete", old),
        ],
    );
    site.image(
        1,
        "c",
        &[
            (url("shared"), "active", None),
            // Another spelling of the same path.
            (format!("filesystem://{}//spelled", site.sandbox.store_dir().display()), "pending", None),
            (url("both"), "pending_delete", old),
        ],
    );
    let before = (site.stored(), site.record(0, "a"), site.record(0, "b"), site.record(1, "c"));

    let expected: BTreeMap<String, String> = [
        ("a/old", "due"),
        ("a/shared", "shared"),
        ("a/spelled", "shared"),
        ("a/young", "later"),
        ("a/dateless", "later"),
        ("a/begun", "due"),
        ("b/second-name", "shared"),
        ("b/symlink", "due"),
        ("b/directory", "due"),
        ("b/gone", "due"),
        ("b/outside", "not-allowed"),
        ("b/kept", "not-allowed"),
        ("b/both", "due"),
        ("c/both", "due"),
    ]
    .into_iter()
    .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
    .collect();
    let dry = site.scrub(&["--dry-run"]);
    // The location over HTTP has the same last part, and is not allowed.
    let rows = dry.success()["locations"].as_array().unwrap().len();
    let mut seen = outcomes(dry.document());
    assert_eq!(rows, 15);
    seen.insert("b/both".to_owned(), "due".to_owned());
    assert_eq!(seen, expected);
    assert_eq!((site.stored(), site.record(0, "a"), site.record(0, "b"), site.record(1, "c")), before);

    let answer = site.scrub(&[]);
    assert_ne!(answer.status, 0, "a symlink and a directory are no files of a store");
    let seen = outcomes(answer.document());
    for (name, outcome) in &expected {
        let outcome = match (outcome.as_str(), name.as_str()) {
            ("due", "b/symlink" | "b/directory") => "failed",
            ("due", _) => "deleted",
            (outcome, _) => outcome,
        };
        if name != "b/both" {
            assert_eq!(seen[name], outcome, "{name}: {:#}", answer.document());
        }
    }
    let mut left = before.0.clone();
    left.retain(|name| !["old", "begun", "both"].contains(&name.as_str()));
    assert_eq!(site.stored(), left);
    assert_eq!(fs::read(&outside).unwrap(), b"somebody's");
    assert!(site.kept.join("kept").exists() && site.sandbox.store("active").exists());
    assert_eq!(
        site.statuses(0, "a"),
        ["active", "deleted", "pending_delete", "pending_delete", "pending_delete", "pending_delete", "deleted"]
    );
    assert_eq!(site.statuses(1, "c"), ["active", "pending", "deleted"]);
    assert_eq!(site.record(0, "a")["locations"][6].get("deletion_began"), None);
    assert_eq!(site.record(0, "b")["status"], "pending_delete");
    // Once more: nothing else is due, and what failed fails again.
    let again = outcomes(site.scrub(&[]).document());
    assert!(again.values().all(|outcome| outcome != "deleted"), "{again:?}");
    // Bounds.
    site.image(1, "d", &[(site.store("one"), "pending_delete", old), (site.store("two"), "pending_delete", old)]);
    site.image(0, "b", &[]);
    let one = site.scrub(&["--most", "1", "--delay", "1h"]);
    let counts = |answer: &Answer, wanted: &str| {
        outcomes(answer.document()).values().filter(|outcome| outcome.as_str() == wanted).count()
    };
    assert_eq!((counts(&one, "deleted"), site.stored().contains(&"two".to_owned())), (1, true));
    site.scrub(&[]).success();
    assert!(!site.stored().contains(&"two".to_owned()));
    // With no delay, the young ones too.
    site.scrub(&["--delay", "0s"]).success();
    assert_eq!(site.statuses(0, "a")[4..6], ["deleted", "deleted"]);
}

/// Now, as the product writes it.
fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let days = seconds / 86_400;
    // Days to a date: Howard Hinnant's `civil_from_days`.
    let z = days as i64 + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let rest = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

fn restored(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let url = site.store("disk");
    site.image(0, "a", &[(url.clone(), "active", None)]);
    let locations = |words: &[&str]| site.sandbox.landfall("locations").args(words).json().run();
    let name = locations(&["list", "a"]).success()["locations"][0]["name"].as_str().unwrap().to_owned();
    locations(&["set-status", "a", &name, "pending_delete"]).success();
    assert_eq!(outcomes(site.scrub(&[]).success())["a/disk"], "later");
    locations(&["set-status", "a", &name, "active"]).success();
    assert_eq!(site.scrub(&["--delay", "0s"]).success()["locations"], json!([]));
    assert!(site.sandbox.store("disk").exists());

    // Somebody has begun: it stays what it is, and nobody else takes it.
    locations(&["set-status", "a", &name, "pending_delete"]).success();
    let mut record = site.record(0, "a");
    record["locations"][0]["deletion_began"] = json!(LONG_AGO);
    fs::write(site.file(0, "a"), record.to_string()).unwrap();
    locations(&["set-status", "a", &name, "active"]).failure("invalid", "deletion-began", "request");
    site.image(1, "other", &[]);
    locations(&["add", "other", &url]).failure("invalid", "deletion-began", "request");
    // A name that leads to the same file does no better.
    fs::hard_link(site.sandbox.store("disk"), site.sandbox.store("second")).unwrap();
    locations(&["add", "other", &site.url("second")]).failure("invalid", "deletion-began", "request");
    site.scrub(&[]).success();
    assert!(!site.sandbox.store("disk").exists());
    assert_eq!(site.statuses(0, "a"), ["deleted"]);
    // It is gone: a new one of the same name is a new one.
    site.store("disk");
    locations(&["add", "other", &url]).success();
    assert_eq!(site.scrub(&["--delay", "0s"]).success()["locations"], json!([]));
}

fn unreadable(world: &World) {
    let site = Site::new(world, Fs::Temp);
    site.image(0, "a", &[(site.store("disk"), "pending_delete", Some(LONG_AGO))]);
    fs::write(site.file(1, "broken"), "{\"id\": \"broken\", \"locations\": [").unwrap();
    site.scrub(&[]).failure("invalid", "record-unreadable", "request");
    assert!(site.sandbox.store("disk").exists());
    assert_eq!(site.statuses(0, "a"), ["pending_delete"]);
    fs::remove_file(site.file(1, "broken")).unwrap();
    site.scrub(&[]).success();
    assert!(!site.sandbox.store("disk").exists());
}

/// Where nothing of a store is there, nobody knows what is gone.
fn unmounted(world: &World) {
    let site = Site::new(world, Fs::Temp);
    site.image(0, "a", &[(site.store("disk"), "pending_delete", Some(LONG_AGO))]);
    let (store, away) = (site.sandbox.store_dir().to_owned(), site.sandbox.home("away"));
    let code = || {
        let answer = site.scrub(&[]);
        assert_ne!(answer.status, 0);
        assert_eq!(site.statuses(0, "a"), ["pending_delete"]);
        answer.document()["locations"][0]["error"]["code"].as_str().unwrap().to_owned()
    };
    fs::rename(&store, &away).unwrap();
    assert_eq!(code(), "store-unavailable");
    fs::create_dir(&store).unwrap();
    assert_eq!(code(), "store-empty");
    fs::create_dir(store.join("lost+found")).unwrap();
    assert_eq!(code(), "store-empty");
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    site.scrub(&[]).success();
    assert_eq!((site.stored(), site.statuses(0, "a")), (Vec::new(), vec!["deleted".to_owned()]));
    // One that is gone already, from a store that is there.
    site.store("other");
    site.image(0, "b", &[(site.url("gone"), "pending_delete", Some(LONG_AGO))]);
    site.scrub(&[]).success();
    assert_eq!(site.statuses(0, "b"), ["deleted"]);
}

/// Of a record that has no other, it is the location.
fn direct(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let url = site.store("disk");
    site.image(0, "a", &[(url.clone(), "pending_delete", Some(LONG_AGO))]);
    site.image(1, "b", &[]);
    let mut record = site.record(1, "b");
    record["direct_url"] = json!(url);
    fs::write(site.file(1, "b"), record.to_string()).unwrap();
    assert_eq!(outcomes(site.scrub(&[]).success())["a/disk"], "shared");
    assert_eq!(site.stored(), ["disk"]);
    // Of one that has others, it is not looked at.
    record["locations"] = json!([{ "url": site.store("other"), "metadata": {} }]);
    fs::write(site.file(1, "b"), record.to_string()).unwrap();
    assert_eq!(outcomes(site.scrub(&[]).success())["a/disk"], "deleted");
    assert_eq!(site.stored(), ["other"]);
}

/// What the operator left out deletes nothing, and a dry run says so too.
fn used(world: &World) {
    let site = Site::new(world, Fs::Temp);
    site.image(0, "a", &[(site.store("disk"), "pending_delete", Some(LONG_AGO))]);
    let config = site.sandbox.home("landfall.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("handlers = [\"gzip\"]\n{text}")).unwrap();
    let before = site.record(0, "a");
    for more in [&["--dry-run"][..], &[]] {
        let answer = site.scrub(more);
        assert_ne!(answer.status, 0, "{}", answer.stdout);
        assert_eq!(answer.document()["locations"][0]["error"]["code"], "no-handler");
        assert_eq!((site.stored(), site.record(0, "a")), (vec!["disk".to_owned()], before.clone()));
    }
    fs::write(&config, text).unwrap();
    site.scrub(&[]).success();
    assert_eq!(site.statuses(0, "a"), ["deleted"]);
}

/// Locations whose bytes go with those of others go with them, whatever the bound.
fn bounded(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let old = Some(LONG_AGO);
    let names = ["first", "second"].map(|name| site.store(name));
    site.image(0, "a", &[(names[0].clone(), "pending_delete", old), (names[1].clone(), "pending_delete", old)]);
    site.image(1, "b", &[(names[0].clone(), "pending_delete", old)]);
    // What may come back keeps the second one; nobody can delete it by this name.
    fs::hard_link(site.sandbox.store("second"), site.kept.join("second")).unwrap();
    site.image(1, "c", &[(format!("file://{}", site.kept.join("second").display()), "pending_delete", old)]);
    site.scrub(&["--most", "1"]).success();
    assert_eq!(
        (site.statuses(0, "a"), site.statuses(1, "b")),
        (vec!["deleted".to_owned(), "pending_delete".to_owned()], vec!["deleted".to_owned()],)
    );
    let rest = site.scrub(&[]);
    assert_eq!(outcomes(rest.success())["a/second"], "shared");
    site.image(1, "c", &[]);
    site.scrub(&[]).success();
    assert_eq!((site.stored(), site.statuses(0, "a")), (Vec::new(), vec!["deleted".to_owned(); 2]));
}

fn two(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let count = world.rounds(30, 200);
    for number in 0..count {
        let url = site.store(&format!("disk-{number}"));
        site.image(number % 2, &format!("image-{number}"), &[(url, "pending_delete", Some(LONG_AGO))]);
    }
    site.image(0, "user", &[(site.store("used"), "active", None)]);
    site.image(1, "leaver", &[(site.url("used"), "pending_delete", Some(LONG_AGO))]);
    let running = [(); 3].map(|()| site.command(&[]).spawn());
    for running in running {
        assert_eq!(running.end(), 0);
    }
    assert_eq!(site.stored(), ["used"]);
    for number in 0..count {
        assert_eq!(site.statuses(number % 2, &format!("image-{number}")), ["deleted"], "image-{number}");
    }
    assert_eq!(site.statuses(1, "leaver"), ["pending_delete"]);
}

fn by_itself(world: &World) {
    let site = Site::new(world, Fs::Temp);
    let config = site.sandbox.home("landfall.toml");
    let text = fs::read_to_string(&config).unwrap();
    let table = Agent::table(&site.sandbox, "scrub_every = \"1s\"\nscrub_delay = \"1h\"");
    fs::write(&config, format!("{text}\n{table}")).unwrap();
    let now = now();
    site.image(
        0,
        "a",
        &[
            (site.store("old"), "pending_delete", Some(LONG_AGO)),
            (site.store("young"), "pending_delete", Some(&now)),
            (site.store("used"), "active", None),
        ],
    );
    let mut agent = Agent::start(&site.sandbox);
    agent.until("the old one is gone", || site.statuses(0, "a")[0] == "deleted");
    agent.line(|line| line.contains("scrubbed") && line.contains("old")).expect("it is told");
    // It goes on doing so.
    site.image(1, "b", &[(site.store("another"), "pending_delete", Some(LONG_AGO))]);
    agent.until("another one is gone", || site.statuses(1, "b") == ["deleted"]);
    assert_eq!(site.stored(), ["used", "young"]);
    assert_eq!(agent.stop(), 0);
}

/// Killed, or failing, at every call that changes a record: what follows finds it as it was or as it is to be, and ends it.
fn sweep(world: &World, fs: Fs) {
    const DEEDS: [&str; 5] = ["kill-before", "kill-after", "eio", "enospc", "short"];
    let build = FaultBuild::get(world);
    let site = Site::new(world, fs);
    let trace = site.sandbox.home("trace");
    let config = site.sandbox.home("landfall.toml");
    // No plugin is beside the build with fault points.
    let plugins = world.install.file_plugin.parent().unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("plugin_dirs = [{plugins:?}]\n{text}")).unwrap();
    let begin = || {
        site.image(
            0,
            "a",
            &[
                (site.store("kept"), "active", None),
                (site.store("one"), "pending_delete", Some(LONG_AGO)),
                (site.store("two"), "pending_delete", Some(LONG_AGO)),
            ],
        );
        let _ = fs::remove_file(&trace);
    };
    let faulty = |faults: &str| {
        Landfall::new(&build.landfall)
            .arg("scrub")
            .arg("--config")
            .arg(&config)
            .arg("--json")
            .env("LANDFALL_FAULTS", faults)
            .env("LANDFALL_FAULT_TRACE", &trace)
    };
    begin();
    assert_eq!(faulty("").run().status, 0);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let places: Vec<String> = fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|point| point.starts_with("record."))
        .map(|point| {
            let count = counts.entry(point.to_owned()).or_default();
            *count += 1;
            format!("{point}#{count}")
        })
        .collect();
    // Two locations are marked, and two are done.
    assert_eq!(counts["record.exchange"], 4, "{places:?}");
    let (mut cases, mut kills) = (0, 0);
    for place in &places {
        for deed in DEEDS {
            begin();
            let answer = faulty(&format!("{place}={deed}")).run();
            let record = site.record(0, "a");
            for (location, name) in record["locations"].as_array().unwrap().iter().zip(["kept", "one", "two"]) {
                let is_there = site.sandbox.store(name).exists();
                match location["status"].as_str().unwrap() {
                    "active" => assert!(name == "kept" && is_there),
                    "deleted" => assert!(!is_there, "{place}={deed}: {name} is deleted, and there"),
                    // Whoever deletes says so first.
                    _ => assert!(is_there || location["deletion_began"].is_string(), "{place}={deed}: {record:#}"),
                }
            }
            if deed.starts_with("kill") {
                assert_ne!(answer.status, 0, "{place}={deed}");
                kills += 1;
            }
            site.scrub(&[]).success();
            assert_eq!(site.statuses(0, "a"), ["active", "deleted", "deleted"], "{place}={deed}");
            assert_eq!(site.stored(), ["kept"], "{place}={deed}");
            cases += 1;
        }
    }
    assert_eq!((cases, kills), (places.len() * DEEDS.len(), places.len() * 2));
    assert!(cases >= 100, "{cases}");
}
