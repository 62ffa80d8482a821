//! Runs an operation once for every fault at every point that it meets, and looks at what is left each time.

use super::deed::Deed;
use super::operation::{Keeping, Kind, Operation};
use super::site::{Ended, Layout, Site, is_kept};
use super::tally;
use super::trace::{Met, Trace};
use super::view::Observed;
use crate::support::answer::status_of;
use crate::support::world::World;

/// One run of an operation: at the `hit`-th time that it meets `point`, `deed` happens.
pub(super) struct Fault {
    pub(super) point: String,
    pub(super) hit: u32,
    pub(super) deed: Deed,
}

impl Fault {
    /// For the build with fault points.
    pub(super) fn text(&self) -> String {
        format!("{}#{}={}", self.point, self.hit, self.deed.name())
    }

    /// Whether this is where it happened.
    fn is(&self, met: &Met) -> bool {
        met.point == self.point && met.hit == self.hit && met.deed.as_deref() == Some(self.deed.name())
    }
}

/// Sweeps the operation; fails with everything that was wrong.
pub(super) fn sweep(world: &World, operation: &Operation) {
    let site = Site::new(world, operation, Layout::Apart);
    let met = enumerate(&site, operation).unwrap_or_else(|wrong| panic!("without a fault: {wrong}"));
    let faults: Vec<Fault> = met
        .iter()
        .flat_map(|Met { point, hit, .. }| {
            Deed::of(point).into_iter().map(|deed| Fault { point: point.clone(), hit: *hit, deed })
        })
        .collect();
    let mut ran = 0;
    let mut wrong = Vec::new();
    for fault in &faults {
        if let Err(violation) = run(&site, operation, fault) {
            wrong.push(format!("{}: {violation}", fault.text()));
        }
        ran += 1;
    }
    let expected: usize = met.iter().map(|met| Deed::of(&met.point).len()).sum();
    assert_eq!(ran, expected, "one case for each deed at each of {} hits", met.len());
    tally::swept(world.mode.named(operation.name), met.len(), ran);
    assert!(wrong.is_empty(), "{} of {ran} cases are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs the operation with nothing but its own event, checks everything, and gives the hits that faults can be put on.
pub(super) fn enumerate(site: &Site, operation: &Operation) -> Result<Vec<Met>, String> {
    let trace = clean(site, operation, "")?;
    in_order(operation, &trace)?;
    keeps_as_it_says(operation, &trace)?;
    let Trace(met) = trace;
    if met.is_empty() {
        return Err("no point was met".to_owned());
    }
    // Where its event already is there is no place for another fault. What lacks all the time is no event.
    let is_event =
        |met: &Met| operation.event.split(',').any(|event| event.starts_with(&format!("{}#{}=", met.point, met.hit)));
    Ok(met.into_iter().filter(|met| !is_event(met)).collect())
}

/// Runs the operation with nothing but its own event and these faults, and checks everything that it leaves.
pub(super) fn clean(site: &Site, operation: &Operation, faults: &str) -> Result<Trace, String> {
    begin(site, operation);
    let path = site.trace();
    let words = (operation.words)(site);
    let ended = site.run_traced(&words, &joined(faults, operation.event), Some(&path));
    let trace = Trace::take(&path);
    ends_as_usual(operation, &ended)?;
    let observed = site.observe()?;
    if observed.view != *operation.left() {
        return Err(format!("it leaves {observed:?}, not {:?}", operation.left()));
    }
    nothing_hidden(&observed)?;
    again(site, operation, &observed, &trace)?;
    Ok(trace)
}

/// Whether an operation that succeeded did things in the order on which its promise rests.
pub(super) fn in_order(operation: &Operation, trace: &Trace) -> Result<(), String> {
    if operation.ends.is_empty() { trace.in_order(operation.kind) } else { Ok(()) }
}

/// Whether the operation writes and reads checkpoints as it is meant to: else it would show nothing.
fn keeps_as_it_says(operation: &Operation, trace: &Trace) -> Result<(), String> {
    let Some(keeping) = operation.keeping else { return Ok(()) };
    let found = (trace.meets("journal.create"), trace.meets("journal.write"), trace.meets(RESUMED));
    if found == (true, keeping == Keeping::Checkpoints, keeping == Keeping::Resumes) {
        return Ok(());
    }
    Err(format!("it is no operation that {keeping:?}: {trace:?}"))
}

/// What only a run meets that goes on from a checkpoint, here where none comes from a handler that makes holes.
const RESUMED: &str = "stage.punch";

pub(super) fn joined(faults: &str, event: &str) -> String {
    [faults, event].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
}

pub(super) fn begin(site: &Site, operation: &Operation) {
    site.reset(operation.first_use);
    (operation.prepare)(site);
}

pub(super) fn ends_as_usual(operation: &Operation, ended: &Ended) -> Result<(), String> {
    if operation.ends.is_empty() {
        if ended.status != 0 {
            return Err(format!("it fails: {ended:?}"));
        }
        if !operation.method.is_empty() && ended.document["method"] != operation.method {
            return Err(format!("the method is not {}: {ended:?}", operation.method));
        }
        return Ok(());
    }
    let (kind, code) = ended.error();
    if code != operation.ends || ended.status != status_of(kind) {
        return Err(format!("it does not fail with {}: {ended:?}", operation.ends));
    }
    Ok(())
}

/// One case: the operation with this fault, from the beginning; then the ledger is opened, and the operation run again.
fn run(site: &Site, operation: &Operation, fault: &Fault) -> Result<(), String> {
    begin(site, operation);
    let words = (operation.words)(site);
    let ended = site.run_traced(&words, &joined(&fault.text(), operation.event), Some(&site.trace()));
    let trace = Trace::take(&site.trace());
    if !trace.0.iter().any(|met| fault.is(met)) {
        return Err(format!("the point was not met: {trace:?}"));
    }
    ends_as_it_must(operation, fault, &ended, &trace)?;
    let observed = site.observe().map_err(|wrong| format!("{wrong}\nafter {ended:?}"))?;
    leaves_what_it_must(site, operation, fault, &ended, &observed).map_err(|wrong| format!("{wrong}\n{ended:?}"))?;
    if operation.keeping.is_some() {
        keeps_what_it_must(operation, fault, &ended, &trace, &observed)
            .map_err(|wrong| format!("{wrong}\n{ended:?}\n{trace:?}"))?;
    }
    again(site, operation, &observed, &trace).map_err(|wrong| format!("again: {wrong}"))
}

fn ends_as_it_must(operation: &Operation, fault: &Fault, ended: &Ended, trace: &Trace) -> Result<(), String> {
    // A journal that may still speak of what is gone is another matter than a checkpoint that is missing.
    let clears = fault.point == "journal.sync" && !trace.meets("journal.write");
    if fault.deed.kills() {
        if ended.status == -9 {
            return Ok(());
        }
        return Err(format!("it was not killed: {ended:?}"));
    }
    match fault.deed.error() {
        Some((kind, code)) if clears || !operation.tolerates(&fault.point) => {
            if ended.error() == (kind, code) && ended.status == status_of(kind) {
                return Ok(());
            }
            // Behind a failure of its own, that one is the cause.
            if !operation.ends.is_empty() && ends_as_usual(operation, ended).is_ok() {
                return Ok(());
            }
            Err(format!("it does not fail with {kind} {code}: {ended:?}"))
        }
        _ => ends_as_usual(operation, ended),
    }
}

fn leaves_what_it_must(
    site: &Site,
    operation: &Operation,
    fault: &Fault,
    ended: &Ended,
    observed: &Observed,
) -> Result<(), String> {
    let (before, after, view) = (&operation.before, &operation.after, &observed.view);
    let allowed = match ended.status {
        0 => view == after,
        // A failed placement of something new leaves nothing of it, unless taking it back failed as well.
        _ if matches!(operation.kind, Kind::Place | Kind::PlaceDirectory)
            && operation.event.is_empty()
            && !fault.deed.kills() =>
        {
            view == before
        }
        _ => view == before || view == after,
    };
    if !allowed {
        return Err(format!("it leaves {observed:?}; before {before:?}; after {after:?}"));
    }
    // Only a process that could not clean up leaves a hidden file, only where files without a name lack, and unlocked.
    let could_not = fault.deed.kills() || ["stage.unlink", "stage.collect"].contains(&fault.point.as_str());
    if operation.dead_before || operation.keeping.is_some() || (could_not && operation.names_stages()) {
        return site.all_unowned(&observed.hidden);
    }
    nothing_hidden(observed)
}

/// After a failure, data and journal are left together where somebody can go on from them; otherwise what could not be
/// removed, and no more.
fn keeps_what_it_must(
    operation: &Operation,
    fault: &Fault,
    ended: &Ended,
    trace: &Trace,
    observed: &Observed,
) -> Result<(), String> {
    let hidden = &observed.hidden;
    let wrong = |what: &str| Err(format!("{what}: {hidden:?}"));
    let journals = hidden.iter().filter(|name| name.ends_with(".journal")).count();
    let downloads = if operation.keeping == Some(Keeping::Collects) { 2 } else { 1 };
    if hidden.iter().any(|name| !is_kept(name)) || journals > downloads || hidden.len() - journals > downloads {
        return wrong("more is left than a download and its journal");
    }
    if fault.deed.kills() {
        return Ok(());
    }
    let could_not = fault.deed.error().is_some().then_some(fault.point.as_str());
    let published = trace.has_done("ledger.intent");
    match could_not {
        Some("journal.unlink") if hidden.len() == journals => Ok(()),
        Some("stage.unlink") if journals == 0 => Ok(()),
        Some("stage.collect") => Ok(()),
        // What an earlier run left could not be used, and is as it was.
        Some("stage.named" | "journal.create") if operation.dead_before => Ok(()),
        _ if ended.status == 0 || published => nothing_hidden(observed),
        _ if trace.has_checkpoint() || operation.keeping == Some(Keeping::Resumes) => {
            let is_wrong = ended.error().1 == operation.ends;
            if hidden.len() == if is_wrong { 0 } else { 2 } { Ok(()) } else { wrong("not the right thing is kept") }
        }
        _ if operation.dead_before => Ok(()),
        _ => nothing_hidden(observed),
    }
}

/// Whether what is left is a download that the next run has to go on with: by the checkpoint of the run that left it, or by
/// the one before.
fn can_go_on(operation: &Operation, observed: &Observed, before: &Trace) -> bool {
    let is_told = operation.keeping == Some(Keeping::Resumes) || before.has_checkpoint();
    operation.kind == Kind::Place && is_told && observed.hidden.len() == 2
}

pub(super) fn nothing_hidden(observed: &Observed) -> Result<(), String> {
    if observed.hidden.is_empty() { Ok(()) } else { Err(format!("hidden files are left: {observed:?}")) }
}

/// Runs the operation once more, without its event: it does what is still to be done, and nothing is left over. `before` is
/// what the run met that left what was observed.
pub(super) fn again(site: &Site, operation: &Operation, observed: &Observed, before: &Trace) -> Result<(), String> {
    let mut words = (operation.words)(site);
    if operation.kind == Kind::Place && !observed.view.is_empty() {
        words.push("--replace".to_owned());
    }
    let stands = || observed.view.keys().any(|name| name == "disk" || name.starts_with("disk/"));
    let gone = match operation.kind {
        Kind::Remove | Kind::RemoveDirectory | Kind::Move => !stands(),
        // Nothing takes the place of a directory.
        Kind::PlaceDirectory if stands() => {
            let ended = site.run(&words, "");
            if ended.status != status_of("exists") {
                return Err(format!("a directory that is there is not said to be: {ended:?}"));
            }
            let observed = site.observe()?;
            if observed.view != operation.after {
                return Err(format!("it leaves {observed:?}, not {:?}", operation.after));
            }
            return nothing_hidden(&observed);
        }
        Kind::PlaceDirectory | Kind::Place | Kind::Replace | Kind::Recover | Kind::Fail => false,
    };
    let ended = site.run_traced(&words, "", Some(&site.trace()));
    let trace = Trace::take(&site.trace());
    if can_go_on(operation, observed, before) {
        goes_on(&ended, &trace)?;
    }
    if gone {
        if ended.status != status_of("not-found") {
            return Err(format!("what is gone is not said to be: {ended:?}"));
        }
    } else if operation.kind == Kind::Fail {
        ends_as_usual(operation, &ended)?;
    } else if ended.status != 0 {
        return Err(format!("it fails: {ended:?}"));
    }
    let observed = site.observe()?;
    if observed.view != operation.after {
        return Err(format!("it leaves {observed:?}, not {:?}", operation.after));
    }
    nothing_hidden(&observed)
}

/// Whether a command went on from a checkpoint whose bytes are the image's.
fn goes_on(ended: &Ended, trace: &Trace) -> Result<(), String> {
    if !trace.meets(RESUMED) {
        return Err(format!("it does not go on from what was kept: {trace:?}, {ended:?}"));
    }
    if ended.stderr.contains("are not the image's") || ended.document.to_string().contains("digest-mismatch") {
        return Err(format!("what was kept is not what its checkpoint says: {ended:?}"));
    }
    Ok(())
}

/// Every point that some operation meets.
pub(super) fn points_met(world: &World, operations: &[Operation]) -> Result<Vec<String>, String> {
    let mut points = Vec::new();
    for operation in operations {
        let site = Site::new(world, operation, Layout::Apart);
        let Trace(met) = clean(&site, operation, "").map_err(|wrong| format!("{}: {wrong}", operation.name))?;
        points.extend(met.into_iter().map(|met| met.point));
    }
    points.sort();
    points.dedup();
    Ok(points)
}
