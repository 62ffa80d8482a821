//! Runs `landfall` as a caller does, with a bound on its time, and takes its answer apart.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::answer::Answer;
use super::needs::find_program;

/// Longer than any command of a test takes on a busy machine; what reaches it hangs.
const BOUND: Duration = Duration::from_secs(120);

/// An unprivileged user and group that own nothing.
pub(crate) const NOBODY: u32 = 65534;

/// A command line to be run.
pub(crate) struct Landfall {
    program: OsString,
    before: Vec<OsString>,
    args: Vec<OsString>,
    input: Option<Vec<u8>>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    json: bool,
    terminal: bool,
}

impl Landfall {
    /// The binary without arguments.
    pub(crate) fn new(binary: &Path) -> Self {
        Self {
            program: binary.into(),
            before: Vec::new(),
            args: Vec::new(),
            input: None,
            environment: Vec::new(),
            directory: None,
            json: false,
            terminal: false,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Asks for JSON; the answer then must be one document.
    pub(crate) fn json(mut self) -> Self {
        self.json = true;
        self.arg("--json")
    }

    /// Says that terminal control is what is asked for, and so not a fault in the output.
    pub(crate) fn for_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Gives bytes on standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it in this directory.
    pub(crate) fn current_dir(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Runs it by way of another program, which gets the command line as its last arguments.
    pub(crate) fn under(mut self, words: &[&str]) -> Self {
        self.before.splice(0..0, words.iter().map(OsString::from));
        self
    }

    /// Runs it as a user without rights. For tests that need root.
    pub(crate) fn unprivileged(self) -> Self {
        let id = NOBODY.to_string();
        let setpriv = find_program("setpriv").expect("util-linux is installed");
        self.under(&[setpriv.to_str().unwrap(), "--clear-groups", "--reuid", &id, "--regid", &id])
    }

    /// Starts it.
    pub(crate) fn spawn(self) -> Running {
        let mut line = self.before;
        line.push(self.program);
        line.extend(self.args);
        let shown = line.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        // Whoever runs the tests may be logged in to a cloud, which would be a catalog.
        let own = std::env::vars_os().map(|(name, _)| name);
        let clouds =
            own.filter(|name| name.to_str().is_some_and(|name| name.starts_with("OS_") || name.starts_with("ST_")));
        let mut command = Command::new(&line[0]);
        for name in clouds {
            command.env_remove(name);
        }
        let mut child = command
            .args(&line[1..])
            .envs(self.environment)
            .current_dir(self.directory.as_deref().unwrap_or(Path::new("/")))
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that a hanging command is killed with all its children.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        if let Some(input) = self.input {
            let mut pipe = child.stdin.take().unwrap();
            // Refusing early, without reading, is a right of the command.
            thread::spawn(move || pipe.write_all(&input));
        }
        let stdout = read_all(child.stdout.take().unwrap());
        let (lines, stderr) = read_lines(child.stderr.take().unwrap());
        let status = wait(child);
        Running { shown, pid, json: self.json, terminal: self.terminal, stdout, stderr, lines, status }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Answer {
        self.spawn().finish()
    }
}

/// A command that has been started.
pub(crate) struct Running {
    shown: String,
    pid: Pid,
    json: bool,
    terminal: bool,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    lines: Receiver<String>,
    status: Receiver<ExitStatus>,
}

impl Running {
    /// Waits for a line of standard error; gives it, or none when the command ended without one.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let end = Instant::now() + BOUND;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return Some(line),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => self.overdue("for the line that the test waits for"),
            }
        }
    }

    /// Waits until `held` says so; fails when it never does.
    pub(crate) fn until(&self, what: &str, held: impl Fn() -> bool) {
        let end = Instant::now() + BOUND;
        while !held() {
            if Instant::now() > end {
                self.overdue(what);
            }
            thread::yield_now();
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.shown));
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Answer {
        let status = self.status.recv_timeout(BOUND).unwrap_or_else(|_| self.overdue("for its end"));
        let stdout = self.stdout.join().unwrap();
        let stderr = self.stderr.join().unwrap();
        Answer::new(self.shown, exit_number(status), stdout, stderr, self.json, self.terminal)
    }

    /// Waits for its end and gives the exit status, or the negated signal, whatever it answered.
    pub(crate) fn end(self) -> i32 {
        exit_number(self.status.recv_timeout(BOUND).unwrap_or_else(|_| self.overdue("for its end")))
    }

    fn overdue(&self, what: &str) -> ! {
        // The group may have ended just now.
        let _ = killpg(self.pid, Signal::SIGKILL);
        panic!("waited {} s {what}: {}", BOUND.as_secs(), self.shown);
    }
}

/// The exit status, or the negated signal.
fn exit_number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("read standard output");
        bytes
    })
}

fn read_lines(pipe: impl Read + Send + 'static) -> (Receiver<String>, JoinHandle<Vec<u8>>) {
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            if pipe.read_until(b'\n', &mut bytes).expect("read standard error") == 0 {
                return bytes;
            }
            // Most tests never ask for lines.
            let _ = sender.send(String::from_utf8_lossy(&bytes[start..]).trim_end_matches('\n').to_owned());
        }
    });
    (lines, reader)
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, status) = mpsc::channel();
    thread::spawn(move || {
        let ended = child.wait().expect("wait for the command");
        // The test may have given up.
        let _ = sender.send(ended);
    });
    status
}
