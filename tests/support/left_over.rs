//! What a command left on the disk, and what a run left among the processes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The names in a directory, hidden ones included, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Fails unless the directory holds exactly these names: no stage, no partial file, nothing more.
#[track_caller]
pub(crate) fn assert_only(dir: &Path, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
    expected.sort();
    assert_eq!(names(dir), expected, "names in {}", dir.display());
}

/// How long a worker may take to notice that its agent was killed, and how long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends the processes whose program lies in this directory; gives those that did not end by themselves.
pub(crate) fn end_processes(dir: &Path) -> Vec<String> {
    let left = processes_in_the_end(dir);
    for (pid, _) in &left {
        // It may end at this very moment.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    if !left.is_empty() {
        processes_in_the_end(dir);
    }
    left.into_iter().map(|(pid, line)| format!("{pid}: {line}")).collect()
}

/// Waits until there are no such processes; gives those that there are when patience ends.
fn processes_in_the_end(dir: &Path) -> Vec<(Pid, String)> {
    let end = Instant::now() + PATIENCE;
    loop {
        let running = processes(dir);
        if running.is_empty() || Instant::now() > end {
            return running;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Running processes whose program lies in this directory, with their command lines.
pub(crate) fn processes(dir: &Path) -> Vec<(Pid, String)> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw);
    let ours = |pid: Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // The link is not for everybody's eyes; the command line can be changed by the process.
        let program = fs::read_link(format!("/proc/{pid}/exe"));
        let is_ours = program.map_or_else(|_| Path::new(&line).starts_with(dir), |program| program.starts_with(dir));
        is_ours.then_some((pid, line))
    };
    fs::read_dir("/proc").expect("/proc is mounted").flatten().filter_map(number).filter_map(ours).collect()
}
