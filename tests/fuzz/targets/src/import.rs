//! From stored bytes to a placed disk: the agent's whole way, with the handlers that releases have, in a folder of its
//! own.
//!
//! The first bytes choose what the record says of the rest. What two nodes make of it, one with a thread and one with
//! two, must be the same; what fails leaves nothing.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use landfall::fuzzing::{Importer, Linked};
use landfall_handler_api::{ErrorKind, ImageRecord, Location};
use landfall_handler_file::FileHandler;
use landfall_handler_filters::{Bzip2Handler, GzipHandler, XzHandler, ZstdHandler};
use landfall_handler_ova::OvaHandler;
use landfall_handler_vmdk::VmdkHandler;
use sha2::{Digest, Sha512};
use tempfile::TempDir;

use crate::knobs;
use crate::memory::DISK_BYTES;
use crate::verdict::{Verdict, same, verdict};

/// Disk format, container, and where nothing else is said, compression.
const FORMS: [(&str, &str, Option<&str>); 12] = [
    ("raw", "bare", None),
    ("vmdk", "bare", None),
    ("vmdk", "ova", None),
    ("raw", "compressed", None),
    ("raw", "bare", Some("zstd")),
    ("raw", "bare", Some("xz")),
    ("raw", "bare", Some("bzip2")),
    ("vmdk", "bare", Some("gzip")),
    ("vmdk", "ova", Some("gzip")),
    ("vmdk", "compressed", Some("zstd")),
    ("qcow2", "bare", None),
    ("iso", "bare", None),
];
/// Placements after which the nodes begin anew, with empty ledgers.
const PLACEMENTS: usize = 2000;

pub(crate) fn run(mut data: &[u8]) {
    let (form, knobs) = (knobs::byte(&mut data), knobs::byte(&mut data));
    let (disk_format, container_format, compression) = FORMS[usize::from(form) % FORMS.len()];
    let mut record = ImageRecord::default();
    record.disk_format = Some(disk_format.to_owned());
    record.container_format = Some(container_format.to_owned());
    record.compression = compression.map(str::to_owned);
    let digest = match knobs & 3 {
        0 => None,
        1 => Some(Sha512::digest(b"another image")),
        _ => Some(Sha512::digest(data)),
    };
    record.os_hash_algo = digest.map(|_| "sha512".to_owned());
    record.os_hash_value = digest.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect());
    record.size = (knobs & 4 != 0).then_some(data.len() as u64);
    let directory = knobs & 8 != 0;

    let [one, two] = Site::all(|site| site.place(&record, data, directory));
    same(&one, &two, "two threads");
    match one {
        Ok(files) => {
            assert_ne!(knobs & 3, 1, "the digest is another image's");
            let raw = (disk_format, container_format, compression) == ("raw", "bare", None);
            assert!(!raw || directory || files[0].1 == data, "a raw disk is not what was stored");
        }
        Err((kind, code)) => assert!(kind != ErrorKind::Io && kind != ErrorKind::NoSpace, "{code}"),
    }
}

/// A node and its folders.
struct Site {
    folder: TempDir,
    importer: Importer,
    placements: usize,
}

impl Site {
    /// What `work` gives with each of the two sites.
    fn all<T>(work: impl Fn(&mut Self) -> T) -> [T; 2] {
        thread_local!(static SITES: RefCell<[Option<Site>; 2]> = const { RefCell::new([None, None]) });
        SITES.with_borrow_mut(|sites| {
            let mut threads = 0;
            sites.each_mut().map(|slot| {
                threads += 1;
                let worn = slot.as_ref().is_some_and(|site| site.placements >= PLACEMENTS);
                if worn {
                    *slot = None;
                }
                work(slot.get_or_insert_with(|| Self::new(threads)))
            })
        })
    }

    fn new(threads: usize) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).expect("there is room for a folder");
            path
        };
        let (store, state) = (path("store"), path("state"));
        path("out");
        let config = format!(
            "state_dir = {state:?}\nnode = \"fuzzed\"\n[limits]\ndisk_bytes = {DISK_BYTES}\ndisks = 4\n\
             [[store]]\nid = \"main\"\ntype = \"file\"\nroot = {store:?}\n\
             [handler.vmdk]\nthreads = {threads}\n[handler.ova]\nthreads = {threads}\n\
             [handler.xz]\nthreads = {threads}\n",
        );
        let importer = Importer::new(&config, linked()).expect("the configuration is right");
        Self { folder, importer, placements: 0 }
    }

    /// The placed files, by their names.
    fn place(&mut self, record: &ImageRecord, stored: &[u8], directory: bool) -> Verdict<Vec<(PathBuf, Vec<u8>)>> {
        self.placements += 1;
        let source = self.folder.path().join("store/image");
        fs::write(&source, stored).expect("there is room for a file");
        let mut record = record.clone();
        record.locations = vec![Location::from_url(format!("file://{}", source.display()))];
        let out = self.folder.path().join("out");
        let placed = verdict(self.importer.place(&record, &out.join("disk"), directory));
        let names = names(&out);
        assert_eq!(fs::read(&source).ok().as_deref(), Some(stored), "the source was changed");
        if let Err(error) = placed {
            assert!(names.is_empty(), "{names:?} is left behind by {error:?}");
            return Err(error);
        }
        assert_eq!(names, [out.join("disk")]);
        Ok(taken(&out.join("disk")))
    }
}

fn linked() -> Vec<Linked> {
    let linked = [
        Linked::of::<FileHandler>(),
        Linked::of::<GzipHandler>(),
        Linked::of::<ZstdHandler>(),
        Linked::of::<XzHandler>(),
        Linked::of::<Bzip2Handler>(),
        Linked::of::<VmdkHandler>(),
        Linked::of::<OvaHandler>(),
    ];
    linked.map(|linked| linked.expect("its table is whole")).into()
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    names.sort();
    names
}

/// Reads and removes a disk, or all files of a directory.
fn taken(placed: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let is_directory = placed.is_dir();
    let files = if is_directory { names(placed) } else { vec![placed.to_owned()] };
    let read = |path: PathBuf| {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let bytes = fs::read(&path).expect("it was placed");
        assert!(bytes.len() as u64 <= DISK_BYTES, "{name:?} has {} bytes", bytes.len());
        (name, bytes)
    };
    let read = files.into_iter().map(read).collect();
    if is_directory { fs::remove_dir_all(placed) } else { fs::remove_file(placed) }.expect("it can be removed");
    read
}
