//! The marks by which formats are recognised.

use crate::descriptor::is_descriptor;
use crate::format::DiskFormat;
use crate::window::Window;

/// Where the volume descriptors of ISO 9660 and UDF begin.
const VOLUME_DESCRIPTORS: usize = 32 * 1024;

/// One mark of one format.
///
/// A mark is there when its bytes are, however little follows them: oslo.utils wants a whole header for some, but a
/// file cut short is no more raw for that. "oslo.utils" below is `oslo_utils.imageutils.format_inspector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mark {
    /// `QFI\xfb`, then version 1, big-endian. Only qemu reads it, as `qcow`; refused in [`agree`](crate::agree).
    Qcow1,
    /// `QFI\xfb`, then any other version. QEMU's docs/interop/qcow2; oslo.utils.
    Qcow2,
    /// `QED\0`. QEMU's docs/specs/qed_spec; oslo.utils, which bans the format.
    Qed,
    /// `conectix` at the start: the copy of the footer that a dynamic or differencing VHD begins with. Microsoft's
    /// Virtual Hard Disk Image Format Specification; oslo.utils.
    VhdHeader,
    /// `conectix` 512 bytes before the end, or 511 as Virtual PC before 2004 wrote it: all that tells a fixed VHD from
    /// a raw disk. The same specification; unseen by oslo.utils.
    VhdFooter,
    /// `vhdxfile`. Microsoft's MS-VHDX, file type identifier; oslo.utils.
    Vhdx,
    /// `KDMV`: a hosted sparse extent, which is what monolithicSparse and streamOptimized are. VMware's Virtual Disk
    /// Format 5.0; oslo.utils.
    VmdkSparse,
    /// `COWD`: a sparse extent of ESX. The same document; probed by qemu, unseen by oslo.utils.
    VmdkCowd,
    /// 0xcafebabe as 64 bits, little-endian: an seSparse extent of ESXi. QEMU's block/vmdk; unseen by oslo.utils.
    VmdkSeSparse,
    /// A text descriptor: a comment `# Disk DescriptorFile`, or a `version=` line before any other, or `createType`
    /// assigned in text. oslo.utils has the last, but not in a descriptor padded with NUL to a sector.
    VmdkDescriptor,
    /// 0xbeda107f at 0x40, little-endian. VirtualBox's VDI header; oslo.utils.
    Vdi,
    /// `LUKS\xba\xbe`, any version. LUKS On-Disk Format Specification, 1 and 2; oslo.utils. A raw record may not have
    /// it, though a disk that is encrypted as a whole would be legal: Nova's rule.
    Luks,
    /// `WithoutFreeSpace` or `WithouFreSpacExt`. QEMU's docs/interop/parallels; unseen by oslo.utils.
    Ploop,
    /// `Bochs Virtual HD Image`. Bochs' hdimage header; probed by qemu, unseen by oslo.utils.
    Bochs,
    /// The first two lines of the script with which version 2.0 begins. Probed by qemu, unseen by oslo.utils.
    Cloop,
    /// `koly` 512 bytes before the end. Apple's UDIF trailer; opened by qemu, unseen by oslo.utils.
    Dmg,
    /// `CD001`, `BEA01`, `NSR02` or `NSR03` one byte after 32 KiB. ECMA-119 and ECMA-167; oslo.utils, but for `BEA01`,
    /// with which the volume recognition sequence of a UDF without ISO 9660 begins.
    Iso,
    /// 0x55 0xaa at 510, unless the start is the boot sector of a FAT file system on a fixed disk (two FATs, media
    /// 0xf8), which ends so as well. The protective MBR of UEFI 2.10, section 5; oslo.utils, exception included.
    Gpt,
}

impl Mark {
    /// All marks, in the order in which they are looked for and listed.
    pub const ALL: [Self; 18] = [
        Self::Qcow1,
        Self::Qcow2,
        Self::Qed,
        Self::VhdHeader,
        Self::VhdFooter,
        Self::Vhdx,
        Self::VmdkSparse,
        Self::VmdkCowd,
        Self::VmdkSeSparse,
        Self::VmdkDescriptor,
        Self::Vdi,
        Self::Luks,
        Self::Ploop,
        Self::Bochs,
        Self::Cloop,
        Self::Dmg,
        Self::Iso,
        Self::Gpt,
    ];

    /// The format that the mark belongs to.
    #[must_use]
    pub const fn format(self) -> DiskFormat {
        match self {
            Self::Qcow1 | Self::Qcow2 => DiskFormat::Qcow2,
            Self::Qed => DiskFormat::Qed,
            Self::VhdHeader | Self::VhdFooter => DiskFormat::Vhd,
            Self::Vhdx => DiskFormat::Vhdx,
            Self::VmdkSparse | Self::VmdkCowd | Self::VmdkSeSparse | Self::VmdkDescriptor => DiskFormat::Vmdk,
            Self::Vdi => DiskFormat::Vdi,
            Self::Luks => DiskFormat::Luks,
            Self::Ploop => DiskFormat::Ploop,
            Self::Bochs => DiskFormat::Bochs,
            Self::Cloop => DiskFormat::Cloop,
            Self::Dmg => DiskFormat::Dmg,
            Self::Iso => DiskFormat::Iso,
            Self::Gpt => DiskFormat::Gpt,
        }
    }

    /// Why this kind of the format is refused even where the record claims the format, if it is.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Qcow1 => Some("version 1, which only qemu reads"),
            Self::VmdkCowd => Some("an ESX sparse extent (COWD)"),
            Self::VmdkSeSparse => Some("an ESXi seSparse extent"),
            Self::VmdkDescriptor => Some("a text descriptor, which names other files"),
            _ => None,
        }
    }

    /// Whether a disk may bear the mark as part of its own content.
    pub(crate) const fn is_content(self) -> bool {
        matches!(self, Self::Iso | Self::Gpt)
    }

    /// Whether the mark is at the end of the bytes.
    pub(crate) const fn is_trailer(self) -> bool {
        matches!(self, Self::VhdFooter | Self::Dmg)
    }

    /// Whether the mark's bytes are in the window.
    pub(crate) fn is_in(self, window: &Window) -> bool {
        match self {
            Self::Qcow1 => window.starts(0, b"QFI\xfb\0\0\0\x01"),
            Self::Qcow2 => window.starts(0, b"QFI\xfb") && !Self::Qcow1.is_in(window),
            Self::Qed => window.starts(0, b"QED\0"),
            Self::VhdHeader => window.starts(0, b"conectix"),
            Self::VhdFooter => window.ends(512, b"conectix") || window.ends(511, b"conectix"),
            Self::Vhdx => window.starts(0, b"vhdxfile"),
            Self::VmdkSparse => window.starts(0, b"KDMV"),
            Self::VmdkCowd => window.starts(0, b"COWD"),
            Self::VmdkSeSparse => window.starts(0, &0xcafe_babe_u64.to_le_bytes()),
            Self::VmdkDescriptor => is_descriptor(window.head()),
            Self::Vdi => window.starts(0x40, &0xbeda_107f_u32.to_le_bytes()),
            Self::Luks => window.starts(0, b"LUKS\xba\xbe"),
            Self::Ploop => window.starts(0, b"WithoutFreeSpace") || window.starts(0, b"WithouFreSpacExt"),
            Self::Bochs => window.starts(0, b"Bochs Virtual HD Image"),
            Self::Cloop => window.starts(0, b"#!/bin/sh\n#V2.0 Format\n"),
            Self::Dmg => window.ends(512, b"koly"),
            Self::Iso => [b"CD001", b"BEA01", b"NSR02", b"NSR03"]
                .iter()
                .any(|name| window.starts(VOLUME_DESCRIPTORS.saturating_add(1), *name)),
            Self::Gpt => window.starts(510, b"\x55\xaa") && !is_fat(window),
        }
    }
}

/// Whether the first sector looks like that of a FAT file system on a fixed disk.
fn is_fat(window: &Window) -> bool {
    window.starts(0x10, b"\x02") && window.starts(0x15, b"\xf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_complete_and_in_order() {
        for (at, mark) in Mark::ALL.into_iter().enumerate() {
            assert_eq!(mark as usize, at);
        }
        assert_eq!(Mark::ALL.last(), Some(&Mark::Gpt));
    }

    #[test]
    fn the_order_of_marks_is_the_order_of_their_formats() {
        assert!(Mark::ALL.is_sorted_by_key(|mark| mark.format()));
    }

    #[test]
    fn every_format_but_raw_has_a_mark() {
        for format in DiskFormat::ALL {
            let marks = Mark::ALL.iter().filter(|mark| mark.format() == format);
            assert_eq!(marks.count() == 0, format == DiskFormat::Raw, "{format}");
        }
    }
}
