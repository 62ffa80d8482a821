//! Lines of extents, and the files behind them: the same with one thread and with two, and from a stream.

use landfall_handler_vmdk::{Descriptor, Extent, Means, SECTOR, unpack_extent};
use landfall_unpack::Stored;

use crate::knobs;
use crate::memory::{Bytes, DISK_BYTES, Memory};
use crate::verdict::{Verdict, same, verdict, wants_a_file};

/// Extents that are unpacked, all from the same file.
const EXTENTS: usize = 4;

pub(crate) fn run(mut data: &[u8]) {
    let kind = if knobs::byte(&mut data) & 1 == 0 { "twoGbMaxExtentSparse" } else { "twoGbMaxExtentFlat" };
    let lines = knobs::part(&mut data);
    let head = format!("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"{kind}\"\n");
    let Ok(descriptor) = verdict(Descriptor::parse(&[head.as_bytes(), lines, b"\n"].concat())) else { return };
    let Some(bytes) = descriptor.disk_bytes().ok().filter(|bytes| *bytes <= DISK_BYTES) else {
        let extent = &descriptor.extents[0];
        let huge = extent.sectors.checked_mul(SECTOR).is_none_or(|bytes| bytes > DISK_BYTES);
        let outcome = unpack_extent(&Bytes::ranged(data), extent, 0, &means(1), &Memory::new(0));
        assert!(!huge || outcome.is_err(), "an extent beyond the limit was unpacked");
        return;
    };
    let extents = descriptor.extents.get(..EXTENTS).unwrap_or(&descriptor.extents);
    let outcome = unpacked(&|| Bytes::ranged(data), extents, bytes, 1);
    same(&outcome, &unpacked(&|| Bytes::ranged(data), extents, bytes, 2), "two threads");
    let most = 61 + data.len() % 7919;
    let streamed = unpacked(&|| Bytes::stream(data, most, false), extents, bytes, 1);
    if !wants_a_file(&streamed) {
        same(&outcome, &streamed, ("a stream", most));
    }
}

fn means(threads: usize) -> Means {
    Means { threads, disk_bytes: DISK_BYTES }
}

fn unpacked<S: Stored>(stored: &dyn Fn() -> S, extents: &[Extent], bytes: u64, threads: usize) -> Verdict<Vec<u8>> {
    let mut at = 0;
    let disks = extents.iter().map(|extent| {
        // A disk for each: two extents may share a block, which is then written twice.
        let end = at + extent.sectors * SECTOR;
        let disk = Memory::part(bytes, at..end);
        verdict(unpack_extent(&stored(), extent, at, &means(threads), &disk))?;
        at = end;
        Ok(disk.into_bytes())
    });
    disks.collect::<Verdict<Vec<_>>>().map(|disks| disks.concat())
}
