//! Legal disks of every form give the exact bytes.

use std::sync::OnceLock;

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;

use super::memory::{Bytes, unpack_all_ways, unpack_from};
use super::writer::{Image, LAYOUTS, Layout, Written, poke32, poke64};

/// A disk of units of 4 KiB, of which some are zeros, some text and some random.
fn raw_disk() -> impl Strategy<Value = Vec<u8>> {
    let run = (0_u8..4, 1_usize..60);
    (proptest::collection::vec(run, 1..30), 1_usize..=8, any::<u64>()).prop_map(|(runs, tail, seed)| {
        let mut raw = Vec::new();
        let mut state = seed | 1;
        for (kind, units) in runs {
            for _ in 0..units * 4096 / 8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let word = match kind {
                    0 | 1 => 0,
                    2 => state >> 62,
                    _ => state,
                };
                raw.extend(word.to_le_bytes());
            }
        }
        raw.truncate(raw.len() - 4096 + tail * 512);
        raw
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_disk_comes_back(
        raw in raw_disk(),
        layout in proptest::sample::select(&LAYOUTS[..]),
        grain in proptest::sample::select(&[8_usize, 16, 128, 256, 2048][..]),
        entries in proptest::sample::select(&[128_usize, 512][..]),
        whole_last: bool,
        shuffled in proptest::option::of(any::<u64>()),
    ) {
        let mut image = Image::new(layout, raw).with_grains(grain, entries);
        image.whole_last = whole_last;
        // Small grains of a stream are to be in order.
        if let Some(seed) = shuffled.filter(|_| grain >= 128 || layout == Layout::Sparse) {
            image.order.sort_by_key(|number| (*number as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let disk = unpack_all_ways(&image.write().bytes).unwrap();
        prop_assert!(disk == image.raw);
    }

    /// Whatever is cut off or changed: an error or the same way for all, never a panic.
    #[test]
    fn nothing_panics(
        layout in proptest::sample::select(&LAYOUTS[..]),
        pokes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut written = written(layout);
        let tables: Vec<usize> = written.tables.iter().map(|(_, at)| *at).collect();
        let starts = [&[0, written.directory, written.footer], &tables[..]].concat();
        for (index, byte, near) in pokes {
            let start = starts[index.index(starts.len())];
            let at = if near { start + index.index(512) } else { index.index(written.bytes.len()) };
            if let Some(it) = written.bytes.get_mut(at) {
                *it = byte;
            }
        }
        let _ = unpack_all_ways(&written.bytes);
    }
}

/// Two tables' worth of disk, with few grains, and a last one that is cut short.
pub(super) fn sample(layout: Layout) -> Image {
    let mut raw = vec![0; (130 << 16) + 5 * 512];
    for (at, grain) in [0_usize, 1, 2, 15, 16, 40, 127, 128, 130].into_iter().enumerate() {
        let end = raw.len().min((grain + 1) << 16);
        for (unit, byte) in raw[grain << 16..end].iter_mut().enumerate() {
            *byte = if unit % 7 < 3 { at as u8 + 1 } else { ((unit * unit) >> 5) as u8 };
        }
    }
    Image::new(layout, raw).with_grains(128, 128)
}

/// The sample of each form as it is written, made once.
pub(super) fn written(layout: Layout) -> Written {
    static SAMPLES: OnceLock<[Written; 4]> = OnceLock::new();
    let at = LAYOUTS.iter().position(|it| *it == layout).unwrap();
    SAMPLES.get_or_init(|| LAYOUTS.map(|layout| sample(layout).write()))[at].clone()
}

#[test]
fn streams_are_read_in_one_pass() {
    for layout in LAYOUTS {
        let mut image = sample(layout);
        image.order.reverse();
        let disk = unpack_from(&Bytes::stream(&image.write().bytes, 1 << 20), 2).unwrap();
        assert!(disk == image.raw, "{layout:?}");
    }
}

#[test]
fn empty_disks_have_no_grains() {
    for layout in LAYOUTS {
        let image = Image::new(layout, vec![0; 12_345 * 512]);
        assert!(unpack_all_ways(&image.write().bytes).unwrap() == image.raw, "{layout:?}");
    }
}

#[test]
fn a_zeroed_grain_is_zeros_where_the_header_allows_it() {
    for layout in [Layout::Sparse, Layout::QemuStream] {
        let mut written = written(layout);
        for entry in [written.entry(3, 128), written.redundant_entry(3, 128)] {
            poke32(&mut written.bytes, entry, 1);
        }
        let refused = unpack_all_ways(&written.bytes).unwrap_err();
        let code = if layout == Layout::Sparse { "vmdk-grain-overlap" } else { "vmdk-table-mismatch" };
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Corrupt, code));
        written.bytes[8] |= 4;
        assert!(unpack_all_ways(&written.bytes).unwrap() == sample(layout).raw);
    }
}

#[test]
fn virtualbox_rounds_the_header_s_capacity_up() {
    let mut image = sample(Layout::VmwareStream);
    let sectors = image.raw.len() / 512;
    image.raw.resize(131 << 16, 0);
    let mut written = image.write();
    written.replace(&format!("RW {} ", 131 << 7), &format!("RW {sectors} "));
    assert!(unpack_all_ways(&written.bytes).unwrap() == image.raw);
}

#[test]
fn sparse_grains_may_leave_gaps_and_tables_be_behind_them() {
    // A gap, as of a grain that was moved.
    let mut image = sample(Layout::Sparse);
    let mut written = image.write();
    let last = written.grain(130);
    for entry in [written.entry(130, 128), written.redundant_entry(130, 128)] {
        poke32(&mut written.bytes, entry, (last / 512 + 300) as u32);
    }
    let grain = written.bytes.split_off(last);
    written.bytes.resize(last + 300 * 512, 0xee);
    // Its last sectors are beyond the disk, and may be missing.
    written.bytes.extend(&grain[..5 * 512]);
    assert!(unpack_all_ways(&written.bytes).unwrap() == image.raw);

    // The directory's second table at the end: read, but not from a stream.
    image.order.reverse();
    let mut written = image.write();
    let (_, table) = written.tables[1];
    let moved = written.bytes[table..table + 512].to_vec();
    let at = written.bytes.len();
    written.bytes.extend(moved);
    let directory = written.directory;
    poke32(&mut written.bytes, directory + 4, (at / 512) as u32);
    assert!(unpack_all_ways(&written.bytes).unwrap() == image.raw);
    let streamed = unpack_from(&Bytes::stream(&written.bytes, 4096), 1);
    assert_eq!(streamed.unwrap_err().code(), "input-forward-only");
}

#[test]
fn a_marker_that_vsphere_writes_is_passed_over() {
    let image = sample(Layout::VmwareStream);
    let mut written = image.write();
    let footer_marker = written.footer - 512;
    let mut unspecified = vec![0; 3 * 512];
    poke64(&mut unspecified, 0, 2);
    poke32(&mut unspecified, 12, 4);
    unspecified[600] = 9;
    written.bytes.splice(footer_marker..footer_marker, unspecified);
    assert!(unpack_all_ways(&written.bytes).unwrap() == image.raw);
}
