//! The disk formats that the rules tell apart.

use std::fmt;

/// A disk format, by the name that Glance has for it.
///
/// The order is the one in which [`Detected`](crate::Detected) lists formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DiskFormat {
    /// No mark of any other format: the bytes of the disk itself.
    Raw,
    /// QEMU's copy-on-write format, all versions.
    Qcow2,
    /// QEMU's enhanced disk, which nobody may use: see [`Disagreement::FormatBanned`](crate::Disagreement).
    Qed,
    /// Virtual PC's disk, qemu's `vpc`: fixed, dynamic or differencing.
    Vhd,
    /// Hyper-V's disk.
    Vhdx,
    /// VMware's disk, in all its kinds.
    Vmdk,
    /// VirtualBox's disk.
    Vdi,
    /// LUKS, version 1 or 2.
    Luks,
    /// Virtuozzo's disk, qemu's `parallels`.
    Ploop,
    /// Bochs' growing disk. Glance has no such format.
    Bochs,
    /// The compressed loop disk of Knoppix. Glance has no such format.
    Cloop,
    /// Apple's disk image. Glance has no such format.
    Dmg,
    /// ISO 9660 or UDF.
    Iso,
    /// A raw disk with a partition table, be it GPT or MBR.
    Gpt,
}

impl DiskFormat {
    /// All formats, in their order.
    pub const ALL: [Self; 14] = [
        Self::Raw,
        Self::Qcow2,
        Self::Qed,
        Self::Vhd,
        Self::Vhdx,
        Self::Vmdk,
        Self::Vdi,
        Self::Luks,
        Self::Ploop,
        Self::Bochs,
        Self::Cloop,
        Self::Dmg,
        Self::Iso,
        Self::Gpt,
    ];

    /// Glance's name of the format, or qemu's where Glance has none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Luks => "luks",
            Self::Ploop => "ploop",
            Self::Bochs => "bochs",
            Self::Cloop => "cloop",
            Self::Dmg => "dmg",
            Self::Iso => "iso",
            Self::Gpt => "gpt",
        }
    }

    /// The format that a record's `disk_format` means, if it is one with a mark, or `raw`.
    ///
    /// `None` for names without a mark (`ami`, `aki`, `ari`, what an operator invented) and for formats that a record
    /// cannot claim. Names are lower case, as Glance has them.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .filter(|format| !matches!(format, Self::Bochs | Self::Cloop | Self::Dmg))
            .find(|format| format.name() == name)
    }
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_read_back() {
        for format in DiskFormat::ALL {
            let claimable = !["bochs", "cloop", "dmg"].contains(&format.name());
            assert_eq!(DiskFormat::from_name(format.name()), claimable.then_some(format));
            assert_eq!(format.to_string(), format.name());
        }
        for other in ["", "RAW", "Qcow2", "qcow", "vpc", "ami", "raw ", "parallels"] {
            assert_eq!(DiskFormat::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn all_is_complete_and_in_order() {
        for (at, format) in DiskFormat::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, at);
        }
        assert_eq!(DiskFormat::ALL.last(), Some(&DiskFormat::Gpt));
    }
}
