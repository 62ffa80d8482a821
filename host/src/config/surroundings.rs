//! What defaults depend on: the node and the person that runs the program.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The root user's state.
const SYSTEM_STATE_DIR: &str = "/var/lib/landfall";

/// What the process knows of where it runs.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// The effective user.
    pub(super) user: u32,
    /// The host name.
    pub(super) host: Option<String>,
    /// `$XDG_STATE_HOME`
    pub(super) state_home: Option<PathBuf>,
    /// `$HOME`
    pub(super) home: Option<PathBuf>,
    /// Whether the environment has a login to a cloud.
    pub(super) has_cloud: bool,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let directory = |name| env::var_os(name).map(PathBuf::from);
        Self {
            user: nix::unistd::geteuid().as_raw(),
            host: fs::read_to_string("/proc/sys/kernel/hostname").ok(),
            state_home: directory("XDG_STATE_HOME"),
            home: directory("HOME"),
            has_cloud: crate::cloud::is_in_environment(),
        }
    }

    /// The node's name when the operator gives none.
    pub(super) fn node(&self) -> String {
        let host = self.host.as_deref().map(str::trim).filter(|host| !host.is_empty());
        host.unwrap_or("localhost").to_owned()
    }

    /// Where state is kept when the operator does not say; none for a user without a home.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        if self.user == 0 {
            return Some(PathBuf::from(SYSTEM_STATE_DIR));
        }
        // The base directory specification ignores a path that is not absolute.
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
        let state_home = absolute(&self.state_home).or_else(|| Some(absolute(&self.home)?.join(".local/state")));
        Some(state_home?.join("landfall"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_kept_where_the_user_may_write() {
        let state_dir = |user, state_home: Option<&str>, home: Option<&str>| {
            let (state_home, home) = (state_home.map(PathBuf::from), home.map(PathBuf::from));
            Surroundings { user, host: None, state_home, home, has_cloud: false }.state_dir()
        };
        let table = [
            (0, Some("/s"), Some("/h"), Some("/var/lib/landfall")),
            (7, Some("/s"), Some("/h"), Some("/s/landfall")),
            (7, None, Some("/h"), Some("/h/.local/state/landfall")),
            (7, Some(""), Some("/h"), Some("/h/.local/state/landfall")),
            (7, Some("s"), Some("h"), None),
            (7, None, None, None),
        ];
        for (user, state_home, home, expected) in table {
            assert_eq!(state_dir(user, state_home, home), expected.map(PathBuf::from));
        }
    }

    #[test]
    fn a_node_always_has_a_name() {
        let node = |host: Option<&str>| {
            Surroundings { user: 0, host: host.map(str::to_owned), state_home: None, home: None, has_cloud: false }
                .node()
        };
        assert_eq!(node(Some("cpu-07\n")), "cpu-07");
        assert_eq!(node(Some("\n")), "localhost");
        assert_eq!(node(None), "localhost");
        assert!(!Surroundings::of_process().node().is_empty());
    }
}
