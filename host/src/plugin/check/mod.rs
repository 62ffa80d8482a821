//! What `landfall handlers check` runs: the promises that every plugin makes, tried out on one.
//!
//! This file is the side that survives. Loading, making and calling the plugin is done in `child`, a process of its own, so
//! that a plugin that crashes or hangs is a finding like any other.

mod child;
mod collected;
mod deletion;
mod filters;
mod findings;
mod reads;
mod sample;
mod scratch;
mod surroundings;
mod traces;
mod trials;
mod unpackers;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use landfall_handler_api::Request;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use child::check_main;
pub(crate) use sample::SampleFile;

use super::load::PluginShape;
use super::refusal::Refusal;
use super::scan::{NoCache, died, scan};
use super::{SCAN_LIMIT, fits_this_process, open_alone};

/// The hidden command of the agent's binary that [`check_main`] serves.
pub(crate) const CHECK_COMMAND: &str = "check-plugin";

/// One check takes no longer than this: every operation in the child has a limit of its own, far below.
const SILENCE_MAX: Duration = Duration::from_secs(30 * 60);

/// What is to be checked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckJob {
    /// The plugin's file, absolute.
    pub(crate) file: PathBuf,
    /// Handlers' sections of the configuration, by id.
    pub(crate) configs: BTreeMap<String, Value>,
    /// A location that is there, for the handlers of its scheme.
    pub(crate) target: Option<Target>,
    /// Whether what the location names may be deleted, to try that.
    pub(crate) delete: bool,
    /// Bytes for the filters and unpackers of their format.
    pub(crate) sample: Option<SampleFile>,
}

/// A location to be read and transferred.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    /// What handlers are asked.
    pub(crate) request: Request,
    /// The whole URL, with its secrets.
    pub(crate) url: String,
    /// Logins by name, each a cloud in JSON.
    pub(crate) logins: BTreeMap<String, Vec<u8>>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The promise was kept.
    Ok,
    /// It was not.
    Failed,
    /// It was not tried.
    Skip,
}

/// One promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What was tried, kebab-case.
    pub(crate) check: String,
    /// The handler, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// What came of it.
    pub(crate) outcome: Verdict,
    /// The same for people.
    pub(crate) detail: String,
}

/// What the child says, one JSON document a line.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// The check that begins now.
    Doing {
        check: String,
        handler: Option<String>,
    },
    Found(Finding),
    /// There is nothing more to come.
    Done,
}

/// Runs every check, and tells each finding as soon as it is there.
pub(crate) fn check(job: &CheckJob, agent: &Path, mut tell: impl FnMut(Finding)) {
    let mut found = |check: &str, outcome: Result<String, String>| {
        let verdict = if outcome.is_ok() { Verdict::Ok } else { Verdict::Failed };
        let detail = outcome.unwrap_or_else(|detail| detail);
        tell(Finding { check: check.to_owned(), handler: None, outcome: verdict, detail });
    };
    let shape = match handshake(&job.file, agent) {
        Ok(shape) => shape,
        Err(refusal) => return found("handshake", Err(refusal.to_string())),
    };
    found("handshake", Ok(format!("{} {}", shape.name, shape.version)));
    let fits = fits_this_process(&shape).map(|()| "it may run in the agent's own process".to_owned());
    found("in-the-agent", fits.map_err(|refusal| refusal.to_string()));
    match start(job, agent) {
        Ok(child) => watch(child, tell),
        Err(error) => found("process", Err(format!("run {}: {error}", agent.display()))),
    }
}

fn handshake(file: &Path, agent: &Path) -> Result<PluginShape, Refusal> {
    let opened = open_alone(file, None)?;
    scan(&opened, file, agent, SCAN_LIMIT, &NoCache)
}

/// The job goes through a pipe, since arguments can be read by everybody and it may hold secrets.
fn start(job: &CheckJob, agent: &Path) -> std::io::Result<Child> {
    let mut child = Command::new(agent)
        .arg(CHECK_COMMAND)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A child that ended before it had read everything is found to have ended.
        let _ = input.write_all(&serde_json::to_vec(job)?);
    }
    Ok(child)
}

fn watch(mut child: Child, mut tell: impl FnMut(Finding)) {
    let (send, lines) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // Nobody listens after a timeout.
            lines.filter_map(|line| serde_json::from_str(&line).ok()).try_for_each(|line: Line| send.send(line))
        });
    }
    let (mut doing, mut done, mut late) = (None, false, false);
    while !done {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(Line::Doing { check, handler }) => doing = Some((check, handler)),
            Ok(Line::Found(finding)) => tell(finding),
            Ok(Line::Done) => done = true,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                late = true;
                break;
            }
        }
    }
    // Whatever the plugin started goes too. A group that is gone already is fine.
    let _ = i32::try_from(child.id()).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
    let status = child.wait();
    if done {
        return;
    }
    let (check, handler) = doing.unwrap_or_else(|| ("process".to_owned(), None));
    let detail = match status {
        _ if late => format!("it took longer than {} s", SILENCE_MAX.as_secs()),
        Ok(status) => died("it", status, &[]),
        Err(error) => format!("wait for the process: {error}"),
    };
    tell(Finding { check, handler, outcome: Verdict::Failed, detail });
}
