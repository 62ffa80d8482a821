//! Why bytes are not what their record claims.

use std::error::Error;
use std::fmt;

use crate::detect::Detected;
use crate::format::DiskFormat;

/// Bytes and record do not agree, or it cannot be told whether they do.
///
/// The message names what was claimed and what was found; [`code`](Self::code) is for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// `window-short`: the source gave fewer bytes than its size demands. It ended early, or the size was wrong.
    WindowShort {
        /// Which part is short.
        part: WindowPart,
        /// How many bytes it has.
        have: usize,
        /// How many bytes the size demands.
        need: usize,
    },
    /// `container-unknown`: there are no rules for the record's `container_format`.
    ContainerUnknown {
        /// The record's `container_format`.
        claimed: Claim,
    },
    /// `container-mismatch`: the bytes are not that container, or the record contradicts itself.
    ContainerMismatch {
        /// The record's `container_format`.
        claimed: Claim,
        /// What there is instead, for people.
        found: String,
    },
    /// `compression-unknown`: the record's compression is no name at all.
    CompressionUnknown {
        /// The record's word.
        claimed: Claim,
    },
    /// `compression-mismatch`: the bytes do not begin as a stream of that compression, or may also be a disk.
    CompressionMismatch {
        /// The record's compression.
        claimed: Claim,
        /// What there is instead, for people.
        found: String,
    },
    /// `format-mismatch`: the bytes are one format, and the record claims another.
    FormatMismatch {
        /// The record's `disk_format`.
        claimed: Claim,
        /// What the bytes are.
        found: Detected,
    },
    /// `format-ambiguous`: the bytes have the marks of several formats, and which one they are would be up to the
    /// reader.
    FormatAmbiguous {
        /// The record's `disk_format`.
        claimed: Claim,
        /// What the bytes may be taken for.
        found: Detected,
    },
    /// `format-banned`: the record claims a format that is refused whatever the bytes are.
    FormatBanned {
        /// The banned format.
        claimed: DiskFormat,
    },
    /// `format-variant`: the bytes are what the record claims, but of a kind that is refused.
    FormatVariant {
        /// The format, claimed and found.
        format: DiskFormat,
        /// The kind, for people.
        variant: &'static str,
    },
    /// `format-reference`: the bytes are what the record claims, but need other files: a backing file, a parent, an
    /// extent. Whoever opened the image would open whatever file of the host it names.
    FormatReference {
        /// The format, claimed and found.
        format: DiskFormat,
        /// What they refer to, for people.
        what: &'static str,
    },
    /// `format-encrypted`: the bytes are what the record claims, but encrypted.
    FormatEncrypted {
        /// The format, claimed and found.
        format: DiskFormat,
        /// What says so, for people.
        what: &'static str,
    },
    /// `format-feature`: the bytes are what the record claims, with a feature that is refused or unknown.
    FormatFeature {
        /// The format, claimed and found.
        format: DiskFormat,
        /// The feature, for people.
        what: &'static str,
    },
    /// `format-header`: the bytes are what the record claims, but a header or table is cut short, missing or
    /// contradicts itself, so that readers would differ.
    FormatHeader {
        /// The format that was found: what is claimed, or `gpt` where `raw` is.
        format: DiskFormat,
        /// What is wrong with it, for people.
        what: &'static str,
    },
}

impl Disagreement {
    /// The code, in kebab-case. Codes are never renamed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WindowShort { .. } => "window-short",
            Self::ContainerUnknown { .. } => "container-unknown",
            Self::ContainerMismatch { .. } => "container-mismatch",
            Self::CompressionUnknown { .. } => "compression-unknown",
            Self::CompressionMismatch { .. } => "compression-mismatch",
            Self::FormatMismatch { .. } => "format-mismatch",
            Self::FormatAmbiguous { .. } => "format-ambiguous",
            Self::FormatBanned { .. } => "format-banned",
            Self::FormatVariant { .. } => "format-variant",
            Self::FormatReference { .. } => "format-reference",
            Self::FormatEncrypted { .. } => "format-encrypted",
            Self::FormatFeature { .. } => "format-feature",
            Self::FormatHeader { .. } => "format-header",
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowShort { part, have, need } => {
                write!(f, "cannot tell the format: {have} bytes of the {part} given, {need} needed")
            }
            Self::ContainerUnknown { claimed } => {
                write!(f, "the record claims container_format {claimed}, which is unknown")
            }
            Self::ContainerMismatch { claimed, found } => {
                write!(f, "the record claims container_format {claimed}, found {found}")
            }
            Self::CompressionUnknown { claimed } => {
                write!(f, "the record claims compression {claimed}, which is no name of one")
            }
            Self::CompressionMismatch { claimed, found } => {
                write!(f, "the record claims compression {claimed}, found {found}")
            }
            Self::FormatMismatch { claimed, found } => {
                write!(f, "the record claims disk_format {claimed}, the bytes are {found}")
            }
            Self::FormatAmbiguous { claimed, found } => {
                write!(f, "the record claims disk_format {claimed}, the bytes may be taken for any of {found}")
            }
            Self::FormatBanned { claimed } => {
                write!(f, "the record claims disk_format \"{claimed}\", which is never accepted")
            }
            Self::FormatVariant { format, variant } => write!(
                f,
                "the record claims disk_format \"{format}\", the bytes are {format} but {variant}: not accepted"
            ),
            Self::FormatReference { format, what }
            | Self::FormatEncrypted { format, what }
            | Self::FormatFeature { format, what } => {
                write!(
                    f,
                    "the record claims disk_format \"{format}\", the bytes are {format} with {what}: not accepted"
                )
            }
            Self::FormatHeader { format, what } => {
                write!(f, "the image is a {format} that {what}")
            }
        }
    }
}

impl Error for Disagreement {}

/// A part of a [`Window`](crate::Window).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowPart {
    /// The start of the image, or what its format has looked at behind it.
    Head,
    /// The end of the image.
    Tail,
}

impl fmt::Display for WindowPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Head => "start",
            Self::Tail => "end",
        })
    }
}

/// A part of a window that the source did not give whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) part: WindowPart,
    pub(crate) have: usize,
    pub(crate) need: usize,
}

/// A name as a record has it: anything at all, so it is shown quoted, escaped and cut to [`Claim::CHARS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim(String);

impl Claim {
    /// How many characters of a name are kept.
    pub const CHARS: usize = 64;

    pub(crate) fn new(name: &str) -> Self {
        Self(name.chars().take(Self::CHARS).collect())
    }

    /// The name, as it was but for its length.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_cannot_break_a_line_or_flood_a_log() {
        let claim = Claim::new("raw\n\u{1b}[31m\u{202e}\"");
        let shown = claim.to_string();
        assert!(!shown.contains(['\n', '\u{1b}', '\u{202e}']), "{shown}");

        let long = Claim::new(&"é".repeat(1000));
        assert_eq!(long.as_str().chars().count(), Claim::CHARS);
    }
}
