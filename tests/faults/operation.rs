//! The operations that the sweep takes apart: what is there before each, what it runs, and what is there after it.

use std::fs;
use std::time::{Duration, SystemTime};

use super::site::{DOCUMENT, FOREIGN, GROWN, ONE, OTHER, SPOILT, Site, TEXT, text};
use super::view::{Entry, View};
use crate::support::mounts::Fs;

/// What an operation does with its target, and so what running it again means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Places where nothing stands.
    Place,
    /// Places over what stands there.
    Replace,
    /// Places a directory of disks where nothing stands.
    PlaceDirectory,
    /// Removes a placement.
    Remove,
    /// Removes a placed directory.
    RemoveDirectory,
    /// Moves a placement to `sub/disk`.
    Move,
    /// Only opens the ledger, after a command that was killed.
    Recover,
    /// Fails, whatever happens.
    Fail,
}

/// What an operation does with a download that is large enough to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Begins it anew, and ends it before there is anything to write down.
    Begins,
    /// The same, after it has collected what is old of another one.
    Collects,
    /// Writes a checkpoint on the way.
    Checkpoints,
    /// Goes on from the checkpoint of an earlier run.
    Resumes,
}

/// An operation.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) fs: Fs,
    pub(super) kind: Kind,
    /// What the file system lacks, as faults of every command.
    pub(super) lacking: &'static str,
    /// What goes wrong once, as faults of the operation alone: the sweep then adds second faults to the first.
    pub(super) event: &'static str,
    /// Whether everything is seen through a FUSE server.
    pub(super) through_fuse: bool,
    /// Keys of the configured store.
    pub(super) store: &'static str,
    /// Whether it begins without a state directory.
    pub(super) first_use: bool,
    /// Makes `before`.
    pub(super) prepare: fn(&Site),
    /// The command line.
    pub(super) words: fn(&Site) -> Vec<String>,
    /// How the bytes come, for a placement.
    pub(super) method: &'static str,
    /// The code of the error that its end is, with its event and nothing more; empty for success.
    pub(super) ends: &'static str,
    pub(super) before: View,
    pub(super) after: View,
    /// Which of both its end leaves, with its event and nothing more.
    pub(super) leaves_after: bool,
    /// Points whose failure is told but harms nothing.
    pub(super) tolerates: &'static [&'static str],
    /// Whether hidden files of the dead are there before it.
    pub(super) dead_before: bool,
    /// For a download that is kept when it is interrupted; else nothing is.
    pub(super) keeping: Option<Keeping>,
}

/// Nothing that fails here makes any command fail.
const BEST_EFFORT: [&str; 7] = [
    "ledger.scan",
    "ledger.remember",
    "ledger.history",
    "ledger.crash",
    "stage.unlink",
    "stage.collect",
    "journal.unlink",
];

/// Without these there is less to resume, and that is all. Not so `stage.sync-data`: what the kernel could not write then, it
/// does not speak of again.
const KEEPING: [&str; 4] = ["stage.named", "journal.create", "journal.write", "journal.sync"];

impl Operation {
    fn new(name: &'static str, fs: Fs, kind: Kind, words: fn(&Site) -> Vec<String>) -> Self {
        Self {
            name,
            fs,
            kind,
            lacking: "",
            event: "",
            through_fuse: false,
            store: "",
            first_use: false,
            prepare: |_| (),
            words,
            method: "",
            ends: "",
            before: View::new(),
            after: View::new(),
            leaves_after: true,
            tolerates: &[],
            dead_before: false,
            keeping: None,
        }
    }

    /// Whether a failure at this point is no failure of the command.
    pub(super) fn tolerates(&self, point: &str) -> bool {
        BEST_EFFORT.contains(&point) || self.tolerates.contains(&point)
    }

    /// Whether what it stages has names: there are none without, or it is a directory.
    pub(super) fn names_stages(&self) -> bool {
        self.through_fuse || self.lacking.contains("stage.anonymous") || self.kind == Kind::PlaceDirectory
    }

    /// What its end leaves, with its event and nothing more.
    pub(super) fn left(&self) -> &View {
        if self.leaves_after { &self.after } else { &self.before }
    }

    /// The same on a file system that lacks something.
    fn lacking(mut self, name: &'static str, faults: &'static str) -> Self {
        (self.name, self.lacking) = (name, faults);
        self
    }

    /// The same with a first fault, which ends it with this error.
    fn failing(mut self, name: &'static str, event: &'static str, ends: &'static str) -> Self {
        (self.name, self.event, self.ends, self.leaves_after) = (name, event, ends, false);
        self
    }

    fn from(mut self, before: View, prepare: fn(&Site)) -> Self {
        (self.before, self.prepare) = (before, prepare);
        self
    }

    fn to(mut self, method: &'static str, after: View) -> Self {
        (self.method, self.after) = (method, after);
        self
    }
}

/// Just this file.
pub(super) fn only(name: &str, entry: Entry) -> View {
    View::from([(name.to_owned(), entry)])
}

pub(super) fn disk(content: &str) -> View {
    only("disk", Entry::placed(content))
}

/// A placed directory of one disk.
fn directory(name: &str) -> View {
    let file = |file: &str, content| (format!("{name}/{file}"), Entry::placed(content));
    View::from([file("disk-0.raw", ONE), file("disks.json", DOCUMENT)])
}

fn foreign() -> View {
    only("disk", Entry { mode: 0o604, placed: false, ..Entry::placed(FOREIGN) })
}

pub(super) fn linked() -> View {
    only("disk", Entry { mode: 0o644, linked: true, ..Entry::placed(ONE) })
}

fn put_foreign(site: &Site) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(site.out("disk"), &site.contents[FOREIGN]).unwrap();
    fs::set_permissions(site.out("disk"), fs::Permissions::from_mode(0o604)).unwrap();
}

fn place_other(site: &Site) {
    site.prepare(&site.place(&site.record_of(OTHER), &[]));
}

fn place_one(site: &Site) {
    site.prepare(&place(site));
}

fn link_one(site: &Site) {
    site.prepare(&link(site));
}

pub(super) fn place(site: &Site) -> Vec<String> {
    site.place(&site.record_of(ONE), &[])
}

fn place_directory(site: &Site) -> Vec<String> {
    ["place", text(&site.record_of(ONE)), "--to-dir", text(&site.out("disk"))].map(str::to_owned).into()
}

fn place_directory_one(site: &Site) {
    site.prepare(&place_directory(site));
}

pub(super) fn replace(site: &Site) -> Vec<String> {
    site.place(&site.record_of(ONE), &["--replace"])
}

pub(super) fn link(site: &Site) -> Vec<String> {
    site.place(&site.record_of(ONE), &["--access", "ro"])
}

fn relink(site: &Site) -> Vec<String> {
    site.place(&site.record_of(ONE), &["--access", "ro", "--replace"])
}

fn dressed(site: &Site) -> Vec<String> {
    let size = GROWN.to_string();
    site.place(&site.record_of(ONE), &["--owner", "1000:1001", "--mode", "0640", "--size", &size])
}

fn stream(site: &Site) -> Vec<String> {
    site.place(&site.record("text", &[format!("hello://{TEXT}")]), &[])
}

fn transfer(site: &Site) -> Vec<String> {
    let path = site.store.join(ONE);
    site.place(&site.record(ONE, &[format!("transfer://{}", path.display())]), &[])
}

fn fail_over(site: &Site) -> Vec<String> {
    site.place(&site.record(ONE, &[site.url(SPOILT), site.url(ONE)]), &[])
}

fn crash(site: &Site) -> Vec<String> {
    // Kind 13 is "crashed", scope 2 the handler.
    site.place(&site.record(ONE, &["fault-source://error/13/2/broken".to_owned(), site.url(ONE)]), &[])
}

/// Where the locations of a kept download fail, or lie: all three within the first image, the last in its hole.
const ENDS: &str = "fail-at=102400&fail=not-found";
const LIES_EARLY: &str = "flip=1000";
const LIES_IN_THE_HOLE: &str = "flip=307200";

/// The first image, by ranges and without a descriptor.
fn served(options: &str) -> String {
    format!("serve://node/{ONE}{}{options}", if options.is_empty() { "" } else { "?" })
}

fn stream_served(site: &Site) -> Vec<String> {
    site.place(&site.record(ONE, &[served("")]), &[])
}

fn stream_served_fail_over(site: &Site) -> Vec<String> {
    site.place(&site.record(ONE, &[served(ENDS), served("")]), &[])
}

fn stream_served_corrupt(site: &Site) -> Vec<String> {
    site.place(&site.record(ONE, &[served(LIES_EARLY)]), &[])
}

/// A download that was killed after its only checkpoint. Behind that it wrote what is not the image's, where the image has
/// a hole.
fn interrupt(site: &Site) {
    interrupt_at(site, "disk");
}

fn interrupt_at(site: &Site, name: &str) {
    let record = site.record(ONE, &[served(ENDS), served(LIES_IN_THE_HOLE)]);
    let target = site.out(name);
    site.prepare_killed(&["place", text(&record), "--to", text(&target)], "stage.write#3=kill-after");
}

/// The same, and a byte of its journal is another.
fn interrupt_and_spoil(site: &Site) {
    interrupt(site);
    let journal = site.kept().into_iter().find(|path| path.extension().is_some()).expect("a journal is kept");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[100] ^= 1;
    fs::write(&journal, bytes).unwrap();
}

/// The same for another target, so long ago that nobody is expected to go on from there.
fn interrupt_long_ago(site: &Site) {
    interrupt_at(site, "another");
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for path in site.kept() {
        fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
}

fn corrupt(site: &Site) -> Vec<String> {
    site.place(&site.record(ONE, &[site.url(SPOILT)]), &[])
}

pub(super) fn remove(site: &Site) -> Vec<String> {
    ["remove", text(&site.out("disk"))].map(str::to_owned).into()
}

pub(super) fn rename(site: &Site) -> Vec<String> {
    ["move", text(&site.out("disk")), text(&site.out("sub/disk"))].map(str::to_owned).into()
}

fn list(_: &Site) -> Vec<String> {
    vec!["placements".to_owned()]
}

const NO_ANONYMOUS: &str = "stage.anonymous#*=eopnotsupp";
const NO_ANONYMOUS_NO_NOREPLACE: &str = "stage.anonymous#*=eopnotsupp,publish.rename#*=einval";

/// The operation of this name.
pub(super) fn find(name: &str) -> Operation {
    all().into_iter().find(|operation| operation.name == name).unwrap_or_else(|| panic!("no operation {name}"))
}

/// The store's own files may be linked. Their digests are not remembered: a link changes the time by which a file is known
/// to be unchanged for long enough, so that what one case meets would depend on the case before.
const LINKING: &str = "hardlink = true\nverify = \"always\"";

/// Every operation, in the order in which they are told of.
pub(super) fn all() -> Vec<Operation> {
    let all = [placements(), directories(), kept(), replacements(), failures(), removals(), recoveries()];
    all.into_iter().flatten().collect()
}

fn placements() -> Vec<Operation> {
    use Kind::Place;
    let reflink = || Operation::new("reflink", Fs::Xfs, Place, place).to("reflink", disk(ONE));
    let copy = || Operation::new("copy", Fs::Ext4, Place, place).to("copy", disk(ONE));
    let mut dressed = Operation::new("copy_with_owner_mode_and_size", Fs::Ext4, Place, dressed)
        .to("copy", only("disk", Entry { mode: 0o640, owner: (1000, 1001), ..Entry::placed("grown") }));
    dressed.name = "copy";
    let first = Operation { name: "first_use", first_use: true, ..reflink() };
    let hardlink = Operation { store: LINKING, ..Operation::new("hardlink", Fs::Ext4, Place, link) };
    let hardlink = || hardlink.clone().to("hardlink", linked());
    let over = Operation::new("fail_over", Fs::Ext4, Place, fail_over).to("copy", disk(ONE));
    let mut collect = copy().lacking("collect", NO_ANONYMOUS).from(View::new(), |site| {
        site.prepare_killed(&place(site), "publish.sync-file=kill-before");
    });
    collect.dead_before = true;
    vec![
        reflink(),
        dressed,
        first,
        reflink().lacking("copy_without_clones", "stage.clone#*=eopnotsupp").to("copy", disk(ONE)),
        copy().lacking("named", NO_ANONYMOUS),
        copy().lacking("named_without_noreplace", NO_ANONYMOUS_NO_NOREPLACE),
        hardlink(),
        hardlink().lacking("hardlink_named", NO_ANONYMOUS),
        Operation::new("stream", Fs::Xfs, Place, stream).to("stream", disk("text")),
        Operation::new("transfer", Fs::Xfs, Place, transfer).to("transfer", disk(ONE)),
        // The digest is not wanted, so that nothing has to be read here.
        Operation {
            store: "verify = \"never\"",
            through_fuse: true,
            ..copy().lacking("copy_range_through_fuse", "").to("copy-range", disk(ONE))
        },
        over.lacking("fail_over_named", NO_ANONYMOUS),
        Operation::new("crash", Fs::Ext4, Place, crash).to("copy", disk(ONE)),
        collect,
    ]
}

fn directories() -> Vec<Operation> {
    use Kind::{Move, PlaceDirectory, Recover, RemoveDirectory};
    let place =
        || Operation::new("directory", Fs::Xfs, PlaceDirectory, place_directory).to("reflink", directory("disk"));
    let named = Operation { fs: Fs::Ext4, ..place().to("copy", directory("disk")) };
    let remove = Operation::new("remove_directory", Fs::Xfs, RemoveDirectory, remove);
    let moved = Operation::new("move_directory", Fs::Xfs, Move, rename).to("", directory("sub/disk"));
    let recover = |name, left: View, prepare| {
        let operation = Operation::new(name, Fs::Xfs, Recover, list).to("", left.clone()).from(left, prepare);
        // What cannot be settled now is settled by the next command; this one does its own work.
        Operation { tolerates: &["directory.unlink", "directory.remove", "ledger.sync-directory"], ..operation }
    };
    vec![
        place(),
        named.lacking("directory_named", NO_ANONYMOUS),
        place().failing("directory_unsynced", "publish.sync-directory#1=eio", "eio"),
        place().failing("directory_unnamed", "publish.rename#1=eio", "eio"),
        remove.from(directory("disk"), place_directory_one),
        moved.from(directory("disk"), place_directory_one),
        recover("recover_directory", View::new(), |site| {
            site.prepare_killed(&place_directory(site), "ledger.intent=kill-after");
        }),
        recover("recover_remove_directory", View::new(), |site| {
            place_directory_one(site);
            site.prepare_killed(&self::remove(site), "remove.rename=kill-after");
        }),
    ]
}

/// What is kept of a download, where stages have no names of their own.
fn kept() -> Vec<Operation> {
    let keep = |name, fs, keeping, words| {
        let operation = Operation::new(name, fs, Kind::Place, words).to("stream", disk(ONE));
        Operation { keeping: Some(keeping), tolerates: &KEEPING, ..operation }
    };
    let resume = |name, keeping, prepare| {
        let operation = keep(name, Fs::Xfs, keeping, stream_served).from(View::new(), prepare);
        Operation { dead_before: true, ..operation }
    };
    let corrupt = keep("corrupt_kept", Fs::Ext4, Keeping::Begins, stream_served_corrupt);
    vec![
        keep("stream_kept_fail_over", Fs::Ext4, Keeping::Checkpoints, stream_served_fail_over),
        resume("resume", Keeping::Resumes, interrupt),
        resume("resume_damaged", Keeping::Begins, interrupt_and_spoil),
        resume("collect_kept", Keeping::Collects, interrupt_long_ago),
        Operation { kind: Kind::Fail, ends: "digest-mismatch", after: View::new(), ..corrupt },
    ]
}

fn replacements() -> Vec<Operation> {
    use Kind::Replace;
    let reflink = Operation::new("replace", Fs::Xfs, Replace, replace).to("reflink", disk(ONE));
    let copy = || Operation::new("", Fs::Ext4, Replace, replace).to("copy", disk(ONE));
    let relink = Operation { store: LINKING, ..Operation::new("", Fs::Ext4, Replace, relink) };
    let relink = || relink.clone().to("hardlink", linked());
    vec![
        reflink.from(disk(OTHER), place_other),
        Operation { name: "replace_foreign", ..copy().from(foreign(), put_foreign) },
        copy().lacking("replace_named", NO_ANONYMOUS).from(disk(OTHER), place_other),
        Operation { name: "replace_by_hardlink", ..relink().from(foreign(), put_foreign) },
        Operation { name: "replace_by_same_hardlink", ..relink().from(linked(), link_one) },
    ]
}

fn failures() -> Vec<Operation> {
    let reflink = || Operation::new("", Fs::Xfs, Kind::Place, place).to("reflink", disk(ONE));
    let replace = || {
        let replace = Operation::new("", Fs::Xfs, Kind::Replace, replace).to("reflink", disk(ONE));
        replace.from(disk(OTHER), place_other)
    };
    let relink = Operation { store: LINKING, ..Operation::new("", Fs::Ext4, Kind::Replace, relink) };
    let mut undurable = replace().failing("replace_unsynced", "publish.sync-directory#1=eio", "eio");
    undurable.leaves_after = true;
    let mut unconfirmed = replace().failing("replace_unconfirmed", "ledger.confirm#1=eio", "eio");
    unconfirmed.leaves_after = true;
    let fail = Operation::new("corrupt", Fs::Ext4, Kind::Fail, corrupt);
    vec![
        reflink().failing("place_unsynced", "publish.sync-directory#1=eio", "eio"),
        reflink().failing("place_unconfirmed", "ledger.confirm#1=eio", "eio"),
        reflink().failing("place_unnamed", "publish.link#1=eio", "eio"),
        replace().failing("replace_unnamed", "publish.replace#1=eio", "eio"),
        relink.to("hardlink", linked()).from(foreign(), put_foreign).failing(
            "replace_by_hardlink_unnamed",
            "publish.replace#1=eio",
            "eio",
        ),
        undurable,
        unconfirmed,
        Operation { ends: "digest-mismatch", ..fail.lacking("corrupt_named", NO_ANONYMOUS) },
    ]
}

fn removals() -> Vec<Operation> {
    let remove = || Operation::new("remove", Fs::Xfs, Kind::Remove, remove).from(disk(ONE), place_one);
    let moved = only("sub/disk", Entry::placed(ONE));
    let rename = Operation::new("move", Fs::Xfs, Kind::Move, rename).from(disk(ONE), place_one);
    let rename = || rename.clone().to("", moved.clone());
    // What goes here is one name of the store's file.
    let unlink =
        Operation { store: LINKING, ..Operation::new("remove_hardlink", Fs::Ext4, Kind::Remove, self::remove) };
    vec![
        remove(),
        rename(),
        unlink.from(linked(), link_one),
        remove().failing("remove_refused", "remove.unlink#1=eio", "eio"),
        rename().failing("move_refused", "move.rename#1=eio", "eio"),
    ]
}

fn recoveries() -> Vec<Operation> {
    let recover = |name, left: View, prepare| {
        let operation = Operation::new(name, Fs::Xfs, Kind::Recover, list).to("", left.clone()).from(left, prepare);
        // What cannot be settled now is settled by the next command; this one does its own work.
        Operation { tolerates: &["publish.unlink", "ledger.sync-directory"], ..operation }
    };
    let moved = only("sub/disk", Entry::placed(ONE));
    vec![
        recover("recover_place", disk(ONE), |site| site.prepare_killed(&place(site), "publish.link=kill-after")),
        recover("recover_spare", disk(OTHER), |site| {
            place_other(site);
            site.prepare_killed(&replace(site), "publish.link=kill-after");
        }),
        recover("recover_replace", disk(ONE), |site| {
            place_other(site);
            site.prepare_killed(&replace(site), "publish.replace=kill-after");
        }),
        recover("recover_remove", View::new(), |site| {
            place_one(site);
            site.prepare_killed(&remove(site), "remove.unlink=kill-after");
        }),
        recover("recover_move", moved, |site| {
            place_one(site);
            site.prepare_killed(&rename(site), "move.rename=kill-after");
        }),
    ]
}
