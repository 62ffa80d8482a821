//! Where an operation runs again and again, each time from the same beginning.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tempfile::TempDir;

use super::build::FaultBuild;
use crate::support::clock;
use crate::support::command::Landfall;
use crate::support::disk::sparse_file;
use crate::support::mounts::Fs;
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
/// The content of files that nobody placed.
pub(super) const FOREIGN: &str = "foreign";

/// The directories of a site.
pub(super) struct Ground {
    /// The root of the configured store. Its files stay as they are.
    pub(super) store: PathBuf,
    /// Beneath it are the targets.
    pub(super) out: PathBuf,
    /// Configuration and records.
    pub(super) home: PathBuf,
    /// The agent's state.
    pub(super) state: PathBuf,
}

/// A ground with images, records and configuration.
pub(super) struct Site {
    pub(super) ground: Ground,
    pub(super) build: &'static FaultBuild,
    /// What lacks here all the time, as faults.
    pub(super) lacking: &'static str,
    /// Bytes by name, for recognizing what a file holds.
    pub(super) contents: BTreeMap<&'static str, Vec<u8>>,
    /// Removes the directories that are this site's own.
    own: Vec<TempDir>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The exit status, or the negated signal.
    pub(super) status: i32,
    /// The document, where there is one.
    pub(super) document: Value,
    pub(super) stderr: String,
}

impl Ended {
    /// Kind and code of the reported error.
    pub(super) fn error(&self) -> (&str, &str) {
        let error = &self.document["error"];
        (error["kind"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
    }
}

impl Site {
    /// Store and targets on `fs`, with a store of its own where links to its files are to be made; the state where it is
    /// fastest, since it only has to survive the process here.
    pub(super) fn on(world: &World, fs: Fs, own_store: bool) -> Self {
        let of = |fs: Fs| world.mounts.dir(fs).unwrap_or_else(|reason| panic!("{}: {reason}", fs.name()));
        let fast = world.mounts.dir(Fs::Tmpfs).unwrap_or_else(|_| of(Fs::Temp));
        let own = [of(fs), fast].map(own_dir);
        let [here, aside] = own.each_ref().map(|dir| dir.path().to_owned());
        let store = if own_store { here.join("store") } else { of(fs).join("faults-store") };
        let ground = Ground { store, out: here.join("out"), home: aside.join("home"), state: aside.join("state") };
        Self::with(world, ground, own.into())
    }

    /// A site upon directories that need not be there yet. Files that are in the store already are taken for its images.
    pub(super) fn with(world: &World, ground: Ground, own: Vec<TempDir>) -> Self {
        let build = FaultBuild::get(world);
        make_store(&ground.store);
        for dir in [&ground.out, &ground.home] {
            fs::create_dir_all(dir).unwrap();
        }
        let mut contents: BTreeMap<_, _> =
            [ONE, OTHER, SPOILT].map(|name| (name, fs::read(ground.store.join(name)).unwrap())).into();
        let mut grown = contents[ONE].clone();
        grown.resize(GROWN, 0);
        contents.insert("grown", grown);
        contents.insert("text", TEXT.into());
        contents.insert(FOREIGN, b"nothing of ours".into());
        let site = Self { ground, build, lacking: "", contents, own };
        site.configure(world, "");
        site
    }

    /// Writes the configuration, with these further keys of the store.
    pub(super) fn configure(&self, world: &World, more: &str) {
        let plugins = [&world.install.file_plugin.parent().unwrap(), &world.install.hello_dir.as_path()]
            .map(|dir| format!("{dir:?}"))
            .into_iter()
            .chain(super::transfer::plugin_dir(world).map(|dir| format!("{dir:?}")))
            .collect::<Vec<_>>()
            .join(", ");
        let Ground { store, state, home, .. } = &self.ground;
        let text = format!(
            "state_dir = {state:?}\nplugin_dirs = [{plugins}]\nstage_keep = \"0s\"\n\n\
             [[store]]\nid = \"main\"\ntype = \"file\"\nroot = {store:?}\n{more}\n"
        );
        fs::write(home.join("landfall.toml"), text).unwrap();
        // The state that every case begins with, so that plugins are not scanned anew for each.
        self.clear_state();
        assert_eq!(self.run(&["handlers"], "").status, 0);
        let _ = fs::remove_dir_all(self.template());
        fs::rename(&self.ground.state, self.template()).unwrap();
    }

    fn template(&self) -> PathBuf {
        self.ground.state.with_extension("template")
    }

    fn clear_state(&self) {
        if self.ground.state.exists() {
            fs::remove_dir_all(&self.ground.state).unwrap();
        }
    }

    /// Makes everything as it was in the beginning; `first_use` leaves out the state as well.
    pub(super) fn reset(&self, first_use: bool) {
        self.clear_state();
        if !first_use {
            fs::create_dir(&self.ground.state).unwrap();
            for entry in fs::read_dir(self.template()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), self.ground.state.join(entry.file_name())).unwrap();
            }
        }
        fs::remove_dir_all(&self.ground.out).unwrap();
        fs::create_dir_all(self.ground.out.join("sub")).unwrap();
    }

    /// A path among the targets.
    pub(super) fn out(&self, name: &str) -> PathBuf {
        self.ground.out.join(name)
    }

    /// The arguments that place what a record names.
    pub(super) fn place(&self, record: &Path, more: &[&str]) -> Vec<String> {
        let words = ["place", text(record), "--to", text(&self.out("disk"))];
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
        let path = self.ground.home.join(format!("{name}-{}.json", urls.len()));
        fs::write(&path, record.to_string()).unwrap();
        path
    }

    /// The record of a file of the store.
    pub(super) fn record_of(&self, name: &str) -> PathBuf {
        self.record(name, &[self.url(name)])
    }

    /// The location of a file of the store.
    pub(super) fn url(&self, name: &str) -> String {
        format!("file://{}", self.ground.store.join(name).display())
    }

    /// Runs a command with these faults, before those of what lacks here.
    pub(super) fn run<A: AsRef<str>>(&self, words: &[A], faults: &str) -> Ended {
        self.run_traced(words, faults, None)
    }

    /// The same; each fault point that is met becomes a line of the file `trace`.
    pub(super) fn run_traced<A: AsRef<str>>(&self, words: &[A], faults: &str, trace: Option<&Path>) -> Ended {
        let answer = self.command(words, faults, trace).run();
        let document = serde_json::from_str(&answer.stdout).unwrap_or_default();
        Ended { status: answer.status, document, stderr: answer.stderr }
    }

    /// The command, to be run.
    pub(super) fn command<A: AsRef<str>>(&self, words: &[A], faults: &str, trace: Option<&Path>) -> Landfall {
        let all: Vec<&str> = [faults, self.lacking].into_iter().filter(|part| !part.is_empty()).collect();
        let mut command = Landfall::new(&self.build.landfall)
            .args(words.iter().map(AsRef::as_ref))
            .arg("--json")
            .arg("--config")
            .arg(self.ground.home.join("landfall.toml"))
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
        assert_eq!(ended.status, 0, "{ended:#?}");
    }

    /// Runs a command that prepares a case and is killed at this point.
    #[track_caller]
    pub(super) fn prepare_killed<A: AsRef<str>>(&self, words: &[A], fault: &str) {
        let ended = self.run(words, fault);
        assert_eq!(ended.status, -9, "{fault}: {ended:#?}");
    }

    /// Keeps a directory for as long as the site.
    pub(super) fn keep(&mut self, dir: TempDir) {
        self.own.push(dir);
    }
}

/// A path of these tests as text.
pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of these tests are UTF-8")
}

pub(super) fn own_dir(parent: &Path) -> TempDir {
    tempfile::Builder::new().prefix("faults-").tempdir_in(parent).expect("a temporary directory")
}

/// Makes the store's files, once, and waits until their digests may be remembered.
fn make_store(store: &Path) {
    // Sites share a store where they can, so that only the first has to wait.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = |name| store.join(name);
    if !path(SPOILT).exists() {
        fs::create_dir_all(store).unwrap();
        let kib = 1_u64 << 10;
        // Data at both sides of holes, in more than one chunk of a copy, and a hole at the end.
        sparse_file(&path(ONE), 1024 * kib + 777, &[(0, 200 << 10), (640 * kib, 290 << 10)]);
        sparse_file(&path(OTHER), 300 * kib, &[(100 * kib, 200 << 10)]);
        let mut spoilt = fs::read(path(ONE)).unwrap();
        spoilt[700 << 10] ^= 1;
        fs::write(path(SPOILT), spoilt).unwrap();
        for name in [ONE, OTHER, SPOILT] {
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        rustix::fs::syncfs(fs::File::open(store).unwrap()).unwrap();
    }
    for name in [ONE, OTHER, SPOILT] {
        clock::until_older(&path(name), 2100);
    }
}
