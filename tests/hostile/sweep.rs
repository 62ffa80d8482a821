//! Places the images of a class, in many ways, and says what was not as it must be.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::CLASSES;
use super::corpus::{Corpus, Hostile, Image};
use super::meter::Cost;
use super::watch::Watch;
use crate::support::answer::{Answer, status_of};
use crate::support::left_over::{assert_only, names};
use crate::support::mode::Mode;
use crate::support::mounts::Fs;
use crate::support::record::sha512;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// How the stored bytes are reached: as a file of a store, or through a source without a descriptor.
const WAYS: [&str; 2] = ["file", "stream"];
const THREADS: [usize; 3] = [1, 2, 8];
/// In every run each case goes one way, with these threads.
const USUAL_THREADS: usize = 2;
/// In workers only every so manieth case, unless the full counts are asked for.
const IN_WORKERS: usize = 4;

/// One way to place an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    bytes: &'static str,
    threads: usize,
}

impl Way {
    /// All of them: of what nobody takes apart by threads, with one number of them.
    fn all(image: &Image) -> Vec<Self> {
        let threads = if takes_threads(image) { &THREADS[..] } else { &[USUAL_THREADS] };
        WAYS.into_iter()
            .flat_map(|bytes| threads.iter().map(move |threads| Self { bytes, threads: *threads }))
            .collect()
    }

    /// Those of an every-day run, for the case of this number in its class.
    fn usual(number: usize, mode: Mode) -> Vec<Self> {
        if mode == Mode::Worker && !number.is_multiple_of(IN_WORKERS) {
            return Vec::new();
        }
        vec![Self { bytes: WAYS[(number + number / IN_WORKERS) % WAYS.len()], threads: USUAL_THREADS }]
    }
}

fn takes_threads(image: &Image) -> bool {
    let is = |key: &str, word: &str| image.record[key] == word;
    !image.as_is && (is("disk_format", "vmdk") || is("container_format", "ova") || is("compression", "xz"))
}

/// Where images are placed.
pub(super) struct Site<'w> {
    corpus: &'static Corpus,
    sandbox: Sandbox<'w>,
}

impl<'w> Site<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self { corpus: Corpus::of(world), sandbox: Sandbox::on(world, Fs::Ext4) }
    }

    pub(super) fn home(&self, name: &str) -> PathBuf {
        self.sandbox.home(name)
    }

    /// Places an image; gives the answer and what that cost.
    pub(super) fn place(&self, image: &Image, way: Way) -> (Answer, Cost) {
        let images = self.corpus.images();
        let mut tables = format!("[[store]]\nid = \"main\"\ntype = \"file\"\nroot = {images:?}\n");
        for handler in ["serve", "vmdk", "ova", "xz", "zstd"] {
            writeln!(tables, "[handler.{handler}]").unwrap();
            match handler {
                "serve" => writeln!(tables, "root = {images:?}").unwrap(),
                "zstd" => {}
                _ => writeln!(tables, "threads = {}", way.threads).unwrap(),
            }
            for (_, line) in image.handlers.iter().filter(|(name, _)| name == handler) {
                writeln!(tables, "{line}").unwrap();
            }
        }
        writeln!(tables, "[limits]\n{}", image.limits.join("\n")).unwrap();
        self.sandbox.configure(&format!("plugin_dirs = [{:?}]\n", self.corpus.dir.join("plugins")), &tables);

        let mut record = image.record.clone();
        let url = match way.bytes {
            "file" => format!("file://{}", image.file.display()),
            _ => format!("serve://node/{}", image.file.file_name().unwrap().to_string_lossy()),
        };
        record["locations"] = json!([{ "url": url }]);
        let record = self.sandbox.record("image.json", &record);
        let (meter, cost) = (self.corpus.dir.join("meter"), self.sandbox.home("cost"));
        let to = if image.directory { "--to-dir" } else { "--to" };
        let mut command = self.sandbox.landfall("place").arg(record).arg(to).arg(self.sandbox.out("disk")).json();
        if image.as_is {
            command = command.args(["--format", "as-is"]);
        }
        let answer = command.under(&[meter.to_str().unwrap(), cost.to_str().unwrap()]).run();
        (answer, Cost::read(&cost))
    }

    /// What is wrong with how a hostile image was refused, if anything is.
    pub(super) fn refused(&self, case: &Hostile, way: Way) -> Option<String> {
        let (answer, cost) = self.place(&case.image, way);
        let document = answer.document();
        let error = &document["error"];
        let found = ["kind", "code", "scope"].map(|key| error[key].as_str().unwrap_or("none"));
        let left = names(self.sandbox.out_dir());
        let wrong = if answer.status == 0 {
            "it was placed".to_owned()
        } else if found != case.error.each_ref().map(String::as_str) {
            format!("it ended in {found:?}, not {:?}: {}", case.error, error["message"])
        } else if answer.status != status_of(&case.error[0]) || document["targets"] != json!([]) {
            format!("the answer contradicts itself: {answer:?}")
        } else if error["message"].as_str().is_none_or(str::is_empty) {
            "nothing is said of the error".to_owned()
        } else if !left.is_empty() {
            format!("{left:?} are left")
        } else if !cost.is_bounded() {
            format!("it cost {cost:?}")
        } else {
            return None;
        };
        self.clear();
        Some(format!("{} {way:?}: {wrong}", case.image.name))
    }

    /// What is wrong with how a legal image was placed, if anything is.
    pub(super) fn placed(&self, image: &Image, way: Way) -> Option<String> {
        let (answer, _) = self.place(image, way);
        let disk = self.sandbox.out("disk");
        let disks = if image.directory && disk.is_dir() {
            (0..image.disks.len()).map(|number| disk.join(format!("disk-{number}.raw"))).collect()
        } else {
            vec![disk]
        };
        let found: Vec<(u64, String)> = disks.iter().filter_map(|disk| known(disk)).collect();
        let wrong = if answer.status != 0 {
            format!("it was refused: {}", answer.document()["error"])
        } else if found != image.disks {
            "it is another disk".to_owned()
        } else {
            self.clear();
            return None;
        };
        self.clear();
        Some(format!("the legal {} {way:?}: {wrong}", image.name))
    }

    fn clear(&self) {
        for name in names(self.sandbox.out_dir()) {
            let path = self.sandbox.out(&name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
}

fn known(disk: &Path) -> Option<(u64, String)> {
    Some((disk.metadata().ok()?.len(), sha512(disk)))
}

/// Every case of the class and every legal image beside one of them.
pub(super) fn class(world: &World, class: &str) {
    let site = Site::new(world);
    let corpus = site.corpus;
    let cases: Vec<&Hostile> = corpus.cases.iter().filter(|case| case.class == class).collect();
    let expected = CLASSES.iter().find(|(name, _)| *name == class).unwrap().1;
    assert_eq!(cases.len(), expected, "cases of {class}");

    let mut watch = Watch::new().unchanged(&corpus.images());
    for canary in corpus.canaries() {
        watch = watch.untouched(&canary);
    }
    let full = world.rounds(0, 1) == 1;
    let mut wrongs = Vec::new();
    let mut controls: Vec<&str> = cases.iter().map(|case| case.control.as_str()).collect();
    controls.sort_unstable();
    controls.dedup();
    for (number, name) in controls.into_iter().enumerate() {
        let image = corpus.control(name);
        let ways = if full { Way::all(image) } else { Way::usual(number * IN_WORKERS, world.mode) };
        wrongs.extend(ways.into_iter().filter_map(|way| site.placed(image, way)));
    }
    let mut tried = 0;
    for (number, case) in cases.into_iter().enumerate() {
        let ways = if full || case.first { Way::all(&case.image) } else { Way::usual(number, world.mode) };
        tried += usize::from(!ways.is_empty());
        wrongs.extend(ways.into_iter().filter_map(|way| site.refused(case, way)));
        wrongs.extend(watch.events().into_iter().map(|event| format!("{}: {event}", case.image.name)));
    }
    let due = if full || world.mode == Mode::Inline { expected } else { expected.div_ceil(IN_WORKERS) };
    assert!(tried >= due, "{tried} of {expected} cases were tried");
    if let Some(came) = visitor(corpus) {
        wrongs.push(came);
    }
    assert_only(&site.home(""), &["cost", "image.json", "landfall.toml", "state"]);
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    // The watch was awake to the end.
    let watch = watch.untouched(&site.home("cost"));
    fs::write(site.home("cost"), "").unwrap();
    assert!(!watch.events().is_empty(), "the watch saw nothing of what was written");
}

/// Whether somebody came to the port that images name.
pub(super) fn visitor(corpus: &Corpus) -> Option<String> {
    match corpus.port.accept() {
        Ok((_, from)) => Some(format!("{from} came to the port that images name")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("accept: {error}"),
    }
}

/// The plainest way to an image.
pub(super) fn plainly() -> Way {
    Way { bytes: WAYS[0], threads: USUAL_THREADS }
}
