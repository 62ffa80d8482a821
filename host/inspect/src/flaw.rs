//! What is wrong inside a file that has the mark of its format.

use crate::disagreement::Disagreement;
use crate::format::DiskFormat;

/// A reason to refuse a file, in words for people; the format is added by who knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It needs other files.
    Reference(&'static str),
    /// It is encrypted.
    Encrypted(&'static str),
    /// It uses a feature that is refused.
    Feature(&'static str),
    /// Its header is cut short or contradicts itself.
    Header(&'static str),
    /// It is of a kind that is refused.
    Variant(&'static str),
}

impl Flaw {
    pub(crate) const fn of(self, format: DiskFormat) -> Disagreement {
        match self {
            Self::Reference(what) => Disagreement::FormatReference { format, what },
            Self::Encrypted(what) => Disagreement::FormatEncrypted { format, what },
            Self::Feature(what) => Disagreement::FormatFeature { format, what },
            Self::Header(what) => Disagreement::FormatHeader { format, what },
            Self::Variant(variant) => Disagreement::FormatVariant { format, variant },
        }
    }
}

/// The `N` bytes at `at`, which must be there.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Flaw> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or(Flaw::Header("ends within its header"))
}
