//! What happens in the middle of a placement: signals, deadlines, a full disk, others at the target, a changing source.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::command::Running;
use crate::support::disk::{assert_same_bytes, noise, noisy_file};
use crate::support::gate::{Gate, record_of_x};
use crate::support::mounts::{Fs, OwnMount};
use crate::support::needs::Need;
use crate::support::record::{record_of, sha512};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const MIB: u64 = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    let cc = [Need::Program("cc")];
    let mut cases = vec![
        Case::new("halfway::signals_cancel", signals).needs(&cc),
        Case::new("halfway::signals_cancel_a_copy", signals_in_a_copy).on(Fs::Ext4),
        Case::new("halfway::deadlines", deadlines).needs(&cc),
        Case::new("halfway::handlers_that_do_not_stop", wedged).needs(&cc),
        Case::new("halfway::killed", killed).needs(&cc),
        Case::new("halfway::the_disk_fills_up", fills_up).needs(&[Need::Mount]).needs(&cc),
        Case::new("halfway::the_disk_fills_up_under_a_copy", a_copy_fills_up).needs(&[Need::Mount]),
        Case::new("halfway::a_file_size_limit", file_size_limit).needs(&cc),
        Case::new("halfway::the_directory_goes", directory_goes).needs(&cc),
    ];
    for fs in [Fs::Xfs, Fs::Ext4, Fs::Tmpfs] {
        let name = format!("halfway::somebody_takes_the_target_on_{}", fs.name());
        cases.push(Case::new(name, move |world| target_taken(world, fs)).on(fs).needs(&cc));
    }
    for fs in [Fs::Ext4, Fs::Tmpfs] {
        let name = format!("halfway::the_source_changes_on_{}", fs.name());
        cases.push(Case::new(name, move |world| source_changes(world, fs)).on(fs));
    }
    cases
}

/// Nothing was published, and nothing is left.
fn nothing(sandbox: &Sandbox<'_>) {
    sandbox.only(&[]);
    assert!(sandbox.placements().is_empty());
}

fn signals(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let gate = Gate::new(&sandbox, MIB);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let running = gate.hold(sandbox.place(gate.record(), "disk"));
        running.signal(signal);
        running.finish().failure("cancelled", "cancelled", "request");
        nothing(&sandbox);
    }
    // Held and let go, it is placed.
    let running = gate.hold(sandbox.place(gate.record(), "disk"));
    gate.open();
    running.finish().success();
    assert_eq!(fs::read(sandbox.out("disk")).unwrap(), vec![b'x'; 1 << 20]);
}

/// A placement of a file by copy, stopped (not ended) while bytes are moved; `None` when it was too fast.
fn stopped_copy(sandbox: &Sandbox<'_>, record: &Path, target: &str, options: &[&str]) -> Option<Running> {
    let running = sandbox.place(record, target).args(["--progress", "json"]).args(options).spawn();
    running.line(|line| line.contains("\"bytes\""))?;
    running.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", running.pid());
    let state = || {
        let text = fs::read_to_string(&stat).unwrap_or_default();
        text.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('X')
    };
    running.until("until it has stopped or ended", || ['T', 'Z', 'X'].contains(&state()));
    if state() == 'T' && !sandbox.out(target).exists() {
        return Some(running);
    }
    if state() == 'T' {
        running.signal(Signal::SIGCONT);
    }
    running.finish().success();
    fs::remove_file(sandbox.out(target)).unwrap();
    None
}

/// Does something to a copy that is halfway through, and gives the answer. Tries again when the copy was too fast.
fn in_a_copy(sandbox: &Sandbox<'_>, record: &Path, target: &str, options: &[&str], deed: impl Fn(&Running)) -> Answer {
    for _ in 0..20 {
        if let Some(running) = stopped_copy(sandbox, record, target, options) {
            deed(&running);
            running.signal(Signal::SIGCONT);
            return running.finish();
        }
    }
    panic!("every copy was over before it could be stopped");
}

fn signals_in_a_copy(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Ext4);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 128 << 20, 1);
    let record = sandbox.record_of_file(&source);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let answer = in_a_copy(&sandbox, &record, "disk", &[], |running| running.signal(signal));
        answer.failure("cancelled", "cancelled", "request");
        nothing(&sandbox);
    }
}

fn source_changes(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("disk.raw");
    let size = 128 * MIB;
    noisy_file(&source, 128 << 20, 1);
    let hashed = sandbox.record_of_file(&source);
    let mut record = record_of(&source);
    record["os_hash_value"] = Value::Null;
    let unhashed = sandbox.record("unhashed.json", &record);
    let hash = sha512(&source);
    let restore = || {
        fs::remove_file(&source).unwrap();
        noisy_file(&source, 128 << 20, 1);
    };
    let write = || OpenOptions::new().write(true).open(&source).unwrap();

    for (record, options) in [(&hashed, &[][..]), (&unhashed, &["--allow-unhashed"][..])] {
        // Cut off.
        let answer = in_a_copy(&sandbox, record, "disk", options, |_| write().set_len(size / 2).unwrap());
        answer.failure("corrupt", "source-changed", "location");
        nothing(&sandbox);
        restore();
        // Changed where it is not read yet: half of one version and half of another is no image.
        let answer = in_a_copy(&sandbox, record, "disk", options, |_| {
            write().write_all_at(&noise(4096, 9), size - 8192).unwrap();
        });
        let code = if record == &hashed { "digest-mismatch" } else { "source-changed" };
        answer.failure("corrupt", code, "location");
        nothing(&sandbox);
        restore();
        // Renamed away and replaced: what was opened is what is placed, where a digest proves it.
        let answer = in_a_copy(&sandbox, record, "disk", options, |_| {
            fs::rename(&source, sandbox.store("aside.raw")).unwrap();
            noisy_file(&source, 128 << 20, 2);
        });
        if record == &hashed {
            answer.success();
            assert_eq!(sha512(&sandbox.out("disk")), hash);
            sandbox.landfall("remove").arg(sandbox.out("disk")).json().run().success();
        } else {
            answer.failure("corrupt", "source-changed", "location");
        }
        nothing(&sandbox);
        fs::rename(sandbox.store("aside.raw"), &source).unwrap();
    }
}

fn deadlines(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let gate = Gate::new(&sandbox, MIB);
    for deadline in ["300ms", "1s"] {
        let answer = sandbox.place(gate.record(), "disk").args(["--deadline", deadline]).run();
        answer.failure("cancelled", "deadline", "request");
        nothing(&sandbox);
    }
    // Over before it begins.
    for deadline in ["0s", "1ms"] {
        let file = sandbox.store("big.raw");
        noisy_file(&file, 16 << 20, 1);
        let record = sandbox.record_of_file(&file);
        let answer = sandbox.place(record, "disk").args(["--deadline", deadline]).run();
        answer.failure("cancelled", "deadline", "request");
        nothing(&sandbox);
    }
    let running = gate.hold(sandbox.place(gate.record(), "disk").args(["--deadline", "1h"]));
    gate.open();
    running.finish().success();
}

fn wedged(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::with_faults(&sandbox);
    sandbox.configure(&dir.line(), "[limits]\ngrace = \"200ms\"\n");
    let urls = [
        "fault-source://wedge",
        "fault-source://slow",
        "fault-source://read-wedge/xxxxx",
        "fault-transfer://wedge",
        "fault-transfer://slow",
        "fault-transfer://late/5/1",
    ];
    for url in urls {
        let path = sandbox.record("image.json", &record_of_x(url, 5, true));
        let answer = sandbox.place(&path, "disk").args(["--deadline", "300ms"]).run();
        answer.failure("cancelled", "deadline", "request");
        nothing(&sandbox);
    }
    // One that hangs when it is closed has given its bytes already.
    let path = sandbox.record("image.json", &record_of_x("fault-source://close-wedge/xxxxx", 5, true));
    sandbox.place(&path, "disk").args(["--deadline", "60s"]).run().success();
    assert_eq!(fs::read(sandbox.out("disk")).unwrap(), b"xxxxx");
}

fn killed(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let gate = Gate::new(&sandbox, MIB);
    let running = gate.hold(sandbox.place(gate.record(), "disk"));
    running.signal(Signal::SIGKILL);
    assert_eq!(running.end(), -(Signal::SIGKILL as i32));
    nothing(&sandbox);
    let running = gate.hold(sandbox.place(gate.record(), "disk"));
    gate.open();
    running.finish().success();
}

fn fills_up(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = sandbox.out("small");
    fs::create_dir(&dir).unwrap();
    let _mount = OwnMount::tmpfs(&dir, 4 * MIB);
    let gate = Gate::new(&sandbox, 3 * MIB);

    // Room for all of it when it began, and for half of it when somebody else had taken the rest.
    let running = gate.hold(sandbox.place(gate.record(), "small/disk"));
    noisy_file(&dir.join("other"), 2 << 20, 1);
    gate.open();
    running.finish().failure("no-space", "enospc", "node");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    fs::remove_file(dir.join("other")).unwrap();

    // Nobody knew how much it would be.
    let path = sandbox.record("fill.json", &record_of_x("edges://fill/6291456", 6 * MIB, false));
    sandbox.place(path, "small/disk").run().failure("no-space", "enospc", "node");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    assert!(sandbox.placements().is_empty());

    let running = gate.hold(sandbox.place(gate.record(), "small/disk"));
    gate.open();
    running.finish().success();
}

fn a_copy_fills_up(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = sandbox.out("small");
    fs::create_dir(&dir).unwrap();
    let _mount = OwnMount::tmpfs(&dir, 160 * MIB);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 128 << 20, 1);
    let record = sandbox.record_of_file(&source);
    // Room for all of it when it began, and less when somebody else had taken some.
    let answer = in_a_copy(&sandbox, &record, "small/disk", &[], |_| noisy_file(&dir.join("other"), 33 << 20, 2));
    answer.failure("no-space", "enospc", "node");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    assert!(sandbox.placements().is_empty());
}

fn file_size_limit(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let gate = Gate::new(&sandbox, 3 * MIB);
    let path = sandbox.record("fill.json", &record_of_x("edges://fill/3145728", 3 * MIB, false));
    // In units of 512 bytes or 1 KiB, as the shell likes: less than the image, more than the ledger.
    let shell = ["sh", "-c", "ulimit -f 2048; exec \"$@\"", "sh"];
    for record in [path.as_path(), gate.record()] {
        sandbox.place(record, "disk").under(&shell).run().failure("io", "efbig", "node");
        nothing(&sandbox);
    }
}

fn directory_goes(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let gate = Gate::new(&sandbox, MIB);
    fs::create_dir(sandbox.out("sub")).unwrap();
    let running = gate.hold(sandbox.place(gate.record(), "sub/disk"));
    fs::remove_dir(sandbox.out("sub")).unwrap();
    gate.open();
    running.finish().failure("not-found", "enoent", "request");
    nothing(&sandbox);

    // Another directory of that name is not where the disk was to go.
    fs::create_dir(sandbox.out("sub")).unwrap();
    let running = gate.hold(sandbox.place(gate.record(), "sub/disk"));
    fs::rename(sandbox.out("sub"), sandbox.out("aside")).unwrap();
    fs::create_dir(sandbox.out("sub")).unwrap();
    gate.open();
    let answer = running.finish();
    assert!(!sandbox.out("sub/disk").exists());
    // Wherever it is, the ledger must not say that it stands where it does not.
    let stands = sandbox.landfall("placements").json().run();
    for placement in stands.success()["placements"].as_array().unwrap() {
        assert_eq!(placement["stands"], Path::new(placement["path"].as_str().unwrap()).exists(), "{answer:#?}");
    }
}

fn target_taken(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let gate = Gate::new(&sandbox, MIB);
    let source = sandbox.store("other.raw");
    noisy_file(&source, 5000, 1);
    let other = sandbox.record_of_file(&source);

    // By another placement.
    let running = gate.hold(sandbox.place(gate.record(), "disk"));
    sandbox.place(&other, "disk").run().success();
    gate.open();
    running.finish().failure("exists", "exists", "request");
    assert_same_bytes(&source, &sandbox.out("disk"));
    sandbox.only(&["disk"]);
    assert_eq!(sandbox.placements(), [sandbox.out("disk")]);

    // By another placement, and it is to be replaced.
    sandbox.landfall("remove").arg(sandbox.out("disk")).json().run().success();
    let running = gate.hold(sandbox.place(gate.record(), "disk").arg("--replace"));
    sandbox.place(&other, "disk").run().success();
    gate.open();
    running.finish().success();
    assert_eq!(sandbox.out("disk").metadata().unwrap().len(), MIB);
    sandbox.only(&["disk"]);
    assert_eq!(sandbox.placements(), [sandbox.out("disk")]);
    sandbox.landfall("remove").arg(sandbox.out("disk")).json().run().success();

    // By something that is no file.
    for replace in [&[][..], &["--replace"][..]] {
        let running = gate.hold(sandbox.place(gate.record(), "disk").args(replace));
        fs::create_dir(sandbox.out("disk")).unwrap();
        gate.open();
        let answer = running.finish();
        let code = if replace.is_empty() { "exists" } else { "exists-not-a-file" };
        answer.failure("exists", code, "request");
        sandbox.only(&["disk"]);
        fs::remove_dir(sandbox.out("disk")).unwrap();
    }
    // By a link, which is neither followed nor replaced.
    let running = gate.hold(sandbox.place(gate.record(), "disk"));
    File::create(sandbox.home("elsewhere")).unwrap();
    std::os::unix::fs::symlink(sandbox.home("elsewhere"), sandbox.out("disk")).unwrap();
    gate.open();
    running.finish().failure("exists", "exists", "request");
    assert_eq!(sandbox.home("elsewhere").metadata().unwrap().len(), 0);
    assert!(sandbox.placements().is_empty());
}
