//! What is done with stored bytes on their way to a raw disk: first a filter, then an unpacker.

use std::sync::Arc;

use landfall_handler_api::Request;

use crate::plugin::Handler;

/// Who does one step, and what it is asked.
#[derive(Clone)]
pub(crate) struct Step {
    /// Who.
    pub(crate) handler: Arc<dyn Handler>,
    /// What it is asked.
    pub(crate) request: Request,
}

/// The steps between the source and the stage.
#[derive(Debug, Clone)]
pub(crate) struct Shaping<T> {
    /// Inflates the stored bytes.
    pub(crate) filter: Option<T>,
    /// Makes a raw disk of them.
    pub(crate) unpacker: Option<T>,
}

impl<T> Shaping<T> {
    /// No step at all.
    pub(crate) fn none() -> Self {
        Self { filter: None, unpacker: None }
    }

    /// Whether the bytes are placed as they are stored.
    pub(crate) fn is_none(&self) -> bool {
        self.steps().next().is_none()
    }

    /// The steps, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &T> {
        self.filter.iter().chain(&self.unpacker)
    }

    /// The same with something else for each step.
    pub(crate) fn map<U>(&self, mut to: impl FnMut(&T) -> U) -> Shaping<U> {
        Shaping { filter: self.filter.as_ref().map(&mut to), unpacker: self.unpacker.as_ref().map(&mut to) }
    }
}

impl Shaping<Step> {
    /// The ids of the handlers, in order.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.steps().map(|step| step.handler.info().id.as_str()).collect()
    }

    /// What is done, in a word or two; empty for nothing.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let filter = self.filter.iter().map(|_| "filter");
        filter.chain(self.unpacker.iter().map(|_| "unpack")).collect()
    }

    /// Whether a scratch file is needed.
    pub(crate) fn spools(&self) -> bool {
        self.unpacker.as_ref().is_some_and(|step| step.handler.info().ranged_input)
    }
}
