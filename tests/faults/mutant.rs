//! Leaves out one call at a time, and demands that the checks of the sweep notice.

use super::operation::{self, Operation};
use super::power::{cut_at_the_end, cut_behind_a_checkpoint};
use super::site::{Layout, Site};
use super::sweep::{begin, clean, in_order, joined};
use super::tally;
use super::trace::Trace;
use crate::support::world::World;

/// What can notice that a call is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// What is left on the disk and in the ledger.
    Leftovers,
    /// What a power cut leaves.
    PowerCut,
    /// What a power cut leaves of a download that is gone on with.
    Resumption,
    /// The order of the calls.
    Order,
}

/// Points left out, the operation, and what must notice, at least.
const MUTANTS: [(&str, &str, &[By]); 27] = [
    ("stage.unlink", "corrupt_named", &[By::Leftovers]),
    ("stage.collect", "collect", &[By::Leftovers]),
    ("stage.punch", "transfer", &[By::Leftovers]),
    ("publish.sync-file", "copy", &[By::PowerCut, By::Order]),
    ("publish.sync-file", "stream", &[By::PowerCut, By::Order]),
    ("publish.sync-directory", "reflink", &[By::PowerCut, By::Order]),
    ("publish.sync-directory", "replace", &[By::PowerCut, By::Order]),
    ("publish.sync-directory", "copy", &[By::PowerCut, By::Order]),
    ("publish.sync-file", "directory", &[By::PowerCut, By::Order]),
    ("directory.sync", "directory", &[By::Order]),
    ("publish.sync-directory", "directory", &[By::PowerCut, By::Order]),
    ("directory.remove", "remove_directory", &[By::Leftovers, By::Order]),
    ("remove.sync-directory", "remove_directory", &[By::PowerCut, By::Order]),
    ("publish.unlink", "replace_by_same_hardlink", &[By::Leftovers]),
    ("publish.unlink", "place_unsynced", &[By::Leftovers]),
    ("publish.unlink", "recover_spare", &[By::Leftovers]),
    ("remove.unlink", "remove", &[By::Leftovers, By::Order]),
    ("remove.sync-directory", "remove", &[By::PowerCut, By::Order]),
    // One sync of a move brings the other along, since a rename is one transaction of the file system.
    ("move.sync-target", "move", &[By::Order]),
    ("move.sync-source", "move", &[By::Order]),
    ("stage.sync-data", "stream_kept_fail_over", &[By::Resumption, By::Order]),
    ("journal.sync", "stream_kept_fail_over", &[By::Resumption, By::Order]),
    ("journal.unlink", "stream_kept_fail_over", &[By::Leftovers]),
    // What was written behind the checkpoint is left where the image has a hole.
    ("stage.punch", "resume", &[By::Leftovers]),
    ("journal.unlink", "corrupt_kept", &[By::Leftovers]),
    ("stage.unlink", "corrupt_kept", &[By::Leftovers]),
    ("stage.collect", "collect_kept", &[By::Leftovers]),
];

/// The same for calls that only matter together, or in the recovery.
const MORE: [(&[&str], &str, &[By]); 6] = [
    (&["move.sync-target", "move.sync-source"], "move", &[By::PowerCut, By::Order]),
    (&["ledger.sync-directory"], "recover_place", &[By::PowerCut]),
    (&["ledger.sync-directory"], "recover_replace", &[By::PowerCut]),
    (&["ledger.sync-directory"], "recover_remove", &[By::PowerCut]),
    (&["ledger.sync-directory"], "recover_move", &[By::PowerCut]),
    (&["ledger.sync-directory"], "place_unconfirmed", &[By::PowerCut]),
];

pub(super) fn all_are_noticed(world: &World) {
    let mut unnoticed = Vec::new();
    let single = MUTANTS.iter().map(|(point, name, by)| (std::slice::from_ref(point), *name, *by));
    let mutants = single.chain(MORE).filter(|(_, name, _)| super::writes_in_the_agent(world, name));
    for (points, name, wanted) in mutants {
        let operation = operation::find(name);
        let faults = points.iter().map(|point| format!("{point}#*=skip")).collect::<Vec<_>>().join(",");
        let noticed = noticed_by(world, &operation, &faults);
        let what = points.join(" and ");
        let line = format!("mutant: {name} without {what}: noticed by {noticed:?}");
        if wanted.iter().any(|by| !noticed.contains(by)) {
            unnoticed.push(format!("{line}, not {wanted:?}"));
        }
        tally::note(line);
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

fn noticed_by(world: &World, operation: &Operation, faults: &str) -> Vec<By> {
    let site = Site::new(world, operation, Layout::Apart);
    let mut noticed = Vec::new();
    // Without the mutation nothing is noticed, or noticing would say nothing.
    let checks = [
        (By::Leftovers, leftovers as Check),
        (By::PowerCut, cut_at_the_end),
        (By::Resumption, cut_behind_a_checkpoint),
        (By::Order, order),
    ];
    for (by, check) in checks {
        check(&site, operation, "").unwrap_or_else(|wrong| panic!("{} unchanged: {by:?}: {wrong}", operation.name));
        noticed.extend(check(&site, operation, faults).err().map(|_| by));
    }
    noticed
}

type Check = fn(&Site, &Operation, &str) -> Result<(), String>;

fn leftovers(site: &Site, operation: &Operation, faults: &str) -> Result<(), String> {
    clean(site, operation, faults).map(drop)
}

fn order(site: &Site, operation: &Operation, faults: &str) -> Result<(), String> {
    begin(site, operation);
    site.run_traced(&(operation.words)(site), &joined(faults, operation.event), Some(&site.trace()));
    in_order(operation, &Trace::take(&site.trace()))
}
