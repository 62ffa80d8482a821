//! The process that starts the services, does to them what tests ask for, and ends them when this process is gone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Group;
use crate::support::needs::find_program;

/// Longer than all services take to start on a busy machine.
const BOUND: Duration = Duration::from_secs(300);

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

struct Session {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    up: BTreeSet<Group>,
    /// Why nothing more is asked of it: each test would wait as long again.
    broken: Option<String>,
}

impl Session {
    fn open(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let log = File::create(dir.join("session.log")).map_err(|error| error.to_string())?;
        let mut child = command()?
            .arg("session")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // What a terminal sends to a run is not for it: it has to end the services then.
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let (sender, answers) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take().expect("it is piped");
        Ok(Self { child, input, answers, up: BTreeSet::new(), broken: None })
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        let answer = writeln!(self.input, "{line}")
            .map_err(|error| error.to_string())
            .and_then(|()| self.answers.recv_timeout(BOUND).map_err(|error| error.to_string()))
            .inspect_err(|error| self.broken = Some(format!("the services' process gives no answer: {error}")))?;
        if answer == "ok" { Ok(()) } else { Err(answer) }
    }
}

fn locked() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command() -> Result<Command, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace");
    let mut command = Command::new(find_program("python3").ok_or("needs python3, which is not installed")?);
    command.arg(root.join("tests/services/services.py")).stdin(Stdio::null());
    Ok(command)
}

/// Runs a script of the tree with the packages of the services.
pub(crate) fn python(script: &Path) -> Command {
    let mut command = command().expect("Need::OpenStack");
    command.arg("python").arg(script);
    command
}

/// `Err(reason)` when the services are not installed. Looked for once.
pub(crate) fn installed() -> Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    let look = || {
        let output = command()?.arg("check").output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().last().unwrap_or("no reason is said").trim_start_matches("error: ").to_owned())
    };
    FOUND.get_or_init(look).clone()
}

/// Starts the group in this folder unless it was started in this run.
pub(super) fn up(dir: &Path, group: Group) -> Result<(), String> {
    let mut session = locked();
    if session.is_none() {
        *session = Some(Session::open(dir)?);
    }
    let session = session.as_mut().expect("it was opened");
    if session.up.contains(&group) {
        return Ok(());
    }
    session.say(&format!("up {}", group.name())).inspect_err(|reason| session.broken = Some(reason.clone()))?;
    session.up.insert(group);
    Ok(())
}

/// Has the session do this; `Err` is why it did not.
pub(super) fn say(line: &str) -> Result<(), String> {
    locked().as_mut().ok_or("nothing is started")?.say(line)
}

/// Has the session do this.
#[track_caller]
pub(super) fn tell(line: &str) {
    say(line).unwrap_or_else(|problem| panic!("{line}: {problem}"));
}

/// Ends the services. For the end of a run, when no test is left that uses them.
pub(crate) fn finish() {
    let Some(Session { mut child, input, .. }) = locked().take() else { return };
    drop(input);
    let end = Instant::now() + BOUND;
    while child.try_wait().expect("wait for the services' process").is_none() {
        assert!(Instant::now() < end, "the services do not end");
        thread::sleep(Duration::from_millis(5));
    }
}
