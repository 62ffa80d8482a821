//! The containers that a record may say its disk is in.

use std::fmt;

/// A container format, by Glance's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContainerFormat {
    /// No container.
    Bare,
    /// No container either: the descriptor of the OVF is beside the disk, not around it.
    Ovf,
    /// A tar archive of an OVF and its disks.
    Ova,
    /// A tar archive of a container's file system, compressed or not.
    Docker,
    /// The disk, compressed as one stream.
    Compressed,
    /// An Amazon machine image: the bytes of a file system.
    Ami,
    /// An Amazon kernel image.
    Aki,
    /// An Amazon ramdisk image.
    Ari,
}

impl ContainerFormat {
    /// All container formats.
    pub const ALL: [Self; 8] =
        [Self::Bare, Self::Ovf, Self::Ova, Self::Docker, Self::Compressed, Self::Ami, Self::Aki, Self::Ari];

    /// Glance's name of the container format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Ovf => "ovf",
            Self::Ova => "ova",
            Self::Docker => "docker",
            Self::Compressed => "compressed",
            Self::Ami => "ami",
            Self::Aki => "aki",
            Self::Ari => "ari",
        }
    }

    /// The container format that a record's `container_format` means. Names are lower case, as Glance has them.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.name() == name)
    }
}

impl fmt::Display for ContainerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether `head` begins with a tar header: `ustar` at 257, and the checksum right. POSIX.1-2017, pax, ustar
/// interchange format; GNU tar's headers have both as well.
///
/// The checksum is what keeps a disk with five letters in its boot sector from being an archive. It is the sum of
/// unsigned bytes; the signed sums of some tars of the eighties do not count.
#[must_use]
pub fn is_tar(head: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(header) = head.get(..512) else {
        return false;
    };
    let sum: u32 =
        header.iter().enumerate().map(|(at, byte)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte })).sum();

    header.get(257..).is_some_and(|rest| rest.starts_with(b"ustar"))
        && header.get(CHECKSUM).and_then(octal) == Some(sum)
}

/// The number in a field of octal digits, with blanks before and blanks or NULs after them.
fn octal(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_start_matches(' ').trim_end_matches([' ', '\0']);
    // A sign is legal for from_str_radix, not for tar.
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, 8).ok()
}
