//! One test: a name, what it needs, and what it does.

use super::mounts::Fs;
use super::needs::Need;
use super::world::World;

/// A test before it is known whether it can run.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) needs: Vec<Need>,
    pub(crate) run: Box<dyn FnOnce(&World) + Send>,
}

impl Case {
    /// A test that panics when it fails.
    pub(crate) fn new(name: impl Into<String>, run: impl FnOnce(&World) + Send + 'static) -> Self {
        Self { name: name.into(), needs: Vec::new(), run: Box::new(run) }
    }

    /// Adds what it needs.
    pub(crate) fn needs(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    /// Adds a file system that it needs.
    pub(crate) fn on(mut self, fs: Fs) -> Self {
        self.needs.push(Need::FileSystem(fs));
        self
    }
}
