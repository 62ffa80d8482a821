//! One change each, and what must be said of it.

use landfall_handler_api::ErrorKind::{self, Corrupt, Limit, Unsupported};

use super::forms::{sample, written};
use super::memory::{Bytes, Memory, unpack_all_ways};
use super::writer::Layout::{self, OpenVmdkStream, QemuStream, Sparse, VmwareStream};
use super::writer::{LAYOUTS, Written, deflate, peek32, poke32, poke64};
use crate::{Means, unpack};

type Poke = fn(&mut Written);
type Case = (&'static str, &'static [Layout], Poke, ErrorKind, &'static str);

const STREAMS: &[Layout] = &[VmwareStream, QemuStream, OpenVmdkStream];
const FRONT: &[Layout] = &[QemuStream, OpenVmdkStream];
const REDUNDANT: &[Layout] = &[QemuStream, Sparse];
const TABLES: &[Layout] = &[QemuStream, OpenVmdkStream, Sparse];

/// Replaces a grain by other stored bytes of the same number of sectors.
fn restore(written: &mut Written, grain: usize, stored: &[u8]) {
    let at = written.grain(grain);
    let old = peek32(&written.bytes, at + 8) as usize;
    assert_eq!((12 + stored.len()).div_ceil(512), (12 + old).div_ceil(512), "the test's grain fits");
    poke32(&mut written.bytes, at + 8, stored.len() as u32);
    written.bytes[at + 12..][..stored.len()].copy_from_slice(stored);
}

fn stored(written: &Written, grain: usize) -> Vec<u8> {
    let at = written.grain(grain);
    written.bytes[at + 12..][..peek32(&written.bytes, at + 8) as usize].to_vec()
}

/// The last grain's marker and bytes once more, at the end of the grains.
fn repeat_grain(written: &mut Written, grain: usize, at: usize) {
    let from = written.grain(grain);
    let len = (12 + stored(written, grain).len()).next_multiple_of(512);
    let grain = written.bytes[from..from + len].to_vec();
    written.bytes.splice(at..at, grain);
}

const HEADER: &[Case] = &[
    ("magic", &LAYOUTS, |w| w.bytes[0] = b'k', Corrupt, "vmdk-magic"),
    ("empty", &LAYOUTS, |w| w.bytes.clear(), Corrupt, "vmdk-magic"),
    ("half a header", &LAYOUTS, |w| w.bytes.truncate(511), Corrupt, "unexpected-end"),
    ("version 0", &LAYOUTS, |w| poke32(&mut w.bytes, 4, 0), Unsupported, "vmdk-version"),
    ("version 4", &LAYOUTS, |w| poke32(&mut w.bytes, 4, 4), Unsupported, "vmdk-version"),
    ("unknown flag", &LAYOUTS, |w| w.bytes[8] |= 8, Unsupported, "vmdk-flags"),
    ("compressed without markers", STREAMS, |w| w.bytes[10] = 1, Unsupported, "vmdk-flags"),
    ("newlines", &LAYOUTS, |w| w.bytes[0x4b] = b'\n', Corrupt, "vmdk-newlines"),
    ("capacity 0", &LAYOUTS, |w| poke64(&mut w.bytes, 0x0c, 0), Corrupt, "vmdk-capacity"),
    ("grain of 4 sectors", &LAYOUTS, |w| poke64(&mut w.bytes, 0x14, 4), Unsupported, "vmdk-grain-sectors"),
    ("grain of 0", &LAYOUTS, |w| poke64(&mut w.bytes, 0x14, 0), Unsupported, "vmdk-grain-sectors"),
    ("grain of 96", &LAYOUTS, |w| poke64(&mut w.bytes, 0x14, 96), Unsupported, "vmdk-grain-sectors"),
    ("grain of 4096", &LAYOUTS, |w| poke64(&mut w.bytes, 0x14, 4096), Unsupported, "vmdk-grain-sectors"),
    ("grain near 2^64", &LAYOUTS, |w| poke64(&mut w.bytes, 0x14, 1 << 63), Unsupported, "vmdk-grain-sectors"),
    ("no entries", &LAYOUTS, |w| poke32(&mut w.bytes, 0x2c, 0), Unsupported, "vmdk-table-entries"),
    ("1024 entries", &LAYOUTS, |w| poke32(&mut w.bytes, 0x2c, 1024), Unsupported, "vmdk-table-entries"),
    ("500 entries", &LAYOUTS, |w| poke32(&mut w.bytes, 0x2c, 500), Unsupported, "vmdk-table-entries"),
    ("another compression", STREAMS, |w| w.bytes[0x4d] = 2, Unsupported, "vmdk-compression"),
    ("no compression", STREAMS, |w| w.bytes[0x4d] = 0, Corrupt, "vmdk-compression"),
    ("compression without the flag", &[Sparse], |w| w.bytes[0x4d] = 1, Corrupt, "vmdk-compression"),
    ("compressed grains", &[Sparse], |w| (w.bytes[10], w.bytes[0x4d]) = (3, 1), Corrupt, "vmdk-create-type-mismatch"),
    ("plain grains", STREAMS, |w| (w.bytes[10], w.bytes[0x4d]) = (0, 0), Corrupt, "vmdk-create-type-mismatch"),
    ("descriptor at sector 2", &LAYOUTS, |w| poke64(&mut w.bytes, 0x1c, 2), Corrupt, "vmdk-descriptor"),
    ("no descriptor", &LAYOUTS, |w| poke64(&mut w.bytes, 0x24, 0), Corrupt, "vmdk-descriptor"),
    ("descriptor of 1 MiB", &LAYOUTS, |w| poke64(&mut w.bytes, 0x24, 2048), Corrupt, "vmdk-descriptor"),
    ("descriptor without an end", &LAYOUTS, |w| w.bytes[512..21 * 512].fill(b'#'), Corrupt, "vmdk-descriptor"),
    ("overhead 0", &LAYOUTS, |w| poke64(&mut w.bytes, 0x40, 0), Corrupt, "vmdk-overhead"),
    ("overhead near 2^64", STREAMS, |w| poke64(&mut w.bytes, 0x40, u64::MAX - 1), Corrupt, "vmdk-overhead"),
    ("overhead near 2^64", &[Sparse], |w| poke64(&mut w.bytes, 0x40, u64::MAX - 1), Corrupt, "vmdk-grain-overlap"),
    ("overhead beyond the end", STREAMS, |w| poke64(&mut w.bytes, 0x40, 1 << 40), Corrupt, "unexpected-end"),
    ("capacity in the header", &LAYOUTS, |w| poke64(&mut w.bytes, 0x0c, 1 << 10), Corrupt, "vmdk-capacity-mismatch"),
    (
        "capacity near 2^64",
        &LAYOUTS,
        |w| {
            w.replace("RW 16645 ", &format!("RW {} ", u64::MAX));
            poke64(&mut w.bytes, 0x0c, u64::MAX);
        },
        Limit,
        "vmdk-too-many-tables",
    ),
    (
        "2^33 sectors",
        &LAYOUTS,
        |w| {
            w.replace("RW 16645 ", &format!("RW {} ", 1_u64 << 33));
            poke64(&mut w.bytes, 0x0c, 1 << 33);
        },
        Limit,
        "disk-too-large",
    ),
];

const TABLES_IN_FRONT: &[Case] = &[
    ("directory in the descriptor", TABLES, |w| poke64(&mut w.bytes, 0x38, 20), Corrupt, "vmdk-table-overlap"),
    ("directory in the header", TABLES, |w| poke64(&mut w.bytes, 0x38, 0), Corrupt, "vmdk-table-overlap"),
    (
        "directory beyond the grains' start",
        FRONT,
        |w| poke64(&mut w.bytes, 0x38, 1 << 40),
        Corrupt,
        "vmdk-table-overlap",
    ),
    ("directory beyond the end", &[Sparse], |w| poke64(&mut w.bytes, 0x38, 1 << 40), Corrupt, "unexpected-end"),
    ("directory near 2^64", TABLES, |w| poke64(&mut w.bytes, 0x38, u64::MAX - 1), Corrupt, "vmdk-table-overlap"),
    ("both directories are one", REDUNDANT, |w| poke64(&mut w.bytes, 0x30, 24), Corrupt, "vmdk-table-overlap"),
    (
        "directory leads to itself",
        TABLES,
        |w| {
            let at = w.directory;
            poke32(&mut w.bytes, at, (at / 512) as u32);
        },
        Corrupt,
        "vmdk-table-overlap",
    ),
    (
        "a table twice",
        TABLES,
        |w| {
            let at = w.directory;
            let first = peek32(&w.bytes, at);
            poke32(&mut w.bytes, at + 4, first);
        },
        Corrupt,
        "vmdk-table-overlap",
    ),
    (
        "a table beyond the end",
        &[Sparse],
        |w| {
            let at = w.directory;
            poke32(&mut w.bytes, at, 0);
            poke32(&mut w.bytes, at + 4, 0xffff_ffff);
        },
        Corrupt,
        "unexpected-end",
    ),
    (
        "a table among the grains",
        FRONT,
        |w| {
            let at = w.directory;
            poke32(&mut w.bytes, at + 4, 128);
        },
        Corrupt,
        "vmdk-table-overlap",
    ),
    (
        "a table is left out",
        REDUNDANT,
        |w| {
            let at = w.directory;
            poke32(&mut w.bytes, at, 0);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "a second table is left out",
        REDUNDANT,
        |w| {
            let at = w.redundant_directory;
            poke32(&mut w.bytes, at, 0);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "an entry differs",
        REDUNDANT,
        |w| {
            let entry = w.redundant_entry(2, 128);
            w.bytes[entry] ^= 1;
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "two entries are exchanged",
        TABLES,
        |w| {
            for entry in
                [w.entry(0, 128), w.redundant_tables.first().map_or(w.entry(0, 128), |_| w.redundant_entry(0, 128))]
            {
                let (one, two) = (peek32(&w.bytes, entry), peek32(&w.bytes, entry + 4));
                if one < two {
                    poke32(&mut w.bytes, entry, two);
                    poke32(&mut w.bytes, entry + 4, one);
                }
            }
            if w.redundant_tables.is_empty() {
                return;
            }
            // What is plain has no marker to contradict it.
            let entry = w.redundant_entry(40, 128);
            poke32(&mut w.bytes, entry, 0);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "a grain beyond the disk",
        TABLES,
        |w| {
            let entry = w.entry(130, 128) + 4;
            poke32(&mut w.bytes, entry, 128);
        },
        Corrupt,
        "vmdk-grain-out-of-range",
    ),
];

const PLAIN_GRAINS: &[Case] = &[
    ("grain in the header", &[Sparse], |w| both(w, 0, 0x7f), Corrupt, "vmdk-grain-overlap"),
    ("grain in a table", &[Sparse], |w| both(w, 0, 24), Corrupt, "vmdk-grain-overlap"),
    ("grain twice", &[Sparse], |w| both(w, 1, 128), Corrupt, "vmdk-grain-overlap"),
    ("grains overlap by a sector", &[Sparse], |w| both(w, 1, 128 + 127), Corrupt, "vmdk-grain-overlap"),
    ("grain beyond the end", &[Sparse], |w| both(w, 1, 0xffff_ff00), Corrupt, "unexpected-end"),
    (
        "grain half beyond the end",
        &[Sparse],
        |w| {
            let end = w.bytes.len() - (64 << 10) + 4 * 512;
            w.bytes.truncate(end);
        },
        Corrupt,
        "unexpected-end",
    ),
    (
        "grain in a table behind the grains",
        &[Sparse],
        |w| {
            // In the place of the last grain, and one sector of the table.
            both(w, 130, 0);
            let (at, table, directory) = (w.bytes.len(), w.tables[1].1, w.directory);
            w.bytes.extend_from_within(table..table + 512);
            poke32(&mut w.bytes, directory + 4, (at / 512) as u32);
            both(w, 16, (at / 512 - 127) as u32);
        },
        Corrupt,
        "vmdk-grain-overlap",
    ),
    ("directory at the end", &[Sparse], |w| poke64(&mut w.bytes, 0x38, u64::MAX), Unsupported, "vmdk-directory-at-end"),
];

/// Sets the entry of a grain in both tables.
fn both(written: &mut Written, grain: usize, sector: u32) {
    for entry in [written.entry(grain, 128), written.redundant_entry(grain, 128)] {
        poke32(&mut written.bytes, entry, sector);
    }
}

const MARKERS: &[Case] = &[
    ("lba beyond the disk", STREAMS, |w| lba(w, 2, 131 * 128), Corrupt, "vmdk-grain-out-of-range"),
    ("lba near 2^64", STREAMS, |w| lba(w, 2, u64::MAX - 127), Corrupt, "vmdk-grain-out-of-range"),
    ("lba within a grain", STREAMS, |w| lba(w, 2, 257), Corrupt, "vmdk-grain-out-of-range"),
    ("lba of no grain", STREAMS, |w| lba(w, 2, 3 * 128), Corrupt, "vmdk-table-mismatch"),
    ("lba of another grain", STREAMS, |w| lba(w, 2, 128), Corrupt, "vmdk-table-mismatch"),
    (
        "lbas exchanged",
        STREAMS,
        |w| {
            lba(w, 2, 128);
            lba(w, 1, 256);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    ("grain of 2^32 - 1 bytes", STREAMS, |w| size(w, 2, u32::MAX), Corrupt, "vmdk-grain-size"),
    ("grain of more than two grains", STREAMS, |w| size(w, 2, 131_073), Corrupt, "vmdk-grain-size"),
    ("grain of no bytes", STREAMS, |w| size(w, 2, 0), Corrupt, "vmdk-marker"),
    (
        "grain that is no zlib stream",
        STREAMS,
        |w| {
            let at = w.grain(16) + 12;
            w.bytes[at] = 0;
        },
        Corrupt,
        "inflate-failed",
    ),
    (
        "grain with another checksum",
        STREAMS,
        |w| {
            let mut stored = stored(w, 16);
            *stored.last_mut().unwrap() ^= 1;
            restore(w, 16, &stored);
        },
        Corrupt,
        "inflate-failed",
    ),
    (
        "bytes behind a grain",
        STREAMS,
        |w| {
            let mut stored = stored(w, 16);
            stored.push(0);
            restore(w, 16, &stored);
        },
        Corrupt,
        "inflate-trailing",
    ),
    (
        "grain cut in its marker",
        STREAMS,
        |w| {
            let mut stored = stored(w, 16);
            stored.pop();
            restore(w, 16, &stored);
        },
        Corrupt,
        "inflate-failed",
    ),
    ("grain too short", STREAMS, |w| swap(w, 16, &[1; 65_535]), Corrupt, "inflates-short"),
    ("grain too long", STREAMS, |w| swap(w, 16, &[1; 65_537]), Corrupt, "inflates-past"),
    ("last grain too short", STREAMS, |w| swap(w, 130, &[1; 5 * 512 - 1]), Corrupt, "inflates-short"),
    ("last grain neither short nor whole", STREAMS, |w| swap(w, 130, &[1; 6 * 512]), Corrupt, "inflates-short"),
    ("last grain too long", STREAMS, |w| swap(w, 130, &[1; 65_537]), Corrupt, "inflates-past"),
    (
        "the same grain once more",
        &[OpenVmdkStream],
        |w| repeat_grain(w, 0, w.end - 512),
        Corrupt,
        "vmdk-table-mismatch",
    ),
    ("the same grain once more", &[QemuStream], |w| repeat_grain(w, 0, w.end), Corrupt, "vmdk-table-mismatch"),
    (
        "the same grain once more",
        &[VmwareStream],
        |w| {
            repeat_grain(w, 0, w.directory - 512);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    ("unknown marker", &[VmwareStream], |w| poke32(&mut w.bytes, w.footer - 500, 5), Corrupt, "vmdk-marker"),
    (
        "table in a stream with tables in front",
        &[OpenVmdkStream],
        |w| {
            let at = w.end - 512;
            poke64(&mut w.bytes, at, 1);
            poke32(&mut w.bytes, at + 12, 1);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    ("the end has a number", &[OpenVmdkStream], |w| poke64(&mut w.bytes, w.end - 512, 1), Corrupt, "vmdk-marker"),
    ("the end has padding", &[OpenVmdkStream, VmwareStream], |w| w.bytes[w.end - 1] = 1, Corrupt, "vmdk-marker"),
    (
        "bytes behind the end",
        FRONT,
        |w| {
            let at = w.end + 512;
            w.bytes.resize(at + 512, 0);
            w.bytes[at + 7] = 1;
        },
        Corrupt,
        "vmdk-trailing-bytes",
    ),
    (
        "zeros without end",
        FRONT,
        |w| {
            let len = w.bytes.len() + (129 << 9);
            w.bytes.resize(len, 0);
        },
        Corrupt,
        "vmdk-trailing-bytes",
    ),
    (
        "a sector behind the end",
        &[VmwareStream],
        |w| {
            let len = w.bytes.len() + 512;
            w.bytes.resize(len, 0);
        },
        Corrupt,
        "vmdk-trailing-bytes",
    ),
];

fn lba(written: &mut Written, grain: usize, lba: u64) {
    let at = written.grain(grain);
    poke64(&mut written.bytes, at, lba);
}

fn size(written: &mut Written, grain: usize, size: u32) {
    let at = written.grain(grain);
    poke32(&mut written.bytes, at + 8, size);
}

/// Replaces a grain by one that inflates to `bytes`. What follows moves, which is found out later.
fn swap(written: &mut Written, grain: usize, bytes: &[u8]) {
    let at = written.grain(grain);
    let old = (12 + stored(written, grain).len()).next_multiple_of(512);
    let mut stored = deflate(bytes);
    poke32(&mut written.bytes, at + 8, stored.len() as u32);
    stored.resize((12 + stored.len()).next_multiple_of(512) - 12, 0);
    written.bytes.splice(at + 12..at + old, stored);
}

const FOOTER: &[Case] = &[
    ("magic", &[VmwareStream], |w| w.bytes[w.footer] = 0, Corrupt, "vmdk-footer-mismatch"),
    ("version", &[VmwareStream], |w| poke32(&mut w.bytes, w.footer + 4, 2), Corrupt, "vmdk-footer-mismatch"),
    ("flags", &[VmwareStream], |w| w.bytes[w.footer + 8] |= 4, Corrupt, "vmdk-footer-mismatch"),
    ("capacity", &[VmwareStream], |w| w.bytes[w.footer + 0x0c] ^= 1, Corrupt, "vmdk-footer-mismatch"),
    ("grain sectors", &[VmwareStream], |w| poke64(&mut w.bytes, w.footer + 0x14, 64), Corrupt, "vmdk-footer-mismatch"),
    ("descriptor", &[VmwareStream], |w| w.bytes[w.footer + 0x1c] = 2, Corrupt, "vmdk-footer-mismatch"),
    ("descriptor size", &[VmwareStream], |w| w.bytes[w.footer + 0x24] = 2, Corrupt, "vmdk-footer-mismatch"),
    ("table entries", &[VmwareStream], |w| poke32(&mut w.bytes, w.footer + 0x2c, 512), Corrupt, "vmdk-footer-mismatch"),
    ("second directory", &[VmwareStream], |w| w.bytes[w.footer + 0x30] = 1, Corrupt, "vmdk-footer-mismatch"),
    ("directory", &[VmwareStream], |w| w.bytes[w.footer + 0x38] ^= 1, Corrupt, "vmdk-footer-mismatch"),
    (
        "no directory",
        &[VmwareStream],
        |w| poke64(&mut w.bytes, w.footer + 0x38, u64::MAX),
        Corrupt,
        "vmdk-footer-mismatch",
    ),
    ("overhead", &[VmwareStream], |w| w.bytes[w.footer + 0x40] ^= 1, Corrupt, "vmdk-footer-mismatch"),
    ("newlines", &[VmwareStream], |w| w.bytes[w.footer + 0x49] ^= 1, Corrupt, "vmdk-footer-mismatch"),
    ("compression", &[VmwareStream], |w| w.bytes[w.footer + 0x4d] = 0, Corrupt, "vmdk-footer-mismatch"),
    ("marker's sectors", &[VmwareStream], |w| w.bytes[w.footer - 512] = 2, Corrupt, "vmdk-marker"),
    ("marker's padding", &[VmwareStream], |w| w.bytes[w.footer - 1] = 2, Corrupt, "vmdk-marker"),
    (
        "marker says the end",
        &[VmwareStream],
        |w| w.bytes[w.footer - 512..w.footer].fill(0),
        Corrupt,
        "vmdk-marker-order",
    ),
    (
        "no footer",
        &[VmwareStream],
        |w| {
            w.bytes.drain(w.footer - 512..w.footer + 512);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    (
        "two footers",
        &[VmwareStream],
        |w| {
            let footer = w.bytes[w.footer - 512..w.footer + 512].to_vec();
            let at = w.footer + 512;
            w.bytes.splice(at..at, footer);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    ("a second directory in the header", &[VmwareStream], |w| w.bytes[8] |= 2, Corrupt, "vmdk-table-overlap"),
    (
        "a grain behind the directory",
        &[VmwareStream],
        |w| {
            repeat_grain(w, 0, w.footer - 512);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    (
        "a table behind the directory",
        &[VmwareStream],
        |w| {
            let table = w.tables[0].1;
            let table = w.bytes[table - 512..table + 512].to_vec();
            let at = w.footer - 512;
            w.bytes.splice(at..at, table);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    (
        "footer in front of the directory",
        &[VmwareStream],
        |w| {
            let footer = w.bytes[w.footer - 512..w.footer + 512].to_vec();
            let at = w.directory - 512;
            w.bytes.splice(at..at, footer);
        },
        Corrupt,
        "vmdk-marker-order",
    ),
    (
        "a table lists another sector",
        &[VmwareStream],
        |w| {
            let entry = w.entry(2, 128);
            w.bytes[entry] ^= 1;
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "a table lists one grain less",
        &[VmwareStream],
        |w| {
            let entry = w.entry(2, 128);
            poke32(&mut w.bytes, entry, 0);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "a table lists one grain more",
        &[VmwareStream],
        |w| {
            let entry = w.entry(3, 128);
            poke32(&mut w.bytes, entry, 128);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "tables exchanged",
        &[VmwareStream],
        |w| {
            let (one, two) = (peek32(&w.bytes, w.directory), peek32(&w.bytes, w.directory + 4));
            poke32(&mut w.bytes, w.directory, two);
            poke32(&mut w.bytes, w.directory + 4, one);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "directory without a table",
        &[VmwareStream],
        |w| {
            poke32(&mut w.bytes, w.directory, 0);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "directory leads into a grain",
        &[VmwareStream],
        |w| {
            poke32(&mut w.bytes, w.directory, 128);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
    (
        "more tables than the disk has",
        &[VmwareStream],
        |w| {
            let table = w.tables[0].1;
            let table = w.bytes[table - 512..table + 512].to_vec();
            let at = w.directory - 512;
            w.bytes.splice(at..at, table);
        },
        Corrupt,
        "vmdk-table-mismatch",
    ),
];

#[test]
fn what_was_changed_is_named() {
    for layout in LAYOUTS {
        let image = sample(layout);
        let unpacked = unpack_all_ways(&image.write().bytes);
        assert!(unpacked.is_ok_and(|disk| disk == image.raw), "{layout:?} as it was written");
    }
    for (what, layouts, poke, kind, code) in [HEADER, TABLES_IN_FRONT, PLAIN_GRAINS, MARKERS, FOOTER].concat() {
        for layout in layouts {
            let mut written = written(*layout);
            poke(&mut written);
            match unpack_all_ways(&written.bytes) {
                Err(error) => assert_eq!((error.kind(), error.code()), (kind, code), "{what}, {layout:?}: {error}"),
                Ok(_) => panic!("{what}, {layout:?}: not refused"),
            }
        }
    }
}

#[test]
fn of_several_flaws_the_first_in_the_stream_is_told() {
    for layout in STREAMS {
        let mut written = written(*layout);
        // The reader finds the last one long before a thread finds the others.
        lba(&mut written, 130, 1);
        let at = written.grain(40) + 12;
        written.bytes[at] = 0;
        assert_eq!(unpack_all_ways(&written.bytes).unwrap_err().code(), "inflate-failed");
        let mut bytes = stored(&written, 16);
        bytes.push(0);
        restore(&mut written, 16, &bytes);
        assert_eq!(unpack_all_ways(&written.bytes).unwrap_err().code(), "inflate-trailing");
        size(&mut written, 2, u32::MAX);
        assert_eq!(unpack_all_ways(&written.bytes).unwrap_err().code(), "vmdk-grain-size");
    }
}

#[test]
fn a_cut_anywhere_is_an_early_end() {
    for layout in LAYOUTS {
        let written = written(layout);
        // What a table reader never looks at may be missing.
        let needed = match layout {
            Layout::Sparse => written.end - (64 << 10) + 5 * 512,
            _ => written.end,
        };
        let mut cuts: Vec<usize> = (0..needed).step_by(40_009).collect();
        cuts.extend([1, 4, 512, 1024, 65_535].map(|left| needed - left));
        cuts.extend(written.grains.iter().flat_map(|(_, at)| [*at, at + 11, at + 12, at + 13]));
        for cut in cuts.into_iter().filter(|cut| *cut < needed) {
            // Whether an end was cut off or never written cannot be told.
            if layout == Layout::OpenVmdkStream && cut == written.end - 512 {
                continue;
            }
            let Err(error) = unpack_all_ways(&written.bytes[..cut]) else {
                panic!("{layout:?} cut to {cut}: not refused")
            };
            let expected = match layout {
                _ if cut < 4 => "vmdk-magic",
                // Between two grains nothing is cut but the list of them.
                Layout::QemuStream | Layout::OpenVmdkStream if error.code() == "vmdk-table-mismatch" => {
                    assert!(cut % 512 == 0);
                    "vmdk-table-mismatch"
                }
                _ => "unexpected-end",
            };
            assert_eq!((error.kind(), error.code()), (Corrupt, expected), "{layout:?} cut to {cut}");
        }
    }
}

#[test]
fn small_grains_of_a_stream_are_in_order() {
    let mut image = sample(Layout::VmwareStream).with_grains(16, 128);
    assert!(unpack_all_ways(&image.write().bytes).unwrap() == image.raw);
    image.order.swap(0, 1);
    let error = unpack_all_ways(&image.write().bytes).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Unsupported, "vmdk-grain-order"));
}

#[test]
fn the_disk_is_opened_once_all_in_front_was_checked() {
    for (layout, poke) in [
        (Layout::QemuStream, (|w| w.bytes[w.redundant_directory] ^= 1) as Poke),
        (Layout::Sparse, |w| both(w, 1, 128)),
        (Layout::VmwareStream, |w| w.replace("parentCID=ffffffff", "parentCID=fffffffe")),
    ] {
        let mut written = written(layout);
        poke(&mut written);
        let means = Means { threads: 1, disk_bytes: u64::MAX };
        let opened = |_| -> landfall_handler_api::Result<Memory> { panic!("opened") };
        assert!(unpack(&Bytes::ranged(&written.bytes), &means, opened).is_err());
    }
    let image = sample(Layout::QemuStream);
    let written = image.write();
    for (allowed, fits) in [(image.raw.len() as u64, true), (image.raw.len() as u64 - 1, false)] {
        let means = Means { threads: 1, disk_bytes: allowed };
        let unpacked = unpack(&Bytes::ranged(&written.bytes), &means, |bytes| Ok(Memory::new(bytes as usize)));
        assert_eq!(unpacked.is_ok(), fits);
    }
}
