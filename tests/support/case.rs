//! One test: a name, what it needs, where plugins run in it, and what it does.

use super::mode::Mode;
use super::mounts::Fs;
use super::needs::Need;
use super::world::World;

/// A test before it is known whether it can run.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) needs: Vec<Need>,
    pub(crate) run: Box<dyn FnOnce(&World) + Send>,
    modes: Modes,
}

/// In which modes a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modes {
    Both,
    /// In workers only where the full counts of repeated tests are asked for.
    WorkerInFull,
    One,
}

impl Case {
    /// A test that panics when it fails. It runs once in each mode.
    pub(crate) fn new(name: impl Into<String>, run: impl FnOnce(&World) + Send + 'static) -> Self {
        Self { name: name.into(), needs: Vec::new(), run: Box::new(run), modes: Modes::Both }
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

    /// Runs it once: no plugin takes part in what it looks at, or it chooses itself where its plugins run.
    pub(crate) fn mode_independent(mut self) -> Self {
        self.modes = Modes::One;
        self
    }

    /// Leaves it out in workers unless `LANDFALL_FULL=1`: for what is long, and of which others show a part.
    pub(crate) fn worker_in_full(mut self) -> Self {
        self.modes = Modes::WorkerInFull;
        self
    }

    /// Whether it runs in this mode; `full` is whether the long run was asked for.
    pub(crate) fn runs_in(&self, mode: Mode, full: bool) -> bool {
        match (mode, self.modes) {
            (Mode::Inline, _) | (Mode::Worker, Modes::Both) => true,
            (Mode::Worker, Modes::WorkerInFull) => full,
            (Mode::Worker, Modes::One) => false,
        }
    }
}
