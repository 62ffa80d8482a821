//! Seeded valid images, held against what they were made of and against what `qemu-img convert` makes of them.
//!
//! A seed chooses the disk, its form, its container, its compression, and how it is reached. One that fails is named;
//! with `LANDFALL_SEED=N` it runs alone.

pub(crate) mod image;
pub(crate) mod recipe;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::answer::Answer;
use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::disk::{assert_coarse_holes, overwrite};
use crate::support::mode::Mode;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::nginx::{self, Nginx, Site};
use crate::support::sandbox::Sandbox;
use crate::support::world::{World, is_full};
use recipe::{Compression, Container, Form, Manifest, Recipe, Way};

/// Every program that makes an image.
pub(crate) const NEEDS: [Need; 7] = [
    Need::Program("cc"),
    Need::Program("qemu-img"),
    Need::Program("tar"),
    Need::Program("gzip"),
    Need::Program("zstd"),
    Need::Program("xz"),
    Need::Program("bzip2"),
];

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("differential::{name}"), run).on(Fs::Ext4).needs(&NEEDS);
    vec![
        case("seeds", seeds).needs(&nginx::NEEDS),
        case("every_shape_over_http", over_http).needs(&nginx::NEEDS),
        case("wrong_bytes_are_seen", wrong_bytes).mode_independent(),
        Case::new("differential::seeds_choose_everything", choices).mode_independent(),
    ]
}

/// Seeds of a run.
pub(crate) fn count(world: &World) -> u64 {
    world.rounds(24, 300) as u64
}

/// The seeds of a test: of both modes together they are all, and each is run in one of them.
fn chosen(world: &World) -> Vec<u64> {
    if let Ok(alone) = std::env::var("LANDFALL_SEED") {
        return vec![alone.parse().expect("LANDFALL_SEED is a number")];
    }
    let first = u64::from(world.mode == Mode::Worker);
    (first..count(world)).step_by(2).collect()
}

fn seeds(world: &World) {
    let bench = Bench::new(world);
    let chosen = chosen(world);
    for &seed in &chosen {
        let recipe = Recipe::of(seed);
        let naming = Naming(&recipe);
        let disk = image::disk(&recipe);
        let image = image::make(&recipe, &disk, bench.sandbox.store_dir(), "image");
        let referee = image::read_by_qemu(&recipe, &image.inner);
        let placed = bench.place(&recipe, &image.stored);
        for (what, bytes) in [("qemu-img", &referee), ("landfall", &placed)] {
            assert_eq!(fault(&disk, bytes), None, "what {what} makes of it");
        }
        bench.clean();
        drop(naming);
    }
    eprintln!("{} seeds: {} to {}", chosen.len(), chosen[0], chosen[chosen.len() - 1]);
}

/// Every subformat, container and compression, from a server: exact, or refused where it is not all in one file or
/// archive.
fn over_http(world: &World) {
    let bench = Bench::new(world);
    let shapes = recipe::shapes(is_full());
    assert_eq!(shapes.len(), if is_full() { 85 } else { 44 });
    let disk = image::disk(&shapes[0]);
    for shape in &shapes {
        let image = image::make(shape, &disk, bench.sandbox.store_dir(), "image");
        let placed = bench.place(&Recipe { way: Way::Http, ..shape.clone() }, &image.stored);
        assert_eq!(fault(&disk, &placed), None, "{shape:?}");
        bench.clean();
    }
    for subformat in recipe::IN_SEVERAL_FILES {
        let form = Form::Vmdk { options: format!("subformat={subformat}"), sparse: "64k" };
        let shape = Recipe { form, way: Way::Http, ..shapes[0].clone() };
        let stored = image::make(&shape, &disk, bench.sandbox.store_dir(), "image").stored;
        bench.try_place(&shape, &stored).failure("unsupported", "vmdk-other-files", "handler");
        bench.sandbox.only(&[]);
        bench.clean();
    }
}

/// Names the seed of a test that fails.
struct Naming<'r>(&'r Recipe);

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("LANDFALL_SEED={} runs it alone: {:?}", self.0.seed, self.0);
        }
    }
}

/// How bytes differ from those that they should be.
fn fault(expected: &[u8], found: &[u8]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{} bytes, not {}", found.len(), expected.len()));
    }
    if expected == found {
        return None;
    }
    let at = expected.iter().zip(found).position(|(expected, found)| expected != found).unwrap();
    Some(format!("the byte at {at} is {}, not {}", found[at], expected[at]))
}

/// A node, a store, and a server.
struct Bench<'w> {
    sandbox: Sandbox<'w>,
    plugins: PluginDir,
    server: Nginx,
}

impl<'w> Bench<'w> {
    fn new(world: &'w World) -> Self {
        let sandbox = Sandbox::on(world, Fs::Ext4);
        let plugins = PluginDir::new(&sandbox, "plugins");
        plugins.add(world, "serve.so", "tests/plugins/serve.c", &[]);
        let server = Nginx::start(&sandbox, "server", Site::new());
        Self { sandbox, plugins, server }
    }

    fn configure(&self, recipe: &Recipe) {
        let manifest = match recipe.container {
            Container::Bare => "enforce",
            Container::Ova { setting, .. } => setting,
        };
        let (root, threads) = (self.sandbox.store_dir(), recipe.threads);
        let tables = format!(
            "[handler.serve]\nroot = {root:?}\n[handler.http]\nallow_addresses = [\"loopback\"]\n\
             [handler.vmdk]\nthreads = {threads}\n[handler.ova]\nthreads = {threads}\nmanifest = {manifest:?}\n"
        );
        self.sandbox.configure(&self.plugins.line(), &tables);
    }

    /// Places the image, in the way that the recipe says.
    fn try_place(&self, recipe: &Recipe, stored: &Path) -> Answer {
        self.configure(recipe);
        let mut record = image::record(recipe, stored);
        let name = stored.file_name().unwrap().to_str().unwrap();
        match recipe.way {
            Way::File => {}
            Way::Stream => record["locations"] = json!([{ "url": format!("serve://node/{name}") }]),
            Way::Http => {
                fs::copy(stored, self.server.file(name)).unwrap();
                record["locations"] = json!([{ "url": self.server.url(&format!("/{name}")) }]);
            }
        }
        self.sandbox.place_value(&record, "disk")
    }

    /// Places the image; gives the disk.
    fn place(&self, recipe: &Recipe, stored: &Path) -> Vec<u8> {
        image::assert_steps(recipe, &self.try_place(recipe, stored));
        let target = self.sandbox.out("disk");
        assert_coarse_holes(&target);
        self.sandbox.only(&["disk"]);
        let bytes = fs::read(&target).unwrap();
        fs::remove_file(target).unwrap();
        bytes
    }

    /// Takes away everything that was made.
    fn clean(&self) {
        for dir in [self.sandbox.store_dir(), self.server.file("").as_path()] {
            for entry in fs::read_dir(dir).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
    }
}

/// One byte that is wrong is seen, wherever it comes from: the disk that was placed, the image, the referee.
fn wrong_bytes(world: &World) {
    let bench = Bench::new(world);
    let compressed =
        |recipe: &Recipe| matches!(&recipe.form, Form::Vmdk { options, .. } if options.contains("Optimized"));
    let has_data = |recipe: &Recipe| recipe.pieces.iter().any(|piece| piece.len > 1000);
    let recipe = (0..).map(Recipe::of).find(|recipe| compressed(recipe) && has_data(recipe)).unwrap();
    let disk = image::disk(&recipe);
    let dir = bench.sandbox.store_dir().to_owned();
    let image = image::make(&recipe, &disk, &dir, "image");
    let placed = bench.place(&recipe, &image.stored);
    assert_eq!(fault(&disk, &placed), None);

    let at = usize::try_from(recipe.pieces.iter().find(|piece| piece.len > 1000).unwrap().offset).unwrap() + 700;
    let is_seen = |bytes: &[u8]| {
        let seen = fault(&disk, bytes);
        assert!(seen.as_ref().is_some_and(|seen| seen.starts_with(&format!("the byte at {at} is "))), "{seen:?}");
    };
    let file = bench.sandbox.home("placed");
    fs::write(&file, &placed).unwrap();
    overwrite(&file, at as u64, &[!placed[at]]);
    is_seen(&fs::read(&file).unwrap());

    // An image in which all is right but this byte.
    let mut other = disk.clone();
    other[at] = !other[at];
    let image = image::make(&recipe, &other, &dir, "other");
    is_seen(&image::read_by_qemu(&recipe, &image.inner));
    is_seen(&bench.place(&recipe, &image.stored));
    assert_eq!(fault(&disk, &disk[1..]), Some(format!("{} bytes, not {}", disk.len() - 1, disk.len())));
}

/// The seeds of every run choose each thing that there is; those of a long one most that go together.
fn choices(_: &World) {
    let recipes = |count: u64| (0..count).map(Recipe::of);
    for recipe in recipes(300) {
        assert_eq!(format!("{recipe:?}"), format!("{:?}", Recipe::of(recipe.seed)));
    }
    let few: Vec<Recipe> = recipes(24).collect();
    let subformat = |recipe: &Recipe| match &recipe.form {
        Form::Raw => "raw",
        Form::Vmdk { options, .. } => {
            recipe::SUBFORMATS.into_iter().find(|subformat| options.contains(subformat)).unwrap()
        }
    };
    let compression = |recipe: &Recipe| recipe.compression.map_or("none", |its| its.name);
    let container = |recipe: &Recipe| match recipe.container {
        Container::Bare => "bare",
        Container::Ova { .. } => "ova",
    };
    assert_eq!(distinct(&few, subformat), 3);
    assert_eq!(distinct(&few, compression), 5);
    assert_eq!(distinct(&few, container), 2);
    assert_eq!(distinct(&few, |recipe| recipe.way), recipe::WAYS.len());
    assert_eq!(distinct(&few, |recipe| recipe.threads), recipe::THREADS.len());

    let many: Vec<Recipe> = recipes(300).collect();
    let made: BTreeSet<Option<Compression>> = many.iter().map(|recipe| recipe.compression).collect();
    assert_eq!(made.len(), recipe::COMPRESSIONS.len() + 1);
    assert_eq!(distinct(&many, |recipe| (subformat(recipe), container(recipe), compression(recipe))), 3 * 2 * 5);
    assert_eq!(distinct(&many, |recipe| (subformat(recipe), recipe.way, recipe.threads)), 3 * 3 * 3);
    let archives = many.iter().filter_map(|recipe| match recipe.container {
        Container::Bare => None,
        Container::Ova { manifest, algorithm, format, descriptor_last, .. } => {
            Some((manifest, algorithm, format, descriptor_last))
        }
    });
    let archives: Vec<_> = archives.collect();
    assert_eq!(distinct(&archives, |its| (its.0, its.3)), 4 * 2);
    assert_eq!(distinct(&archives, |its| (its.0 == Manifest::Last, its.1)), 2 * 3);
    assert_eq!(distinct(&archives, |its| its.2), recipe::TAR_FORMATS.len());
    let shaped = &recipe::shapes(false)[0];
    assert_eq!(distinct(&shaped.pieces, |piece| piece.filling), 4);
    assert!(!shaped.sectors.is_multiple_of(128));
    assert!(
        many.iter().any(|recipe| !recipe.sectors.is_multiple_of(128)) && many.iter().any(|recipe| recipe.sectors == 1)
    );
}

fn distinct<T, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> usize {
    list.iter().map(key).collect::<BTreeSet<K>>().len()
}
