//! Fetches from sources that fail on command, in this process.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use landfall_handler_api::{
    Error, ErrorKind, HandlerInfo, HandlerStatus, PlacementEvent, Probe, Request, Result, Scope,
};

use super::*;
use crate::cancel::Cancel;
use crate::ledger::Ledger;
use crate::plugin::{ByteSink, Input, OpenedSource, Outputs, PluginIdentity, SourceInfo};
use crate::target::Target;

const SIZE: u64 = (5 << 20) + 12_345;

fn content() -> Vec<u8> {
    let byte =
        |at: u64| if (at >> 16) & 3 == 0 { 0 } else { u8::try_from(((at * 2_654_435_761) >> 13) & 0xFF).unwrap() };
    (0..SIZE).map(byte).collect()
}

/// What a source does besides giving its bytes.
#[derive(Clone, Default)]
struct Conduct {
    /// Fails for good after so many bytes.
    dies_after: Option<u64>,
    /// Fails so many reads with `unavailable`, each after a few bytes.
    hiccups: usize,
    /// Hangs, until it is told to stop, after so many bytes of one read; so many times.
    stalls_after: Option<u64>,
    stalls: usize,
    /// Gives another byte there.
    flips: Option<usize>,
    /// Gives nothing but other bytes.
    garbles: bool,
    /// Ends early, quietly.
    ends_at: Option<u64>,
    unranged: bool,
    unsized_: bool,
    /// After so many reads it only gives everything.
    ignores_ranges_after: Option<usize>,
    /// Its first read waits until those of others have begun as well.
    meets: Option<Arc<Barrier>>,
    /// Cannot be opened.
    is_gone: bool,
}

struct Fake {
    info: HandlerInfo,
    plugin: PluginIdentity,
    conduct: Conduct,
    bytes: Arc<Vec<u8>>,
    served: Arc<AtomicU64>,
    hiccups: Arc<AtomicUsize>,
    stalled: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

impl Fake {
    fn new(conduct: Conduct) -> Arc<Self> {
        let plugin = PluginIdentity { name: "fake".into(), version: "0".into(), path: "/".into() };
        let mut bytes = content();
        if let Some(at) = conduct.flips {
            bytes[at] ^= 0xFF;
        }
        if conduct.garbles {
            bytes.iter_mut().for_each(|byte| *byte ^= 0xFF);
        }
        Arc::new(Self {
            info: HandlerInfo::new("fake"),
            plugin,
            hiccups: Arc::new(AtomicUsize::new(conduct.hiccups)),
            stalled: Arc::default(),
            reads: Arc::default(),
            conduct,
            bytes: Arc::new(bytes),
            served: Arc::default(),
        })
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

impl Handler for Fake {
    fn info(&self) -> &HandlerInfo {
        &self.info
    }

    fn plugin(&self) -> &PluginIdentity {
        &self.plugin
    }

    fn is_isolated(&self) -> bool {
        false
    }

    fn probe(&self, _: &CallContext, requests: &[&Request]) -> Vec<Result<Probe>> {
        requests.iter().map(|_| Ok(Probe::yes())).collect()
    }

    fn open(&self, _: &CallContext, _: &Request) -> Result<Box<dyn OpenedSource>> {
        if self.conduct.is_gone || self.conduct.dies_after.is_some_and(|most| self.served() >= most) {
            return Err(Error::new(ErrorKind::NotFound, "gone", "it is dead"));
        }
        let size = (!self.conduct.unsized_).then_some(SIZE);
        let info = SourceInfo { size, ranged: !self.conduct.unranged, validator: None };
        Ok(Box::new(FakeSource {
            info,
            conduct: self.conduct.clone(),
            bytes: Arc::clone(&self.bytes),
            served: Arc::clone(&self.served),
            hiccups: Arc::clone(&self.hiccups),
            stalled: Arc::clone(&self.stalled),
            reads: Arc::clone(&self.reads),
        }))
    }

    fn transfer(&self, _: &CallContext, _: &Request, _: Arc<dyn Outputs>) -> Result<()> {
        Err(Error::unsupported("transfer"))
    }

    fn filter(&self, _: &CallContext, _: &Request, _: Arc<dyn Input>, _: Arc<Mutex<dyn ByteSink>>) -> Result<()> {
        Err(Error::unsupported("filter"))
    }

    fn unpack(&self, _: &CallContext, _: &Request, _: Arc<dyn Input>, _: Arc<dyn Outputs>) -> Result<Option<String>> {
        Err(Error::unsupported("unpack"))
    }

    fn status(&self, _: &CallContext) -> Result<HandlerStatus> {
        Err(Error::unsupported("status"))
    }

    fn delete_stored(&self, _: &CallContext, _: &Request) -> Result<()> {
        unreachable!("the engine deletes nothing")
    }

    fn placement_removed(&self, _: &CallContext, _: &PlacementEvent) -> Result<()> {
        Ok(())
    }

    fn placement_moved(&self, _: &CallContext, _: &PlacementEvent) -> Result<()> {
        Ok(())
    }
}

struct FakeSource {
    info: SourceInfo,
    conduct: Conduct,
    bytes: Arc<Vec<u8>>,
    served: Arc<AtomicU64>,
    hiccups: Arc<AtomicUsize>,
    stalled: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

impl OpenedSource for FakeSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&self, call: &CallContext, range: Range<u64>, into: Arc<Mutex<dyn ByteSink>>) -> Result<()> {
        assert!(self.info.ranged || range.start == 0, "read from {}", range.start);
        let reads = self.reads.fetch_add(1, Ordering::SeqCst);
        if let Some(barrier) = self.conduct.meets.as_ref().filter(|_| reads == 0) {
            barrier.wait();
        }
        if self.conduct.ignores_ranges_after.is_some_and(|most| reads >= most) && range.start > 0 {
            let message = "everything is given";
            return Err(Error::new(ErrorKind::Unsupported, "range-ignored", message).scoped(Scope::Location));
        }
        let end = range.end.min(self.conduct.ends_at.unwrap_or(SIZE)).min(SIZE);
        let (mut at, mut given) = (range.start, 0);
        let hiccup = self.hiccups.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        while at < end {
            call.cancel.check()?;
            if hiccup && given >= 70_000 {
                return Err(Error::new(ErrorKind::Unavailable, "hiccup", "try again"));
            }
            if self.conduct.dies_after.is_some_and(|most| self.served.load(Ordering::SeqCst) >= most) {
                return Err(Error::new(ErrorKind::NotFound, "gone", "it died"));
            }
            if self.conduct.stalls_after.is_some_and(|after| given >= after)
                && self.stalled.fetch_add(1, Ordering::SeqCst) < self.conduct.stalls
            {
                return Err(call.pulse.stalled());
            }
            let mut into = into.lock().unwrap();
            let room = into.reserve(usize::try_from((end - at).min(50_000)).unwrap())?;
            let count = room.len();
            room.copy_from_slice(&self.bytes[usize::try_from(at).unwrap()..][..count]);
            into.commit(count)?;
            at += count as u64;
            given += count as u64;
            self.served.fetch_add(count as u64, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Origins that come one after the other, as the trials of a placement give them.
struct Row {
    rest: VecDeque<Origin>,
    current: Origin,
    failed: Vec<(String, String)>,
    lied: Vec<String>,
    returns: usize,
    /// Whether they are read at the same time.
    combines: bool,
    companions: Vec<Origin>,
}

impl Supply for Row {
    fn has_other(&self) -> bool {
        !self.rest.is_empty()
    }

    fn next(&mut self, error: Error, _: u64, later: bool) -> Result<Origin> {
        self.failed.push((self.current.name.clone(), error.code().to_owned()));
        self.companions.drain(..).rev().for_each(|companion| self.rest.push_front(companion));
        if later && self.returns < 6 && (!self.rest.is_empty() || error.kind() == ErrorKind::Corrupt) {
            self.returns += 1;
            self.rest.push_back(self.current.clone());
        }
        self.current = self.rest.pop_front().ok_or(error)?;
        Ok(self.current.clone())
    }

    fn companions(&mut self, most: usize) -> Vec<Origin> {
        let count = if self.combines { self.rest.len().min(most) } else { 0 };
        self.companions = self.rest.drain(..count).collect();
        self.companions.clone()
    }

    fn dropped(&mut self, origin: &Origin, error: Error, _: u64) {
        self.failed.push((origin.name.clone(), error.code().to_owned()));
        match self.companions.iter().position(|companion| companion.name == origin.name) {
            Some(at) => drop(self.companions.remove(at)),
            None => self.current = self.companions.remove(0),
        }
    }

    fn shaper_failed(&mut self, _: &str) {}

    fn lied(&mut self, name: &str, _: &str) {
        self.lied.push(name.to_owned());
    }
}

fn origin(name: &str, fake: &Arc<Fake>) -> Origin {
    let call = CallContext::quiet(Cancel::new().unwrap(), Duration::from_secs(60));
    let handler: Arc<dyn Handler> = Arc::<Fake>::clone(fake);
    let request = Request::default();
    Origin { handler, request, call, key: name.to_owned(), name: name.to_owned(), connects_to: name.to_owned() }
}

struct Fetched {
    moved: Result<Moved>,
    /// Whether the stage holds the image.
    exact: bool,
    row: Row,
}

fn fetch_with(fakes: &[(&str, &Arc<Fake>)], digest: Option<&Digest>, size: Option<u64>) -> Fetched {
    fetch_from(fakes, digest, size, false)
}

fn fetch_from(fakes: &[(&str, &Arc<Fake>)], digest: Option<&Digest>, size: Option<u64>, combines: bool) -> Fetched {
    let directory = tempfile::tempdir().unwrap();
    let target = Arc::new(Target::open(&directory.path().join("disk")).unwrap());
    let mut stage = Stage::open(&target, Duration::from_secs(60), None).unwrap();
    fetch_into(&mut stage, fakes, digest, size, combines)
}

fn fetch_into(
    stage: &mut Stage,
    fakes: &[(&str, &Arc<Fake>)],
    digest: Option<&Digest>,
    size: Option<u64>,
    combines: bool,
) -> Fetched {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&directory.path().join("state")).unwrap();
    let dress = Dress::default();
    let want = Want {
        digest,
        size,
        disks: 1,
        overcommit: false,
        virtual_size: None,
        limit: 1 << 30,
        share: false,
        links: false,
        dress: &dress,
        remembered: &ledger,
        memory: Memory::Off,
        limits: None,
        resume_bytes: u64::MAX,
        stage_keep: Duration::ZERO,
        least_rate: 1,
        stall: Duration::from_secs(60),
        shared: false,
    };
    let mut origins: VecDeque<Origin> = fakes.iter().map(|(name, fake)| origin(name, fake)).collect();
    let first = origins.pop_front().unwrap();
    let mut row = Row {
        rest: origins,
        current: first.clone(),
        failed: vec![],
        lied: vec![],
        returns: 0,
        combines,
        companions: vec![],
    };
    let moved = from_source(first, &mut row, stage, &want, &mut 0);
    let mut there = vec![0; usize::try_from(stage.file().metadata().unwrap().len()).unwrap()];
    stage.file().read_exact_at(&mut there, 0).unwrap();
    Fetched { moved, exact: there == content(), row }
}

fn digest() -> Digest {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(&content());
    hasher.finish()
}

fn fetch(fakes: &[(&str, &Arc<Fake>)]) -> Fetched {
    fetch_with(fakes, Some(&digest()), Some(SIZE))
}

fn is_image(fetched: &Fetched) -> bool {
    matches!(&fetched.moved, Ok(moved) if moved.digest == Some(digest()) && moved.bytes == SIZE) && fetched.exact
}

#[test]
fn one_source_in_every_shape() {
    for (unranged, unsized_) in [(false, false), (false, true), (true, false), (true, true)] {
        for hiccups in [0, 3] {
            for size in [Some(SIZE), None] {
                let fake = Fake::new(Conduct { unranged, unsized_, hiccups, ..Conduct::default() });
                let fetched = fetch_with(&[("a", &fake)], Some(&digest()), size);
                assert!(is_image(&fetched), "{unranged} {unsized_} {hiccups} {size:?}: {:?}", fetched.moved);
                // A ranged source is never asked again for what it gave.
                assert!(unranged || fake.served() == SIZE, "{unsized_} {hiccups} {size:?}: {}", fake.served());
            }
        }
    }
}

#[test]
fn holes_are_kept() {
    let fake = Fake::new(Conduct::default());
    let fetched = fetch(&[("a", &fake)]);
    assert!(is_image(&fetched) && fetched.row.failed.is_empty());
}

#[test]
fn a_source_that_ends_early_or_fails_too_often_is_named() {
    let short = Fake::new(Conduct { ends_at: Some(SIZE - 5), ..Conduct::default() });
    assert_eq!(fetch(&[("a", &short)]).moved.unwrap_err().code(), "short-body");
    let ill = Fake::new(Conduct { dies_after: Some(100_000), ..Conduct::default() });
    let error = fetch(&[("a", &ill)]).moved.unwrap_err();
    assert_eq!((error.code(), error.scope()), ("gone", Scope::Location));
}

#[test]
fn what_one_source_gave_the_next_need_not() {
    let dies = Fake::new(Conduct { dies_after: Some(2_000_000), ..Conduct::default() });
    let good = Fake::new(Conduct::default());
    let fetched = fetch(&[("dies", &dies), ("good", &good)]);
    assert!(is_image(&fetched));
    assert_eq!(dies.served() + good.served(), SIZE);
    assert_eq!(fetched.row.failed, [("dies".to_owned(), "gone".to_owned())]);
    assert_eq!(fetched.moved.unwrap().locations, ["dies", "good"]);
}

#[test]
fn without_a_digest_bytes_are_not_mixed() {
    let dies = Fake::new(Conduct { dies_after: Some(2_000_000), ..Conduct::default() });
    let good = Fake::new(Conduct::default());
    let fetched = fetch_with(&[("dies", &dies), ("good", &good)], None, Some(SIZE));
    assert_eq!(fetched.moved.unwrap_err().code(), "gone");
    assert_eq!(good.served(), 0);
}

#[test]
fn without_a_known_end_bytes_are_not_mixed() {
    // One that gives nearly everything, and one that would only have to be right at the end.
    let dies = Fake::new(Conduct { dies_after: Some(SIZE - 100_000), unsized_: true, ..Conduct::default() });
    let lies = Fake::new(Conduct { flips: Some(10), unsized_: true, ..Conduct::default() });
    let fetched = fetch_with(&[("dies", &dies), ("lies", &lies)], Some(&digest()), None);
    assert_eq!(fetched.moved.unwrap_err().code(), "gone");
    assert_eq!(lies.served(), 0);
}

#[test]
fn an_origin_that_does_not_know_its_size_fills_a_gap() {
    let dies = Fake::new(Conduct { dies_after: Some(2_000_000), ..Conduct::default() });
    let good = Fake::new(Conduct { unsized_: true, ..Conduct::default() });
    let fetched = fetch(&[("dies", &dies), ("good", &good)]);
    assert!(is_image(&fetched), "{:?} {:?}", fetched.moved, fetched.row.failed);
}

#[test]
fn a_liar_among_others_is_found_in_every_order() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let fakes = [
            ("dies", Fake::new(Conduct { dies_after: Some(1_500_000), ..Conduct::default() })),
            ("lies", Fake::new(Conduct { flips: Some(4_500_000), ..Conduct::default() })),
            ("stalls", Fake::new(Conduct { stalls_after: Some(1_000_000), stalls: 1, ..Conduct::default() })),
        ];
        let row: Vec<(&str, &Arc<Fake>)> = order.iter().map(|&at| (fakes[at].0, &fakes[at].1)).collect();
        let fetched = fetch(&row);
        let names: Vec<&str> = row.iter().map(|(name, _)| *name).collect();
        if order[0] == 1 {
            // Alone it gave everything, and its word stands against the record's: the placement's next attempt goes on.
            assert!(
                !fetched.exact && matches!(&fetched.moved, Ok(moved) if moved.digest != Some(digest())),
                "{names:?}"
            );
            continue;
        }
        assert!(is_image(&fetched), "{names:?}: {:?} {:?}", fetched.moved, fetched.row.failed);
        let lied = fakes[1].1.served() == 0 || fetched.row.lied == ["lies"];
        assert!(lied, "{names:?}: {:?} {:?}", fetched.row.lied, fetched.row.failed);
    }
}

#[test]
fn a_location_that_stalls_again_and_again_is_left() {
    let stalls = Fake::new(Conduct { stalls_after: Some(100_000), stalls: usize::MAX, ..Conduct::default() });
    let good = Fake::new(Conduct::default());
    let fetched = fetch(&[("stalls", &stalls), ("good", &good)]);
    assert!(is_image(&fetched), "{:?} {:?}", fetched.moved, fetched.row.failed);
    assert_eq!(stalls.served() + good.served(), SIZE);
    assert!(stalls.served() < SIZE / 4, "{}", stalls.served());
}

#[test]
fn two_liars_do_not_prevail_over_one_honest_location() {
    let one = Fake::new(Conduct { flips: Some(10), dies_after: Some(2_000_000), ..Conduct::default() });
    let two = Fake::new(Conduct { flips: Some(5_000_000), ..Conduct::default() });
    let good = Fake::new(Conduct::default());
    let fetched = fetch(&[("one", &one), ("two", &two), ("good", &good)]);
    assert!(is_image(&fetched), "{:?} {:?}", fetched.moved, fetched.row.failed);
    assert_eq!(fetched.row.lied.len(), 2, "{:?}", fetched.row.lied);
}

#[test]
fn when_all_lie_nothing_is_the_image() {
    let one = Fake::new(Conduct { flips: Some(10), dies_after: Some(2_000_000), ..Conduct::default() });
    let two = Fake::new(Conduct { flips: Some(5_000_000), ..Conduct::default() });
    let fetched = fetch(&[("one", &one), ("two", &two)]);
    assert_eq!(fetched.moved.unwrap_err().code(), "digest-mismatch", "{:?}", fetched.row.failed);
}

fn combined(fakes: &[(&str, &Arc<Fake>)]) -> Fetched {
    fetch_from(fakes, Some(&digest()), Some(SIZE), true)
}

/// Two sources whose first reads wait for each other, so that both take part.
fn pair(one: Conduct, two: Conduct) -> (Arc<Fake>, Arc<Fake>) {
    let meets = Some(Arc::new(Barrier::new(2)));
    (Fake::new(Conduct { meets: meets.clone(), ..one }), Fake::new(Conduct { meets, ..two }))
}

#[test]
fn a_source_that_stops_heeding_ranges_is_read_from_its_start() {
    for reads in 1..6 {
        // A hiccup makes for a second range, after which it gives the whole alone.
        let conduct = Conduct { ignores_ranges_after: Some(reads), hiccups: reads, ..Conduct::default() };
        let fake = Fake::new(conduct);
        let fetched = fetch(&[("a", &fake)]);
        assert!(is_image(&fetched), "{reads}: {:?}", fetched.moved);
        assert!(fake.served() > SIZE && fetched.row.failed.is_empty(), "{reads}");
    }
}

#[test]
fn what_is_read_anew_leaves_nothing_of_what_was_there() {
    // The bytes that were there beyond the gap were no zeros; the image's are, and are left out when they are written.
    let directory = tempfile::tempdir().unwrap();
    let target = Arc::new(Target::open(&directory.path().join("disk")).unwrap());
    let mut stage = Stage::open(&target, Duration::from_secs(60), None).unwrap();
    let fake = Fake::new(Conduct { ignores_ranges_after: Some(1), hiccups: 1, ..Conduct::default() });
    stage.set_size(SIZE).unwrap();
    stage.file().write_all_at(&vec![0xAA; usize::try_from(SIZE - (1 << 20)).unwrap()], 1 << 20).unwrap();
    let fetched = fetch_into(&mut stage, &[("a", &fake)], Some(&digest()), Some(SIZE), false);
    assert!(is_image(&fetched), "{:?}", fetched.moved);
}

#[test]
fn several_sources_are_read_at_the_same_time() {
    let (one, two) = pair(Conduct::default(), Conduct { hiccups: 1, ..Conduct::default() });
    let fetched = combined(&[("one", &one), ("two", &two)]);
    assert!(is_image(&fetched), "{:?}", fetched.moved);
    assert!(one.served() > 0 && two.served() > 0);
    assert_eq!(one.served() + two.served(), SIZE);
    assert_eq!(fetched.moved.unwrap().locations, ["one", "two"]);
}

#[test]
fn of_several_that_are_read_together_each_may_fail() {
    let dies = || Conduct { dies_after: Some(700_000), ..Conduct::default() };
    for lead in [true, false] {
        let (dies, good) = pair(dies(), Conduct::default());
        let row = if lead { [("dies", &dies), ("good", &good)] } else { [("good", &good), ("dies", &dies)] };
        let fetched = combined(&row);
        assert!(is_image(&fetched), "{lead}: {:?} {:?}", fetched.moved, fetched.row.failed);
        assert_eq!(fetched.row.failed, [("dies".to_owned(), "gone".to_owned())], "{lead}");
        assert_eq!(dies.served() + good.served(), SIZE, "{lead}");
    }
    let (one, two) = pair(dies(), dies());
    let error = combined(&[("one", &one), ("two", &two)]).moved.unwrap_err();
    assert_eq!((error.code(), error.scope()), ("gone", Scope::Location));
    // One that cannot even be opened, or not be read in ranges.
    let gone = Fake::new(Conduct { is_gone: true, ..Conduct::default() });
    let whole = Fake::new(Conduct { unranged: true, ..Conduct::default() });
    let good = Fake::new(Conduct::default());
    let fetched = combined(&[("good", &good), ("gone", &gone), ("whole", &whole)]);
    assert!(is_image(&fetched) && good.served() == SIZE, "{:?}", fetched.moved);
}

#[test]
fn a_liar_that_was_read_together_with_others_is_found() {
    for lead in [true, false] {
        let (lies, good) = pair(Conduct { garbles: true, ..Conduct::default() }, Conduct::default());
        let row = if lead { [("lies", &lies), ("good", &good)] } else { [("good", &good), ("lies", &lies)] };
        let fetched = combined(&row);
        assert!(is_image(&fetched), "{lead}: {:?} {:?}", fetched.moved, fetched.row.failed);
        // By bytes that had to be replaced, or since all that it gives is not the image.
        let alone = ("lies".to_owned(), "digest-mismatch".to_owned());
        let row = &fetched.row;
        assert!(row.lied == ["lies"] || row.failed.contains(&alone), "{lead}: {:?} {:?}", row.lied, row.failed);
    }
}
