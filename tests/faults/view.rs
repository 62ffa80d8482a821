//! What stands among the targets, and what the ledger says of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use serde_json::Value;

use super::site::{DOCUMENT, ONE, Site};

/// A file among the targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of its bytes, exactly.
    pub(super) content: String,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Whether it is the store's own file.
    pub(super) linked: bool,
    /// Whether the ledger has this very inode here.
    pub(super) placed: bool,
}

impl Entry {
    /// A placed disk as it is when nobody asks for anything else.
    pub(super) fn placed(content: &str) -> Self {
        Self { content: content.to_owned(), mode: 0o600, owner: (0, 0), linked: false, placed: true }
    }
}

/// Whether it is the document of a placed directory, and speaks of the disk that is there.
fn is_document(name: &str, bytes: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    name.ends_with("disks.json") && document["disks"][0]["file"] == "disk-0.raw"
}

/// The files by name, without hidden ones.
pub(super) type View = BTreeMap<String, Entry>;

/// What is there after a command, by the disk and the ledger.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) view: View,
    /// Hidden names that were left.
    pub(super) hidden: Vec<String>,
}

impl Site {
    /// Lets the next command settle what is open, holds disk and ledger against each other, and gives what is there.
    pub(super) fn observe(&self) -> Result<Observed, String> {
        let ended = self.run(&["placements"], "");
        if ended.status != 0 {
            return Err(format!("placements fails: {ended:?}"));
        }
        let rows = ended.document["placements"].as_array().cloned().unwrap_or_default();
        let mut observed = Observed { view: View::new(), hidden: Vec::new() };
        self.look(self.out_dir(), "", &mut observed)?;
        for row in &rows {
            let path = Path::new(row["path"].as_str().unwrap_or_default());
            let wrong = |what: &str| Err(format!("the ledger's row {what}: {row:#}"));
            if row["state"] != "placed" {
                return wrong("is not settled");
            }
            if row["stands"] != true {
                return wrong("does not stand");
            }
            let name = path.strip_prefix(self.out_dir()).ok().and_then(Path::to_str).unwrap_or_default();
            let inode = path.symlink_metadata().map_err(|error| format!("{row:#}: {error}"))?.ino();
            if row["inode"] != inode {
                return wrong("names another inode");
            }
            let inside = format!("{name}/");
            let mut of_it: Vec<&mut Entry> = observed
                .view
                .iter_mut()
                .filter(|(found, entry)| (*found == name || found.starts_with(&inside)) && !entry.placed)
                .map(|(_, entry)| entry)
                .collect();
            if of_it.is_empty() {
                return wrong("is one too many");
            }
            of_it.iter_mut().for_each(|entry| entry.placed = true);
        }
        self.store_is_untouched(&observed)?;
        Ok(observed)
    }

    fn look(&self, dir: &Path, prefix: &str, observed: &mut Observed) -> Result<(), String> {
        for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
            let entry = entry.map_err(|error| error.to_string())?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            let meta = path.symlink_metadata().map_err(|error| format!("{name}: {error}"))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                observed.hidden.push(name);
            } else if meta.is_dir() {
                self.look(&path, &format!("{name}/"), observed)?;
            } else {
                let bytes = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
                let known = self.contents.iter().find(|(_, content)| **content == bytes).map(|(name, _)| *name);
                let Some(content) = known.or_else(|| is_document(&name, &bytes).then_some(DOCUMENT)) else {
                    return Err(format!("{name} has {} bytes that are no image's", bytes.len()));
                };
                observed.view.insert(
                    name,
                    Entry {
                        content: content.to_owned(),
                        mode: meta.mode() & 0o7777,
                        owner: (meta.uid(), meta.gid()),
                        linked: self.is_of_the_store(&meta),
                        placed: false,
                    },
                );
            }
        }
        Ok(())
    }

    fn is_of_the_store(&self, meta: &fs::Metadata) -> bool {
        let store = self.store.join(ONE).metadata().expect("the store's file is there");
        (store.dev(), store.ino()) == (meta.dev(), meta.ino())
    }

    /// The store's own file has its bytes, owner and mode, and no name that nobody knows of.
    fn store_is_untouched(&self, observed: &Observed) -> Result<(), String> {
        let path = self.store.join(ONE);
        let meta = path.metadata().map_err(|error| error.to_string())?;
        let links = 1 + observed.view.values().filter(|entry| entry.linked).count() as u64;
        if meta.nlink() != links {
            return Err(format!("the store's file has {} names, not {links}: {observed:?}", meta.nlink()));
        }
        if (meta.uid(), meta.gid(), meta.mode() & 0o7777) != (0, 0, 0o644) {
            return Err("the store's file has another owner or mode".to_owned());
        }
        if fs::read(&path).map_err(|error| error.to_string())? != self.contents[ONE] {
            return Err("the store's file has other bytes".to_owned());
        }
        Ok(())
    }

    /// Fails when a hidden file that was left still has an owner, and so would never be collected.
    pub(super) fn all_unowned(&self, hidden: &[String]) -> Result<(), String> {
        for name in hidden {
            let file = fs::File::open(self.out(name)).map_err(|error| format!("{name}: {error}"))?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|error| format!("{name} is locked: {error}"))?;
        }
        Ok(())
    }
}
