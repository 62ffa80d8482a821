//! Downloads that are interrupted and go on: kill -9 of the agent, of its worker or of both at any moment, signals, damaged
//! and foreign remains. The bytes are exact in the end, and what was on the disk by a checkpoint is not fetched again; the
//! source counts what it serves.

mod kept;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::command::{NOBODY, Running};
use crate::support::left_over::names;
use crate::support::mounts::{Fs, OwnMount};
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::{Content, Seeded, Served};
use crate::support::world::World;

use kept::{Kept, SLOT, journal_reader, slot};

const MIB: u64 = 1 << 20;
/// A checkpoint is written after so many bytes, and what may come while it is.
const CHECKPOINT: u64 = 32 * MIB;
const MEANWHILE: u64 = 32 * MIB;
/// What is on its way from a worker, for each connection: a ring of 16 slots, and what is being filled at either end.
const ON_THE_WAY: u64 = 16 * (256 << 10) + 2 * (256 << 10);
const CONNECTIONS: u64 = 2;
/// What may come twice: so much is on its way when the rest of a long range is given to another connection, a few times.
const DIVISIONS: u64 = 4 * ON_THE_WAY;

/// For tests that are not about time: below a second in all.
const SMALL: Content = Content::new(8 * MIB, 21);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Worker,
    Both,
}

pub(crate) fn cases() -> Vec<Case> {
    let cc = Need::Program("cc");
    let mut cases = Vec::new();
    for (victim, isolation) in
        [(Victim::Agent, "inline"), (Victim::Agent, "worker"), (Victim::Worker, "worker"), (Victim::Both, "worker")]
    {
        let name = format!("resume::killed_{victim:?}_{isolation}").to_lowercase();
        let run = move |world: &World| killed(world, victim, isolation);
        cases.push(Case::new(name, run).needs(&[cc, Need::Mount]));
    }
    cases.extend([
        Case::new("resume::killed_on_xfs", killed_on_xfs).needs(&[cc]).on(Fs::Xfs),
        Case::new("resume::the_journal_is_read_as_it_is_written", journal_reader),
        Case::new("resume::terminated", terminated).needs(&[cc]),
        Case::new("resume::zeros_after_a_kill", zeros_after_a_kill).needs(&[cc]).on(Fs::Tmpfs),
        Case::new("resume::a_bit_of_the_journal", journal_bits).needs(&[cc]),
        Case::new("resume::a_bit_of_the_data", data_bits).needs(&[cc]),
        Case::new("resume::somebody_elses_journal", other_journals).needs(&[cc]),
        Case::new("resume::a_journal_that_lies", lying_journal).needs(&[cc]),
        Case::new("resume::two_at_once", two_at_once).needs(&[cc]),
        Case::new("resume::nothing_is_kept", nothing_is_kept).needs(&[cc]),
        Case::new("resume::what_is_old_goes", old_ones_go).needs(&[cc]),
        Case::new("resume::owner_and_mode", dressed).needs(&[cc, Need::Root]),
        Case::new("resume::what_others_can_reach", reachable).needs(&[cc, Need::Root]),
        Case::new("resume::the_source_changed", source_changed).needs(&[cc]),
    ]);
    cases.into_iter().map(Case::mode_independent).collect()
}

// ---- The bench ----

struct Bench<'s, 'w> {
    sandbox: &'s Sandbox<'w>,
    seeded: Seeded<'s, 'w>,
    /// The target, below the directory of targets.
    target: &'static str,
}

impl<'s, 'w> Bench<'s, 'w> {
    /// Every image of a megabyte is worth keeping.
    fn new(sandbox: &'s Sandbox<'w>, isolation: &str) -> Self {
        let seeded = Seeded::new(sandbox);
        seeded.configure(isolation, "", &format!("resume_bytes = \"1MiB\"\nconnections_per_origin = {CONNECTIONS}"));
        Self { sandbox, seeded, target: "disk" }
    }

    fn dir(&self) -> PathBuf {
        self.sandbox.out(self.target).parent().unwrap().to_owned()
    }

    fn start(&self, content: Content, options: &str) -> Running {
        let record = content.record(&[content.url("source", options)]);
        let path = self.sandbox.record("image.json", &record);
        self.sandbox.place(path, self.target).spawn()
    }

    fn run(&self, content: Content, options: &str) -> (Answer, Served) {
        let mark = self.seeded.counts.mark();
        let answer = self.start(content, options).finish();
        (answer, self.seeded.counts.since(mark))
    }

    /// Interrupts the small image's download at this byte, for a reason that is not waited for.
    fn interrupt(&self, at: u64) -> Kept {
        let (answer, _) = self.run(SMALL, &format!("fail-at={at}&fail=denied"));
        answer.failure("denied", "seeded-fault", "location");
        let kept = Kept::find(&self.dir()).expect("something is kept");
        assert_eq!(kept.bytes(), at);
        kept
    }

    /// The same again, from a good source: exact bytes, so many of them fetched, and nothing left. Takes the target away.
    #[track_caller]
    fn completes(&self, fetched: u64) -> Answer {
        let (answer, served) = self.run(SMALL, "");
        answer.success();
        self.exact(SMALL, &[]);
        assert_eq!((served.bytes(), served.again()), (fetched, 0), "{answer:#?}");
        answer
    }

    /// The target has exactly these bytes, and there is nothing else but these names. Takes it away.
    #[track_caller]
    fn exact(&self, content: Content, others: &[&str]) {
        let target = self.sandbox.out(self.target);
        content.assert_at(&target);
        fs::remove_file(&target).unwrap();
        let mut others: Vec<String> = others.iter().map(|&name| name.to_owned()).collect();
        others.sort();
        assert_eq!(names(&self.dir()), others);
    }
}

/// The worker processes of this agent.
fn workers_of(agent: Pid) -> Vec<Pid> {
    let parent = |stat: &str| stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<i32>().ok());
    let state = |stat: &str| stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // Whatever has ended in the meantime is not there.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if parent(&stat) == Some(agent.as_raw()) && state(&stat) != Some('Z') {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

fn is_running(pid: &Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| !['Z', 'X'].contains(&state))
}

/// The same numbers for the same seed, spread over a range.
struct Dice(u64);

impl Dice {
    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        range.start + (self.0 >> 20) % (range.end - range.start)
    }
}

// ---- Killed ----

fn killed(world: &World, victim: Victim, isolation: &str) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = sandbox.out("mount");
    fs::create_dir(&dir).unwrap();
    let full = world.rounds(0, 1) == 1;
    let size = if full { 1 << 30 } else { 160 * MIB };
    let _mount = OwnMount::tmpfs(&dir, size + 64 * MIB);
    let bench = Bench { target: "mount/disk", ..Bench::new(&sandbox, isolation) };
    let rate = if full { 48 * MIB } else { 24 * MIB };
    let mut dice = Dice(victim as u64 * 2 + u64::from(isolation == "worker"));
    let rounds = world.rounds(3, 15);
    let content = Content::new(size, 22);
    let kills: Vec<Kill> = (0..rounds).map(|_| kill_once(&bench, victim, content, rate, &mut dice, true)).collect();
    tell(&format!("{victim:?} {isolation}"), &kills);
}

/// At least five of six kills must have hit; a kill that comes too late shows nothing.
fn tell(what: &str, kills: &[Kill]) {
    let hits = kills.iter().filter(|kill| kill.hit).count();
    let lost = kills.iter().map(|kill| kill.lost).max().unwrap_or(0);
    println!(
        "{what}: {hits} of {} kills hit in mid-transfer; at most {} MiB were fetched again",
        kills.len(),
        lost / MIB
    );
    assert!(hits * 6 >= kills.len() * 5);
}

/// What came of a kill: whether it hit in mid-transfer, and the bytes that had to be fetched again.
struct Kill {
    hit: bool,
    lost: u64,
}

fn killed_on_xfs(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Xfs);
    let bench = Bench::new(&sandbox, "worker");
    let mut dice = Dice(99);
    let rounds = world.rounds(2, 10);
    let content = Content::new(128 * MIB, 23);
    let victims = [Victim::Agent, Victim::Both].into_iter().cycle().take(rounds);
    // How long the disk takes to sync is not this test's to say.
    let kills: Vec<Kill> =
        victims.map(|victim| kill_once(&bench, victim, content, 32 * MIB, &mut dice, false)).collect();
    tell("XFS", &kills);
}

/// Kills at some moment of a transfer, tries again, and checks what that took.
fn kill_once(
    bench: &Bench<'_, '_>,
    victim: Victim,
    content: Content,
    rate: u64,
    dice: &mut Dice,
    bounded: bool,
) -> Kill {
    let options = format!("rate={rate}");
    let moment = dice.within(content.size / 16..content.size * 15 / 16);
    let mark = bench.seeded.counts.mark();
    let running = bench.start(content, &options);
    let reached = bench.seeded.counts.wait_for(mark, moment, &running);
    let agent = running.pid();
    let workers = workers_of(agent);
    let strike = |pid: Pid| kill(pid, Signal::SIGKILL).is_ok();
    let hit = reached
        && match victim {
            Victim::Agent => strike(agent),
            Victim::Worker => strike(workers[0]),
            Victim::Both => strike(agent) && strike(workers[0]),
        };
    let status = if victim == Victim::Worker {
        let answer = running.finish();
        if answer.status != 0 {
            answer.failure("crashed", "worker-killed", "handler");
        }
        answer.status
    } else {
        let status = running.end();
        assert!([0, -(Signal::SIGKILL as i32)].contains(&status), "status {status}");
        status
    };
    // No worker outlives its agent; only then is everything counted that it served.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while workers.iter().any(is_running) {
        assert!(std::time::Instant::now() < end, "a worker outlives its agent");
        std::thread::yield_now();
    }
    let first = bench.seeded.counts.since(mark);
    if status == 0 {
        bench.exact(content, &[]);
        return Kill { hit: false, lost: 0 };
    }

    assert!(!bench.sandbox.out(bench.target).exists());
    let kept = Kept::find(&bench.dir()).map_or(0, |kept| kept.bytes());
    assert!(kept <= first.bytes());
    let lost = first.bytes() - kept;
    if victim == Victim::Worker {
        // The agent lives and writes down what it has.
        assert!(lost <= CONNECTIONS * ON_THE_WAY, "{lost} bytes lost with {kept} kept");
    } else if bounded {
        assert!(lost <= CHECKPOINT + MEANWHILE + CONNECTIONS * ON_THE_WAY, "{lost} bytes lost with {kept} kept");
    }
    let (answer, second) = bench.run(content, &options);
    answer.success();
    bench.exact(content, &[]);
    // Exactly what the checkpoint does not have.
    assert_eq!(second.bytes() - second.again(), content.size - kept, "{answer:#?}");
    assert!(second.again() <= DIVISIONS, "{}: {answer:#?}", second.again());
    Kill { hit: hit && first.bytes() < content.size, lost }
}

fn terminated(world: &World) {
    for isolation in ["inline", "worker"] {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let bench = Bench::new(&sandbox, isolation);
        let content = Content::new(40 * MIB, 24);
        let options = format!("rate={}", 24 * MIB);
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mark = bench.seeded.counts.mark();
            let running = bench.start(content, &options);
            assert!(bench.seeded.counts.wait_for(mark, 9 * MIB, &running));
            running.signal(signal);
            running.finish().failure("cancelled", "cancelled", "request");
            let first = bench.seeded.counts.since(mark);
            let kept = Kept::find(&bench.dir()).expect("it is kept").bytes();
            assert!(kept > 0 && first.bytes() - kept <= CONNECTIONS * ON_THE_WAY, "{kept} of {}", first.bytes());
            let (answer, second) = bench.run(content, "");
            answer.success();
            assert_eq!(second.bytes() - second.again(), content.size - kept);
            assert!(second.again() <= DIVISIONS, "{}", second.again());
            bench.exact(content, &[]);
        }
    }
}

// ---- Damaged ----

fn flip(file: &Path, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8).unwrap();
}

/// So many bits of a range of bytes, spread over it.
fn bits(bytes: std::ops::Range<u64>, count: usize) -> impl Iterator<Item = u64> {
    let all = (bytes.end - bytes.start) * 8;
    (0..count as u64).map(move |at| bytes.start * 8 + at * all / count as u64 + at % 7 % (all / count as u64).max(1))
}

fn journal_bits(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    let damaged = |answer: &Answer| {
        assert!(answer.stderr.contains("damaged"), "nothing is said of a damaged checkpoint: {answer:#?}");
    };
    // A control: nothing is damaged.
    let kept = bench.interrupt(3 * MIB);
    let used = kept.journal.metadata().unwrap().len();
    assert!(used < SLOT as u64);
    assert!(!bench.completes(5 * MIB).text().contains("damaged"));

    // The only checkpoint.
    for bit in bits(0..used, world.rounds(24, 600)) {
        let kept = bench.interrupt(3 * MIB);
        flip(&kept.journal, bit);
        assert_eq!(kept.bytes(), 0, "bit {bit}");
        damaged(&bench.completes(SMALL.size));
    }
    // The last of two, and the one before.
    let rounds = world.rounds(8, 200);
    for (slot, left) in [(1, 3 * MIB), (0, 5 * MIB)] {
        let start = slot * SLOT as u64;
        for bit in bits(start..start + used, rounds) {
            bench.interrupt(3 * MIB);
            let kept = bench.interrupt(5 * MIB);
            flip(&kept.journal, bit);
            assert_eq!(kept.bytes(), left, "bit {bit}");
            damaged(&bench.completes(SMALL.size - left));
        }
    }
    // Cut off, emptied, and something else.
    for text in [&b""[..], b"LFJRNL01", &[0; 200_000], &[0xFF; 200_000]] {
        let kept = bench.interrupt(3 * MIB);
        fs::write(&kept.journal, text).unwrap();
        bench.completes(SMALL.size);
    }
}

/// Places until it succeeds, at most so many times; each failure must be told as one of the bytes.
#[track_caller]
fn exact_within(bench: &Bench<'_, '_>, runs: usize, options: &str) {
    for run in 1..=runs {
        let (answer, _) = bench.run(SMALL, options);
        if answer.status == 0 {
            bench.exact(SMALL, &[]);
            return;
        }
        assert!(run < runs, "{answer:#?}");
        answer.failure("corrupt", "digest-mismatch", "location");
        assert!(!bench.sandbox.out(bench.target).exists());
    }
}

/// The journal is right, and what it speaks of is not as it was: in what was hashed, at its ends, and beyond it.
fn data_bits(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    for bit in bits(0..5 * MIB, world.rounds(6, 60)).chain([0, 5 * MIB * 8 - 1]) {
        let kept = bench.interrupt(5 * MIB);
        flip(&kept.data, bit);
        exact_within(&bench, 2, "");
    }
    // Beyond what the checkpoint speaks of nothing is believed.
    let kept = bench.interrupt(5 * MIB);
    flip(&kept.data, 5 * MIB * 8);
    flip(&kept.data, SMALL.size * 8 - 1);
    bench.completes(3 * MIB);
    // Shorter, longer, and another file.
    let kept = bench.interrupt(5 * MIB);
    OpenOptions::new().write(true).open(&kept.data).unwrap().set_len(4 * MIB).unwrap();
    bench.completes(SMALL.size);
    let kept = bench.interrupt(5 * MIB);
    OpenOptions::new().write(true).open(&kept.data).unwrap().set_len(9 * MIB).unwrap();
    bench.completes(SMALL.size);
    let kept = bench.interrupt(5 * MIB);
    let bytes = fs::read(&kept.data).unwrap();
    fs::remove_file(&kept.data).unwrap();
    fs::write(&kept.data, bytes).unwrap();
    fs::set_permissions(&kept.data, fs::Permissions::from_mode(0o600)).unwrap();
    bench.completes(SMALL.size);
}

fn other_journals(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let mut bench = Bench::new(&sandbox, "inline");
    fs::create_dir(sandbox.out("other")).unwrap();
    // Of the same image, for another target; the journal alone, and with its data.
    for with_data in [false, true] {
        bench.target = "other/disk";
        let theirs = bench.interrupt(5 * MIB);
        bench.target = "disk";
        let ours = bench.interrupt(3 * MIB);
        fs::copy(&theirs.journal, &ours.journal).unwrap();
        if with_data {
            fs::rename(&theirs.data, &ours.data).unwrap();
        } else {
            fs::remove_file(&theirs.data).unwrap();
        }
        fs::remove_file(&theirs.journal).unwrap();
        let (answer, served) = bench.run(SMALL, "");
        answer.success();
        bench.exact(SMALL, &["other"]);
        // The data is where its own journal says, whatever the names: then it may be believed.
        let believed = if with_data { 5 * MIB } else { 0 };
        assert_eq!(served.bytes(), SMALL.size - believed, "{answer:#?}");
    }
    // Of another image of the same size for the same target.
    let other = Content::new(SMALL.size, 33);
    let (answer, _) = bench.run(other, &format!("fail-at={}&fail=denied", 6 * MIB));
    answer.failure("denied", "seeded-fault", "location");
    let theirs: Vec<String> = names(&bench.dir()).into_iter().filter(|name| name.starts_with(".landfall")).collect();
    bench.run(SMALL, &format!("fail-at={}&fail=denied", 3 * MIB));
    let all: Vec<String> = names(&bench.dir()).into_iter().filter(|name| name.starts_with(".landfall")).collect();
    let ours: Vec<&String> = all.iter().filter(|name| !theirs.contains(name)).collect();
    assert_eq!((theirs.len(), ours.len()), (2, 2), "each image has its own: {all:?}");
    for (from, to) in theirs.iter().zip(&ours) {
        fs::rename(bench.dir().join(from), bench.dir().join(to)).unwrap();
    }
    let (answer, served) = bench.run(SMALL, "");
    answer.success();
    bench.exact(SMALL, &["other"]);
    assert_eq!(served.bytes(), SMALL.size, "{answer:#?}");
}

/// A journal with a right digest that says what is not so: nobody writes one, and if somebody did, no wrong byte is placed.
fn lying_journal(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    type Lie = fn(&mut Value);
    let lies: [(&str, Lie); 5] = [
        ("all of it is there", |it| it["pieces"] = serde_json::json!([[0, SMALL.size, 0]])),
        ("more of it is there", |it| it["pieces"] = serde_json::json!([[0, 6 * MIB, 0]])),
        ("another state of the digest", |it| {
            let state = it["state"].as_str().unwrap().to_owned();
            let first = if state.starts_with('0') { "1" } else { "0" };
            it["state"] = format!("{first}{}", &state[1..]).into();
        }),
        ("more of it is hashed", |it| it["hashed"] = (it["hashed"].as_u64().unwrap_or(0) / 2).into()),
        ("it is for another size", |it| it["size"] = (SMALL.size + 1).into()),
    ];
    for (what, lie) in lies {
        let kept = bench.interrupt(5 * MIB);
        let mut checkpoint = kept.checkpoint().unwrap();
        lie(&mut checkpoint);
        fs::write(&kept.journal, slot(0, &serde_json::to_vec(&checkpoint).unwrap())).unwrap();
        eprintln!("{what}");
        exact_within(&bench, 2, "");
    }
}

/// What was written after the last checkpoint is of no known origin: where the image has zeros, which are left out, it must
/// not show.
fn zeros_after_a_kill(world: &World) {
    for fs in [Fs::Temp, Fs::Tmpfs] {
        let sandbox = Sandbox::on(world, fs);
        let bench = Bench::new(&sandbox, "inline");
        let content = SMALL.with_zeros(2);
        let zero_block = 6 * MIB;
        bench.run(content, &format!("fail-at={}&fail=denied", 5 * MIB)).0.failure("denied", "seeded-fault", "location");
        let mark = bench.seeded.counts.mark();
        let running = bench.start(content, &format!("flip={}&stall-at={}", zero_block + 5, 7 * MIB));
        assert!(bench.seeded.counts.wait_for(mark, 2 * MIB, &running));
        running.signal(Signal::SIGKILL);
        running.end();
        let (answer, _) = bench.run(content, "");
        answer.success();
        bench.exact(content, &[]);
    }
}

// ---- Whose it is, and for how long ----

fn two_at_once(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    let mark = bench.seeded.counts.mark();
    // Of a source that stands still until it is told to stop, so that the other is through before.
    let first = bench.start(SMALL, &format!("stall-at={}", 3 * MIB));
    assert!(bench.seeded.counts.wait_for(mark, 3 * MIB, &first));
    let kept = Kept::find(&bench.dir()).expect("it is being kept");
    let inode = kept.data.metadata().unwrap().ino();

    // The second has a stage of its own, and everything to fetch.
    let (answer, served) = bench.run(SMALL, "");
    answer.success();
    assert_eq!(served.bytes(), SMALL.size);
    SMALL.assert_at(&sandbox.out("disk"));
    assert_ne!(sandbox.out("disk").metadata().unwrap().ino(), inode);
    assert_eq!(kept.data.metadata().unwrap().ino(), inode, "the first one's stage stays");

    // The first is stopped, and what it has is kept for whoever wants it.
    first.signal(Signal::SIGTERM);
    first.finish().failure("cancelled", "cancelled", "request");
    fs::remove_file(sandbox.out("disk")).unwrap();
    assert!(kept.bytes() > 0);
    bench.completes(SMALL.size - kept.bytes());
}

fn nothing_is_kept(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    let fails = format!("fail-at={}&fail=denied", 5 * MIB);
    let more = format!("resume_bytes = {}", SMALL.size + 1);
    let same = format!("resume_bytes = {}", SMALL.size);
    for (top, limits, keeps) in [
        ("stage_keep = \"0s\"", "resume_bytes = \"1MiB\"", false),
        ("", more.as_str(), false),
        // The default is 64 MiB.
        ("", "", false),
        ("", same.as_str(), true),
    ] {
        bench.seeded.configure("inline", top, limits);
        let (answer, _) = bench.run(SMALL, &fails);
        answer.failure("denied", "seeded-fault", "location");
        assert_eq!(Kept::find(&bench.dir()).is_some(), keeps, "{top} {limits}");
        if !keeps {
            sandbox.only(&[]);
        }
    }
    bench.completes(3 * MIB);
    // What cannot be read in parts, or has no size, is not worth it.
    bench.seeded.configure("inline", "", "resume_bytes = \"1MiB\"");
    for how in ["ranged=0", "sized=0"] {
        bench.run(SMALL, &format!("{fails}&{how}")).0.failure("denied", "seeded-fault", "location");
        sandbox.only(&[]);
    }
    // Nothing came.
    bench.run(SMALL, "fail-at=0&fail=denied").0.failure("denied", "seeded-fault", "location");
    sandbox.only(&[]);
    // The bytes are not the image's: they are no beginning of anything.
    bench.run(SMALL, "flip=5").0.failure("corrupt", "digest-mismatch", "location");
    sandbox.only(&[]);
}

fn old_ones_go(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    bench.seeded.configure("inline", "stage_keep = \"1h\"", "resume_bytes = \"1MiB\"");
    let age = |path: &Path, minutes: u64| {
        let then = SystemTime::now() - Duration::from_secs(minutes * 60);
        OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
    };
    let other = Content::new(2 * MIB, 34);
    for (minutes, goes) in [(30, false), (120, true)] {
        let kept = bench.interrupt(5 * MIB);
        age(&kept.data, minutes);
        age(&kept.journal, minutes);
        // Any placement in the directory whose own stage could be kept.
        let path = sandbox.record("other.json", &other.record(&[other.url("other", "")]));
        sandbox.place(path, "other").run().success();
        other.assert_at(&sandbox.out("other"));
        fs::remove_file(sandbox.out("other")).unwrap();
        assert_eq!(kept.data.exists(), !goes, "after {minutes} minutes");
        assert_eq!(kept.journal.exists(), !goes, "after {minutes} minutes");
        bench.completes(if goes { SMALL.size } else { 3 * MIB });
    }
    // Its own, too.
    let kept = bench.interrupt(5 * MIB);
    age(&kept.data, 120);
    age(&kept.journal, 120);
    bench.completes(SMALL.size);
}

/// What went on from a kept file is dressed as what did not: its owner and mode are the caller's wish, not the agent's.
fn dressed(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    let owner = format!("{NOBODY}:{NOBODY}");
    for options in [&[][..], &["--mode", "0640"], &["--owner", &owner], &["--owner", &owner, "--mode", "0644"]] {
        let mut found = Vec::new();
        for resumed in [false, true] {
            if resumed {
                bench.interrupt(5 * MIB);
            }
            let path = sandbox.record("image.json", &SMALL.record(&[SMALL.url("source", "")]));
            let mark = bench.seeded.counts.mark();
            sandbox.place(path, "disk").args(options).run().success();
            let fetched = if resumed { 3 * MIB } else { SMALL.size };
            assert_eq!(bench.seeded.counts.since(mark).bytes(), fetched);
            let meta = sandbox.out("disk").metadata().unwrap();
            found.push((meta.uid(), meta.gid(), meta.mode(), meta.nlink()));
            bench.exact(SMALL, &[]);
        }
        assert_eq!(found[0], found[1], "{options:?}");
    }
}

/// What another user owns, can read or has a second name for is not gone on with, and not touched.
fn reachable(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let bench = Bench::new(&sandbox, "inline");
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 5] = [
        ("somebody else's", |path| std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap()),
        ("world-readable", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o604)).unwrap()),
        ("group-writable", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o620)).unwrap()),
        ("with a second name", |path| fs::hard_link(path, path.with_file_name("second")).unwrap()),
        ("a link", |path| {
            fs::rename(path, path.with_file_name("second")).unwrap();
            std::os::unix::fs::symlink("second", path).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        for of_data in [true, false] {
            let kept = bench.interrupt(5 * MIB);
            let path = if of_data { &kept.data } else { &kept.journal };
            deed(path);
            let before = fs::read(path).unwrap();
            let (answer, served) = bench.run(SMALL, "");
            answer.success();
            let target = sandbox.out("disk");
            SMALL.assert_at(&target);
            assert_eq!(served.bytes(), SMALL.size, "{what}: {answer:#?}");
            assert!(fs::read(path).unwrap() == before, "{what}: it was touched");
            assert_ne!(target.metadata().unwrap().ino(), path.metadata().unwrap().ino(), "{what}");
            for name in names(&bench.dir()) {
                fs::remove_file(bench.dir().join(name)).unwrap();
            }
        }
    }
    // Something that is no file at all.
    let kept = bench.interrupt(5 * MIB);
    fs::remove_file(&kept.data).unwrap();
    fs::create_dir(&kept.data).unwrap();
    let (answer, served) = bench.run(SMALL, "");
    answer.success();
    SMALL.assert_at(&sandbox.out("disk"));
    assert_eq!(served.bytes(), SMALL.size);
}

fn source_changed(world: &World) {
    for isolation in ["inline", "worker"] {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let bench = Bench::new(&sandbox, isolation);
        // It had other bytes before; only what it gave then is fetched again.
        let (answer, _) = bench.run(SMALL, &format!("flip=77&fail-at={}&fail=denied", 5 * MIB));
        answer.failure("denied", "seeded-fault", "location");
        let (answer, served) = bench.run(SMALL, "");
        answer.success();
        bench.exact(SMALL, &[]);
        assert_eq!((served.bytes(), served.again()), (SMALL.size, 0), "{answer:#?}");

        // It has other bytes now: a failure that says so, and not a byte of it stays.
        bench.interrupt(5 * MIB);
        let (answer, _) = bench.run(SMALL, &format!("flip={}", 6 * MIB));
        answer.failure("corrupt", "digest-mismatch", "location");
        sandbox.only(&[]);
        bench.completes(SMALL.size);

        // Another image altogether under the same name and digest.
        bench.interrupt(5 * MIB);
        let other = Content::new(SMALL.size, 35);
        let mut record = SMALL.record(&[other.url("source", "")]);
        let path = sandbox.record("other.json", &record);
        sandbox.place(path, "disk").run().failure("corrupt", "digest-mismatch", "location");
        sandbox.only(&[]);
        // With a good one behind it, exact.
        bench.interrupt(5 * MIB);
        record = SMALL.record(&[other.url("source", ""), SMALL.url("good", "")]);
        let path = sandbox.record("other.json", &record);
        sandbox.place(path, "disk").run().success();
        bench.exact(SMALL, &[]);
    }
}
