//! Tells what is tried and what came of it, so that whoever listens knows what a process died of.

use std::fs::File;
use std::io::Write;

use landfall_handler_api::{Error, ErrorKind};

use super::trials::GIVEN_UP;
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
    pub(super) fn any(answer: Result<&str, Error>) -> Self {
        match answer {
            Ok(answer) => Self::ok(answer),
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
    /// The handler of which a call does not return, and what to say of that.
    pub(super) hung: Option<(Option<String>, String)>,
}

impl Findings {
    pub(super) fn new(answer: File) -> Self {
        Self { answer, handler: None, quiet: false, hung: None }
    }

    /// Runs one check. What a handler that hangs would say to the rest of them tells nothing.
    pub(super) fn run(&mut self, check: &str, work: impl FnOnce() -> Outcome) -> std::io::Result<Verdict> {
        self.say(&Line::Doing { check: check.to_owned(), handler: self.handler.clone() })?;
        let hangs = self.handler.is_some() && self.hung.as_ref().is_some_and(|(handler, _)| *handler == self.handler);
        let Outcome(outcome, detail) = match &self.hung {
            Some((_, why)) if hangs => Outcome::skip(why),
            _ => work(),
        };
        if outcome == Verdict::Failed && detail.contains(GIVEN_UP) {
            self.note_hang("a call");
        }
        if !self.quiet {
            let (check, handler) = (check.to_owned(), self.handler.clone());
            self.say(&Line::Found(Finding { check, handler, outcome, detail }))?;
        }
        Ok(outcome)
    }

    /// The handler at hand did not stop when it was told to.
    pub(super) fn note_hang(&mut self, what: &str) {
        let id = self.handler.as_deref().unwrap_or("the plugin");
        self.hung = Some((self.handler.clone(), format!("{what} of {id} hangs")));
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
