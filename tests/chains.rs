//! Sources and unpackers in the agent and in workers, in every combination: the same bytes, digests and errors.
//!
//! Three ways lead to the stage: straight, through an unpacker that reads front to back, and through one that reads
//! anywhere and so gets the bytes spooled. Each is gone with a source that streams and with one that has a descriptor.

use std::fs;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::disk::{GRAIN, allocated, assert_coarse_holes, data_pieces};
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::{Content, CountFile, Flaw, Layout, record, sha256_of, shuffled};
use crate::support::world::World;

/// The disk: every fourth block is zeros, and the last block is a short one.
const DISK: Content = Content::new((2 << 20) + 12345, 7).with_zeros(4);
const BLOCK: usize = 64 << 10;
const LAYOUTS: [Layout; 2] = [Layout::Streamed, Layout::Ranged];

type Test = fn(&Bench<'_>);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("chains::the_generator_and_the_plugin_agree", generator).needs(&[Need::Program("cc")]),
        Case::new("chains::forms_that_only_a_plugin_knows", own_names).on(Fs::Tmpfs).needs(&[Need::Program("cc")]),
    ];
    for source in ["inline", "worker"] {
        for unpacker in ["inline", "worker"] {
            let tests: [(&str, Test); 6] = [
                ("bytes", bytes),
                ("odd_sources", odd_sources),
                ("errors", errors),
                ("others_go_on", others_go_on),
                ("flaws", flaws),
                ("spools", spools),
            ];
            for (name, test) in tests {
                let name = format!("chains::{name}_{source}_{unpacker}");
                let run = move |world: &World| test(&Bench::new(world, source, unpacker));
                cases.push(Case::new(name, run).on(Fs::Tmpfs).needs(&[Need::Program("cc")]));
            }
        }
    }
    // Each says itself where its plugins run.
    cases.into_iter().map(Case::mode_independent).collect()
}

/// A sandbox with all four plugins, whose sources and unpackers run where the test wants them.
struct Bench<'w> {
    sandbox: Sandbox<'w>,
    dir: PluginDir,
    counts: CountFile,
    isolation: [&'static str; 2],
}

impl<'w> Bench<'w> {
    fn new(world: &'w World, source: &'static str, unpacker: &'static str) -> Self {
        let sandbox = Sandbox::on(world, Fs::Tmpfs);
        let dir = PluginDir::new(&sandbox, "plugins");
        dir.add(world, "seeded.so", "tests/plugins/seeded.c", &[]);
        dir.add(world, "serve.so", "tests/plugins/serve.c", &[]);
        dir.add(world, "shuffle.so", "tests/plugins/shuffle.c", &[]);
        dir.add(world, "shuffle-ranged.so", "tests/plugins/shuffle.c", &["RANGED"]);
        let counts = CountFile(sandbox.home("counts"));
        fs::write(&counts.0, "").unwrap();
        let bench = Self { sandbox, dir, counts, isolation: [source, unpacker] };
        bench.configure("");
        bench
    }

    fn configure(&self, limits: &str) {
        let [source, unpacker] = self.isolation;
        let (counts, store) = (&self.counts.0, self.sandbox.store_dir());
        let tables = format!(
            "[handler.file]\nisolation = {source:?}\n\
             [handler.seeded]\nisolation = {source:?}\ncount_file = {counts:?}\n\
             [handler.serve]\nisolation = {source:?}\ncount_file = {counts:?}\nroot = {store:?}\n\
             [handler.shuffle]\nisolation = {unpacker:?}\n\
             [handler.shuffle-ranged]\nisolation = {unpacker:?}\n\
             {}[limits]\n{limits}\n",
            self.sandbox.store_table("verify = \"always\"")
        );
        self.sandbox.configure(&format!("{}route = \"location-first\"\n", self.dir.line()), &tables);
    }

    /// Stores these bytes and gives their true record, to be placed from `serve`.
    fn stored(&self, name: &str, format: &str, bytes: &[u8]) -> Value {
        fs::write(self.sandbox.store(name), bytes).unwrap();
        record(format, bytes.len() as u64, &sha256_of(bytes), &[serve(name, "")])
    }

    fn image(&self, layout: Layout, flaw: Flaw) -> Value {
        let bytes = shuffled(&DISK.bytes(), BLOCK, layout, flaw);
        self.stored(&format!("{}-{flaw:?}", layout.format()), layout.format(), &bytes)
    }

    /// All ways to the stage: a name, the record, and the handlers after the source.
    fn ways(&self) -> Vec<(&'static str, Value, Vec<&'static str>)> {
        let mut ways = vec![("straight", self.stored("raw", "raw", &DISK.bytes()), Vec::new())];
        for layout in LAYOUTS {
            ways.push((layout.format(), self.image(layout, Flaw::None), vec![layout.unpacker()]));
        }
        ways
    }

    fn place(&self, record: &Value) -> Answer {
        let answer = self.sandbox.place_value(record, "disk");
        if answer.status != 0 {
            // Neither a target nor a scratch file.
            self.sandbox.only(&[]);
        }
        answer
    }

    /// Places it and checks everything that is said of it; removes it.
    #[track_caller]
    fn placed(&self, record: &Value, source: &str, unpackers: &[&str], methods: &[&str]) {
        let answer = self.place(record);
        let document = answer.success();
        assert!(methods.iter().any(|method| document["method"] == *method), "{methods:?}: {answer:#?}");
        assert_eq!(document["verified"], "computed", "{answer:#?}");
        assert_eq!(document["handler"], source, "{answer:#?}");
        let digest = format!("sha256:{}", record["os_hash_value"].as_str().unwrap());
        assert_eq!(document["digest"], json!(digest), "{answer:#?}");
        let handlers: Vec<&str> = std::iter::once(source).chain(unpackers.iter().copied()).collect();
        let attempts = document["attempts"].as_array().unwrap();
        assert_eq!((attempts.len(), &attempts[0]["handlers"]), (1, &json!(handlers)), "{answer:#?}");
        let disk = self.sandbox.out("disk");
        DISK.assert_at(&disk);
        // A scratch file is gone, and what was zeros takes no space.
        self.sandbox.only(&["disk"]);
        assert_zeros_are_holes(&disk);
        self.sandbox.landfall("remove").arg(&disk).json().run().success();
    }
}

fn serve(name: &str, options: &str) -> String {
    let mark = if options.is_empty() { "" } else { "?" };
    format!("serve://{}/{name}{mark}{options}", if options.is_empty() { "plain" } else { "odd" })
}

/// The same record with other locations.
fn at(record: &Value, urls: &[String]) -> Value {
    let mut record = record.clone();
    record["locations"] = urls.iter().map(|url| json!({ "url": url, "metadata": {} })).collect();
    record
}

/// The same record with the location's file asked for with options.
fn with(record: &Value, options: &str) -> Value {
    let url = record["locations"][0]["url"].as_str().unwrap();
    at(record, &[serve(url.rsplit('/').next().unwrap(), options)])
}

fn size_of(record: &Value) -> u64 {
    record["size"].as_u64().unwrap()
}

/// An offset on no boundary, and not among the zeros of a raw disk: what is interrupted there is written.
fn middle_of(size: u64) -> u64 {
    (size / 2 / (4 * GRAIN) * 4 + 1) * GRAIN + 777
}

fn assert_zeros_are_holes(file: &std::path::Path) {
    // The last bytes are fewer than a hole takes.
    let grains = DISK.size / GRAIN;
    let zeros = (0..grains).filter(|grain| grain % 4 == 0);
    for (start, len) in data_pieces(file) {
        let within = |grain: u64| start < (grain + 1) * GRAIN && grain * GRAIN < start + len;
        assert!(!zeros.clone().any(within), "data at {start}, {len} bytes, where zeros are");
    }
    assert!(allocated(file) <= (grains + 1 - grains.div_ceil(4)) * GRAIN);
    assert_coarse_holes(file);
}

/// Without this, a wrong generator could agree with itself only; and the comparison must be able to say no.
fn generator(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let seeded = crate::support::seeded::Seeded::new(&sandbox);
    seeded.configure("inline", "", "");
    for (content, name) in [(DISK, "zeros"), (Content::new(300_001, u64::MAX - 3), "odd")] {
        sandbox.place_value(&content.record(&[content.url(name, "")]), name).success();
        assert_eq!(fs::read(sandbox.out(name)).unwrap(), content.bytes());
        content.assert_at(&sandbox.out(name));
        for offset in [0, 65536, content.size - 1] {
            let planted = sandbox.home("planted");
            let mut bytes = content.bytes();
            bytes[usize::try_from(offset).unwrap()] ^= 1;
            fs::write(&planted, &bytes).unwrap();
            let fault = content.fault_of(&planted).expect("a planted byte is found");
            assert!(fault.contains(&format!("the byte at {offset} is")), "{fault}");
            bytes.pop();
            fs::write(&planted, &bytes).unwrap();
            assert!(content.fault_of(&planted).is_some(), "a missing byte is found");
        }
    }
}

fn bytes(bench: &Bench<'_>) {
    for (_, record, unpackers) in bench.ways() {
        let method = if unpackers.is_empty() { "stream" } else { "unpack" };
        let mark = bench.counts.mark();
        bench.placed(&record, "serve", &unpackers, &[method]);
        let served = bench.counts.since(mark);
        assert_eq!((served.opens(), served.bytes(), served.again()), (1, size_of(&record), 0));

        let name = record["locations"][0]["url"].as_str().unwrap().rsplit('/').next().unwrap();
        let file = at(&record, &[format!("file://{}", bench.sandbox.store(name).display())]);
        let methods = if unpackers.is_empty() { &["reflink", "copy"][..] } else { &["unpack"] };
        bench.placed(&file, "file", &unpackers, methods);
    }
    // As it is stored, whatever could be made of it.
    for layout in LAYOUTS {
        let record = bench.image(layout, Flaw::None);
        let path = bench.sandbox.record("image.json", &record);
        let answer = bench.sandbox.place(path, "stored").args(["--format", "as-is"]).run();
        assert_eq!(answer.success()["method"], "stream", "{answer:#?}");
        let stored = fs::read(bench.sandbox.out("stored")).unwrap();
        assert!(stored == shuffled(&DISK.bytes(), BLOCK, layout, Flaw::None));
        fs::remove_file(bench.sandbox.out("stored")).unwrap();
    }
}

/// Sources that do not know their size, cannot be read anywhere, fail or hang for a while, or have a descriptor.
fn odd_sources(bench: &Bench<'_>) {
    bench.configure("stall = \"1s\"");
    for (_, record, unpackers) in bench.ways() {
        let method = if unpackers.is_empty() { "stream" } else { "unpack" };
        let size = size_of(&record);
        let middle = middle_of(size);
        // What is said, and how many bytes are asked for again: a source that begins at its start gives all of them.
        let table = [
            ("sized=0".to_owned(), 0),
            ("ranged=0".to_owned(), 0),
            ("sized=0&ranged=0".to_owned(), 0),
            (format!("fail-at={middle}&fail-times=1"), 0),
            (format!("fail-at={middle}&fail-times=1&sized=0"), 0),
            (format!("fail-at={middle}&fail-times=2&ranged=0"), 2 * middle),
            (format!("fail-at={middle}&fail-times=1&fail=io"), 0),
            ("fail-at=0&fail-times=1".to_owned(), 0),
        ];
        for (options, again) in table {
            let mark = bench.counts.mark();
            bench.placed(&with(&record, &options), "serve", &unpackers, &[method]);
            let served = bench.counts.since(mark);
            assert_eq!((served.opens(), served.bytes(), served.again()), (1, size + again, again), "{options}");
        }
        // What was on its way when it hung comes again: no more than the ring between worker and agent holds.
        let mark = bench.counts.mark();
        bench.placed(&with(&record, &format!("stall-at={middle}&stall-times=1")), "serve", &unpackers, &[method]);
        let served = bench.counts.since(mark);
        let on_the_way = if bench.isolation[0] == "inline" { 0 } else { 16 * (256 << 10) };
        assert!(served.opens() == 1 && served.again() <= on_the_way && served.bytes() == size + served.again());
        // A record without a size.
        for options in ["", "sized=0", "sized=0&ranged=0"] {
            let mut unsized_record = with(&record, options);
            unsized_record["size"] = Value::Null;
            bench.placed(&unsized_record, "serve", &unpackers, &[method]);
        }
    }
    let fd = DISK.record(&[DISK.url("fd", "fd=1")]);
    bench.placed(&fd, "seeded", &[], &["reflink", "copy"]);
    bench.placed(&DISK.record(&[DISK.url("streamed", "")]), "seeded", &[], &["stream"]);
}

/// What is wrong with a location, its bytes or its record.
fn errors(bench: &Bench<'_>) {
    for (way, record, _) in bench.ways() {
        let size = size_of(&record);
        let file = record["locations"][0]["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let by_file = at(&record, &[format!("file://{}", bench.sandbox.store(&file).display())]);
        let wrong_digest = |record: &Value| {
            let mut record = record.clone();
            record["os_hash_value"] = json!(sha256_of(b"something else"));
            record
        };
        let wrong_size = |record: &Value, size: u64| {
            let mut record = record.clone();
            record["size"] = json!(size);
            record
        };
        let middle = middle_of(size);
        let table = [
            (wrong_digest(&record), ["corrupt", "digest-mismatch"]),
            (wrong_digest(&by_file), ["corrupt", "digest-mismatch"]),
            (with(&record, &format!("flip={middle}")), ["corrupt", "digest-mismatch"]),
            (with(&record, &format!("short={middle}")), ["corrupt", "short-body"]),
            (with(&record, &format!("short={middle}&ranged=0")), ["corrupt", "short-body"]),
            (with(&record, &format!("short={middle}&sized=0")), ["corrupt", "short-body"]),
            (with(&record, "long=100&sized=0"), ["corrupt", "long-body"]),
            (with(&record, "long=100&sized=0&ranged=0"), ["corrupt", "long-body"]),
            (with(&record, &format!("size-lie={}", size - 1)), ["corrupt", "size-mismatch"]),
            (wrong_size(&record, size + 1), ["corrupt", "size-mismatch"]),
            (wrong_size(&by_file, size + 1), ["corrupt", "size-mismatch"]),
            (wrong_size(&with(&record, "sized=0"), size + 1), ["corrupt", "short-body"]),
            (wrong_size(&with(&record, "sized=0"), size - 1), ["corrupt", "long-body"]),
            (with(&record, &format!("fail-at={middle}&fail=denied")), ["denied", "serve-fault"]),
            (with(&record, "fail-at=0&fail=not-found"), ["not-found", "serve-fault"]),
            (at(&record, &["serve://gone/no-such-file".to_owned()]), ["not-found", "serve-open"]),
        ];
        for (bad, [kind, code]) in table {
            let answer = bench.place(&bad);
            answer.failure(kind, code, "location");
            // Such a location costs only itself: the next one is good.
            let both: Vec<String> =
                [&bad, &record].map(|record| record["locations"][0]["url"].as_str().unwrap().to_owned()).into();
            if bad["os_hash_value"] == record["os_hash_value"] && bad["size"] == record["size"] {
                let answer = bench.place(&at(&record, &both));
                answer.success();
                assert_eq!(answer.document()["attempts"][0]["code"], code, "{way}: {answer:#?}");
                DISK.assert_at(&bench.sandbox.out("disk"));
                bench.sandbox.only(&["disk"]);
                bench.sandbox.landfall("remove").arg(bench.sandbox.out("disk")).json().run().success();
            }
        }
        // A source of known size that gives more than it was asked for is a fault of its handler.
        bench.place(&with(&record, "long=100")).failure("internal", "beyond-range", "handler");
    }
    let mut unknown = bench.stored("raw", "raw", &DISK.bytes());
    unknown["disk_format"] = json!("unheard-of");
    bench.place(&unknown).failure("unsupported", "no-unpacker", "image");
}

/// A location that dies in the middle is gone on from by the next one, which gives the rest and nothing else; and whoever
/// lied among them, a good location is enough.
fn others_go_on(bench: &Bench<'_>) {
    for (way, record, _) in bench.ways() {
        let size = size_of(&record);
        let middle = middle_of(size);
        let good = record["locations"][0]["url"].as_str().unwrap();
        let bad = |options: &str| with(&record, options)["locations"][0]["url"].as_str().unwrap().to_owned();
        let dies = format!("fail-at={middle}&fail=denied");
        let table = [
            // What the second one must give: the rest, or all where the first one's part is not the image's.
            (dies.clone(), size - middle),
            (format!("{dies}&flip=4000"), size),
            (format!("flip={}", size - 1), size),
        ];
        for (options, fetched) in table {
            let mark = bench.counts.mark();
            let answer = bench.place(&at(&record, &[bad(&options), good.to_owned()]));
            answer.success();
            DISK.assert_at(&bench.sandbox.out("disk"));
            bench.sandbox.only(&["disk"]);
            let served = bench.counts.since(mark).of("plain");
            assert!(served.bytes() >= fetched, "{way} {options}: {answer:#?}");
            // A stream cannot be taken back: what was given to an unpacker in vain is given once more.
            let most = if way == "shuffled" && options.contains("flip=4000") { 2 * size - middle } else { fetched };
            assert!(served.bytes() <= most, "{way} {options}: {answer:#?}");
            bench.sandbox.landfall("remove").arg(bench.sandbox.out("disk")).json().run().success();
        }
    }
}

/// What was spooled when its source failed is not fetched again; what was spooled in vain is not kept.
fn spools(bench: &Bench<'_>) {
    bench.configure("resume_bytes = \"64KiB\"");
    let record = bench.image(Layout::Ranged, Flaw::None);
    let middle = middle_of(size_of(&record));
    let dies = with(&record, &format!("fail-at={middle}&fail=denied"));
    bench.sandbox.place_value(&dies, "disk").failure("denied", "serve-fault", "location");
    assert_eq!(crate::support::left_over::names(bench.sandbox.out_dir()).len(), 2, "a spool and its journal");
    let mark = bench.counts.mark();
    bench.placed(&record, "serve", &["shuffle-ranged"], &["unpack"]);
    assert_eq!(bench.counts.since(mark).bytes(), size_of(&record) - middle);

    bench.sandbox.place_value(&dies, "disk").failure("denied", "serve-fault", "location");
    let mut wrong = record.clone();
    wrong["os_hash_value"] = json!(sha256_of(b"something else"));
    bench.sandbox.place_value(&wrong, "disk").failure("corrupt", "digest-mismatch", "location");
    assert_eq!(crate::support::left_over::names(bench.sandbox.out_dir()).len(), 2, "only that of the other digest");
    bench.placed(&record, "serve", &["shuffle-ranged"], &["unpack"]);
    let flawed = bench.image(Layout::Ranged, Flaw::Checksum);
    bench.place(&flawed).failure("corrupt", "shuffle-checksum", "image");
    bench.sandbox.only(&[]);
}

/// What is wrong with an image whose digest is right: every other location has the same, and none is asked.
fn flaws(bench: &Bench<'_>) {
    let flaws = [
        (Layout::Streamed, Flaw::Checksum, "shuffle-checksum"),
        (Layout::Streamed, Flaw::Cut, "shuffle-short"),
        (Layout::Streamed, Flaw::Trailing, "shuffle-trailing"),
        (Layout::Ranged, Flaw::Checksum, "shuffle-checksum"),
        (Layout::Ranged, Flaw::Cut, "shuffle-record"),
    ];
    let check = |record: &Value, kind: &str, code: &str| {
        let url = record["locations"][0]["url"].as_str().unwrap().to_owned();
        let file = url.rsplit('/').next().unwrap();
        let spare = format!("serve://spare/{file}");
        let path = format!("file://{}", bench.sandbox.store(file).display());
        for urls in [[url.clone(), spare.clone()], [path, spare]] {
            let mark = bench.counts.mark();
            let answer = bench.place(&at(record, &urls));
            let document = answer.failure(kind, code, "image");
            assert_eq!(document["attempts"].as_array().unwrap().len(), 1, "{answer:#?}");
            assert_eq!(bench.counts.since(mark).of("spare").opens(), 0, "{answer:#?}");
        }
    };
    for (layout, flaw, code) in flaws {
        check(&bench.image(layout, flaw), "corrupt", code);
    }
    // The stored bytes are within the limit, the disk is not.
    bench.configure("disk_bytes = 2000000");
    for layout in LAYOUTS {
        check(&bench.image(layout, Flaw::None), "limit", "shuffle-limit");
    }
    bench.configure("disk_bytes = 1000000");
    for layout in LAYOUTS {
        bench.place(&bench.image(layout, Flaw::None)).failure("limit", "disk-bytes", "location");
    }
}

/// A compression and a container that nobody but a plugin knows are placed by their names.
fn own_names(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Tmpfs);
    let dir = PluginDir::new(&sandbox, "plugins");
    dir.add(world, "careless.so", "tests/plugins/careless.c", &["FAULT=NONE"]);
    sandbox.configure(&dir.line(), &sandbox.store_table("verify = \"always\""));
    let disk = DISK.bytes();
    let tagged = |bytes: &[u8]| [b"TAG0", &(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
    for (name, container, compression, bytes) in [
        ("compressed", "bare", Some("tagged"), tagged(&disk)),
        ("contained", "tagged", None, tagged(&disk)),
        ("both", "tagged", Some("tagged"), tagged(&tagged(&disk))),
    ] {
        fs::write(sandbox.store(name), &bytes).unwrap();
        let url = format!("file://{}", sandbox.store(name).display());
        let mut record = record("raw", bytes.len() as u64, &sha256_of(&bytes), &[url]);
        record["container_format"] = json!(container);
        record["compression"] = json!(compression);
        let answer = sandbox.place_value(&record, name);
        assert_eq!(answer.success()["method"], "unpack", "{answer:#?}");
        DISK.assert_at(&sandbox.out(name));
    }
    let stored = fs::read(sandbox.store("compressed")).unwrap();
    let url = format!("file://{}", sandbox.store("compressed").display());
    let mut unknown = record("raw", stored.len() as u64, &sha256_of(&stored), &[url]);
    unknown["compression"] = json!("tagget");
    sandbox.place_value(&unknown, "none").failure("unsupported", "no-filter", "image");
    unknown["compression"] = json!("two words");
    sandbox.place_value(&unknown, "none").failure("invalid", "record-format", "image");
}
