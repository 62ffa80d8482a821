//! How large the disk is that an image holds.

use crate::detect::detect;
use crate::flaw::Flaw;
use crate::format::DiskFormat;
use crate::window::Window;
use crate::{iso, luks, qcow2, vdi, vhd, vhdx, vmdk};

/// No file has as many bytes: offsets are signed.
const TOO_MANY_BYTES: u64 = 1 << 63;

impl Window {
    /// The size of the disk within, in bytes, as the header says it: what a reader of the format would make.
    ///
    /// | format | where it is from |
    /// | --- | --- |
    /// | raw, `gpt` | the image itself |
    /// | `qcow2`, `vdi` | the header |
    /// | `vhd` | current size or geometry, whichever is larger: readers differ in which they use |
    /// | `vhdx` | the metadata item |
    /// | `vmdk` | the capacity of the header, in sectors |
    /// | `iso` | blocks of the primary volume descriptor, if that is the first |
    /// | `luks` | what follows header and keys |
    ///
    /// `None` for other formats, for bytes that may be several, where the header is cut short or contradicts itself,
    /// and for 2^63 bytes and more. It is worth something only for bytes with which [`agree`](crate::agree) agrees.
    #[must_use]
    pub fn virtual_size(&self) -> Option<u64> {
        disk_bytes(self, detect(self).format()?).ok().flatten()
    }
}

/// The size of the disk in an image of the format; `None` where no header says it.
pub(crate) fn disk_bytes(window: &Window, format: DiskFormat) -> Result<Option<u64>, Flaw> {
    let bytes = match format {
        DiskFormat::Raw | DiskFormat::Gpt => Some(window.size),
        DiskFormat::Qcow2 => Some(qcow2::virtual_size(window.head())?),
        DiskFormat::Vhd => Some(vhd::virtual_size(window)?),
        DiskFormat::Vhdx => Some(vhdx::virtual_size(window)?),
        DiskFormat::Vmdk => vmdk::virtual_size(window)?,
        DiskFormat::Vdi => Some(vdi::virtual_size(window.head())?),
        DiskFormat::Luks => Some(luks::virtual_size(window)?),
        DiskFormat::Iso => iso::virtual_size(window.head())?,
        _ => None,
    };
    if bytes.is_some_and(|bytes| bytes >= TOO_MANY_BYTES) && !matches!(format, DiskFormat::Raw | DiskFormat::Gpt) {
        return Err(Flaw::Header("says that its disk has 2^63 bytes or more"));
    }
    Ok(bytes)
}
