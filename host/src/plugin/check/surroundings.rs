//! What a plugin must leave as it is.

use std::collections::BTreeSet;
use std::time::Duration;

/// The process as it was at one moment.
pub(super) struct Surroundings {
    state: Vec<(&'static str, String)>,
}

impl Surroundings {
    pub(super) fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let directory = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
        let environment: BTreeSet<_> = std::env::vars_os().collect();
        let state = vec![
            ("umask", line("Umask:")),
            ("signal handlers", line("SigCgt:")),
            ("ignored signals", line("SigIgn:")),
            ("working directory", directory),
            ("environment", format!("{environment:?}")),
        ];
        Self { state }
    }

    /// What is not any more what it was.
    pub(super) fn changed(&self) -> Vec<&'static str> {
        let now = Self::look();
        let pairs = self.state.iter().zip(&now.state);
        pairs.filter(|(before, now)| before != now).map(|((name, _), _)| *name).collect()
    }
}

/// How many descriptors are open; waits for `most` or fewer, since a thread that was lent closes its own a moment after it
/// gave its answer.
pub(super) fn descriptors(most: usize) -> usize {
    let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or_default();
    for _ in 0..20 {
        if count() <= most {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    count()
}
