//! What all tests of a run share: the mounts, the installed product, and how much to run.

use std::sync::RwLock;

use super::install::Install;
use super::mounts::Mounts;

/// Made once, before the first test.
pub(crate) struct World {
    pub(crate) mounts: Mounts,
    pub(crate) install: Install,
    full: bool,
    turn: RwLock<()>,
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
        Self {
            mounts,
            install,
            full: std::env::var_os("LANDFALL_FULL").is_some_and(|value| value == "1"),
            turn: RwLock::new(()),
        }
    }

    /// The number of rounds: few in every run, many where `LANDFALL_FULL=1` asks for the long one.
    pub(crate) fn rounds(&self, few: usize, many: usize) -> usize {
        if self.full { many } else { few }
    }

    /// Runs a test beside others, or alone.
    pub(crate) fn take_turn(&self, alone: bool, test: impl FnOnce()) {
        // A test that panicked while it held the lock has already been counted as failed.
        if alone {
            let _turn = self.turn.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            test();
        } else {
            let _turn = self.turn.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            test();
        }
    }
}
