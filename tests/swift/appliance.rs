//! An appliance of two disks, in one command from Swift into a directory: what is written, and how much memory it takes.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::differential::image::convert;
use crate::support::command::Landfall;
use crate::support::disk::{allocated, assert_same_bytes, noise};
use crate::support::left_over::assert_only;
use crate::support::mode::Mode;
use crate::support::observe::{Observatory, Observed, WrittenFile};
use crate::support::openstack::{Account, Group, unique};
use crate::support::ova;
use crate::support::record::record_of;
use crate::support::world::World;

use super::depot::{Depot, Form, KEEPER, MIB, container};

/// Data of the first disk, its hole, and all of the second.
const SMALL: u64 = 16 * MIB;
const HOLE: u64 = 5 * MIB;
const SECOND: u64 = 3 * MIB + 512;
/// What a ledger of one placement takes, with its journal.
const LEDGER: u64 = MIB;
/// What a file system needs to know where a file is.
const METADATA: u64 = MIB;
/// What all processes of a placement may take together, and what that may differ by: how much is under way depends on
/// who is faster.
const MEMORY: u64 = 128 * MIB;
const SPREAD: u64 = 16 * MIB;

/// What is placed.
const STAGED: [&str; 3] = ["disk-0.raw", "disk-1.raw", "disks.json"];
/// What is written of it in the state directory.
const STATE: [&str; 10] = [
    "/jobs.lock",
    "/limits.lock",
    "/ledger.sqlite",
    "/ledger.sqlite-journal",
    "/ledger.sqlite-shm",
    "/ledger.sqlite-wal",
    "/measured.sqlite",
    "/measured.sqlite-journal",
    "/measured.sqlite-shm",
    "/measured.sqlite-wal",
];
/// The order of the members; the names are what `make` makes.
const STREAMED: [&str; 4] = ["vm.ovf", "one.vmdk", "two.vmdk", "vm.mf"];
/// One that cannot be read front to back.
const DISKS_FIRST: [&str; 4] = ["one.vmdk", "two.vmdk", "vm.ovf", "vm.mf"];

/// A node beside Swift, and disks to compare with.
struct Yard<'w> {
    // Unmounted before the sandbox is removed.
    observatory: Observatory,
    depot: Depot<'w>,
    account: Account,
}

impl<'w> Yard<'w> {
    fn new(world: &'w World) -> Self {
        let depot = Depot::new(world, Group::Swift);
        let observatory = Observatory::new(&depot.sandbox);
        let account = depot.services.account(KEEPER);
        Self { observatory, depot, account }
    }

    /// Makes the disks and what describes them. The first has this much data, and a hole.
    fn make(&self, data: u64) {
        const GRAIN: usize = 64 << 10;
        let sandbox = &self.depot.sandbox;
        let text = b"says little. ".repeat(GRAIN / 13 + 1);
        let mut first = Vec::new();
        for number in 0..data / GRAIN as u64 {
            first.extend_from_slice(&noise(GRAIN / 4, number + 1));
            first.extend_from_slice(&text[..GRAIN / 4 * 3]);
        }
        first.resize(usize::try_from(data + HOLE).unwrap(), 0);
        let second = noise(usize::try_from(SECOND).unwrap(), 9);
        for (name, bytes) in [("one", first), ("two", second)] {
            let raw = self.raw(name);
            fs::write(&raw, bytes).unwrap();
            convert(&raw, &sandbox.store(&format!("{name}.vmdk")), "subformat=streamOptimized", "64k");
        }
        let disks = [("one.vmdk", data + HOLE, ova::VMDK), ("two.vmdk", SECOND, ova::VMDK)];
        fs::write(sandbox.store("vm.ovf"), ova::ovf(&disks)).unwrap();
        let manifest = ova::manifest(sandbox.store_dir(), &["vm.ovf", "one.vmdk", "two.vmdk"], "SHA256");
        fs::write(sandbox.store("vm.mf"), manifest).unwrap();
    }

    fn raw(&self, name: &str) -> PathBuf {
        self.depot.sandbox.home(&format!("{name}.raw"))
    }

    /// Stores the archive with its members in this order; gives the record of it.
    fn store(&self, members: &[&str], form: Form) -> Value {
        let sandbox = &self.depot.sandbox;
        let file = sandbox.store("vm.ova");
        ova::archive(&file, sandbox.store_dir(), members, "ustar");
        let object = format!("{}/{}", container(&self.account, "appliance"), unique("vm.ova"));
        let bytes = fs::read(&file).unwrap();
        match form {
            Form::Plain => self.account.put(&object, &bytes),
            Form::Static => self.account.put_static(&object, &bytes, 4 << 20),
            Form::Dynamic => self.account.put_dynamic(&object, &bytes, 4 << 20),
        }
        let mut record = record_of(&file);
        let url = self.depot.with_key(&self.depot.services.swift_auth_url(), KEEPER, &object);
        record["locations"] = json!([{ "url": url, "metadata": {} }]);
        record["disk_format"] = json!("vmdk");
        record["container_format"] = json!("ova");
        record
    }

    /// A command that places it as the directory `vm`.
    fn place(&self, record: &Value) -> Landfall {
        let path = self.depot.sandbox.record("image.json", record);
        self.depot.sandbox.landfall("place").arg(path).arg("--to-dir").arg(self.observatory.targets("vm")).json()
    }

    /// Places it, and fails unless it is exact; gives what was seen.
    fn placed(&self, command: Landfall) -> Observed {
        let (answer, seen) = self.observatory.run(command);
        assert_eq!(answer.success()["targets"].as_array().unwrap().len(), 2);
        let vm = self.observatory.targets("vm");
        assert_only(&vm, &STAGED);
        assert_same_bytes(&self.raw("one"), &vm.join("disk-0.raw"));
        assert_same_bytes(&self.raw("two"), &vm.join("disk-1.raw"));
        seen
    }

    fn remove(&self) {
        self.depot.sandbox.landfall("remove").arg(self.observatory.targets("vm")).json().run().success();
    }

    fn placed_and_removed(&self, record: &Value) -> Observed {
        let seen = self.placed(self.place(record));
        self.remove();
        seen
    }

    /// What is wrong with what was written, where nothing should be but the disks that are there now, what is said of
    /// them, and the ledger: files, and room that those do not explain.
    fn faults(&self, seen: &Observed) -> Vec<String> {
        let staged = STAGED.map(|name| self.observatory.targets("vm").join(name));
        let is_staged = |file: &&WrittenFile| staged.iter().any(|name| file.is(name));
        let others = seen.files.iter().filter(|file| !is_staged(file) && !in_ledger(file));
        let mut faults: Vec<String> = others.map(|file| format!("{file:?}")).collect();
        let count = seen.files.iter().filter(is_staged).count();
        if count != STAGED.len() {
            faults.push(format!("{count} of the {} files were seen", STAGED.len()));
        }
        let bytes: u64 = staged.iter().map(|file| allocated(file)).sum();
        if !(bytes..=bytes + METADATA).contains(&seen.room) {
            faults.push(format!("{} bytes were taken, {bytes} of them by the disks", seen.room));
        }
        faults
    }
}

/// Whether it is a file of the state directory that a placement writes, and small.
fn in_ledger(file: &WrittenFile) -> bool {
    let name = file.path.trim_end_matches(" (deleted)");
    STATE.contains(&name) && file.allocated <= LEDGER
}

/// Nothing but the disks is ever written, however the archive is stored. One that cannot be read front to back is
/// spooled, and that is seen; and so is another writer.
pub(super) fn disks_alone(world: &World) {
    let yard = Yard::new(world);
    yard.make(SMALL);
    for form in Form::ALL {
        let record = yard.store(&STREAMED, form);
        let seen = yard.placed(yard.place(&record));
        assert_eq!(yard.faults(&seen), Vec::<String>::new(), "{form:?}: {seen:#?}");
        yard.remove();
    }

    let record = yard.store(&DISKS_FIRST, Form::Static);
    let spooled = yard.placed(yard.place(&record));
    let faults = yard.faults(&spooled);
    yard.remove();
    let size = record["size"].as_u64().unwrap();
    let scratch = spooled.files.iter().filter(|file| file.links == 0 && file.size == size).count();
    assert_eq!((faults.len(), scratch), (2, 1), "{faults:#?} of {spooled:#?}");

    let record = yard.store(&STREAMED, Form::Plain);
    let note = yard.observatory.targets("note");
    let shell = format!("head -c 2000000 /dev/zero >{note:?}; rm {note:?}; exec \"$@\"");
    let seen = yard.placed(yard.place(&record).under(&["sh", "-c", &shell, "sh"]));
    let faults = yard.faults(&seen);
    assert!(faults.len() == 2 && faults[0].contains("/note (deleted)"), "{faults:#?}");

    // Elsewhere there is nothing to be seen, since nothing can be written.
    let elsewhere = yard.depot.sandbox.home("elsewhere");
    let shell = format!("echo >{elsewhere:?} 2>/dev/null && exit 99; exec \"$@\"");
    let again = yard.place(&record).under(&["sh", "-c", &shell, "sh"]);
    yard.observatory.run(again).0.failure("exists", "exists-not-a-file", "request");
    assert!(!elsewhere.exists());
}

/// A manifest that comes last and is wrong: everything is unpacked by then, and nothing of it stays.
pub(super) fn wrong_manifest(world: &World) {
    let yard = Yard::new(world);
    yard.make(SMALL);
    let file = yard.depot.sandbox.store("vm.mf");
    let right = fs::read_to_string(&file).unwrap();
    // The last digit of the second disk's digest.
    let digit = right.trim_end().len() - 1;
    let wrong = format!("{}{}\n", &right[..digit], if right.as_bytes()[digit] == b'0' { '1' } else { '0' });
    for form in [Form::Plain, Form::Static] {
        fs::write(&file, &wrong).unwrap();
        let record = yard.store(&STREAMED, form);
        let (answer, seen) = yard.observatory.run(yard.place(&record));
        answer.failure("corrupt", "manifest-digest-mismatch", "image");
        assert_only(&yard.observatory.targets(""), &["lost+found"]);
        assert_eq!(yard.depot.sandbox.placements(), Vec::<PathBuf>::new());
        // The disks had been written, and what was written is gone.
        let gone: u64 = seen.files.iter().filter(|file| file.links == 0).map(|file| file.allocated).sum();
        assert!(gone >= SMALL && seen.files.iter().all(|file| file.links == 0 || in_ledger(file)), "{seen:#?}");

        fs::write(&file, &right).unwrap();
        yard.placed_and_removed(&yard.store(&STREAMED, form));
    }
}

/// An image that is sixteen times as large, or sixty-four times, takes no more memory.
pub(super) fn memory(world: &World) {
    let yard = Yard::new(world);
    let large = world.rounds(16, 64) as u64 * SMALL;
    let loopback = "allow_addresses = [\"loopback\"]";
    let tables = format!("[handler.swift]\n{loopback}\n[handler.http]\n{loopback}\n");
    let mut peaks = Vec::new();
    for data in [SMALL, large] {
        yard.make(data);
        let record = yard.store(&STREAMED, Form::Static);
        for mode in Mode::ALL {
            yard.depot.sandbox.configure(mode.line(), &tables);
            // The first command of a mode looks at plugins, each in a process of its own, and remembers what it saw.
            let runs = if data == SMALL { 2 } else { 1 };
            let seen: Vec<Observed> = (0..runs).map(|_| yard.placed_and_removed(&record)).collect();
            let last = &seen[runs - 1];
            eprintln!("{mode:?}, {} MiB: {} KiB, {:?}", data >> 20, last.peak() >> 10, last.memory);
            peaks.push(last.peak());
        }
    }
    for (small, large) in [(peaks[0], peaks[2]), (peaks[1], peaks[3])] {
        assert!(large <= small + SPREAD && large <= MEMORY, "{small} bytes, and {large}");
    }

    // What takes as much memory as there are bytes is seen.
    yard.depot.sandbox.configure(Mode::Inline.line(), &tables);
    let shell = format!("head -c {large} /dev/zero | tail -c {large} >/dev/null; exec \"$@\"");
    let record = yard.store(&STREAMED, Form::Plain);
    let seen = yard.placed(yard.place(&record).under(&["sh", "-c", &shell, "sh"]));
    assert!(seen.peak() > peaks[2] + large, "{seen:#?}");
}
