//! What is done at a fault point, and what a command then owes.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    KillBefore,
    KillAfter,
    NoSpace,
    Io,
    Interrupt,
    Short,
}

/// Points that write or copy, and may do less than they were asked for.
const PARTIAL: [&str; 4] = ["stage.write", "stage.copy-range", "journal.write", "directory.write"];

impl Deed {
    /// Every deed for this point.
    pub(super) fn of(point: &str) -> Vec<Self> {
        let mut deeds = vec![Self::KillBefore, Self::KillAfter, Self::NoSpace, Self::Io, Self::Interrupt];
        deeds.extend(PARTIAL.contains(&point).then_some(Self::Short));
        deeds
    }

    /// As the build with fault points spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::NoSpace => "enospc",
            Self::Io => "eio",
            Self::Interrupt => "eintr",
            Self::Short => "short",
        }
    }

    /// Whether it ends the process.
    pub(super) fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }

    /// Kind and code of the error that a command tells, for a deed that is one.
    pub(super) fn error(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::NoSpace => Some(("no-space", "enospc")),
            Self::Io => Some(("io", "eio")),
            Self::KillBefore | Self::KillAfter | Self::Interrupt | Self::Short => None,
        }
    }
}
