//! Parts of disks in several files.

use super::forms::sample;
use super::memory::{Bytes, DISK_BYTES};
use super::writer::{Layout, poke64};
use crate::{Extent, ExtentKind, Means, unpack_extent};
use landfall_handler_api::Result;
use landfall_unpack::Disk;
use std::sync::Mutex;

struct Memory(Mutex<Vec<u8>>);

impl Disk for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

const MEANS: Means = Means { threads: 3, disk_bytes: DISK_BYTES };

fn extent(kind: ExtentKind, sectors: usize, offset: u64) -> Extent {
    Extent { sectors: sectors as u64, kind, name: "x".into(), offset }
}

#[test]
fn parts_come_together_at_any_offset() {
    let image = sample(Layout::Sparse);
    let sparse = image.write().bytes;
    let flat: Vec<u8> = (0..3 << 20).map(|at: usize| (at >> 9) as u8 | 1).collect();
    // Flat sectors 3.., zeros, sparse at a grain, flat at any sector.
    let parts = [
        (extent(ExtentKind::Flat, 2048 + 1, 3), &flat, flat[3 * 512..(3 + 2049) * 512].to_vec()),
        (extent(ExtentKind::Zero, 127, 0), &flat, vec![0; 127 * 512]),
        (extent(ExtentKind::Sparse, image.raw.len() / 512, 0), &sparse, image.raw.clone()),
        (extent(ExtentKind::Flat, 5000, 1000), &flat, flat[1000 * 512..6000 * 512].to_vec()),
    ];
    let want: Vec<u8> = parts.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
    for stream in [false, true] {
        let disk = Memory(Mutex::new(vec![0; want.len()]));
        let mut at = 0;
        for (extent, stored, raw) in &parts {
            let stored = if stream { Bytes::stream(stored, 5000) } else { Bytes::ranged(stored) };
            unpack_extent(&stored, extent, at, &MEANS, &disk).unwrap();
            at += raw.len() as u64;
        }
        assert!(disk.0.into_inner().unwrap() == want);
    }
}

#[test]
fn an_extent_that_is_not_what_the_descriptor_says_is_refused() {
    let image = sample(Layout::Sparse);
    let sectors = image.raw.len() / 512;
    let sparse = image.write();
    let refused = |bytes: &[u8], extent: Extent, at: u64| {
        let disk = Memory(Mutex::new(vec![0; 32 << 20]));
        unpack_extent(&Bytes::ranged(bytes), &extent, at, &MEANS, &disk).unwrap_err().code().to_owned()
    };
    let whole = || extent(ExtentKind::Sparse, sectors, 0);
    assert_eq!(refused(&sparse.bytes, extent(ExtentKind::Sparse, sectors - 1, 0), 0), "vmdk-capacity-mismatch");
    assert_eq!(refused(&sparse.bytes, whole(), 512), "vmdk-extent-alignment");
    assert_eq!(refused(&sparse.bytes, whole(), DISK_BYTES), "disk-too-large");
    assert_eq!(refused(&sparse.bytes, whole(), u64::MAX), "vmdk-capacity");
    assert_eq!(refused(&sample(Layout::QemuStream).write().bytes, whole(), 0), "vmdk-create-type");
    assert_eq!(refused(&sparse.bytes[..200_000], whole(), 0), "unexpected-end");
    let mut far = sparse.bytes.clone();
    poke64(&mut far, 0x1c, u64::MAX);
    assert_eq!(refused(&far, whole(), 0), "vmdk-overhead");
    let flat = vec![1; 10 * 512];
    assert_eq!(refused(&flat, extent(ExtentKind::Flat, 10, 1), 0), "unexpected-end");
    assert_eq!(refused(&flat, extent(ExtentKind::Flat, 10, u64::MAX), 0), "vmdk-capacity");
    assert_eq!(refused(&flat, extent(ExtentKind::Flat, usize::MAX, 0), 0), "vmdk-capacity");
}
