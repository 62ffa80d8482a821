//! Whether bytes are what their record claims.

use crate::container::{Compression, ContainerFormat, is_tar};
use crate::detect::{Detected, detect};
use crate::disagreement::{Claim, Disagreement};
use crate::flaw::Flaw;
use crate::format::DiskFormat;
use crate::mark::Mark;
use crate::window::Window;
use crate::{qcow2, vdi, vhd, vmdk};

/// Whether the bytes are what the record's `disk_format` and `container_format` claim.
///
/// In the containers `bare` and `ovf` the bytes are the disk, and must have the marks of just that format:
///
/// | `disk_format` | the bytes may be |
/// | --- | --- |
/// | `raw` | without marks, or with a partition table (Nova takes the `gpt` of oslo.utils for raw) |
/// | `iso` | ISO or UDF, with a partition table or without (a hybrid image) |
/// | `vhd` | VHD; a fixed one may have a partition table in its first sector |
/// | `gpt`, `luks`, `qcow2`, `vdi`, `vhdx`, `vmdk` | that format, but of no [refused kind](crate::Mark::refusal) |
/// | `qed` | nothing: the format is banned |
/// | `ploop` | as with `raw`, since a ploop disk may be raw, or with the header of an expanding one |
/// | `ami`, `aki`, `ari`, any other | as with `raw` |
///
/// Inside the format, as far as it can be seen in the window:
///
/// | format | code | refused |
/// | --- | --- | --- |
/// | `qcow2` | `format-reference` | a backing file's offset, size or format; an external data file's bit or name |
/// | `qcow2` | `format-encrypted` | an encryption method or header |
/// | `qcow2` | `format-feature` | the corrupt bit, unknown incompatible bits, unknown compression |
/// | `vhd` | `format-reference` | a differencing disk |
/// | `vhd` | `format-header` | any other type than fixed and dynamic, a footer that is not like its copy |
/// | `vdi` | `format-reference` | an undo or differencing image, the UUID of a parent |
/// | `vmdk` | `format-reference` | parentCID, parentFileNameHint, changeTrackPath |
/// | `vmdk` | `format-reference` | an extent that is not sparse or has a path, a second one, a capacity of zero |
/// | `vmdk` | `format-variant` | any other createType than monolithicSparse and streamOptimized |
/// | `vmdk` | `format-header` | no descriptor at sector 1 and within the first 64 KiB, or an ambiguous one |
/// | `vmdk` | `format-header` | an extent of another size than in the header, but for rounding up to 64 KiB |
/// | `qcow2`, `vdi`, `vmdk` | `format-variant` | an unknown version |
/// | all four | `format-header` | a header that is cut short or has impossible lengths |
///
/// A qcow2 may be dirty, compressed with zstd, and have extended L2 entries: no other file is needed to read it.
///
/// The parent of a differencing `vhdx` is not refused: the bit for it is in a metadata region, which begins 1 MiB from
/// the start or later, outside the window. Nor are tables, and the footer of a streamOptimized `vmdk`, looked at.
///
/// An image of no bytes has no marks, so it is raw, and no format that has a mark.
///
/// Around other containers the disk cannot be seen, so the bytes must be the container and nothing else: `ova` begins
/// with a tar header; `compressed` with the magic of one [`Compression`]; `docker` with either. In the containers
/// `ami`, `aki` and `ari` the `disk_format` must be the same, as Glance has it, and the bytes as for that.
///
/// # Errors
///
/// A [`Disagreement`] whose [code](Disagreement::code) says which rule was broken. A window that does not fit its size
/// comes first, then a container without rules, then a banned format, then the container, then the format, then what
/// is inside it.
pub fn agree(window: &Window<'_>, disk_format: &str, container_format: &str) -> Result<(), Disagreement> {
    window.check()?;
    let Some(container) = ContainerFormat::from_name(container_format) else {
        return Err(Disagreement::ContainerUnknown { claimed: Claim::new(container_format) });
    };
    if DiskFormat::from_name(disk_format) == Some(DiskFormat::Qed) {
        return Err(Disagreement::FormatBanned { claimed: DiskFormat::Qed });
    }

    let found = detect(window);
    match container {
        ContainerFormat::Bare | ContainerFormat::Ovf => disk_agrees(window, found, disk_format),
        ContainerFormat::Ami | ContainerFormat::Aki | ContainerFormat::Ari => {
            if disk_format != container.name() {
                return Err(Disagreement::ContainerMismatch {
                    claimed: container,
                    found: format!("disk_format {} in the same record", Claim::new(disk_format)),
                });
            }
            disk_agrees(window, found, disk_format)
        }
        ContainerFormat::Ova | ContainerFormat::Docker | ContainerFormat::Compressed => {
            container_agrees(window.head(), &found, container)
        }
    }
}

/// Whether bytes with these marks are a disk of the claimed format, of a kind that is accepted.
fn disk_agrees(window: &Window<'_>, found: Detected, claimed: &str) -> Result<(), Disagreement> {
    let Some(actual) = found.format() else {
        return Err(Disagreement::FormatAmbiguous { claimed: Claim::new(claimed), found });
    };

    let unmarked = matches!(actual, DiskFormat::Raw | DiskFormat::Gpt);
    let allowed = match DiskFormat::from_name(claimed) {
        None | Some(DiskFormat::Raw) => unmarked,
        Some(DiskFormat::Ploop) => unmarked || actual == DiskFormat::Ploop,
        Some(format) => format == actual,
    };
    if !allowed {
        return Err(Disagreement::FormatMismatch { claimed: Claim::new(claimed), found });
    }

    if let Some(variant) = found.marks().iter().find_map(|mark| mark.refusal()) {
        return Err(Disagreement::FormatVariant { format: actual, variant });
    }
    inside(window, actual).map_err(|flaw| flaw.of(actual))
}

/// Whether what the window shows of the inside of a disk of the format is acceptable.
fn inside(window: &Window<'_>, format: DiskFormat) -> Result<(), Flaw> {
    match format {
        DiskFormat::Qcow2 => qcow2::check(window.head()),
        DiskFormat::Vhd => vhd::check(window),
        DiskFormat::Vdi => vdi::check(window.head()),
        DiskFormat::Vmdk => vmdk::check(window.head()),
        _ => Ok(()),
    }
}

/// Whether bytes with these marks are a container of the claimed format, and not also a disk.
fn container_agrees(head: &[u8], found: &Detected, claimed: ContainerFormat) -> Result<(), Disagreement> {
    let compression = Compression::of(head);
    let tar = is_tar(head);
    let is_claimed = match claimed {
        ContainerFormat::Compressed => compression.is_some(),
        ContainerFormat::Docker => compression.is_some() || tar,
        _ => tar,
    };

    // The two bytes of a partition table are in one of 65536 compressed streams by chance.
    let chance = |mark: &Mark| compression.is_some() && *mark == Mark::Gpt;
    let is_disk = !found.marks().iter().all(chance);

    if is_claimed && !is_disk {
        return Ok(());
    }
    let found = match compression {
        _ if is_disk => format!("the marks of {found}"),
        Some(compression) => format!("{compression} data"),
        None if tar => "a tar archive".to_owned(),
        None => "no known container".to_owned(),
    };
    Err(Disagreement::ContainerMismatch { claimed, found })
}
