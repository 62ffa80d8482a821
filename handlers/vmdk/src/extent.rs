//! Unpacks one part of a disk that is in several files.

use std::ops::Range;

use landfall_handler_api::Result;
use landfall_unpack::{Coding, Crew, Disk, Stored, StoredReader, WINDOW};

use crate::extent_line::{Extent, ExtentKind};
use crate::head::read_header;
use crate::header::SECTOR;
use crate::refusal::{corrupt, unsupported};
use crate::sparse::GrainList;
use crate::unpack::Means;

/// Unpacks `extent`, whose file is `stored`, to the part of `disk` that begins at byte `at`, where the extents before
/// it end. Nothing is read for one of zeros.
///
/// The descriptor of the whole disk was checked before, and the disk's size with [`Means::check`]. Extents are unpacked
/// one after the other: two of them may share a block of the disk. A sparse file of another size than the descriptor
/// says is `corrupt`, code `vmdk-capacity-mismatch`.
pub fn unpack_extent(stored: &dyn Stored, extent: &Extent, at: u64, means: &Means, disk: &dyn Disk) -> Result<()> {
    let too_large = || corrupt("vmdk-capacity", "the extents have more bytes than there can be");
    let end = extent.sectors.checked_mul(SECTOR).and_then(|bytes| at.checked_add(bytes)).ok_or_else(too_large)?;
    means.check(end)?;
    let mut reader = StoredReader::new(stored);
    match extent.kind {
        ExtentKind::Zero => Ok(()),
        ExtentKind::Flat => {
            reader.seek(extent.offset.checked_mul(SECTOR).ok_or_else(too_large)?);
            Crew::run(means.threads, disk, at..end, |crew| feed_flat(&mut reader, at..end, crew))
        }
        ExtentKind::Sparse => unpack_sparse(&mut reader, extent, at..end, means, disk),
    }
}

fn feed_flat(reader: &mut StoredReader<'_>, part: Range<u64>, crew: &Crew<'_>) -> Result<()> {
    let mut at = part.start;
    while at < part.end {
        let mut job = crew.job(at);
        let next = job.window().saturating_add(WINDOW as u64).min(part.end);
        let len = usize::try_from(next.saturating_sub(at)).unwrap_or(WINDOW);
        reader.read_into(job.room(at, len, Coding::Plain, len))?;
        crew.submit(job)?;
        at = next;
    }
    Ok(())
}

fn unpack_sparse(
    reader: &mut StoredReader<'_>,
    extent: &Extent,
    part: Range<u64>,
    means: &Means,
    disk: &dyn Disk,
) -> Result<()> {
    let header = read_header(reader)?;
    if header.compressed() {
        return Err(unsupported("vmdk-create-type", "compressed extents of a disk in several files are not unpacked"));
    }
    if header.capacity != extent.sectors {
        let message = format!("an extent's header gives it {} sectors, not {}", header.capacity, extent.sectors);
        return Err(corrupt("vmdk-capacity-mismatch", message));
    }
    // A grain is then within one window of the disk.
    if part.start.checked_rem(header.grain_bytes()) != Some(0) {
        return Err(unsupported("vmdk-extent-alignment", "an extent begins within a grain of the disk"));
    }
    // What a descriptor in an extent says is not read by anyone; its sectors are taken all the same.
    let descriptor = header.descriptor_offset.saturating_add(header.descriptor_sectors);
    let grains = GrainList::read(reader, &header, descriptor.max(1))?;
    let at = part.start;
    Crew::run(means.threads, disk, part, |crew| grains.feed(reader, &header, at, crew))
}
