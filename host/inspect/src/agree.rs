//! Whether bytes are what their record claims.

use crate::compression::Compression;
use crate::container::{ContainerFormat, is_tar};
use crate::detect::{Detected, detect, detect_start};
use crate::disagreement::{Claim, Disagreement};
use crate::flaw::Flaw;
use crate::format::DiskFormat;
use crate::mark::Mark;
use crate::size::disk_bytes;
use crate::window::Window;
use crate::{iso, luks, mbr, qcow2, vdi, vhd, vhdx, vmdk};

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
/// | any other | as with `raw` |
/// | `ami`, `aki`, `ari` | as with `raw`, and a boot sector is no partition table: a kernel begins with one |
///
/// Inside the format, as far as it can be seen in the window:
///
/// | format | code | refused |
/// | --- | --- | --- |
/// | `qcow2` | `format-reference` | a backing file's offset, size or format; an external data file's bit or name |
/// | `qcow2` | `format-encrypted` | an encryption method or header |
/// | `qcow2` | `format-feature` | the corrupt bit, unknown incompatible bits, unknown compression |
/// | `vhd` | `format-reference` | a differencing disk; a parent in the header of a dynamic one |
/// | `vhd` | `format-header` | another type than fixed and dynamic, a footer that differs from its copy in any field |
/// | `vhdx` | `format-reference` | the flag for a parent, a parent locator |
/// | `vhdx` | `format-feature` | a log that is not empty, unknown regions and metadata that are required |
/// | `vhdx` | `format-header` | headers without a valid one, region tables that differ or have a wrong checksum |
/// | `vhdx` | `format-header` | metadata that is missing, twice there, or before 1 MiB or its own table |
/// | `vdi` | `format-reference` | an undo or differencing image, the UUID of a parent |
/// | `vmdk` | `format-reference` | parentCID, parentFileNameHint, changeTrackPath |
/// | `vmdk` | `format-reference` | an extent that is not sparse or has a path, a second one, a capacity of zero |
/// | `vmdk` | `format-variant` | any other createType than monolithicSparse and streamOptimized |
/// | `vmdk` | `format-header` | no descriptor at sector 1 and within the first MiB, or an ambiguous one |
/// | `vmdk` | `format-header` | an extent of another size than in the header, but for rounding up to 64 KiB |
/// | `vmdk` | `format-header` | where the header tells of a footer: none, or one that differs in any field |
/// | `luks` | `format-variant` | any other version than 1 |
/// | `luks` | `format-header` | data within the header or behind the end |
/// | `iso` | `format-header` | a first volume descriptor that is cut short |
/// | `gpt` | `format-header` | an illegal boot flag, no partition, a protective one that is not at sector 1 and alone |
/// | `qcow2`, `vdi`, `vhdx`, `vmdk` | `format-variant` | an unknown version |
/// | all with a header | `format-header` | one that is cut short, has impossible lengths, or a disk of 2^63 bytes |
///
/// A qcow2 may be dirty, compressed with zstd, and have extended L2 entries: no other file is needed to read it, and
/// qemu reads all three. (oslo.utils refuses the last.) Tables, and the data behind them, are not looked at.
///
/// An image of no bytes has no marks, so it is raw, and no format that has a mark.
///
/// Around other containers the disk cannot be seen, so the bytes must be the container and nothing else: `ova` begins
/// with a tar header; `compressed` with the magic of one [`Compression`]; `docker` with either. In the containers
/// `ami`, `aki` and `ari` the `disk_format` must be the same, as Glance has it, and the bytes as for that.
///
/// # Errors
///
/// A [`Disagreement`] whose [code](Disagreement::code) says which rule was broken. A window with less than its size
/// demands comes first, then a container without rules, then a banned format, then the container, then the format, then
/// what is inside it.
pub fn agree(window: &Window, disk_format: &str, container_format: &str) -> Result<(), Disagreement> {
    window.check()?;
    match known_claims(disk_format, container_format)? {
        Whole::Disk => disk_agrees(window, detect(window), disk_format),
        Whole::Container(container) => container_agrees(window.head(), &detect(window), container),
    }
}

/// Whether what an unpacker made is a raw disk, and no format within the format.
///
/// As [`agree`] with `raw` and `bare`, but whatever is in a partition table: the rules for that are for stored bytes
/// which anybody may call a disk, and this one comes from a format that was inspected.
///
/// # Errors
///
/// As [`agree`].
pub fn agree_unpacked(window: &Window) -> Result<(), Disagreement> {
    window.check()?;
    claim_agrees(&detect(window), DiskFormat::Raw.name()).map(|_| ())
}

/// Whether the bytes begin as a stream of the record's compression, given as [`Compression::name`] has it, and may not
/// also be a disk.
///
/// Of the content nothing is seen: what comes out has to be inspected in turn. Of a compression without rules here, which only
/// the filter of somebody else knows, the bytes may be anything but a disk, a tar archive, or a stream that is known.
///
/// # Errors
///
/// [`Disagreement::WindowShort`]; [`Disagreement::CompressionUnknown`] where `compression` is no
/// [name](Compression::is_name); [`Disagreement::CompressionMismatch`].
pub fn agree_compressed(window: &Window, compression: &str) -> Result<(), Disagreement> {
    window.check()?;
    if !Compression::is_name(compression) {
        return Err(Disagreement::CompressionUnknown { claimed: Claim::new(compression) });
    }
    let claimed = Compression::from_name(compression);
    let is_claimed = |found, tar: bool| found == claimed && (claimed.is_some() || !tar);
    match unlike_container(window.head(), &detect(window), claimed.is_none(), is_claimed) {
        None => Ok(()),
        Some(found) => Err(Disagreement::CompressionMismatch { claimed: Claim::new(compression), found }),
    }
}

/// Whether the bytes may be a container that has no rules here, and that the node has an unpacker for: anything but a disk.
///
/// # Errors
///
/// [`Disagreement::WindowShort`], [`Disagreement::ContainerMismatch`].
pub fn agree_foreign(window: &Window, container_format: &str) -> Result<(), Disagreement> {
    window.check()?;
    match unlike_container(window.head(), &detect(window), true, |_, _| true) {
        None => Ok(()),
        Some(found) => Err(Disagreement::ContainerMismatch { claimed: Claim::new(container_format), found }),
    }
}

/// What can be said of an image of which the head is there, and not yet the end.
pub(crate) fn agree_so_far(window: &Window, disk_format: &str, container_format: &str) -> Result<(), Disagreement> {
    let whole = known_claims(disk_format, container_format)?;
    let found = detect_start(window);
    match whole {
        // Further marks can only make it less of a container.
        Whole::Container(container) => container_agrees(window.head(), &found, container),
        Whole::Disk if found.is_content() => {
            // A trailer may still make it a VHD.
            match claim_agrees(&found, disk_format) {
                Err(_) if is_allowed(disk_format, DiskFormat::Vhd) => Ok(()),
                other => other.map(|_| ()),
            }
        }
        Whole::Disk => match claim_agrees(&found, disk_format)? {
            DiskFormat::Qcow2 => qcow2::check(window.head()).map_err(|flaw| flaw.of(DiskFormat::Qcow2)),
            DiskFormat::Vdi => vdi::check(window.head()).map_err(|flaw| flaw.of(DiskFormat::Vdi)),
            _ => Ok(()),
        },
    }
}

/// What the bytes are as a whole, by the record.
enum Whole {
    Disk,
    Container(ContainerFormat),
}

/// Whether there are rules for the claims, and they do not contradict each other.
fn known_claims(disk_format: &str, container_format: &str) -> Result<Whole, Disagreement> {
    let Some(container) = ContainerFormat::from_name(container_format) else {
        return Err(Disagreement::ContainerUnknown { claimed: Claim::new(container_format) });
    };
    if DiskFormat::from_name(disk_format) == Some(DiskFormat::Qed) {
        return Err(Disagreement::FormatBanned { claimed: DiskFormat::Qed });
    }
    match container {
        ContainerFormat::Bare | ContainerFormat::Ovf => Ok(Whole::Disk),
        ContainerFormat::Ami | ContainerFormat::Aki | ContainerFormat::Ari => {
            if disk_format == container.name() {
                return Ok(Whole::Disk);
            }
            let found = format!("disk_format {} in the same record", Claim::new(disk_format));
            Err(Disagreement::ContainerMismatch { claimed: Claim::new(container_format), found })
        }
        ContainerFormat::Ova | ContainerFormat::Docker | ContainerFormat::Compressed => Ok(Whole::Container(container)),
    }
}

/// Whether bytes with these marks are a disk of the claimed format, of a kind that is accepted.
fn disk_agrees(window: &Window, found: Detected, claimed: &str) -> Result<(), Disagreement> {
    let actual = claim_agrees(&found, claimed)?;
    if actual == DiskFormat::Gpt && ["ami", "aki", "ari"].contains(&claimed) {
        return Ok(());
    }
    inside(window, actual).map_err(|flaw| flaw.of(actual))
}

/// The format that bytes with these marks are, if it is the claimed one and of a kind that is accepted.
fn claim_agrees(found: &Detected, claimed: &str) -> Result<DiskFormat, Disagreement> {
    let Some(actual) = found.format() else {
        return Err(Disagreement::FormatAmbiguous { claimed: Claim::new(claimed), found: found.clone() });
    };
    if !is_allowed(claimed, actual) {
        return Err(Disagreement::FormatMismatch { claimed: Claim::new(claimed), found: found.clone() });
    }
    match found.marks().iter().find_map(|mark| mark.refusal()) {
        Some(variant) => Err(Disagreement::FormatVariant { format: actual, variant }),
        None => Ok(actual),
    }
}

/// Whether bytes of a format may be claimed so.
fn is_allowed(claimed: &str, actual: DiskFormat) -> bool {
    let unmarked = matches!(actual, DiskFormat::Raw | DiskFormat::Gpt);
    match DiskFormat::from_name(claimed) {
        None | Some(DiskFormat::Raw) => unmarked,
        Some(DiskFormat::Ploop) => unmarked || actual == DiskFormat::Ploop,
        Some(format) => format == actual,
    }
}

/// Whether what the window shows of the inside of a disk of the format is acceptable.
fn inside(window: &Window, format: DiskFormat) -> Result<(), Flaw> {
    match format {
        DiskFormat::Qcow2 => qcow2::check(window.head()),
        DiskFormat::Vhd => vhd::check(window),
        DiskFormat::Vhdx => vhdx::check(window),
        DiskFormat::Vmdk => vmdk::check(window),
        DiskFormat::Vdi => vdi::check(window.head()),
        DiskFormat::Luks => luks::check(window),
        DiskFormat::Iso => iso::check(window.head()),
        DiskFormat::Gpt => mbr::check(window.head()),
        _ => Ok(()),
    }?;
    disk_bytes(window, format).map(|_| ())
}

/// Whether bytes with these marks are a container of the claimed format, and not also a disk.
fn container_agrees(head: &[u8], found: &Detected, claimed: ContainerFormat) -> Result<(), Disagreement> {
    let unlike = unlike_container(head, found, false, |compression, tar| match claimed {
        ContainerFormat::Compressed => compression.is_some(),
        ContainerFormat::Docker => compression.is_some() || tar,
        _ => tar,
    });
    match unlike {
        None => Ok(()),
        Some(found) => Err(Disagreement::ContainerMismatch { claimed: Claim::new(claimed.name()), found }),
    }
}

/// What there is, for people, where bytes with these marks are not the container or stream that is claimed: one that
/// `is_claimed` says so of, given its compression and whether it is a tar, and that cannot also be taken for a disk. A
/// `foreign` one has no rules here.
fn unlike_container(
    head: &[u8],
    found: &Detected,
    foreign: bool,
    is_claimed: impl FnOnce(Option<Compression>, bool) -> bool,
) -> Option<String> {
    let (compression, tar) = (Compression::of(head), is_tar(head));
    // The two bytes of a partition table are in one of 65536 compressed streams by chance.
    let chance = |mark: &Mark| (compression.is_some() || foreign) && *mark == Mark::Gpt;
    if !found.marks().iter().all(chance) {
        return Some(format!("the marks of {found}"));
    }
    if is_claimed(compression, tar) {
        return None;
    }
    Some(match compression {
        Some(compression) => format!("{compression} data"),
        None if tar => "a tar archive".to_owned(),
        None => "no known container".to_owned(),
    })
}
