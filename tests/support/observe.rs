//! What a command writes, wherever that is, and how much memory it takes: observe.c.
//!
//! The command can write to two file systems only, that of its targets and that of its state; the kernel refuses the
//! rest. In these two nothing goes unseen.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::answer::Answer;
use super::c_plugin::{Product, compile};
use super::command::Landfall;
use super::mounts::{Fs, OwnMount};
use super::needs::Need;
use super::sandbox::Sandbox;

/// What a test needs that observes.
pub(crate) const NEEDS: [Need; 4] = [Need::Fanotify, Need::Mount, Need::FileSystem(Fs::Ext4), Need::Program("cc")];

/// Room for the targets of a test, and for a state.
const TARGETS: u64 = 4 << 30;
const STATE: u64 = 64 << 20;

/// The two file systems of a sandbox: `out/fs`, and the state directory.
pub(crate) struct Observatory {
    // Before the sandbox is removed.
    _mounts: [OwnMount; 2],
    program: PathBuf,
    report: PathBuf,
    targets: PathBuf,
    state: PathBuf,
}

/// A file that a command wrote.
#[derive(Debug)]
pub(crate) struct WrittenFile {
    /// In its file system, as it was written; of one that had no name then, not more than that.
    pub(crate) path: String,
    device: u64,
    inode: u64,
    pub(crate) size: u64,
    /// Bytes that it takes.
    pub(crate) allocated: u64,
    /// None, if it was removed or never had a name.
    pub(crate) links: u64,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) files: Vec<WrittenFile>,
    /// How much more the file system of the targets had allocated at the end, files that were removed included.
    pub(crate) room: u64,
    /// The most that each process had resident.
    pub(crate) memory: Vec<u64>,
}

impl Observatory {
    pub(crate) fn new(sandbox: &Sandbox<'_>) -> Self {
        let (program, image) = (sandbox.home("observe"), sandbox.home("targets.img"));
        compile(sandbox.world, "tests/support/observe.c", &program, Product::Program, &[]);
        let (targets, state) = (sandbox.out("fs"), sandbox.home("state"));
        for dir in [&targets, &state] {
            fs::create_dir(dir).unwrap();
        }
        let mounts = [OwnMount::image(Fs::Ext4, &image, TARGETS, &targets), OwnMount::tmpfs(&state, STATE)];
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        Self { _mounts: mounts, program, report: sandbox.home("report"), targets, state }
    }

    /// Where targets go.
    pub(crate) fn targets(&self, name: &str) -> PathBuf {
        self.targets.join(name)
    }

    /// Runs a command to its end, and gives what it did.
    pub(crate) fn run(&self, command: Landfall) -> (Answer, Observed) {
        let words = [&self.program, &self.report, &self.targets, &self.state].map(|path| path.to_str().unwrap());
        let answer = command.under(&[&words[..], &["--"]].concat()).run();
        let text = fs::read_to_string(&self.report).unwrap_or_else(|error| panic!("{error}: {answer:#?}"));
        (answer, self.parse(&text))
    }

    fn parse(&self, report: &str) -> Observed {
        let mut seen = Observed { files: Vec::new(), room: 0, memory: Vec::new() };
        for line in report.lines() {
            let (kind, rest) = line.split_once(' ').unwrap();
            let words: Vec<&str> = rest.splitn(6, ' ').collect();
            match (kind, words.as_slice()) {
                ("file", [device, inode, size, allocated, links, path]) => seen.files.push(WrittenFile {
                    path: (*path).to_owned(),
                    device: device.parse().unwrap(),
                    inode: inode.parse().unwrap(),
                    size: size.parse().unwrap(),
                    allocated: allocated.parse().unwrap(),
                    links: links.parse().unwrap(),
                }),
                ("room", [directory, bytes]) if self.targets.to_str() == Some(directory) => {
                    // Less is allocated where something was removed.
                    seen.room = bytes.parse::<i64>().unwrap().max(0).unsigned_abs();
                }
                ("room", _) => {}
                ("memory", [_, bytes]) => seen.memory.push(bytes.parse().unwrap()),
                _ => panic!("not understood: {line}"),
            }
        }
        seen
    }
}

impl WrittenFile {
    /// Whether it is the file of this name.
    pub(crate) fn is(&self, file: &Path) -> bool {
        file.metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == (self.device, self.inode))
    }
}

impl Observed {
    /// No less than all processes together had at any time.
    pub(crate) fn peak(&self) -> u64 {
        self.memory.iter().sum()
    }
}
