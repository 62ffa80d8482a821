//! Tells what is tried and what came of it, so that whoever listens knows what a process died of.

use std::fs::File;
use std::io::Write;

use landfall_handler_api::{Error, ErrorKind};

use super::super::backend::Handler;
use super::{Finding, Line, Verdict};

/// What came of one check, with the reason for people.
pub(super) struct Outcome(pub(super) Verdict, pub(super) String);

impl Outcome {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self(Verdict::Ok, detail.into())
    }

    pub(super) fn failed(detail: impl Into<String>) -> Self {
        Self(Verdict::Failed, detail.into())
    }

    pub(super) fn skip(detail: impl Into<String>) -> Self {
        Self(Verdict::Skip, detail.into())
    }

    /// Any answer will do, and any error but those that tell of a bug.
    pub(super) fn any<T: std::fmt::Debug>(answer: Result<T, Error>) -> Self {
        match answer {
            Ok(answer) => Self::ok(format!("{answer:?}")),
            Err(error) => {
                let verdict = if tells_of_a_bug(&error) { Verdict::Failed } else { Verdict::Ok };
                Self(verdict, described(&error))
            }
        }
    }
}

impl From<Result<String, String>> for Outcome {
    fn from(outcome: Result<String, String>) -> Self {
        match outcome {
            Ok(detail) => Self::ok(detail),
            Err(detail) => Self::failed(detail),
        }
    }
}

/// Whether an error is none that a handler may give of its own accord.
pub(super) fn tells_of_a_bug(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Crashed | ErrorKind::Internal | ErrorKind::Cancelled)
}

/// An error with what programs would look at.
pub(super) fn described(error: &Error) -> String {
    format!("{} [{}/{}]", error.message(), error.kind(), error.code())
}

/// Where findings go.
pub(super) struct Findings {
    answer: File,
    /// Whom the next ones are about.
    pub(super) handler: Option<String>,
    /// Told nobody: what is done a second time, only to see what it leaves behind.
    pub(super) quiet: bool,
    /// A check after which the process is not what it was.
    pub(super) hung: Option<String>,
}

impl Findings {
    pub(super) fn new(answer: File) -> Self {
        Self { answer, handler: None, quiet: false, hung: None }
    }

    /// Runs one check.
    pub(super) fn run(&mut self, check: &str, work: impl FnOnce() -> Outcome) -> std::io::Result<Verdict> {
        self.say(&Line::Doing { check: check.to_owned(), handler: self.handler.clone() })?;
        let Outcome(outcome, detail) = work();
        if !self.quiet {
            let (check, handler) = (check.to_owned(), self.handler.clone());
            self.say(&Line::Found(Finding { check, handler, outcome, detail }))?;
        }
        Ok(outcome)
    }

    /// A handler that did not stop when it was told to hangs.
    pub(super) fn note_hang(&mut self, stopped: Verdict, handler: &dyn Handler) {
        if stopped == Verdict::Failed {
            self.hung = Some(format!("a call of {} hangs", handler.info().id));
        }
    }

    pub(super) fn done(&mut self) -> std::io::Result<()> {
        self.say(&Line::Done)
    }

    fn say(&mut self, line: &Line) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.answer.write_all(&bytes)
    }
}
