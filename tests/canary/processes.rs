//! What can be seen of agents and workers while they download.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};

use crate::support::command::{Landfall, NOBODY, Running};
use crate::support::left_over::names;
use crate::support::mode::Mode;
use crate::support::nginx::{Nginx, Site};
use crate::support::world::World;

use super::aviary::{Aviary, HELD};

/// Lets a command leave a core, as some machines do by default.
pub(super) const COREDUMPS: [&str; 3] = ["prlimit", "--core=unlimited:unlimited", "--"];

/// Whether this machine writes cores into the directory that a process runs in.
pub(super) fn cores_are_files() -> bool {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    !pattern.starts_with(['|', '/'])
}

/// A server that keeps a download in the middle, and the record that begins one.
fn held(aviary: &Aviary<'_>) -> (Nginx, std::path::PathBuf) {
    let server = aviary.server("server", Site::new().place("/held/", HELD));
    let record = aviary.record(&aviary.secret(&server.url("/held/disk.raw")));
    (server, record)
}

/// How many processes a download is.
fn expected(world: &World) -> usize {
    match world.mode {
        Mode::Inline => 1,
        Mode::Worker => 2,
    }
}

pub(super) fn running(world: &World) {
    let aviary = Aviary::new(world);
    let (server, record) = held(&aviary);
    let running = aviary.halfway(aviary.place(&record));
    assert_eq!(aviary.processes().len(), expected(world), "{:?}", aviary.processes());
    for (process, _) in aviary.processes() {
        let environment = fs::read(format!("/proc/{process}/environ"));
        assert!(environment.is_ok() || !nix::unistd::geteuid().is_root(), "{environment:?}");
    }
    assert_eq!(aviary.dirty_processes(), []);
    // What is on the disk meanwhile, the journal included.
    aviary.assert_files_clean("while it runs");
    running.signal(Signal::SIGTERM);
    aviary.assert_clean("afterwards", &running.finish());
    // The rest was really held back, by a server that really was asked.
    let mut server = server;
    assert!(!server.finish().requests().is_empty());
}

/// Agent and worker are killed by the signal that makes cores, where cores are allowed.
pub(super) fn cores(world: &World) {
    let aviary = Aviary::new(world);
    let (_server, record) = held(&aviary);
    let directory = aviary.sandbox.home("cores");
    fs::create_dir(&directory).unwrap();
    let start = || -> Running {
        let command: Landfall = aviary.place(&record).under(&COREDUMPS).current_dir(&directory);
        aviary.halfway(command)
    };
    let mut seen = 0;
    for victim in 0..expected(world) {
        let running = start();
        let agent = running.pid();
        let victims: Vec<_> = aviary.processes().into_iter().map(|(process, _)| process).collect();
        let (mut agents, workers): (Vec<_>, Vec<_>) = victims.into_iter().partition(|process| *process == agent);
        agents.extend(workers);
        // The first one only takes away the handler that the standard library has for it.
        while kill(agents[victim], Signal::SIGSEGV).is_ok() {
            std::thread::yield_now();
        }
        let status = running.end();
        assert_ne!(status, 0);
        seen += 1;
        assert_left_nothing(&directory, if victim == 0 { "the agent" } else { "the worker" });
        aviary.assert_files_clean("after a crash");
    }
    assert_eq!(seen, expected(world));
}

#[track_caller]
fn assert_left_nothing(directory: &Path, whose: &str) {
    assert_eq!(names(directory), [""; 0], "a core of {whose}");
}

/// Of an unprivileged user's process that others could read, its files in /proc are the user's; of one whose memory is hidden,
/// they are root's.
pub(super) fn hidden(world: &World) {
    let aviary = Aviary::new(world);
    let (_server, record) = held(&aviary);
    aviary.sandbox.give_to_nobody();
    for file in ["image.json", "landfall.toml"] {
        std::os::unix::fs::chown(aviary.sandbox.home(file), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::os::unix::fs::chown(aviary.certificates.file("client.key"), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut control = std::process::Command::new("setpriv")
        .args(["--clear-groups", "--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "sleep", "1000"])
        .spawn()
        .unwrap();
    let owner = |process: u32| fs::metadata(format!("/proc/{process}/environ")).unwrap().uid();
    while !fs::read_to_string(format!("/proc/{}/comm", control.id())).is_ok_and(|name| name.trim() == "sleep") {
        std::thread::yield_now();
    }
    let of_control = owner(control.id());
    control.kill().unwrap();
    control.wait().unwrap();
    assert_eq!(of_control, NOBODY, "the control's memory is readable for its user");

    let running = aviary.halfway(aviary.place(&record).unprivileged());
    let processes = aviary.processes();
    assert_eq!(processes.len(), expected(world), "{processes:?}");
    for (process, line) in processes {
        assert_eq!(owner(u32::try_from(process.as_raw()).unwrap()), 0, "readable for its user: {line}");
    }
    running.signal(Signal::SIGTERM);
    aviary.assert_clean("afterwards", &running.finish());
}
