//! Two commands at one target: the first is stopped just before it changes the disk or the ledger, the second arrives, and
//! then the first goes on. One after the other, whole, is what must come of it.

use nix::sys::signal::Signal;

use super::operation::{self, Operation, disk, linked, only};
use super::site::{Ended, Layout, ONE, OTHER, Site};
use super::sweep::{begin, nothing_hidden};
use super::trace::Trace;
use super::view::{Entry, View};
use crate::support::answer::status_of;
use crate::support::case::Case;
use crate::support::world::World;

/// Kind and code of an error; both empty for success.
type End = (&'static str, &'static str);

const DONE: End = ("", "");
const EXISTS: End = ("exists", "exists");
const GONE: End = ("not-found", "no-placement");

struct Race {
    name: &'static str,
    /// The operation that is stopped, and where.
    first: Operation,
    at: &'static str,
    second: fn(&Site) -> Vec<String>,
    /// The last point that the second meets before it needs the target for itself, if it meets any.
    arrives: Option<&'static str>,
    ends: [End; 2],
    after: View,
}

fn races() -> Vec<Race> {
    let replace_by_other: fn(&Site) -> Vec<String> = |site| site.place(&site.record_of(OTHER), &["--replace"]);
    let race = |name, first, at, second, ends, after| {
        let arrives = Some("publish.sync-file");
        Race { name, first: operation::find(first), at, second, arrives, ends, after }
    };
    let early = |race: Race| Race { arrives: None, ..race };
    let (place, link) = (operation::place, operation::link);
    let mut moved = only("sub/disk", Entry::placed(ONE));
    let renamed = moved.clone();
    moved.extend(disk(OTHER));
    vec![
        race("two_clones", "reflink", "publish.link", place, [DONE, EXISTS], disk(ONE)),
        race("two_named_copies", "named", "publish.rename", place, [DONE, EXISTS], disk(ONE)),
        // Both are one inode, and the second must not take back what the first put there.
        race("two_hard_links", "hardlink", "publish.link", link, [DONE, EXISTS], linked()),
        early(race("unconfirmed_hard_link", "hardlink", "ledger.confirm", link, [DONE, EXISTS], linked())),
        race("two_replacements", "replace", "publish.replace", replace_by_other, [DONE, DONE], disk(OTHER)),
        race("unconfirmed_replacement", "replace", "ledger.confirm", replace_by_other, [DONE, DONE], disk(OTHER)),
        race("replacement_of_what_is_removed", "remove", "remove.unlink", replace_by_other, [DONE, DONE], disk(OTHER)),
        race("replacement_of_what_is_moved", "move", "move.rename", replace_by_other, [DONE, DONE], moved),
        race("placement_where_one_was_removed", "remove", "remove.forget", place, [DONE, DONE], disk(ONE)),
        early(race(
            "removal_of_what_is_replaced",
            "replace",
            "publish.replace",
            operation::remove,
            [DONE; 2],
            View::new(),
        )),
        early(race("move_of_what_is_replaced", "replace", "publish.replace", operation::rename, [DONE; 2], renamed)),
        early(race("two_removals", "remove", "remove.unlink", operation::remove, [DONE, GONE], View::new())),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let case = |race: Race| {
        let (name, fs) = (format!("faults::race_{}", race.name), race.first.fs);
        Case::new(name, move |world| run(world, &race)).on(fs).needs(&super::NEEDS).worker_in_full()
    };
    races().into_iter().map(case).collect()
}

fn run(world: &World, race: &Race) {
    let site = Site::new(world, &race.first, Layout::Apart);
    begin(&site, &race.first);
    let fault = format!("{}=stop-before", race.at);
    let first = site.command(&(race.first.words)(&site), &fault, None).spawn();
    let status = format!("/proc/{}/stat", first.pid());
    let is_stopped = || std::fs::read_to_string(&status).is_ok_and(|text| text.contains(") T "));
    first.until("for the first command to stop", is_stopped);
    let trace = site.trace();
    let second = site.command(&(race.second)(&site), "", Some(&trace)).spawn();
    if let Some(point) = race.arrives {
        second.until("for the second command to arrive", || Trace::read(&trace).0.iter().any(|met| met.point == point));
    }
    first.signal(Signal::SIGCONT);
    let ended = [first, second].map(|running| Ended::of(running.finish()));
    for (ended, (kind, code)) in ended.iter().zip(race.ends) {
        assert_eq!(ended.error(), (kind, code), "{ended:?}");
        assert_eq!(ended.status, if kind.is_empty() { 0 } else { status_of(kind) }, "{ended:?}");
    }
    let observed = site.observe().unwrap();
    assert_eq!(observed.view, race.after);
    nothing_hidden(&observed).unwrap();
}
