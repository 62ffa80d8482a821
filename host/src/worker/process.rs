//! A worker process: started, watched, and surely ended.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, pipe2};
use serde_json::Value;

use super::mailbox::{Letter, Mailbox};
use super::message::{Ask, Bounds, Operation, Order, Outcome, Secret};
use super::ring::new_memory;
use super::serve::WORKER_COMMAND;
use super::watcher::Watcher;
use super::wire::{self, Wire};
use super::{confine, orphans};
use crate::plugin::{CallContext, Progress, Pulse, WORKER_KILLED, honest};

/// How long a worker may take to load its plugin and make its handler.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a worker that closed its connection, or was killed, may take to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(1);
/// How long a killed process may be stuck in the kernel before it is given up.
const UNDEAD_LIMIT: Duration = Duration::from_secs(20);
/// Part of the memory limit that a process must have had resident for its end to be blamed on the limit.
const MEMORY_SHARE: u64 = 2;

/// What is started.
pub(super) struct Launch<'a> {
    /// This program's file.
    pub(super) agent: &'a Path,
    /// The plugin's file, checked.
    pub(super) plugin: &'a File,
    /// Which of its handlers.
    pub(super) handler: &'a str,
    pub(super) config: &'a Value,
    pub(super) bounds: Bounds,
    /// Whether it is given outputs.
    pub(super) writes: bool,
    /// How long an operation may take to stop.
    pub(super) grace: Duration,
}

/// A running worker. When this is dropped, it and whatever it started are dead.
pub(super) struct Process {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    handler: String,
    wire: Wire,
    pid: Pid,
    calls: Mutex<HashMap<u64, Registered>>,
    next: AtomicU64,
    /// Until it has been waited for.
    child: Mutex<Option<Child>>,
    /// Why the host ended it, if it did.
    ended_because: Mutex<Option<Error>>,
    /// Whether something that it started could not be ended.
    left_behind: Mutex<bool>,
    death: Mutex<Option<Error>>,
    died: Condvar,
    memory: u64,
    grace: Duration,
}

/// An operation, as far as the watcher has to know it.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) progress: Progress,
    pub(super) pulse: Pulse,
}

/// The code of a worker that had to be killed since it did not stop.
const WORKER_HANGS: &str = "worker-hangs";

/// The number under which the answer to `Start` arrives.
pub(super) const START: u64 = 0;

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn crashed(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Crashed, code, message)
}

impl Process {
    /// Starts a worker and waits until its handler is made.
    pub(super) fn start(launch: &Launch<'_>, call: &CallContext) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::os(&error, format_args!("start {}", launch.agent.display())).scoped(Scope::Node)
        };
        if !orphans::adopt().map_err(failed)? && launch.writes {
            // What such a worker left behind could write to the disk after it was verified.
            let message =
                "this process was given children by whoever started it, and cannot supervise workers that write";
            return Err(Error::new(ErrorKind::Unsupported, "unsupervised", message).scoped(Scope::Handler));
        }
        let (ours, theirs) = wire::pair()?;
        let (noise, noise_in) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed(errno.into()))?;
        rustix::io::ioctl_fionbio(&noise, true).map_err(|errno| failed(errno.into()))?;
        let noise_too = noise_in.try_clone().map_err(failed)?;
        let mut command = Command::new(launch.agent);
        command
            .arg(WORKER_COMMAND)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(noise_too))
            .stderr(Stdio::from(noise_in));
        let wire = Wire::new(ours)?.taking(wire::REPORT_MAX);
        let child = orphans::spawn(&mut command).map_err(failed)?;
        // The worker's ends would keep ours from ever seeing the last of them go.
        drop(command);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        let shared = Arc::new(Shared {
            handler: launch.handler.to_owned(),
            wire,
            pid,
            calls: Mutex::default(),
            next: AtomicU64::new(START + 1),
            child: Mutex::new(Some(child)),
            ended_because: Mutex::default(),
            left_behind: Mutex::default(),
            death: Mutex::default(),
            died: Condvar::new(),
            memory: launch.bounds.memory,
            grace: launch.grace,
        });
        let process = Self::watched(shared, noise)?;
        process.load(launch, call)?;
        Ok(process)
    }

    fn watched(shared: Arc<Shared>, noise: OwnedFd) -> Result<Self> {
        let theirs = Arc::clone(&shared);
        let watch = || -> std::io::Result<JoinHandle<()>> {
            let ended = rustix::process::pidfd_open(
                rustix::process::Pid::from_raw(shared.pid.as_raw()).ok_or(std::io::ErrorKind::InvalidInput)?,
                rustix::process::PidfdFlags::empty(),
            )?;
            std::thread::Builder::new().name("worker".into()).spawn(move || Watcher::new(&theirs, noise).watch(&ended))
        };
        match watch() {
            Ok(watcher) => Ok(Self { shared, watcher: Some(watcher) }),
            Err(error) => {
                shared.kill(None);
                shared.reap();
                Err(Error::os(&error, "watch a worker").scoped(Scope::Node))
            }
        }
    }

    fn load(&self, launch: &Launch<'_>, call: &CallContext) -> Result<()> {
        let own = CallContext { pulse: Pulse::new(START_LIMIT), ..call.stoppable()? };
        let mut running = self.register(START, call, own)?;
        let start = Order::Start {
            version: env!("CARGO_PKG_VERSION").into(),
            handler: launch.handler.into(),
            config: std::borrow::Cow::Borrowed(launch.config),
            bounds: launch.bounds.clone(),
            agent: std::process::id(),
        };
        self.shared.send(&start, &[launch.plugin.as_fd()])?;
        let started = running.end(|_| Err(Error::unsupported("questions before the start"))).map(|_| ());
        match started {
            Err(error) if error.code() == WORKER_HANGS && !call.cancel.is_cancelled() => {
                let message = format!("it was not ready within {} s", START_LIMIT.as_secs());
                Err(crashed("setup-timeout", message))
            }
            started => started,
        }
    }

    /// Begins an operation. `call` is the caller's; the operation runs with a child of it.
    pub(super) fn begin(
        &self,
        call: &CallContext,
        secrets: &[String],
        operation: Operation<'_>,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Running<'_>> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let running = self.register(id, call, call.stoppable()?)?;
        let secret = |name: &String| (call.secrets)(name).map(|value| Secret { name: name.clone(), value });
        let secrets = secrets.iter().filter_map(secret).collect();
        self.shared.send(&Order::Call { id, secrets, operation }, descriptors)?;
        Ok(running)
    }

    fn register(&self, id: u64, call: &CallContext, own: CallContext) -> Result<Running<'_>> {
        let mailbox = Arc::new(Mailbox::new()?);
        let registered = Registered {
            mailbox: Arc::clone(&mailbox),
            progress: Arc::clone(&call.progress),
            pulse: own.pulse.clone(),
        };
        locked(&self.shared.calls).insert(id, registered);
        // Whoever registers after the last letter was handed out gets it here.
        if let Some(death) = locked(&self.shared.death).clone() {
            mailbox.put(Letter::Died(death));
        }
        Ok(Running { shared: &self.shared, id, mailbox, call: call.clone(), own, stop_by: None })
    }

    /// What tells the worker that an operation's input has ended.
    pub(super) fn ending(&self, id: u64) -> Ending {
        Ending { shared: Arc::clone(&self.shared), id }
    }

    /// Bounds the size of the files that it writes from now on. The hard limit stays, so that the bound can be raised again
    /// by an agent without rights over it.
    pub(super) fn limit_files(&self, bytes: u64) -> Result<()> {
        // Its number is its own until it was waited for.
        let child = locked(&self.shared.child);
        if child.is_none() {
            return Ok(());
        }
        confine::limit_files_of(self.shared.pid, bytes)
            .map_err(|error| Error::os(&error, "bound the files of a worker").scoped(Scope::Node))
    }

    /// Ends it, and waits until it is gone. Fails when it does not go: then it may still write what it was given.
    pub(super) fn end(mut self) -> Result<()> {
        if self.finish() && !*locked(&self.shared.left_behind) {
            return Ok(());
        }
        let message = format!("the killed worker of handler {}, or what it started, does not end", self.shared.handler);
        Err(crashed("worker-undead", message).scoped(Scope::Node))
    }

    /// False when it does not go, stuck in the kernel.
    fn finish(&mut self) -> bool {
        self.shared.kill(None);
        let Some(watcher) = self.watcher.take() else { return true };
        if self.shared.death_within(UNDEAD_LIMIT).is_none() && !watcher.is_finished() {
            return false;
        }
        // A panic there leaves nothing to be done here but to wait.
        if watcher.join().is_err() {
            self.shared.reap();
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    /// The id of the handler that it runs.
    pub(super) fn handler(&self) -> &str {
        &self.handler
    }

    /// The connection to it. Only the watcher receives.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The operation of this number.
    pub(super) fn call(&self, id: u64) -> Option<Registered> {
        locked(&self.calls).get(&id).cloned()
    }

    /// The operation of this number, which is over.
    pub(super) fn finish(&self, id: u64) -> Option<Registered> {
        locked(&self.calls).remove(&id)
    }

    /// Waits for a dead process, and tells everyone.
    pub(super) fn die(&self) {
        let death = self.reap().context(format_args!("handler {}", self.handler));
        *locked(&self.death) = Some(death.clone());
        self.died.notify_all();
        for call in locked(&self.calls).values() {
            call.mailbox.put(Letter::Died(death.clone()));
        }
    }

    fn send(&self, order: &Order<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.wire.send(order, descriptors).map_err(|error| {
            // How it died says more than that it cannot be told anything.
            self.kill(Some(error.clone()));
            self.death_within(DEATH_LIMIT).unwrap_or(error)
        })
    }

    /// The cause of death of a worker that is about to be found dead.
    fn death_within(&self, limit: Duration) -> Option<Error> {
        let alive = |death: &mut Option<Error>| death.is_none();
        let waited = self.died.wait_timeout_while(locked(&self.death), limit, alive);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Kills it, because of `cause` if the worker is to blame.
    pub(super) fn kill(&self, cause: Option<Error>) {
        let child = locked(&self.child);
        // One that died by itself did so for a reason of its own.
        if child.is_none() || has_exited(self.pid) {
            return;
        }
        let mut because = locked(&self.ended_because);
        if because.is_none() {
            *because = Some(cause.unwrap_or_else(|| crashed("worker-ended", "its job is over".to_owned())));
        }
        drop(because);
        // Not waited for yet, so both are still its own.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Kills it, unless it is about to end by itself.
    pub(super) fn kill_unless_dying(&self) {
        let Some(pid) = rustix::process::Pid::from_raw(self.pid.as_raw()) else { return };
        let Ok(ended) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
        let limit = PollTimeout::try_from(DEATH_LIMIT).unwrap_or(PollTimeout::MAX);
        if readable([Some(ended.as_fd())], limit) == [false] {
            self.kill(Some(crashed("worker-mute", "its worker closed its connection".to_owned())));
        }
    }

    /// Waits for it and for what it left; gives why it died.
    fn reap(&self) -> Error {
        let mut child = locked(&self.child);
        // Its number is its own until it was waited for.
        if child.is_some() {
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
        let ended = child.as_ref().map(orphans::wait);
        if let Some(child) = child.take() {
            orphans::forget(child.id());
        }
        drop(child);
        if !orphans::end() {
            *locked(&self.left_behind) = true;
        }
        if let Some(because) = locked(&self.ended_because).take() {
            return because;
        }
        match ended {
            Some(Ok((status, resident))) => self.cause_of(status, resident),
            _ => crashed("worker-gone", "its worker is gone".to_owned()),
        }
    }

    fn cause_of(&self, status: ExitStatus, resident: u64) -> Error {
        let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
        let much = resident.saturating_mul(MEMORY_SHARE) >= self.memory;
        match (signal, status.signal(), status.code()) {
            (Some(Signal::SIGXCPU), ..) => crashed("worker-cpu", "its worker had used all its CPU time".to_owned()),
            (Some(Signal::SIGXFSZ), ..) => {
                crashed("worker-file-size", "its worker wrote beyond what it may write".to_owned())
            }
            (Some(Signal::SIGABRT | Signal::SIGSEGV | Signal::SIGBUS), ..) if much => {
                let (used, most) = (resident >> 20, self.memory >> 20);
                crashed("worker-memory", format!("its worker died with {used} MiB of the {most} MiB that it may have"))
            }
            (Some(Signal::SIGKILL), ..) => {
                let message = "its worker was killed from outside (SIGKILL)".to_owned();
                crashed(WORKER_KILLED, message)
            }
            (Some(signal), ..) => crashed("worker-signal", format!("its worker was ended by {signal}")),
            (None, Some(number), _) => crashed("worker-signal", format!("its worker was ended by signal {number}")),
            (None, None, Some(confine::DEAF)) => {
                crashed("worker-deaf", "its worker could not take the agent's orders any more".to_owned())
            }
            (None, None, code) => {
                let code = code.unwrap_or(-1);
                crashed("worker-exit", format!("its worker ended itself with status {code} in the middle of its work"))
            }
        }
    }
}

/// What the thread that feeds an input says when it is through.
pub(super) struct Ending {
    shared: Arc<Shared>,
    id: u64,
}

impl Ending {
    /// The input had so many bytes, or failed.
    pub(super) fn send(&self, outcome: Result<u64>) {
        // A worker that is gone needs no end; how it went is told to whoever runs the operation.
        let outcome = outcome.map_err(|error| (&error).into());
        let _ = self.shared.send(&Order::InputEnd { id: self.id, outcome }, &[]);
    }
}

/// An operation that runs in a worker.
pub(super) struct Running<'p> {
    shared: &'p Shared,
    pub(super) id: u64,
    mailbox: Arc<Mailbox>,
    call: CallContext,
    pub(super) own: CallContext,
    /// When it must have stopped, once it was told to.
    stop_by: Option<Instant>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        locked(&self.shared.calls).remove(&self.id);
    }
}

impl Running<'_> {
    /// Readable when there is a letter.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.mailbox.descriptor()
    }

    /// The next letter, if one is there.
    pub(super) fn letter(&self) -> Option<Letter> {
        self.mailbox.take()
    }

    /// Waits for a letter.
    pub(super) fn wait(&mut self) -> Result<Letter> {
        loop {
            if let Some(letter) = self.mailbox.take() {
                return Ok(letter);
            }
            let until = self.keep_time()?;
            let cancel = self.stop_by.is_none().then(|| self.own.cancel.descriptor());
            wait_for(&[Some(self.mailbox.descriptor()), cancel], until);
        }
    }

    /// Sees to it that an operation that is to stop does: it is told once, and killed after its grace. Gives until when
    /// there is nothing to be done.
    pub(super) fn keep_time(&mut self) -> Result<Instant> {
        if self.stop_by.is_none() && self.own.pulse.is_flat() {
            self.own.cancel.cancel();
        }
        if self.stop_by.is_none() && self.own.cancel.is_cancelled() {
            self.stop()?;
        }
        match self.stop_by {
            Some(moment) if Instant::now() >= moment => {
                let (handler, grace) = (&self.shared.handler, self.shared.grace.as_secs_f32());
                let message = format!("handler {handler} did not stop within {grace} s, and its worker was killed");
                let hangs = crashed(WORKER_HANGS, format!("it gave no sign of life for too long; {message}"));
                let error = self.call.cancel.check().err().map_or(hangs, |cancelled| cancelled.context(message));
                self.shared.kill(Some(error.clone()));
                Err(error)
            }
            Some(moment) => Ok(moment),
            None => {
                let flat = self.own.pulse.flat_at();
                Ok(self.own.cancel.deadline().map_or(flat, |deadline| deadline.min(flat)))
            }
        }
    }

    /// Tells the operation to stop, once.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.stop_by.is_none() {
            self.stop_by = Some(Instant::now() + self.shared.grace);
            self.shared.send(&Order::Cancel { id: self.id }, &[])?;
        }
        Ok(())
    }

    /// Whether it was told to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    pub(super) fn send(&self, order: &Order<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.shared.send(order, descriptors)
    }

    /// Kills the worker: it broke the rules.
    pub(super) fn lied(&self, code: &'static str, message: &str) -> Error {
        let error = crashed(code, format!("its worker {message}"));
        self.shared.kill(Some(error.clone()));
        error
    }

    /// What came of it, as far as that is the handler's to say.
    pub(super) fn honest<T>(&self, outcome: Result<T>) -> Result<T> {
        honest(outcome, &self.call, &self.own)
    }

    /// A secret, in a memory file: it may be longer than a letter.
    fn secret(&self, name: &str) -> Result<(u64, Option<OwnedFd>)> {
        let Some(mut secret) = (self.call.secrets)(name) else {
            return Err(Error::new(ErrorKind::NotFound, "no-such-secret", "the request has no such secret"));
        };
        let file = new_memory("landfall-secret").map(File::from)?;
        let written = file.write_all_at(&secret, 0).map_err(|error| Error::os(&error, "write a memory file"));
        let len = secret.len() as u64;
        secret.fill(0);
        written.map(|()| (len, Some(OwnedFd::from(file))))
    }

    /// Waits for its end, and lets `answer` see to its questions.
    pub(super) fn end(
        &mut self,
        mut answer: impl FnMut(Ask) -> Result<(u64, Option<OwnedFd>)>,
    ) -> Result<(Outcome, Vec<OwnedFd>)> {
        loop {
            match self.wait()? {
                Letter::Done { outcome, descriptors } => {
                    return self.honest(outcome).map(|outcome| (outcome, descriptors));
                }
                Letter::Died(error) => return Err(error),
                Letter::Question { question, ask } => {
                    let answered = {
                        let _held = self.own.pulse.hold();
                        match ask {
                            Ask::Secret { name } => self.secret(&name),
                            ask => answer(ask),
                        }
                    };
                    let (outcome, descriptor) = match answered {
                        Ok((value, descriptor)) => (Ok(value), descriptor),
                        Err(error) => (Err((&error).into()), None),
                    };
                    let descriptor: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
                    self.send(&Order::Answer { id: self.id, question, outcome }, &descriptor)?;
                }
            }
        }
    }
}

/// Whether a child has ended and was not waited for yet.
fn has_exited(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)))
}

/// Sleeps until one of the descriptors is readable, or until `until`.
pub(super) fn wait_for(descriptors: &[Option<BorrowedFd<'_>>], until: Instant) {
    let mut wanted: Vec<PollFd<'_>> =
        descriptors.iter().flatten().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
    // Whole milliseconds, rounded up so as not to spin through the last one.
    let left = until.saturating_duration_since(Instant::now()).saturating_add(Duration::from_millis(1));
    // An interrupted or failed poll only means that the caller looks again.
    let _ = poll(&mut wanted, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
}

/// Which of the descriptors have something to be read, or an end to be noticed.
pub(super) fn readable<const N: usize>(descriptors: [Option<BorrowedFd<'_>>; N], timeout: PollTimeout) -> [bool; N] {
    let mut wanted: Vec<PollFd<'_>> =
        descriptors.iter().flatten().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
    // An interrupted or failed poll only means that the caller looks again.
    if poll(&mut wanted, timeout).is_err() {
        return [false; N];
    }
    let mut found = wanted.iter();
    descriptors.map(|descriptor| descriptor.is_some() && found.next().and_then(PollFd::any).unwrap_or(false))
}
