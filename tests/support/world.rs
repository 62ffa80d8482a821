//! What all tests of a run share: the mounts, the installed product, and how much to run.

use super::install::Install;
use super::mounts::Mounts;

/// Made once, before the first test.
pub(crate) struct World {
    pub(crate) mounts: Mounts,
    pub(crate) install: Install,
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
        Self { mounts, install, full: std::env::var_os("LANDFALL_FULL").is_some_and(|value| value == "1") }
    }

    /// The number of rounds: few in every run, many where `LANDFALL_FULL=1` asks for the long one.
    pub(crate) fn rounds(&self, few: usize, many: usize) -> usize {
        if self.full { many } else { few }
    }
}
