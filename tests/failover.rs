//! Several locations of one image, of which some die, lie or hang: the bytes are exact, the liar is named, and no byte is
//! fetched twice without need.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::{Content, Seeded, Served};
use crate::support::world::World;

const MIB: u64 = 1 << 20;
const IMAGE: Content = Content::new(12 * MIB, 11);
const SIZE: u64 = IMAGE.size;

type Test = fn(&World, &str);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("failover::what_was_served_is_counted_right", |_| counting())];
    for isolation in ["inline", "worker"] {
        let tests: [(&str, Test); 8] = [
            ("one_dies_one_lies_one_stalls", three),
            ("no_two_of_them_are_enough", three_needed),
            ("one_dies", dies),
            ("liars", liars),
            ("liars_among_zeros", zeros),
            ("unhashed", unhashed),
            ("one_comes_back", comes_back),
            ("connections", connections),
        ];
        for (name, test) in tests {
            let name = format!("failover::{name}_{isolation}");
            cases.push(Case::new(name, move |world| test(world, isolation)).needs(&[Need::Program("cc")]));
        }
    }
    cases.push(Case::new("failover::bandwidth_of_two_processes", bandwidth).needs(&[Need::Program("cc")]));
    // Each says itself where its plugins run.
    cases.into_iter().map(Case::mode_independent).collect()
}

/// Counts that are planted: without this, a check that never fails would look like a product that never does.
fn counting() {
    let honest = Served::parse("a open\na 0 100\nb open\nb 100 50\na 150 10\n");
    assert_eq!((honest.opens(), honest.bytes(), honest.again(), honest.at_once()), (2, 160, 0, 1));
    assert_eq!(honest.covered().len(), 1);
    assert_eq!(honest.covered()[0], 0..160);
    assert_eq!((honest.of("a").bytes(), honest.of("b").bytes(), honest.of("c").bytes()), (110, 50, 0));
    // A range that comes again, whole and in part, from the same location and from another.
    assert_eq!(Served::parse("a 0 100\na 0 100\n").again(), 100);
    assert_eq!(Served::parse("a 0 100\nb 99 100\n").again(), 1);
    assert_eq!(Served::parse("a 0 300\nb 100 100\n").again(), 100);
    // Two reads that take turns, and three.
    assert_eq!(Served::parse("a 0 10\na 100 10\na 10 10\n").at_once(), 2);
    assert_eq!(Served::parse("a 0 10\na 100 10\na 200 10\na 10 10\na 110 10\na 210 10\n").at_once(), 3);
    // One after the other.
    assert_eq!(Served::parse("a 0 10\na 10 10\na 100 10\na 110 10\n").at_once(), 1);
}

struct Bench<'s, 'w> {
    sandbox: &'s Sandbox<'w>,
    seeded: Seeded<'s, 'w>,
}

/// What came of a placement that succeeded.
struct Came {
    answer: Answer,
    served: Served,
}

impl<'s, 'w> Bench<'s, 'w> {
    fn new(sandbox: &'s Sandbox<'w>, isolation: &str, limits: &str) -> Self {
        let seeded = Seeded::new(sandbox);
        // What each location gives is counted to the byte: with two lanes, what one reads while the other fails is lost.
        seeded.configure(isolation, "", &format!("connections_per_origin = 1\n{limits}"));
        Self { sandbox, seeded }
    }

    fn run(&self, record: &Value, options: &[&str]) -> Came {
        let mark = self.seeded.counts.mark();
        let path = self.sandbox.record("image.json", record);
        let answer = self.sandbox.place(path, "disk").args(options).run();
        Came { answer, served: self.seeded.counts.since(mark) }
    }

    /// Places the image from these locations; its bytes must be exact.
    #[track_caller]
    fn exact(&self, locations: &[(&str, &str)]) -> Came {
        let urls: Vec<String> = locations.iter().map(|(name, options)| IMAGE.url(name, options)).collect();
        let came = self.run(&IMAGE.record(&urls), &[]);
        came.answer.success();
        let disk = self.sandbox.out("disk");
        IMAGE.assert_at(&disk);
        self.sandbox.only(&["disk"]);
        fs::remove_file(&disk).unwrap();
        came
    }
}

impl Came {
    fn bytes(&self, name: &str) -> u64 {
        self.served.of(name).bytes()
    }

    /// The codes of the attempts with this location; none for a success.
    fn codes(&self, name: &str) -> Vec<Option<String>> {
        let prefix = format!("seeded://{name}/");
        let is_its = |tried: &&Value| tried["locations"][0].as_str().unwrap().starts_with(&prefix);
        let attempts = self.answer.document()["attempts"].as_array().unwrap();
        attempts.iter().filter(is_its).map(|tried| tried["code"].as_str().map(str::to_owned)).collect()
    }

    /// Fails unless every attempt with this location says that its bytes are wrong, if it gave any.
    #[track_caller]
    fn assert_named(&self, liar: &str) {
        let codes = self.codes(liar);
        let names = |code: &Option<String>| matches!(code.as_deref(), Some("wrong-bytes" | "digest-mismatch"));
        if self.bytes(liar) > 0 {
            assert!(!codes.is_empty() && codes.iter().all(names), "{liar} is not named: {:#?}", self.answer);
        } else {
            assert!(codes.is_empty(), "{:#?}", self.answer);
        }
        let document = self.answer.document();
        let from = document["locations"].as_array().unwrap();
        let prefix = format!("seeded://{liar}/");
        assert!(!from.iter().any(|name| name.as_str().unwrap().starts_with(&prefix)), "{:#?}", self.answer);
    }

    /// Fails if a location that did not lie is said to have.
    #[track_caller]
    fn assert_innocent(&self, name: &str) {
        let blamed = |code: &Option<String>| matches!(code.as_deref(), Some("wrong-bytes"));
        assert!(!self.codes(name).iter().any(blamed), "{name} is blamed: {:#?}", self.answer);
    }
}

const ORDERS: [[&str; 3]; 6] = [
    ["dies", "lies", "stalls"],
    ["dies", "stalls", "lies"],
    ["lies", "dies", "stalls"],
    ["lies", "stalls", "dies"],
    ["stalls", "dies", "lies"],
    ["stalls", "lies", "dies"],
];

/// One location dies after 4 MiB, one has a wrong byte in each third, one hangs once after 6 MiB and then goes on.
fn three(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "stall = \"1500ms\"");
    let dies = format!("fail-after={}", 4 * MIB);
    let lies = format!("flip=77&flip={}&flip={}", 5 * MIB + 1, SIZE - 1);
    let stalls = format!("stall-at={}&stall-times=1", 6 * MIB);
    let options = |name: &str| match name {
        "dies" => dies.as_str(),
        "lies" => lies.as_str(),
        _ => stalls.as_str(),
    };
    for order in ORDERS {
        let came = bench.exact(&order.map(|name| (name, options(name))));
        let served = order.map(|name| (name, came.bytes(name)));
        // What each must give at the least. All it gives beyond that is for nothing.
        let need = match order {
            // What the dead one gave is kept. The liar's rest shows as wrong when all is there, and nobody can tell where:
            // the third gives all of that part again, and nothing of the first's.
            ["dies", "lies", "stalls"] => [("dies", 4 * MIB), ("lies", SIZE - 4 * MIB), ("stalls", SIZE - 4 * MIB)],
            // Once the staller is awake it is as good as any: nobody comes to the liar.
            ["dies", "stalls", "lies"] => [("dies", 4 * MIB), ("stalls", SIZE - 4 * MIB), ("lies", 0)],
            // A liar that was alone is found out at its end, and all of it is thrown away.
            ["lies", "dies", "stalls"] => [("lies", SIZE), ("dies", 4 * MIB), ("stalls", SIZE - 4 * MIB)],
            ["lies", "stalls", "dies"] => [("lies", SIZE), ("stalls", SIZE), ("dies", 0)],
            ["stalls", second, third] => [("stalls", SIZE), (second, 0), (third, 0)],
            _ => unreachable!(),
        };
        assert_eq!(served, need, "{order:?}: {:#?}", came.answer);
        came.assert_named("lies");
        came.assert_innocent("dies");
        came.assert_innocent("stalls");
        // Each location by itself gives nothing twice.
        for name in order {
            assert_eq!(came.served.of(name).again(), 0, "{order:?} {name}");
        }
    }
}

/// The one that dies does so each time that it is opened, and the one that hangs hangs for good: the image comes together
/// from what both have.
fn three_needed(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "stall = \"1s\"");
    let dies = format!("fail-after={}", 5 * MIB);
    let lies = format!("flip=77&flip={}&flip={}&flip={}", 5 * MIB + 1, 8 * MIB + 1, SIZE - 1);
    let stalls = format!("stall-at={}", 8 * MIB);
    let options = |name: &str| match name {
        "dies" => dies.as_str(),
        "lies" => lies.as_str(),
        _ => stalls.as_str(),
    };
    let orders = [ORDERS[0], ORDERS[5], ORDERS[1], ORDERS[2], ORDERS[3], ORDERS[4]];
    for order in orders.into_iter().take(world.rounds(2, orders.len())) {
        let came = bench.exact(&order.map(|name| (name, options(name))));
        came.assert_named("lies");
        came.assert_innocent("dies");
        came.assert_innocent("stalls");
        // What the liar gave is thrown away and comes again from others, and no more than that.
        assert_eq!(came.served.bytes(), SIZE + came.bytes("lies"), "{order:?}: {:#?}", came.answer);
    }
}

/// Two locations, of which the first dies in the middle: the second gives the rest and nothing else.
fn dies(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "");
    let at = 5 * MIB + 4321;
    for kind in ["unavailable", "io", "denied", "not-found", "corrupt"] {
        for how in ["fail-at", "fail-after"] {
            let came = bench.exact(&[("first", &format!("{how}={at}&fail={kind}")), ("second", "")]);
            assert_eq!((came.bytes("first"), came.bytes("second")), (at, SIZE - at), "{:#?}", came.answer);
            assert_eq!(came.served.again(), 0);
            assert_eq!(came.codes("first"), [Some("seeded-fault".to_owned())]);
            assert_eq!(came.codes("second"), [None]);
            let both = came.answer.document()["locations"].as_array().unwrap().len();
            assert_eq!(both, 2, "both gave bytes: {:#?}", came.answer);
        }
    }
    // Cut short, and of another size than the record says.
    let came = bench.exact(&[("first", &format!("short={at}")), ("second", "")]);
    assert_eq!((came.bytes("first"), came.bytes("second")), (at, SIZE - at), "{:#?}", came.answer);
    assert_eq!(came.codes("first"), [Some("short-body".to_owned())]);
    let came = bench.exact(&[("first", "size-lie=1000"), ("second", "")]);
    assert_eq!((came.bytes("first"), came.bytes("second")), (0, SIZE), "{:#?}", came.answer);
    assert_eq!(came.codes("first"), [Some("size-mismatch".to_owned())]);
    // It does not open at all.
    for kind in ["unavailable", "denied", "not-found"] {
        let came = bench.exact(&[("first", &format!("open-fail={kind}")), ("second", "")]);
        assert_eq!((came.bytes("first"), came.bytes("second")), (0, SIZE), "{:#?}", came.answer);
    }
    // A second one that can only be read from its start gives what is missing, and must give what is not.
    let came = bench.exact(&[("first", &format!("fail-at={at}&fail=denied")), ("second", "ranged=0")]);
    assert_eq!((came.bytes("first"), came.bytes("second")), (at, SIZE), "{:#?}", came.answer);
}

/// Zeros that stand where another location's bytes were: what is not written must not leave the liar's.
fn zeros(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "");
    let image = IMAGE.with_zeros(2);
    // Wrong bytes in blocks that should be zeros and in blocks that should not, behind what an honest one gave and before.
    let flips = format!("flip={}&flip={}&flip={}", 6 * MIB + 5, 8 * MIB + 65536 + 5, 10 * MIB);
    let half = format!("fail-at={}&fail=denied", 5 * MIB);
    for order in [
        [("half", half.as_str()), ("liar", flips.as_str())],
        [("liar", &format!("{flips}&fail-at={}&fail=denied", 11 * MIB)), ("half", &half)],
    ] {
        let urls: Vec<String> =
            order.iter().copied().chain([("honest", "")]).map(|(name, options)| image.url(name, options)).collect();
        let came = bench.run(&image.record(&urls), &[]);
        came.answer.success();
        image.assert_at(&sandbox.out("disk"));
        sandbox.only(&["disk"]);
        fs::remove_file(sandbox.out("disk")).unwrap();
        came.assert_named("liar");
        came.assert_innocent("half");
    }
}

fn liars(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "");
    let flip = |offset: u64| format!("flip={offset}");
    // Alone, whoever it is: found out at its end.
    let came = bench.exact(&[("liar", &flip(5 * MIB)), ("honest", "")]);
    assert_eq!((came.bytes("liar"), came.bytes("honest")), (SIZE, SIZE));
    assert_eq!(came.codes("liar"), [Some("digest-mismatch".to_owned())]);
    came.assert_named("liar");
    // Two liars, each alone.
    let came = bench.exact(&[("one", &flip(0)), ("two", &flip(SIZE - 1)), ("honest", "")]);
    assert_eq!(came.served.bytes(), 3 * SIZE);
    came.assert_named("one");
    came.assert_named("two");
    // Two liars that share the work, and one that is honest: all of both is fetched once more, and no more than that.
    let half = format!("{}&fail-at={}&fail=denied", flip(MIB), 6 * MIB);
    let came = bench.exact(&[("one", &half), ("two", &flip(SIZE - MIB)), ("honest", "")]);
    assert_eq!((came.bytes("one"), came.bytes("two"), came.bytes("honest")), (6 * MIB, 6 * MIB, SIZE));
    came.assert_named("one");
    came.assert_named("two");
    // The honest half is not fetched again, and the honest one is not named.
    let half = format!("fail-at={}&fail=denied", 6 * MIB);
    let came = bench.exact(&[("half", &half), ("liar", &flip(SIZE - MIB)), ("honest", "")]);
    assert_eq!((came.bytes("half"), came.bytes("liar"), came.bytes("honest")), (6 * MIB, 6 * MIB, 6 * MIB));
    came.assert_named("liar");
    came.assert_innocent("half");
    // The liar first, and then only one that is honest: it is held against the liar, whose part it replaces.
    let half = format!("{}&fail-at={}&fail=denied", flip(MIB), 6 * MIB);
    let came = bench.exact(&[("liar", &half), ("honest", "")]);
    assert_eq!((came.bytes("liar"), came.bytes("honest")), (6 * MIB, SIZE), "{:#?}", came.answer);
    came.assert_named("liar");
    came.assert_innocent("honest");

    // Nobody has the image.
    for locations in [
        vec![("one", flip(0)), ("two", flip(MIB)), ("three", flip(SIZE - 1))],
        vec![
            ("one", format!("{}&fail-at={}&fail=denied", flip(0), 4 * MIB)),
            ("two", flip(5 * MIB)),
            ("three", flip(SIZE - 1)),
        ],
        vec![("one", flip(0))],
        vec![("one", flip(0)), ("two", flip(0))],
    ] {
        let urls: Vec<String> = locations.iter().map(|(name, options)| IMAGE.url(name, options)).collect();
        let came = bench.run(&IMAGE.record(&urls), &[]);
        came.answer.failure("corrupt", "digest-mismatch", "location");
        sandbox.only(&[]);
        for (name, _) in &locations {
            assert!(came.served.of(name).again() <= SIZE, "{name}: {:#?}", came.answer);
        }
    }
    // Right is what the record says, not what most say.
    let came = bench.exact(&[("one", "flip=5"), ("two", "flip=5"), ("three", "flip=5"), ("honest", "")]);
    for liar in ["one", "two", "three"] {
        came.assert_named(liar);
    }
}

/// Without a digest nobody could tell whether two locations have the same bytes: those of one are not completed by another.
fn unhashed(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "");
    let other = Content::new(SIZE, 12);
    let urls = [IMAGE.url("first", &format!("fail-at={}&fail=denied", 5 * MIB)), other.url("second", "")];
    let mut record = IMAGE.record(&urls);
    (record["os_hash_algo"], record["os_hash_value"]) = (Value::Null, Value::Null);
    bench.run(&record, &[]).answer.failure("unhashed", "unhashed", "request");
    let came = bench.run(&record, &["--allow-unhashed"]);
    assert_eq!(came.answer.success()["verified"], "no");
    assert_eq!((came.bytes("first"), came.bytes("second")), (5 * MIB, SIZE));
    other.assert_at(&sandbox.out("disk"));
    assert_eq!(came.answer.document()["locations"], json!([other.url("second", "")]));
    sandbox.only(&["disk"]);
}

/// A location that was unavailable is returned to when the others have failed for good.
fn comes_back(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, isolation, "");
    // It has more to give each time that it is opened; the others have not.
    let (late, gone) = (format!("fail-after={}", 7 * MIB), format!("fail-at={}&fail=not-found", 8 * MIB));
    let came = bench.exact(&[("late", &late), ("gone", &gone)]);
    assert_eq!((came.bytes("late"), came.bytes("gone")), (11 * MIB, MIB), "{:#?}", came.answer);
    assert_eq!((came.served.of("late").opens(), came.served.again()), (2, 0));
    // Alone, a fault that passes is waited for where it is.
    let came = bench.exact(&[("late", &format!("fail-at={}&fail-times=3", 7 * MIB))]);
    assert_eq!((came.served.opens(), came.served.bytes(), came.served.again()), (1, SIZE, 0));
    // With others, it is tried once more and then left.
    let came = bench.exact(&[("late", &format!("fail-at={}&fail-times=3", 7 * MIB)), ("other", "")]);
    assert_eq!((came.bytes("late"), came.bytes("other")), (7 * MIB, SIZE - 7 * MIB), "{:#?}", came.answer);
}

/// As many reads at once as the operator allows; the source itself says how many there were. The first read hangs for a
/// while, in which there is time enough to begin others.
fn connections(world: &World, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let seeded = Seeded::new(&sandbox);
    // So long that it is worth to be read in parts.
    let image = Content::new(72 * MIB, 13);
    let url = image.url("slow", &format!("stall-at={MIB}&stall-times=1"));
    let record = sandbox.record("slow.json", &image.record(&[url]));
    for (limit, at_once) in
        [("connections_per_origin = 1", 1), ("connections = 1", 1), ("connections_per_origin = 2", 2)]
    {
        seeded.configure(isolation, "", &format!("stall = \"1500ms\"\n{limit}"));
        let mark = seeded.counts.mark();
        sandbox.place(&record, "disk").run().success();
        image.assert_at(&sandbox.out("disk"));
        fs::remove_file(sandbox.out("disk")).unwrap();
        let served = seeded.counts.since(mark);
        assert_eq!((served.opens(), served.at_once()), (1, at_once), "{limit}");
    }
}

/// Two processes together get no more bytes a second than the node has; only the least time can be told for sure.
fn bandwidth(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let seeded = Seeded::new(&sandbox);
    let rate = 8 * MIB;
    seeded.configure("worker", "", &format!("bandwidth = {rate}"));
    let began = Instant::now();
    let start = |target: &str| {
        let record = sandbox.record(&format!("{target}.json"), &IMAGE.record(&[IMAGE.url(target, "")]));
        sandbox.place(record, target).spawn()
    };
    let both = ["one", "two"].map(|target| (target, start(target)));
    for (target, running) in both {
        running.finish().success();
        IMAGE.assert_at(&sandbox.out(target));
    }
    let took = began.elapsed();
    // After a pause, one second's worth may come at once.
    let least = Duration::from_millis((2 * SIZE - rate) * 1000 / rate);
    assert!(took >= least, "{} bytes in {took:?}, at {rate} a second and one second's in advance", 2 * SIZE);
}
