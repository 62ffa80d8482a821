//! Every lie alone, where it must fail by its name or not matter; and before a location that is good.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::outcome::{self, Outcome};
use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::fault_server::{ClosedPort, Counts, FaultServer, Lie, Site, To, Validators};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

/// More than the first request asks for, so that there is a second.
pub(super) const IMAGE: Content = Content::new((3 << 20) + 4321, 31);
/// Requests that any lie may cause.
const REQUESTS_MOST: usize = 40;
/// So much may be on its way to a client that has stopped to read.
const BUFFERS: u64 = 32 << 20;
/// Lies that are tried at once: most of the time of most is spent waiting.
const AT_ONCE: usize = 8;

type Family = (&'static str, fn(Lie) -> bool);

/// Disjoint, and together all lies.
const FAMILIES: [Family; 8] = [
    ("redirects", |lie| matches!(lie, Lie::Redirect(_))),
    ("statuses", |lie| matches!(lie, Lie::Status(_) | Lie::Empty(_))),
    ("slowness", |lie| outcome::of(lie) == Outcome::Fails("unavailable", "stalled")),
    ("passing_faults_at_first", |lie| is_at_first(lie)),
    ("passing_faults", |lie| is_passing(lie)),
    ("headers", |lie| matches!(lie, Lie::HugeHeader | Lie::ManyHeaders | Lie::EndlessHeader)),
    ("legal_oddities", |lie| is_legal(lie)),
    ("framing_ranges_and_versions", |lie| FAMILIES[..7].iter().all(|(_, of)| !of(lie))),
];

/// Where it is opened, once.
fn is_at_first(lie: Lie) -> bool {
    matches!(lie, Lie::StatusAtFirst(_) | Lie::ClosesAtOnceOnce | Lie::ClosesInHeadersOnce)
}

fn is_passing(lie: Lie) -> bool {
    matches!(
        lie,
        Lie::StatusOnce(_)
            | Lie::RetryAfter(_)
            | Lie::ClosesInBodyOnce
            | Lie::ResetsInBodyOnce
            | Lie::ClosesAtOnce
            | Lie::ClosesInHeaders
            | Lie::ClosesInBody
            | Lie::ResetsInBody
            | Lie::ResetsAtOnce
            | Lie::RefusesAfterTwo
    )
}

fn is_legal(lie: Lie) -> bool {
    !is_passing(lie)
        && !is_at_first(lie)
        && !matches!(lie, Lie::Redirect(_))
        && matches!(outcome::of(lie), Outcome::Once | Outcome::Exact)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("http::every_lie_is_in_one_family", |_| families()).mode_independent(),
        Case::new("http::an_honest_server", honest),
    ];
    for (name, of) in FAMILIES {
        let lies: Vec<Lie> = Lie::all().into_iter().filter(|lie| of(*lie)).collect();
        cases.push(Case::new(format!("http::lies_{name}"), move |world| sweep(world, &lies)));
    }
    cases
}

fn families() {
    for lie in Lie::all() {
        let of = FAMILIES.iter().filter(|(_, of)| of(lie)).count();
        assert_eq!(of, 1, "{lie:?}");
    }
}

/// A placement from one server, or from two.
pub(super) struct Placed {
    pub(super) answer: Answer,
    pub(super) counts: Counts,
    pub(super) fault: Option<String>,
    pub(super) left: Vec<String>,
}

/// What records may name here.
pub(super) const ALLOWED: &str = "[handler.http]\nallow_addresses = [\"127.0.0.1/32\"]\n";

/// One connection at a time: a second one would be given a part of what the first was asked for, and may have had.
pub(super) const ONE: &str = "[limits]\nconnections_per_origin = 1\n";

fn limits(lie: Lie) -> String {
    let stalls = outcome::of(lie) == Outcome::Fails("unavailable", "stalled");
    format!("{ONE}{}", if stalls { "stall = \"500ms\"\ngrace = \"1s\"\n" } else { "" })
}

pub(super) fn place(sandbox: &Sandbox<'_>, server: &FaultServer, urls: &[String]) -> Placed {
    let path = sandbox.record("image.json", &IMAGE.record(urls));
    let answer = sandbox.place(path, "disk").run();
    let disk = sandbox.out("disk");
    let fault = if answer.status == 0 { IMAGE.fault_of(&disk) } else { None };
    let left = crate::support::left_over::names(sandbox.out_dir());
    Placed { answer, counts: server.counts(), fault, left }
}

fn honest(world: &World) {
    for validators in [Validators::Strong, Validators::Weak, Validators::Date, Validators::None] {
        for ranges in [true, false] {
            let sandbox = Sandbox::on(world, Fs::Temp);
            sandbox.configure("", &format!("{ALLOWED}{ONE}"));
            let server = FaultServer::start(Site::new(IMAGE).with_validators(validators).with_ranges(ranges));
            let placed = place(&sandbox, &server, &[server.url("/disk.raw")]);
            assert_eq!(wrong(Lie::Chunked, Outcome::Once, &placed), None, "{validators:?} {ranges}");
            // One connection does all, though a second may be made in vain; and nothing is asked for that is not needed.
            assert!(placed.counts.requests.iter().all(|request| request.connection == 1), "{:#?}", placed.counts);
            assert_eq!(placed.counts.requests.len(), if ranges { 2 } else { 1 }, "{:#?}", placed.counts);
            let encodings = placed.counts.header("accept-encoding");
            assert!(encodings.len() == placed.counts.requests.len() && encodings.iter().all(|&its| its == "identity"));
            assert!(placed.counts.header("authorization").is_empty() && placed.counts.header("cookie").is_empty());
            let hosts = placed.counts.header("host");
            assert!(hosts.iter().all(|&host| host == server.authority()), "{hosts:?}");
            let conditions = match (validators, ranges) {
                (_, false) | (Validators::None, _) => [0, 0],
                (Validators::Strong, true) => [1, 0],
                (Validators::Weak | Validators::Date, true) => [0, 1],
            };
            let found = ["if-match", "if-unmodified-since"].map(|name| placed.counts.header(name).len());
            assert_eq!(found, conditions, "{validators:?} {ranges}");
        }
    }
}

/// What is wrong with a placement that should have ended so.
pub(super) fn wrong(lie: Lie, expected: Outcome, placed: &Placed) -> Option<String> {
    let Placed { answer, counts, fault, left } = placed;
    let document = answer.document();
    let said = |key: &str| document["error"][key].as_str().unwrap_or("").to_owned();
    let found = if answer.status == 0 {
        let again = counts.served().again();
        if again == 0 && counts.served().bytes() == IMAGE.size { Outcome::Once } else { Outcome::Exact }
    } else {
        Outcome::Fails("", "")
    };
    let right = match expected {
        Outcome::Once => found == Outcome::Once,
        Outcome::Exact => answer.status == 0,
        Outcome::ExactOrCorrupt => answer.status == 0 || said("kind") == "corrupt",
        Outcome::Fails(kind, code) => answer.status != 0 && said("kind") == kind && said("code") == code,
    };
    let expected_left: &[&str] = if answer.status == 0 { &["disk"] } else { &[] };
    if !right {
        let came = format!("{}/{} {}", said("kind"), said("code"), said("message"));
        let served = counts.served();
        return Some(format!(
            "{lie:?}: {expected:?} is expected, and {came} came, with {} requests, {} bytes, {} of them again",
            counts.requests.len(),
            served.bytes(),
            served.again()
        ));
    }
    if let Some(fault) = fault {
        return Some(format!("{lie:?}: placed, and {fault}"));
    }
    if left != expected_left {
        return Some(format!("{lie:?}: left {left:?}"));
    }
    if counts.requests.len() > REQUESTS_MOST {
        return Some(format!("{lie:?}: {} requests", counts.requests.len()));
    }
    if counts.sent > IMAGE.size * 8 + BUFFERS {
        return Some(format!("{lie:?}: {} bytes were taken", counts.sent));
    }
    None
}

/// Tries every lie of a family, and says all that is wrong.
fn sweep(world: &World, lies: &[Lie]) {
    let next = AtomicUsize::new(0);
    let (wrongs, done) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&lie) = lies.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = one(world, lie);
                    wrongs.lock().unwrap().extend(found);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "{} of {} lies:\n{}", wrongs.len(), lies.len(), wrongs.join("\n"));
    assert_eq!(done.into_inner(), lies.len());
}

/// The lie alone; and where it fails, before a good location of the same server, which then gives the image.
fn one(world: &World, lie: Lie) -> Vec<String> {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.configure("", &format!("{ALLOWED}{}", limits(lie)));
    let expected = outcome::of(lie);
    let elsewhere = FaultServer::start_on([127, 0, 0, 2].into(), Site::new(IMAGE));
    let closed = ClosedPort::new();
    // The one address of these that is allowed.
    let authority = if lie == Lie::Redirect(To::Localhost) { closed.authority() } else { elsewhere.authority() };
    let start = || {
        let site = Site::new(IMAGE).lying(lie).leads_to(&authority);
        let date = lie == Lie::LastModifiedChangesLate;
        FaultServer::start(if date { site.with_validators(Validators::Date) } else { site })
    };
    let mut wrongs = Vec::new();
    if !is_waited_for_at_length(lie) || world.rounds(0, 1) == 1 {
        let server = start();
        let alone = place(&sandbox, &server, &[server.url("/disk.raw")]);
        wrongs.extend(wrong(lie, expected, &alone));
        if alone.counts.lies == 0 && !has_nothing_to_tell(lie) {
            wrongs.push(format!("{lie:?} was never told: {:#?}", alone.counts.requests));
        }
    }
    if let Outcome::Fails(kind, code) = expected {
        let (server, good) = (start(), FaultServer::honest(IMAGE));
        // Where the lie is about connections, another server must be the good one.
        let good_one = if lie == Lie::RefusesAfterTwo { good.url("/b") } else { server.url("/honest/disk.raw") };
        let both = place(&sandbox, &server, &[server.url("/disk.raw"), good_one]);
        wrongs.extend(wrong(lie, Outcome::Exact, &both).map(|wrong| format!("before a good location, {wrong}")));
        let attempts = both.answer.document()["attempts"].as_array().cloned().unwrap_or_default();
        let is_named = |tried: &serde_json::Value| {
            let its = tried["code"].as_str();
            // One whose bytes had to go is said to have lied, whatever it did then.
            tried["kind"] == kind && (its == Some(code) || kind == "corrupt" && its == Some("wrong-bytes"))
        };
        if !attempts.iter().any(is_named) {
            wrongs.push(format!("{lie:?} is not named with a good location behind it: {attempts:#?}"));
        }
    }
    let astray = elsewhere.counts();
    if !astray.requests.is_empty() {
        wrongs.push(format!("{lie:?} led astray: {:#?}", astray.requests));
    }
    wrongs
}

/// Alone, each of these is tried for some ten seconds, and others show as much: left to the long run.
fn is_waited_for_at_length(lie: Lie) -> bool {
    match lie {
        Lie::Status(status) => matches!(status, 408 | 425 | 429 | 500 | 502 | 504),
        Lie::ClosesInHeaders | Lie::ResetsAtOnce | Lie::ResetsInBody | Lie::HeadersThenSilence => true,
        _ => false,
    }
}

/// Lies that an honest client, with one connection at a time, does not come to see.
fn has_nothing_to_tell(lie: Lie) -> bool {
    matches!(lie, Lie::ThreeRequestsPerConnection | Lie::Redirect(To::Expiring))
}
