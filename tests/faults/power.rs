//! Cuts the power after an operation's end, and at every point on the way.

use super::operation::{Keeping, Kind, Operation};
use super::site::{Ended, Layout, Site};
use super::sweep::{again, begin, ends_as_usual, enumerate, joined, nothing_hidden};
use super::tally;
use super::trace::{Met, Trace};
use crate::support::world::World;

/// Runs the operation to its end, with these faults and its event, and cuts the power at once: what it told is there.
pub(super) fn cut_at_the_end(site: &Site, operation: &Operation, faults: &str) -> Result<(), String> {
    begin(site, operation);
    // A recovery itself has to wait for what the dead left.
    if operation.kind != Kind::Recover {
        site.disk.sync();
    }
    let (ended, trace) = run(site, operation, faults);
    ends_as_usual(operation, &ended)?;
    site.disk.cut();
    let observed = site.observe()?;
    if observed.view != *operation.left() {
        return Err(format!("after the power cut there is {observed:?}, not {:?}", operation.left()));
    }
    again(site, operation, &observed, &trace).map_err(|wrong| format!("again: {wrong}"))
}

/// Kills a download, with these faults, some time after its checkpoint, and cuts the power: the next one goes on from that
/// checkpoint, and nobody is blamed for bytes that were not there.
pub(super) fn cut_behind_a_checkpoint(site: &Site, operation: &Operation, faults: &str) -> Result<(), String> {
    if operation.keeping != Some(Keeping::Checkpoints) {
        return Ok(());
    }
    begin(site, operation);
    site.disk.sync();
    let (ended, trace) = run(site, operation, &joined("publish.sync-file=kill-before", faults));
    if ended.status != -9 {
        return Err(format!("it was not killed: {ended:?}"));
    }
    site.disk.cut();
    let observed = site.observe()?;
    if observed.hidden.len() != 2 {
        return Err(format!("the download is not kept: {observed:?}"));
    }
    // A mutant may claim that it was synced.
    let trace = Trace(trace.0.into_iter().map(|met| Met { deed: None, ..met }).collect());
    again(site, operation, &observed, &trace).map_err(|wrong| format!("again: {wrong}"))
}

/// Kills the operation after this hit of a point, and cuts the power; with `recovered`, after the next command has settled
/// what was left, so that this one's word must hold.
fn cut_when_killed(site: &Site, operation: &Operation, met: &Met, recovered: bool) -> Result<(), String> {
    begin(site, operation);
    site.disk.sync();
    let (ended, trace) = run(site, operation, &format!("{}#{}=kill-after", met.point, met.hit));
    if ended.status != -9 {
        return Err(format!("it was not killed: {ended:?}"));
    }
    let told = if recovered { Some(site.observe()?) } else { None };
    site.disk.cut();
    let observed = site.observe()?;
    let view = &observed.view;
    let allowed = match &told {
        Some(told) => *view == told.view,
        None => *view == operation.before || *view == operation.after,
    };
    if !allowed {
        return Err(format!("after the power cut there is {observed:?}; before it there was {told:?}"));
    }
    if operation.names_stages() || operation.keeping.is_some() {
        site.all_unowned(&observed.hidden)?;
    } else {
        nothing_hidden(&observed)?;
    }
    again(site, operation, &observed, &trace).map_err(|wrong| format!("again: {wrong}"))
}

fn run(site: &Site, operation: &Operation, faults: &str) -> (Ended, Trace) {
    let path = site.trace();
    let ended = site.run_traced(&(operation.words)(site), &joined(faults, operation.event), Some(&path));
    (ended, Trace::take(&path))
}

/// Cuts the power after the operation's end, and after every point that it meets, in both layouts.
pub(super) fn cut(world: &World, operation: &Operation) {
    let mut wrong = Vec::new();
    let mut ran = 0;
    let mut case = |name: String, outcome: Result<(), String>| {
        ran += 1;
        wrong.extend(outcome.err().map(|violation| format!("{name}: {violation}")));
    };
    let mut hits = 0;
    for layout in [Layout::Together, Layout::Apart] {
        let site = Site::new(world, operation, layout);
        case(format!("{layout:?}, at the end"), cut_at_the_end(&site, operation, ""));
        let met = enumerate(&site, operation).unwrap_or_else(|wrong| panic!("without a fault: {wrong}"));
        for met in &met {
            for (when, recovered) in [("", false), (", recovered", true)] {
                let name = format!("{layout:?}, killed after {}#{}{when}", met.point, met.hit);
                case(name, cut_when_killed(&site, operation, met, recovered));
            }
        }
        hits += met.len();
    }
    assert_eq!(ran, 2 + 2 * hits, "one case for each layout, and two for each hit of a point");
    tally::cut(world.mode.named(operation.name), ran);
    assert!(wrong.is_empty(), "{} of {ran} cases are wrong\n{}", wrong.len(), wrong.join("\n"));
}
