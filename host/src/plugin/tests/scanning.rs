//! Scans, with agents that do what a plugin may make of one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::super::scan::{NoCache, Scan, ScanCache, scan};
use super::super::{LoadOptions, PluginOutcome, Plugins};
use super::*;
use crate::config::Isolation;
use crate::worker::WorkerSettings;

/// A site with one plugin file and an agent that is a shell script.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("plugins")).unwrap();
        std::fs::write(directory.path().join("plugins/a.so"), "a plugin").unwrap();
        std::fs::write(directory.path().join("plugins/a.so~"), "left over").unwrap();
        std::fs::write(directory.path().join("agent"), format!("#!/bin/sh\n{script}\n")).unwrap();
        for (name, mode) in [("plugins", 0o755), ("plugins/a.so", 0o644), ("agent", 0o755)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(directory.path().join(name), mode).unwrap();
        }
        Self { directory }
    }

    fn scan(&self, limit: Duration, cache: &dyn ScanCache) -> Scan {
        let path = self.directory.path().join("plugins/a.so");
        loop {
            let scanned = scan(&File::open(&path).unwrap(), &path, &self.directory.path().join("agent"), limit, cache);
            // A child that another test is just starting may still have the script open for writing.
            if !matches!(&scanned, Err(refusal) if refusal.reason.contains("Text file busy")) {
                return scanned;
            }
        }
    }

    fn refusal(&self) -> Refusal {
        self.scan(Duration::from_secs(10), &NoCache).unwrap_err()
    }
}

#[derive(Default)]
struct Memory(RefCell<BTreeMap<(PathBuf, String), String>>);

impl ScanCache for Memory {
    fn get(&self, path: &Path, version: &str) -> Option<String> {
        self.0.borrow().get(&(path.to_owned(), version.to_owned())).cloned()
    }

    fn put(&self, path: &Path, version: &str, outcome: &str) {
        self.0.borrow_mut().insert((path.to_owned(), version.to_owned()), outcome.to_owned());
    }
}

const ANSWER: &str = r#"printf '{"Err":{"code":"as-told","reason":"%s"}}' "$(cat)$1$HOME""#;

#[test]
fn the_scan_gets_the_plugin_and_nothing_of_our_environment() {
    assert_eq!(Site::new(ANSWER).refusal(), Refusal::new("as-told", "a pluginscan-plugin"));
}

#[test]
fn a_crash_is_an_outcome() {
    let refusal = Site::new("echo 'first' >&2; echo 'bad \u{7}luck' >&2; kill -ABRT $$").refusal();
    assert_eq!(refusal.code, "crashed-while-loading");
    assert_eq!(refusal.reason, "loading it ended the process with SIGABRT: bad \\u{7}luck");
    let refusal = Site::new("exit 3").refusal();
    assert_eq!(refusal.reason, "loading it ended the process with status 3");
    assert_eq!(Site::new("echo nonsense").refusal().code, "crashed-while-loading");
    assert_eq!(Site::new("yes").refusal().code, "crashed-while-loading");
}

#[test]
fn a_scan_that_hangs_is_killed_with_all_that_it_started() {
    let site = Site::new("sleep 60 & sleep 60");
    let begun = Instant::now();
    let refusal = site.scan(Duration::from_millis(200), &NoCache).unwrap_err();
    assert_eq!((refusal.code.as_str(), begun.elapsed() < Duration::from_secs(5)), ("scan-timeout", true));
}

#[test]
fn what_was_found_is_remembered_until_the_file_changes() {
    let site = Site::new(ANSWER);
    let cache = Memory::default();
    let limit = Duration::from_secs(10);
    let first = site.scan(limit, &cache).unwrap_err();
    std::fs::write(site.directory.path().join("agent"), "#!/bin/sh\nexit 1\n").unwrap();
    assert_eq!(site.scan(limit, &cache), Err(first));
    std::fs::write(site.directory.path().join("plugins/a.so"), "another plugin").unwrap();
    assert_eq!(site.scan(limit, &cache).unwrap_err().code, "crashed-while-loading");
    assert_eq!(cache.0.borrow().len(), 2);
}

#[test]
fn a_machine_that_cannot_scan_is_no_property_of_the_file() {
    let site = Site::new("sleep 60");
    let cache = Memory::default();
    assert_eq!(site.scan(Duration::from_millis(50), &cache).unwrap_err().code, "scan-timeout");
    std::fs::remove_file(site.directory.path().join("agent")).unwrap();
    assert_eq!(site.scan(Duration::from_secs(10), &cache).unwrap_err().code, "scan-failed");
    assert!(cache.0.borrow().is_empty());
}

#[test]
fn bad_plugins_are_reported_and_never_fatal() {
    let site = Site::new(ANSWER);
    let root = site.directory.path();
    std::fs::create_dir(root.join("open")).unwrap();
    std::fs::set_permissions(root.join("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let plugins = Plugins::load(
        &LoadOptions {
            directories: vec![root.join("none"), root.join("open"), root.join("plugins")],
            allowed: None,
            agent: root.join("agent"),
            sections: BTreeMap::new(),
            isolation: Isolation::Inline,
            workers: WorkerSettings {
                agent: PathBuf::from("/nonexistent"),
                memory: 1 << 30,
                cpu: Duration::from_secs(60),
                grace: Duration::from_secs(1),
            },
        },
        &NoCache,
    );
    assert!(plugins.handlers.is_empty());
    let skipped: Vec<(PathBuf, String)> = plugins
        .reports
        .into_iter()
        .map(|report| match report.outcome {
            PluginOutcome::Skipped(refusal) => (report.path, refusal.code),
            PluginOutcome::Loaded { .. } => panic!("{} was loaded", report.path.display()),
        })
        .collect();
    let expected = [("open", "world-writable"), ("plugins/a.so", "as-told")];
    assert_eq!(skipped, expected.map(|(path, code)| (root.join(path), code.to_owned())));
}
