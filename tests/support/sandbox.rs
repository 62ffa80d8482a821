//! A place for one test: a store, a directory for targets, and the agent's configuration and state.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::answer::Answer;
use super::command::Landfall;
use super::mounts::Fs;
use super::record::record_of;
use super::world::World;

/// Everything that one test touches; gone when dropped.
pub(crate) struct Sandbox<'w> {
    pub(crate) world: &'w World,
    store: TempDir,
    out: TempDir,
    home: TempDir,
}

impl<'w> Sandbox<'w> {
    /// Store and targets on one file system.
    pub(crate) fn on(world: &'w World, fs: Fs) -> Self {
        Self::across(world, fs, fs)
    }

    /// The store on one file system, the targets on another.
    pub(crate) fn across(world: &'w World, store: Fs, out: Fs) -> Self {
        let dir = |fs: Fs, prefix: &str| {
            let parent = world.mounts.dir(fs).unwrap_or_else(|reason| panic!("{}: {reason}", fs.name()));
            tempfile::Builder::new()
                .prefix(prefix)
                .permissions(fs::Permissions::from_mode(0o755))
                .tempdir_in(parent)
                .expect("a temporary directory")
        };
        let sandbox = Self { world, store: dir(store, "store-"), out: dir(out, "out-"), home: dir(Fs::Temp, "home-") };
        sandbox.configure("", "");
        sandbox
    }

    /// Where the configured store `main` has its root.
    pub(crate) fn store(&self, name: &str) -> PathBuf {
        self.store.path().join(name)
    }

    /// Where targets go.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    pub(crate) fn store_dir(&self) -> &Path {
        self.store.path()
    }

    pub(crate) fn out_dir(&self) -> &Path {
        self.out.path()
    }

    /// Records, configuration and state.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes the configuration: these lines of the top level and these tables, over what every test wants (a state
    /// directory, a node name, where plugins run, the store `main`); what a test says itself is left to it.
    pub(crate) fn configure(&self, top: &str, tables: &str) {
        let mut text = format!("state_dir = {:?}\n", self.home("state"));
        if !top.contains("isolation =") {
            text += self.world.mode.line();
        }
        if !top.contains("node =") {
            text += "node = \"novahost1\"\n";
        }
        text += top;
        text += "\n";
        if !tables.contains("id = \"main\"") {
            text += &self.store_table("");
        }
        text += tables;
        fs::write(self.home("landfall.toml"), text).unwrap();
    }

    /// The table of the store `main`, with more keys.
    pub(crate) fn store_table(&self, more: &str) -> String {
        format!("[[store]]\nid = \"main\"\ntype = \"file\"\nroot = {:?}\n{more}\n", self.store.path())
    }

    /// Writes a record file outside of the store.
    pub(crate) fn record(&self, name: &str, record: &Value) -> PathBuf {
        let path = self.home(name);
        fs::write(&path, serde_json::to_vec_pretty(record).unwrap()).unwrap();
        path
    }

    /// Writes the record of an image that is this one file of the store.
    pub(crate) fn record_of_file(&self, file: &Path) -> PathBuf {
        let name = file.file_name().unwrap().to_string_lossy();
        self.record(&format!("{name}.json"), &record_of(file))
    }

    /// The binary, with this sandbox's configuration.
    pub(crate) fn landfall(&self, command: &str) -> Landfall {
        Landfall::new(&self.world.install.landfall).arg(command).arg("--config").arg(self.home("landfall.toml"))
    }

    /// `landfall place IMAGE --to OUT/NAME --json`, to be given more arguments.
    pub(crate) fn place(&self, image: impl AsRef<std::ffi::OsStr>, target: &str) -> Landfall {
        self.landfall("place").arg(image).arg("--to").arg(self.out(target)).json()
    }

    /// `landfall plan` of the same.
    pub(crate) fn plan(&self, image: impl AsRef<std::ffi::OsStr>, target: &str) -> Landfall {
        self.landfall("plan").arg(image).arg("--to").arg(self.out(target)).json()
    }

    /// Places a record that is given as a value.
    pub(crate) fn place_value(&self, record: &Value, target: &str) -> Answer {
        let path = self.record("image.json", record);
        self.place(path, target).run()
    }

    /// The paths of the ledger's placements, sorted.
    pub(crate) fn placements(&self) -> Vec<PathBuf> {
        let answer = self.landfall("placements").json().run();
        let document = answer.success();
        let list = document["placements"].as_array().unwrap_or_else(|| panic!("{document:#}"));
        let mut paths: Vec<PathBuf> =
            list.iter().map(|placement| placement["path"].as_str().expect("a path").into()).collect();
        paths.sort();
        paths
    }

    /// Lets the unprivileged user write targets and state.
    pub(crate) fn give_to_nobody(&self) {
        let nobody = Some(super::command::NOBODY);
        for dir in [self.out.path(), self.home.path()] {
            std::os::unix::fs::chown(dir, nobody, nobody).unwrap();
        }
    }

    /// Fails unless the directory of targets holds exactly these names, hidden ones included.
    #[track_caller]
    pub(crate) fn only(&self, names: &[&str]) {
        super::left_over::assert_only(self.out.path(), names);
    }
}
