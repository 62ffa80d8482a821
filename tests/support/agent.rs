//! An agent that a test runs, and callers of it: this process, and others as other users.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::command::{Landfall, Running};
use super::needs::find_program;
use super::sandbox::Sandbox;

/// Longer than anything that a test waits for takes on a busy machine.
const BOUND: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running agent; ended when dropped.
pub(crate) struct Agent {
    running: Option<Running>,
    pub(crate) socket: PathBuf,
}

/// An answer: status, and the document in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) document: Value,
}

impl Agent {
    /// Starts the sandbox's agent and waits until it serves.
    pub(crate) fn start(sandbox: &Sandbox<'_>) -> Self {
        Self::start_with(sandbox, &sandbox.world.install.landfall, &[])
    }

    /// Starts another build of it, with variables in its environment.
    pub(crate) fn start_with(sandbox: &Sandbox<'_>, binary: &Path, variables: &[(&str, &str)]) -> Self {
        let socket = sandbox.home("agent.sock");
        let command = Landfall::new(binary).arg("agent").arg("--config").arg(sandbox.home("landfall.toml"));
        let command = variables.iter().fold(command, |command, (name, value)| command.env(name, value));
        let running = command.env("RUST_BACKTRACE", "1").spawn();
        let agent = Self { running: Some(running), socket };
        agent.until("the agent serves", || {
            agent.try_ask("GET", "/v0/health", None).is_some_and(|reply| reply.status == 200)
        });
        agent
    }

    /// An agent that somebody else runs, at this socket.
    pub(crate) fn at(socket: &Path) -> Self {
        Self { running: None, socket: socket.to_owned() }
    }

    /// What a sandbox's configuration must have: where the socket is.
    pub(crate) fn table(sandbox: &Sandbox<'_>, more: &str) -> String {
        format!("[agent]\nsocket = {:?}\n{more}\n", sandbox.home("agent.sock"))
    }

    pub(crate) fn pid(&self) -> Pid {
        self.running.as_ref().expect("it runs").pid()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let running = self.running.take().expect("it runs");
        running.signal(Signal::SIGKILL);
        running.end();
    }

    /// Waits for the end of one that died by itself.
    pub(crate) fn kill_dead(&mut self) {
        self.running.take().expect("it ran").end();
    }

    /// Asks it to stop, and waits until it has; gives the exit status.
    pub(crate) fn stop(&mut self) -> i32 {
        let running = self.running.take().expect("it runs");
        running.signal(Signal::SIGTERM);
        running.end()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// A line of its log.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.running.as_ref().expect("it runs").line(wanted)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_ask(method, path, body).unwrap_or_else(|| panic!("{method} {path} is not answered"))
    }

    pub(crate) fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Reply> {
        ask(&self.socket, method, path, body)
    }

    /// Places something and waits.
    pub(crate) fn place(&self, request: &Value) -> Reply {
        self.ask("POST", "/v0/place", Some(request))
    }

    /// Begins to place something; gives the job's id.
    pub(crate) fn begin(&self, request: &Value) -> String {
        let mut request = request.clone();
        request["wait"] = false.into();
        let reply = self.place(&request);
        assert_eq!(reply.status, 202, "{:#}", reply.document);
        reply.document["job"].as_str().unwrap().to_owned()
    }

    /// The document of a job.
    pub(crate) fn job(&self, id: &str) -> Value {
        let reply = self.ask("GET", &format!("/v0/jobs/{id}"), None);
        assert_eq!(reply.status, 200, "{:#}", reply.document);
        reply.document
    }

    /// Waits until a job is over; gives its report.
    pub(crate) fn report(&self, id: &str) -> Value {
        self.until("the job ends", || self.job(id).get("report").is_some());
        self.job(id)["report"].clone()
    }

    /// A counter or gauge.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let reply = raw(&self.socket, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let text = String::from_utf8(reply).unwrap();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let value = line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap();
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// Waits for something.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, held: impl Fn() -> bool) {
        let began = Instant::now();
        while !held() {
            assert!(began.elapsed() < BOUND, "{what}: not within {BOUND:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// A call by the example client in a process of its own, as this user.
    pub(crate) fn caller(
        &self,
        sandbox: &Sandbox<'_>,
        uid: Option<u32>,
        what: &str,
        argument: &str,
        tries: u32,
    ) -> Caller {
        let client = sandbox.world.install.source.join("examples/agent/landfall_client.py");
        let mut line: Vec<std::ffi::OsString> = Vec::new();
        if let Some(uid) = uid {
            let setpriv = find_program("setpriv").expect("util-linux is installed");
            let id = uid.to_string();
            line.extend([setpriv.into_os_string()]);
            line.extend(["--clear-groups", "--reuid", &id, "--regid", &id].map(Into::into));
        }
        line.extend(["/usr/bin/python3", "-B", "-"].map(Into::into));
        line.extend(["--socket".into(), self.socket.clone().into_os_string()]);
        line.extend(["--tries", &tries.to_string(), what, argument].map(Into::into));
        let mut child = Command::new(&line[0])
            .args(&line[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("python3 starts");
        // The source tree may be closed to other users.
        let text = std::fs::read(client).unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        Caller { child }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A test that fails ends its processes itself.
        if let Some(running) = self.running.take().filter(|_| !std::thread::panicking()) {
            running.signal(Signal::SIGKILL);
            running.end();
        }
    }
}

/// A process that called.
pub(crate) struct Caller {
    child: Child,
}

impl Caller {
    /// Ends it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its answer.
    #[track_caller]
    pub(crate) fn finish(self) -> Value {
        let output = self.child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text:?}\n{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Waits for a refusal; gives kind and code.
    #[track_caller]
    pub(crate) fn refused(self) -> (String, String) {
        let answer = self.finish();
        assert_eq!(answer["ok"], false, "{answer:#}");
        let part = |name: &str| answer["error"][name].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned();
        (part("kind"), part("code"))
    }
}

/// Sends bytes, and reads until the other end closes.
pub(crate) fn raw(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    // The other end may have closed already, having said why.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Asks whoever listens; none where nobody answers.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Option<Reply> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    parse(&answer)
}

/// Takes an answer apart.
pub(crate) fn parse(answer: &[u8]) -> Option<Reply> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Reply { status, document: serde_json::from_str(body).unwrap_or(Value::Null) })
}
