//! What a server serves, and what it is told to do wrong.

use super::lie::Lie;
use super::request::Request;
use super::schedule::Schedule;
use crate::support::seeded::Content;

/// What tells a version of the content from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validators {
    /// An ETag and a date.
    Strong,
    Weak,
    /// Last-Modified alone.
    Date,
    None,
}

/// Which requests meet which lie.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Honest,
    Always(Lie),
    Listed(Schedule),
}

/// One server's content and manners.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    content: Content,
    pub(super) plan: Plan,
    pub(super) validators: Validators,
    pub(super) ranges: bool,
    /// Where bodies are broken off, in thousandths.
    pub(super) cut: u64,
    /// Host and port of the other server, which redirects lead to.
    pub(super) elsewhere: String,
    /// Bytes behind the content, which then is only the first part of what is served.
    longer: usize,
}

impl Site {
    pub(crate) fn new(content: Content) -> Self {
        Self {
            content,
            plan: Plan::Honest,
            validators: Validators::Strong,
            ranges: true,
            cut: 400,
            elsewhere: String::new(),
            longer: 0,
        }
    }

    pub(crate) fn lying(self, lie: Lie) -> Self {
        Self { plan: Plan::Always(lie), ..self }
    }

    pub(crate) fn with_plan(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    pub(crate) fn with_validators(self, validators: Validators) -> Self {
        Self { validators, ..self }
    }

    pub(crate) fn with_ranges(self, ranges: bool) -> Self {
        Self { ranges, ..self }
    }

    pub(crate) fn cut_at(self, thousandths: u64) -> Self {
        Self { cut: thousandths, ..self }
    }

    pub(crate) fn leads_to(self, elsewhere: &str) -> Self {
        Self { elsewhere: elsewhere.to_owned(), ..self }
    }

    pub(crate) fn longer_by(self, longer: usize) -> Self {
        Self { longer, ..self }
    }

    pub(super) fn served_bytes(&self) -> Vec<u8> {
        let mut bytes = self.content.bytes();
        bytes.resize(bytes.len() + self.longer, 0x5A);
        bytes
    }

    /// Where a body of so many bytes is broken off.
    pub(super) fn cut(&self, length: u64) -> u64 {
        length * self.cut / 1000
    }
}

impl Plan {
    /// What the request that came as this one of all meets.
    pub(super) fn lie_for(&self, request: &Request, nth: usize) -> Option<Lie> {
        match self {
            Self::Honest => None,
            _ if request.path.starts_with("/honest/") => None,
            Self::Always(lie) => Some(*lie),
            Self::Listed(schedule) => schedule.fault(nth),
        }
    }
}
