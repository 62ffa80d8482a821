//! Where an operation runs again and again, each time from the same beginning.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tempfile::TempDir;

use super::build::FaultBuild;
use super::disk::{Disk, Mirror, fast, own_dir};
use super::operation::Operation;
use crate::support::answer::Answer;
use crate::support::clock;
use crate::support::command::Landfall;
use crate::support::disk::sparse_file;
use crate::support::world::World;

/// What the hello handler serves.
pub(super) const TEXT: &str = "landfall-fault-sweep";

/// The name of the first image, and of its file in the store.
pub(super) const ONE: &str = "one";
/// Another image of other bytes and another size.
pub(super) const OTHER: &str = "other";
/// A file of the store with the size of the first image and other bytes.
pub(super) const SPOILT: &str = "spoilt";

/// The size that the first image is grown to, which is not a multiple of anything.
pub(super) const GROWN: usize = (1 << 20) + 99_999;
/// The content of a document of disks, whatever it says.
pub(super) const DOCUMENT: &str = "document";
/// The content of files that nobody placed.
pub(super) const FOREIGN: &str = "foreign";

/// Where the agent's state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// On the same disk as the targets: when that loses its power, the ledger has to survive it.
    Together,
    /// Elsewhere: no sync of the ledger helps the targets, and what it says has to hold for them.
    Apart,
}

/// A disk with images and targets, and an agent's configuration and state.
pub(super) struct Site {
    pub(super) build: &'static FaultBuild,
    /// The root of the configured store. Its files stay as they are.
    pub(super) store: PathBuf,
    /// Beneath it are the targets.
    out: PathBuf,
    home: PathBuf,
    state: PathBuf,
    lacking: &'static str,
    /// Bytes by name, for recognizing what a file holds.
    pub(super) contents: BTreeMap<&'static str, Vec<u8>>,
    // Unmounted in this order.
    _mirror: Option<Mirror>,
    pub(super) disk: Disk,
    _aside: TempDir,
}

/// How a command ended.
pub(super) struct Ended {
    /// The exit status, or the negated signal.
    pub(super) status: i32,
    /// The document, where there is one.
    pub(super) document: Value,
    pub(super) stderr: String,
}

/// The little of it that tells what went wrong.
impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, error) = (&self.document["method"], &self.document["error"]);
        write!(f, "[status {}, method {method}, error {error}, standard error {:?}]", self.status, self.stderr)
    }
}

impl Ended {
    pub(super) fn of(answer: Answer) -> Self {
        let document = serde_json::from_str(&answer.stdout).unwrap_or_default();
        Self { status: answer.status, document, stderr: answer.stderr }
    }

    /// Kind and code of the reported error.
    pub(super) fn error(&self) -> (&str, &str) {
        let error = &self.document["error"];
        (error["kind"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
    }
}

impl Site {
    /// A place for this operation.
    pub(super) fn new(world: &World, operation: &Operation, layout: Layout) -> Self {
        let build = FaultBuild::get(world);
        let (disk, aside) = (Disk::new(world, operation.fs), own_dir(fast(world)));
        let mirror = operation.through_fuse.then(|| Mirror::of(world, &disk));
        let seen = mirror.as_ref().map_or(disk.dir(), Mirror::dir);
        let (store, out) = (seen.join("store"), seen.join("out"));
        let state = match layout {
            Layout::Together => disk.dir(),
            Layout::Apart => aside.path(),
        };
        let (home, state) = (aside.path().join("home"), state.join("state"));
        for dir in [&out, &home] {
            fs::create_dir(dir).unwrap();
        }
        let site = Self {
            build,
            contents: contents(&store),
            store,
            out,
            home,
            state,
            lacking: operation.lacking,
            _mirror: mirror,
            disk,
            _aside: aside,
        };
        site.configure(world, operation);
        site
    }

    fn configure(&self, world: &World, operation: &Operation) {
        let plugins: Vec<&Path> = [world.install.file_plugin.parent().unwrap(), &world.install.hello_dir]
            .into_iter()
            .chain(super::c_plugins::dir(world))
            .collect();
        let isolation = world.mode.line();
        // Of a kept download every image here is large enough for it.
        let (keep, resume_bytes) = if operation.keeping.is_some() { ("1h", "64KiB") } else { ("0s", "1GiB") };
        let text = format!(
            "state_dir = {:?}\nplugin_dirs = {plugins:?}\nstage_keep = {keep:?}\nroute = \"location-first\"\n\
             {isolation}\n\
             [limits]\nresume_bytes = {resume_bytes:?}\n\
             [handler.serve]\nroot = {:?}\n\
             [[store]]\nid = \"main\"\ntype = \"file\"\nroot = {:?}\n{}\n",
            self.state, self.store, self.store, operation.store
        );
        fs::write(self.home.join("landfall.toml"), text).unwrap();
        // The state that every case begins with, so that plugins are not scanned anew for each.
        self.prepare(&["handlers"]);
        fs::rename(&self.state, self.template()).unwrap();
    }

    /// Where the next command may write what it met.
    pub(super) fn trace(&self) -> PathBuf {
        self.home.join("trace")
    }

    /// The directory of all targets.
    pub(super) fn out_dir(&self) -> &Path {
        &self.out
    }

    fn template(&self) -> PathBuf {
        self.state.with_extension("template")
    }

    fn clear_state(&self) {
        if self.state.exists() {
            fs::remove_dir_all(&self.state).unwrap();
        }
    }

    /// Makes everything as it was in the beginning; `first_use` leaves out the state as well.
    pub(super) fn reset(&self, first_use: bool) {
        self.clear_state();
        if !first_use {
            fs::create_dir(&self.state).unwrap();
            for entry in fs::read_dir(self.template()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), self.state.join(entry.file_name())).unwrap();
            }
        }
        fs::remove_dir_all(&self.out).unwrap();
        fs::create_dir_all(self.out.join("sub")).unwrap();
    }

    /// A path among the targets.
    pub(super) fn out(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// What is kept of downloads: each one's data and its journal.
    pub(super) fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.out).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| is_kept(path.file_name().and_then(|name| name.to_str()).unwrap_or_default())).collect()
    }

    /// The arguments that place what a record names.
    pub(super) fn place(&self, record: &Path, more: &[&str]) -> Vec<String> {
        let disk = self.out("disk");
        let words = ["place", text(record), "--to", text(&disk)];
        words.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    }

    /// The record of an image with the bytes `name` at these locations.
    pub(super) fn record(&self, name: &str, urls: &[String]) -> PathBuf {
        let bytes = &self.contents[name];
        let digest: String = Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let record = json!({
            "id": "8bcd4b5a-6c5b-4c5f-9f3e-0e0d6c1a7a01",
            "status": "active",
            "disk_format": "raw",
            "container_format": "bare",
            "size": bytes.len(),
            "os_hash_algo": "sha512",
            "os_hash_value": digest,
            "locations": urls.iter().map(|url| json!({ "url": url, "metadata": {} })).collect::<Vec<_>>(),
        });
        let path = self.home.join(format!("{name}-{}.json", urls.len()));
        fs::write(&path, record.to_string()).unwrap();
        path
    }

    /// The record of a file of the store.
    pub(super) fn record_of(&self, name: &str) -> PathBuf {
        self.record(name, &[self.url(name)])
    }

    /// The location of a file of the store.
    pub(super) fn url(&self, name: &str) -> String {
        format!("file://{}", self.store.join(name).display())
    }

    /// Runs a command with these faults, before those of what lacks here.
    pub(super) fn run<A: AsRef<str>>(&self, words: &[A], faults: &str) -> Ended {
        self.run_traced(words, faults, None)
    }

    /// The same; each fault point that is met becomes a line of the file `trace`.
    pub(super) fn run_traced<A: AsRef<str>>(&self, words: &[A], faults: &str, trace: Option<&Path>) -> Ended {
        Ended::of(self.command(words, faults, trace).run())
    }

    /// The command, to be run.
    pub(super) fn command<A: AsRef<str>>(&self, words: &[A], faults: &str, trace: Option<&Path>) -> Landfall {
        let all: Vec<&str> = [faults, self.lacking].into_iter().filter(|part| !part.is_empty()).collect();
        let mut command = Landfall::new(&self.build.landfall)
            .args(words.iter().map(AsRef::as_ref))
            .arg("--json")
            .arg("--config")
            .arg(self.home.join("landfall.toml"))
            .env("LANDFALL_FAULTS", all.join(","));
        if let Some(trace) = trace {
            command = command.env("LANDFALL_FAULT_TRACE", trace);
        }
        command
    }

    /// Runs a command that prepares a case and must succeed.
    #[track_caller]
    pub(super) fn prepare<A: AsRef<str>>(&self, words: &[A]) {
        let ended = self.run(words, "");
        assert_eq!(ended.status, 0, "{ended:?}");
    }

    /// Runs a command that prepares a case and is killed at this point.
    #[track_caller]
    pub(super) fn prepare_killed<A: AsRef<str>>(&self, words: &[A], fault: &str) {
        let ended = self.run(words, fault);
        assert_eq!(ended.status, -9, "{fault}: {ended:?}");
    }
}

/// Whether a file of this name is kept of a download.
pub(super) fn is_kept(name: &str) -> bool {
    name.starts_with(".landfall-stage-")
}

/// A path of these tests as text.
pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of these tests are UTF-8")
}

fn contents(store: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let mut contents: BTreeMap<_, _> =
        [ONE, OTHER, SPOILT].map(|name| (name, fs::read(store.join(name)).unwrap())).into();
    let mut grown = contents[ONE].clone();
    grown.resize(GROWN, 0);
    contents.insert("grown", grown);
    contents.insert("text", TEXT.into());
    contents.insert(FOREIGN, b"nothing of ours".into());
    contents
}

/// Makes the store's files, and waits until their digests may be remembered.
pub(super) fn make_store(store: &Path) {
    let path = |name| store.join(name);
    fs::create_dir(store).unwrap();
    let kib = 1_u64 << 10;
    // Data at both sides of a hole, in more than one chunk of a copy, and a hole at the end.
    sparse_file(&path(ONE), 1024 * kib + 777, &[(0, 200 << 10), (640 * kib, 290 << 10)]);
    sparse_file(&path(OTHER), 300 * kib, &[(100 * kib, 200 << 10)]);
    let mut spoilt = fs::read(path(ONE)).unwrap();
    spoilt[700 << 10] ^= 1;
    fs::write(path(SPOILT), spoilt).unwrap();
    for name in [ONE, OTHER, SPOILT] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    rustix::fs::syncfs(fs::File::open(store).unwrap()).unwrap();
    for name in [ONE, OTHER, SPOILT] {
        clock::until_older(&path(name), 2100);
    }
}
