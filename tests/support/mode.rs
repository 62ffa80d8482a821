//! Where the plugins of a test run.

/// A way to run plugins. What a caller sees of it is the same, but for what only a process of its own survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the agent.
    Inline,
    /// In worker processes.
    Worker,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Inline, Self::Worker];

    /// The line of the configuration that asks for it.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Inline => "isolation = \"inline\"\n",
            Self::Worker => "isolation = \"worker\"\n",
        }
    }

    /// The name of this test in this mode.
    pub(crate) fn named(self, test: &str) -> String {
        match self {
            Self::Inline => test.to_owned(),
            Self::Worker => format!("worker::{test}"),
        }
    }
}
