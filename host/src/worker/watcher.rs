//! The thread that listens to a worker until it is dead.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use landfall_handler_api::crossing::clean_text;
use nix::poll::PollTimeout;

use super::mailbox::Letter;
use super::message::{Outcome, Report, unpack};
use super::process::{START, Shared, crashed, readable};
use crate::complaint::complain;

/// What of a worker's standard error and log is shown.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 500;
/// Messages and pieces of output that are taken from a worker that is dead already.
const LAST_WORDS: usize = 1000;

/// The thread that listens to a worker until it is dead.
pub(super) struct Watcher<'p> {
    shared: &'p Shared,
    noise: File,
    lines: usize,
    line: Vec<u8>,
}

impl<'p> Watcher<'p> {
    /// Listens to a worker, and to `noise`: its standard output and error, not blocking.
    pub(super) fn new(shared: &'p Shared, noise: OwnedFd) -> Self {
        Self { shared, noise: File::from(noise), lines: 0, line: Vec::new() }
    }

    /// Goes on until the process is dead, which makes `ended` readable.
    pub(super) fn watch(mut self, ended: &OwnedFd) {
        let (mut listening, mut hearing) = (true, true);
        loop {
            let wire = listening.then(|| self.shared.wire().descriptor());
            let noise = hearing.then(|| self.noise.as_fd());
            let [wire, noise, dead] = readable([wire, noise, Some(ended.as_fd())], PollTimeout::NONE);
            if wire {
                listening = self.listen();
            }
            if noise {
                hearing = self.hear();
            }
            if dead {
                return self.bury(listening, hearing);
            }
        }
    }

    /// Takes what it said last, waits for it and tells everyone.
    fn bury(&mut self, mut listening: bool, mut hearing: bool) {
        // A process that it left behind may go on talking for ever.
        for _ in 0..LAST_WORDS {
            let wire = listening.then(|| self.shared.wire().descriptor());
            let noise = hearing.then(|| self.noise.as_fd());
            let [wire, noise] = readable([wire, noise], PollTimeout::ZERO);
            if wire {
                listening = self.listen();
            }
            if noise {
                hearing = self.hear();
            }
            if !wire && !noise {
                break;
            }
        }
        self.flush_line();
        self.shared.die();
    }

    /// Takes a message; false when there will be no more.
    fn listen(&mut self) -> bool {
        match self.shared.wire().receive::<Report>() {
            Ok(Some((report, descriptors))) => {
                self.take(report, descriptors);
                true
            }
            // It closed its end, or says what nobody can read: nothing good will come of it.
            Ok(None) => {
                self.shared.kill_unless_dying();
                false
            }
            Err(error) => {
                self.shared.kill(Some(error));
                false
            }
        }
    }

    fn take(&mut self, report: Report, descriptors: Vec<OwnedFd>) {
        let call = |id: u64| self.shared.call(id);
        match report {
            Report::Started(outcome) => {
                if let Some(call) = self.shared.finish(START) {
                    let outcome = unpack(outcome).map(|()| Outcome::Nothing);
                    call.mailbox.put(Letter::Done { outcome, descriptors });
                }
            }
            Report::Beat { id, done, total } => {
                if let Some(call) = call(id) {
                    call.pulse.beat();
                    if let Some(done) = done {
                        (call.progress)(done, total);
                    }
                }
            }
            Report::Log { level: _, target, text } => {
                let gap = if target.is_empty() { "" } else { ": " };
                let line = format!("{target}{gap}{text}");
                self.show(line.as_bytes());
            }
            Report::Question { id, question, ask } => {
                if let Some(call) = call(id) {
                    call.pulse.beat();
                    if !call.mailbox.put(Letter::Question { question, ask }) {
                        let message = "its worker asks without waiting for answers".to_owned();
                        self.shared.kill(Some(crashed("worker-floods", message)));
                    }
                }
            }
            Report::Done { id, outcome } => {
                // Once for each: what it says of an operation that is over is dropped, with its descriptors.
                if let Some(call) = self.shared.finish(id) {
                    call.mailbox.put(Letter::Done { outcome: unpack(outcome), descriptors });
                }
            }
        }
    }

    /// Takes what there is of standard output and error; false when there will be no more.
    fn hear(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.noise.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                for &byte in buffer.get(..read).unwrap_or_default() {
                    if byte == b'\n' {
                        self.flush_line();
                    } else if self.line.len() < LINE_MAX {
                        self.line.push(byte);
                    }
                }
                true
            }
            Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted),
        }
    }

    fn flush_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.show(&line);
        }
    }

    fn show(&mut self, line: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        let handler = self.shared.handler();
        if self.lines < LINES_MAX {
            complain(format_args!("{handler}: {}", clean_text(line, LINE_MAX)));
        } else if self.lines == LINES_MAX {
            complain(format_args!("{handler}: has more to say, which is not shown"));
        }
    }
}
