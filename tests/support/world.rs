//! What all tests of a run share: the mounts, the installed product, and how much to run; and where plugins run in one test.

use std::sync::Arc;

use super::install::Install;
use super::left_over;
use super::mode::Mode;
use super::mounts::Mounts;

/// Made once, before the first test; each test has a copy in its mode.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) mounts: Arc<Mounts>,
    pub(crate) install: Arc<Install>,
    pub(crate) mode: Mode,
    full: bool,
}

impl World {
    /// Mounts and installs; exits with a message when the product's files cannot be trusted to be today's.
    pub(crate) fn prepare() -> Self {
        let mounts = Mounts::prepare();
        let install = match Install::prepare(mounts.run_dir()) {
            Ok(install) => install,
            Err(problem) => {
                mounts.finish();
                eprintln!("error: {problem}");
                std::process::exit(1);
            }
        };
        Self { mounts: Arc::new(mounts), install: Arc::new(install), mode: Mode::Inline, full: is_full() }
    }

    /// The same for a test of this mode.
    pub(crate) fn of_mode(&self, mode: Mode) -> Self {
        Self { mode, ..self.clone() }
    }

    /// What is expected in the test's mode.
    pub(crate) fn expected<T>(&self, inline: T, worker: T) -> T {
        match self.mode {
            Mode::Inline => inline,
            Mode::Worker => worker,
        }
    }

    /// The number of rounds: few in every run, many where `LANDFALL_FULL=1` asks for the long one.
    pub(crate) fn rounds(&self, few: usize, many: usize) -> usize {
        if self.full { many } else { few }
    }

    /// Takes everything down after the last test. Gives the processes of the product that had not ended by then, which is
    /// a failure of the run: no worker outlives its agent.
    pub(crate) fn finish(self) -> Vec<String> {
        let running = left_over::end_processes(self.mounts.run_dir());
        Arc::into_inner(self.mounts).expect("every test has ended").finish();
        running
    }
}

/// Whether the full counts of repeated tests are asked for.
pub(crate) fn is_full() -> bool {
    std::env::var_os("LANDFALL_FULL").is_some_and(|value| value == "1")
}
