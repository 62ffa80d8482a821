//! Looks at a plugin for the first time in a process of its own, so that a plugin that crashes while it is loaded, or while
//! its handlers are made and destroyed, is a line in a report and not the end of the agent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use landfall_handler_api::abi::{IMGH_ABI_MAJOR, IMGH_ABI_MINOR};
use landfall_handler_api::crossing::clean_text;
use landfall_handler_api::{Error, ErrorKind, Scope};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, alarm};
use serde::{Deserialize, Serialize};

use super::inline::InlineHandler;
use super::load::{Loaded, PluginShape, load};
use super::refusal::Refusal;
use crate::complaint::complain;
use crate::digest::Algorithm;
use crate::worker;

/// The hidden command of the agent's binary that [`scan_main`] serves.
pub(crate) const SCAN_COMMAND: &str = "scan-plugin";

const OUTPUT_MAX: u64 = 8 << 20;
const NOISE_MAX: u64 = 64 << 10;
const NOISE_SHOWN: usize = 300;
/// Longer than a parent waits, which is the one to say that it took too long.
const CHILD_LIMIT: Duration = Duration::from_secs(60);

/// Where results of scans are kept, so that a plugin is scanned once and not at every start. Keyed by the file's path and
/// its version, which also names the ABI and the agent.
pub(crate) trait ScanCache {
    /// What was found then, if anything.
    fn get(&self, path: &Path, version: &str) -> Option<String>;
    /// Keeps what was found. Best effort.
    fn put(&self, path: &Path, version: &str, outcome: &str);
}

/// Keeps nothing.
pub(crate) struct NoCache;

impl ScanCache for NoCache {
    fn get(&self, _: &Path, _: &str) -> Option<String> {
        None
    }

    fn put(&self, _: &Path, _: &str, _: &str) {}
}

pub(super) type Scan = Result<PluginShape, Refusal>;

/// One line of a child that scans. The last is the outcome; where it is not, the child ended while it did what that says.
#[derive(Serialize, Deserialize)]
enum Line {
    Doing(String),
    Ok(PluginShape),
    Err(Refusal),
}

/// What is known of this very file, else what a scan finds.
pub(super) fn scan(file: &File, path: &Path, agent: &Path, limit: Duration, cache: &dyn ScanCache) -> Scan {
    let version = version(file)?;
    let known = cache.get(path, &version).and_then(|known| serde_json::from_str::<Scan>(&known).ok());
    if let Some(known) = known {
        return known;
    }
    let scan = run_child(file, agent, limit);
    // A slow or broken machine is no property of the file.
    let passing = matches!(&scan, Err(refusal) if ["scan-timeout", "scan-failed"].contains(&refusal.code.as_str()));
    if let (false, Ok(json)) = (passing, serde_json::to_string(&scan)) {
        cache.put(path, &version, &json);
    }
    scan
}

/// What `action` found when it was last done for this `version` of `path`, else what it finds now.
pub(super) fn remembered(
    cache: &dyn ScanCache,
    path: &Path,
    version: &str,
    action: impl FnOnce() -> landfall_handler_api::Result<()>,
) -> Result<(), Refusal> {
    let known = cache.get(path, version).and_then(|known| serde_json::from_str::<Result<(), Refusal>>(&known).ok());
    if let Some(known) = known {
        return known;
    }
    let outcome = action();
    // What the machine could not do now says nothing of the file, nor does a worker that died of its limits.
    let passing = |error: &Error| error.scope() == Scope::Node || error.kind() == ErrorKind::Crashed;
    let lasts = !outcome.as_ref().is_err_and(passing);
    let outcome = outcome.map_err(Refusal::from);
    if let (true, Ok(json)) = (lasts, serde_json::to_string(&outcome)) {
        cache.put(path, version, &json);
    }
    outcome
}

/// Tells settings from others without showing them.
pub(super) fn fingerprint(settings: &serde_json::Value) -> String {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(settings.to_string().as_bytes());
    hasher.finish().value
}

pub(super) fn version(file: &File) -> Result<String, Refusal> {
    let stat = file.metadata().map_err(|error| Refusal::new("unreadable", error))?;
    Ok(format!(
        "{} abi {IMGH_ABI_MAJOR}.{IMGH_ABI_MINOR} dev {} ino {} size {} mtime {}.{:09} ctime {}.{:09}",
        env!("CARGO_PKG_VERSION"),
        stat.dev(),
        stat.ino(),
        stat.size(),
        stat.mtime(),
        stat.mtime_nsec(),
        stat.ctime(),
        stat.ctime_nsec(),
    ))
}

/// Scans in a child: the agent's own binary, with the plugin as its standard input and nothing of our environment.
fn run_child(file: &File, agent: &Path, limit: Duration) -> Scan {
    let failed = |error: std::io::Error| Refusal::new("scan-failed", format!("run {}: {error}", agent.display()));
    let plugin = file.try_clone().map_err(failed)?;
    let mut command = Command::new(agent);
    command
        .arg(SCAN_COMMAND)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(plugin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = worker::spawn(&mut command).map_err(failed)?;
    let outcome = collect(&mut child, limit);
    // Whatever the plugin started goes too. A group that is gone already is fine.
    let _ = i32::try_from(child.id()).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
    let status = child.wait().map_err(failed);
    worker::forget(child.id());
    let status = status?;
    let Some((output, noise)) = outcome else {
        let reason = format!("loading it and making its handlers took longer than {} s", limit.as_secs_f32());
        return Err(Refusal::new("scan-timeout", reason));
    };
    let last = output.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    match serde_json::from_slice(last) {
        Ok(Line::Ok(shape)) => Ok(shape),
        Ok(Line::Err(refusal)) => Err(refusal),
        Ok(Line::Doing(what)) => Err(Refusal::new("crashed-while-loading", died(&what, status, &noise))),
        Err(_) => Err(Refusal::new("crashed-while-loading", died("loading it", status, &noise))),
    }
}

/// Reads the child's two outputs to their ends, within `limit` and bounded; `None` when it takes longer.
fn collect(child: &mut Child, limit: Duration) -> Option<(Vec<u8>, Vec<u8>)> {
    let (output, noise) = (child.stdout.take()?, child.stderr.take()?);
    let (send_output, output_read) = mpsc::channel();
    let (send_noise, noise_read) = mpsc::channel();
    read_aside(output, OUTPUT_MAX, send_output);
    read_aside(noise, NOISE_MAX, send_noise);
    let output = output_read.recv_timeout(limit).ok()?;
    // The noise only explains; a grandchild that holds it open is not waited for.
    let noise = noise_read.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
    Some((output, noise))
}

fn read_aside(from: impl Read + Send + 'static, most: u64, to: mpsc::Sender<Vec<u8>>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe ends the output like any end.
        let _ = from.take(most).read_to_end(&mut bytes);
        // Nobody listens after a timeout.
        let _ = to.send(bytes);
    });
}

/// How `what` ended the process, with the last line that it left on standard error.
pub(super) fn died(what: &str, status: ExitStatus, noise: &[u8]) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(number), _) => match Signal::try_from(number) {
            Ok(signal) => format!("{what} ended the process with {signal}"),
            Err(_) => format!("{what} ended the process with signal {number}"),
        },
        (None, Some(code)) => format!("{what} ended the process with status {code}"),
        (None, None) => format!("{what} ended the process"),
    };
    let noise = noise.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    if noise.is_empty() { how } else { format!("{how}: {}", clean_text(noise, NOISE_SHOWN)) }
}

/// What every process does that runs a plugin only to see what comes of it.
pub(super) fn be_expendable(seconds: u32) {
    // The parent kills a child that takes too long; this is for a parent that died.
    alarm::set(seconds);
    // A crash here is expected at times, and nobody wants its core.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// The whole of the hidden command: loads the plugin that standard input is, makes and destroys its handlers, and prints
/// what it found.
pub(crate) fn scan_main() -> ExitCode {
    be_expendable(60);
    match scan_here() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("scan: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn scan_here() -> std::io::Result<()> {
    let plugin = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // What constructors print must not end up in the answer.
    let mut answer = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(std::io::stderr())?;
    let outcome = match load(plugin) {
        Ok(loaded) => {
            for number in 0..loaded.tables.len() {
                make_and_destroy(&loaded, number, &mut answer)?;
            }
            Line::Ok(loaded.shape)
        }
        Err(refusal) => Line::Err(refusal),
    };
    say(&mut answer, &outcome)
}

fn say(answer: &mut File, line: &Line) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    answer.write_all(&bytes)
}

/// With the empty configuration, whatever the operator's is: that may hold secrets. A handler may refuse it.
fn make_and_destroy(loaded: &Loaded, number: usize, answer: &mut File) -> std::io::Result<()> {
    let (Some(handler), Some(table)) = (loaded.shape.handlers.get(number), loaded.tables.get(number)) else {
        return Ok(());
    };
    let info = handler.info.clone();
    say(answer, &Line::Doing(format!("create of its handler {}", info.id)))?;
    let none = serde_json::Value::Object(serde_json::Map::new());
    let plugin = loaded.shape.identity(Path::new(""));
    if let Ok(made) = InlineHandler::create(info, plugin, *table, &none, CHILD_LIMIT, CHILD_LIMIT) {
        say(answer, &Line::Doing(format!("destroy of its handler {}", handler.info.id)))?;
        drop(made);
    }
    Ok(())
}
