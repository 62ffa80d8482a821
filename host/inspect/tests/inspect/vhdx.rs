//! The inside of a VHDX: headers, region tables and metadata poked alone, beside what is legal.

use landfall_inspect::{Inspector, Window, agree};

use crate::image::{Image, read_at_random};

const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// The entries of a region table: GUID, offset, length, required.
pub(crate) type Region = ([u8; 16], u64, u32, u32);
/// The entries of a metadata table: GUID, offset in the region, length, flags.
pub(crate) type Item = ([u8; 16], u32, u32, u32);

pub(crate) const BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
pub(crate) const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
const FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
const PAGE_83: [u8; 16] = guid(0xbeca_12ab, 0xb2e6, 0x4523, 0x93ef_c309_e000_c746);
const LOGICAL_SECTOR: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);
const PHYSICAL_SECTOR: [u8; 16] = guid(0xcda3_48c7, 0x445d, 0x4471, 0x9cc9_e988_5251_c556);
const PARENT_LOCATOR: [u8; 16] = guid(0xa8d3_5f2d, 0xb30b, 0x454d, 0xabf7_d3d8_4834_ab0c);
const UNKNOWN: [u8; 16] = [7; 16];

/// A GUID as it lies in a file: the first three numbers little-endian.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// CRC-32C, by the table that RFC 3720 has in mind.
fn crc32c(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

/// A VHDX that can be made wrong in any way.
#[derive(Clone)]
pub(crate) struct Vhdx {
    pub(crate) sequences: [u64; 2],
    pub(crate) logs: [u8; 2],
    pub(crate) versions: [[u8; 4]; 2],
    pub(crate) regions: Vec<Region>,
    pub(crate) metadata_at: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) parameters: [u8; 8],
    pub(crate) disk_bytes: u64,
    pub(crate) size: usize,
}

pub(crate) fn legal() -> Vhdx {
    Vhdx {
        sequences: [7, 8],
        logs: [0, 0],
        versions: [[0, 0, 1, 0]; 2],
        regions: vec![(BAT, 2 * MIB as u64, MIB as u32, 1), (METADATA, MIB as u64, MIB as u32, 1)],
        metadata_at: MIB,
        items: vec![
            (FILE_PARAMETERS, 65_536, 8, 4),
            (DISK_SIZE, 65_544, 8, 6),
            (PAGE_83, 65_552, 16, 6),
            (LOGICAL_SECTOR, 65_568, 4, 6),
            (PHYSICAL_SECTOR, 65_572, 4, 6),
        ],
        parameters: [0, 0, 0, 2, 0, 0, 0, 0],
        disk_bytes: 10 << 30,
        size: MIB + 128 * KIB,
    }
}

impl Vhdx {
    pub(crate) fn build(&self) -> Image {
        let mut image = Image::zeros(self.size.max(MIB)).put(0, b"vhdxfile");
        for (nth, at) in [64 * KIB, 128 * KIB].into_iter().enumerate() {
            let header = Image::zeros(4096)
                .put(0, b"head")
                .put(8, &self.sequences[nth].to_le_bytes())
                .put(48, &[self.logs[nth]; 16])
                .put(64, &self.versions[nth]);
            image = image.put(at, &sealed(header).0);
        }
        let mut table = Image::zeros(64 * KIB).put(0, b"regi").put(8, &(self.regions.len() as u32).to_le_bytes());
        for (nth, (guid, offset, length, required)) in self.regions.iter().enumerate() {
            let at = 16 + 32 * nth;
            table = table.put(at, guid).put(at + 16, &offset.to_le_bytes());
            table = table.put(at + 24, &length.to_le_bytes()).put(at + 28, &required.to_le_bytes());
        }
        let table = sealed(table);
        image = image.put(192 * KIB, &table.0).put(256 * KIB, &table.0);

        let mut metadata = Image::zeros(64 * KIB).put(0, b"metadata").put(10, &(self.items.len() as u16).to_le_bytes());
        for (nth, (guid, offset, length, flags)) in self.items.iter().enumerate() {
            let at = 32 + 32 * nth;
            metadata = metadata.put(at, guid).put(at + 16, &offset.to_le_bytes());
            metadata = metadata.put(at + 20, &length.to_le_bytes()).put(at + 24, &flags.to_le_bytes());
        }
        image.0.resize(image.0.len().max(self.metadata_at + 64 * KIB), 0);
        image = image.put(self.metadata_at, &metadata.0);
        for (guid, offset, _, _) in &self.items {
            let at = self.metadata_at + *offset as usize;
            let value = match *guid {
                FILE_PARAMETERS => self.parameters,
                DISK_SIZE => self.disk_bytes.to_le_bytes(),
                _ => continue,
            };
            if at + 8 <= image.0.len() {
                image = image.put(at, &value);
            }
        }
        image.0.truncate(self.size);
        image
    }

    fn verdict(&self) -> &'static str {
        self.build().agree("vhdx", "bare")
    }
}

/// With the right checksum in bytes 4 to 8.
fn sealed(image: Image) -> Image {
    let image = image.put(4, &[0; 4]);
    let crc = crc32c(&image.0);
    image.put(4, &crc.to_le_bytes())
}

/// The smallest whole one that is legal.
pub(crate) fn vhdx() -> Image {
    legal().build()
}

#[test]
fn a_legal_one() {
    assert_eq!(vhdx().agree("vhdx", "bare"), "ok");
    assert_eq!(vhdx().agree("raw", "bare"), "format-mismatch");
    assert_eq!(vhdx().window().virtual_size(), Some(10 << 30));
}

#[test]
fn a_parent_is_refused() {
    for (flags, verdict) in [(0, "ok"), (1, "ok"), (2, "format-reference"), (3, "format-reference")] {
        let image = Vhdx { parameters: [0, 0, 0, 2, flags, 0, 0, 0], ..legal() };
        assert_eq!(image.verdict(), verdict, "{flags}");
    }
    let mut locator = legal();
    locator.items.push((PARENT_LOCATOR, 65_600, 64, 4));
    assert_eq!(locator.verdict(), "format-reference");
    locator.items[5].3 = 1;
    assert_eq!(locator.verdict(), "ok", "an item of a user's that is called so");
}

#[test]
fn the_newer_valid_header_counts() {
    let with = |sequences, logs| Vhdx { sequences, logs, ..legal() };
    for (sequences, logs, verdict) in [
        ([1, 2], [9, 0], "ok"),
        ([2, 1], [0, 9], "ok"),
        ([1, 2], [0, 9], "format-feature"),
        ([2, 1], [9, 0], "format-feature"),
        ([5, 5], [0, 0], "ok"),
        ([5, 5], [0, 9], "format-header"),
        ([5, 5], [9, 9], "format-feature"),
        ([u64::MAX, 0], [9, 0], "format-feature"),
    ] {
        assert_eq!(with(sequences, logs).verdict(), verdict, "{sequences:?} {logs:?}");
    }

    // One that is damaged does not count, and none is none.
    let damaged = |image: Image, nth: usize| image.put(64 * KIB * (nth + 1) + 100, b"x");
    assert_eq!(damaged(with([1, 2], [0, 9]).build(), 1).agree("vhdx", "bare"), "ok");
    assert_eq!(damaged(with([1, 2], [9, 0]).build(), 1).agree("vhdx", "bare"), "format-feature");
    assert_eq!(damaged(damaged(vhdx(), 0), 1).agree("vhdx", "bare"), "format-header");
    for versions in [[0, 0, 0, 0], [0, 0, 2, 0], [1, 0, 1, 0], [0, 0, 1, 1]] {
        assert_eq!(Vhdx { versions: [versions; 2], ..legal() }.verdict(), "format-variant");
    }
}

#[test]
fn region_tables() {
    for (at, verdict) in [(0, "format-header"), (5, "format-header"), (60_000, "format-header")] {
        assert_eq!(vhdx().put(192 * KIB + at, b"x").agree("vhdx", "bare"), verdict, "{at}");
        assert_eq!(vhdx().put(256 * KIB + at, b"x").agree("vhdx", "bare"), verdict, "{at} of the copy");
    }
    let with = |regions: &[Region]| Vhdx { regions: regions.to_vec(), ..legal() };
    let metadata = (METADATA, MIB as u64, MIB as u32, 1);
    for (what, regions, verdict) in [
        ("the metadata alone", vec![metadata], "ok"),
        ("none", vec![], "format-header"),
        ("no metadata", vec![(BAT, 2 * MIB as u64, MIB as u32, 1)], "format-header"),
        ("twice", vec![metadata, metadata], "format-header"),
        ("an unknown one", vec![metadata, (UNKNOWN, 0, 0, 0)], "ok"),
        ("an unknown one that is required", vec![metadata, (UNKNOWN, 0, 0, 1)], "format-feature"),
        ("at the start", vec![(METADATA, 0, MIB as u32, 1)], "format-header"),
        ("in the tables", vec![(METADATA, 256 << 10, MIB as u32, 1)], "format-header"),
        ("behind the tables, before 1 MiB", vec![(METADATA, 512 << 10, MIB as u32, 1)], "format-header"),
        ("at an odd place", vec![(METADATA, MIB as u64 + 512, MIB as u32, 1)], "format-header"),
        ("past the end", vec![(METADATA, 1 << 40, MIB as u32, 1)], "format-header"),
        ("past any end", vec![(METADATA, 0xffff_ffff_fff0_0000, 0xfff0_0000, 1)], "format-header"),
        ("of no bytes", vec![(METADATA, MIB as u64, 0, 1)], "format-header"),
        ("of odd length", vec![(METADATA, MIB as u64, 65_536 + 64, 1)], "format-header"),
    ] {
        assert_eq!(with(&regions).verdict(), verdict, "{what}");
    }
}

#[test]
fn the_most_entries() {
    let unknown = |count: usize| vec![(UNKNOWN, 0, 0, 0); count];
    let mut regions = unknown(2046);
    regions.push((METADATA, MIB as u64, MIB as u32, 1));
    let full = Vhdx { regions, ..legal() };
    assert_eq!(full.verdict(), "ok");
    let count = |count: u32| {
        let table = sealed(Image(full.build().0[192 * KIB..256 * KIB].to_vec()).put(8, &count.to_le_bytes()));
        full.build().put(192 * KIB, &table.0).put(256 * KIB, &table.0).agree("vhdx", "bare")
    };
    assert_eq!(count(2047), "ok");
    for over in [2046, 2048, 4096, u32::MAX] {
        assert_eq!(count(over), "format-header", "{over}");
    }

    let mut items: Vec<Item> = vec![(UNKNOWN, 0, 0, 0); 2045];
    items.extend(&legal().items[..2]);
    let full = Vhdx { items, ..legal() };
    assert_eq!(full.verdict(), "ok");
    for over in [2046_u16, 2048, u16::MAX] {
        assert_eq!(full.build().put(MIB + 10, &over.to_le_bytes()).agree("vhdx", "bare"), "format-header", "{over}");
    }
}

#[test]
fn metadata_items() {
    let with = |nth: usize, item: Item| {
        let mut image = legal();
        image.items[nth] = item;
        image.verdict()
    };
    assert_eq!(vhdx().put(MIB, b"M").agree("vhdx", "bare"), "format-header");
    for (what, item, verdict) in [
        ("elsewhere", (DISK_SIZE, 100_000, 8, 6), "ok"),
        ("before the parameters", (DISK_SIZE, 65_536, 8, 6), "format-header"),
        ("overlapping them", (DISK_SIZE, 65_540, 8, 6), "format-header"),
        ("in the table", (DISK_SIZE, 65_528, 8, 6), "format-header"),
        ("at the start", (DISK_SIZE, 0, 8, 6), "format-header"),
        ("up to the end of the region, past the file", (DISK_SIZE, MIB as u32 - 8, 8, 6), "format-header"),
        ("past the end of the region", (DISK_SIZE, MIB as u32 - 7, 8, 6), "format-header"),
        ("at 2^32", (DISK_SIZE, u32::MAX, 8, 6), "format-header"),
        ("too short", (DISK_SIZE, 65_544, 4, 6), "format-header"),
        ("too long", (DISK_SIZE, 65_544, u32::MAX, 6), "format-header"),
        ("of a user's", (DISK_SIZE, 65_544, 8, 7), "format-feature"),
        ("missing", (UNKNOWN, 65_544, 8, 0), "format-header"),
        ("unknown and required", (UNKNOWN, 65_544, 8, 4), "format-feature"),
        ("twice, as the parameters", (FILE_PARAMETERS, 65_544, 8, 4), "format-header"),
    ] {
        assert_eq!(with(1, item), verdict, "{what}");
    }
    let mut turned = legal();
    turned.items[0].1 = 65_600;
    assert_eq!(turned.verdict(), "ok");
    assert_eq!(turned.build().window().virtual_size(), Some(10 << 30));
    turned.parameters[4] = 2;
    assert_eq!(turned.verdict(), "format-reference");

    let mut end = legal();
    end.items[1].1 = MIB as u32 - 8;
    end.size = 2 * MIB;
    assert_eq!(end.verdict(), "ok");
}

#[test]
fn one_cut_short_is_refused() {
    let whole = vhdx();
    for length in [8, 64, 65_536, 70_000, 131_072, 196_608, 262_144, 327_679, 327_680, MIB, MIB + 8, MIB + 65_551] {
        let image = Image(whole.0[..length].to_vec());
        assert_eq!(image.agree("vhdx", "bare"), "format-header", "{length}");
        assert_eq!(image.window().virtual_size(), None, "{length}");
    }
    assert_eq!(Image(whole.0[..MIB + 65_552].to_vec()).agree("vhdx", "bare"), "ok");
}

#[test]
fn the_size_of_the_disk() {
    for (disk_bytes, verdict) in [(0, "ok"), (64 << 40, "ok"), ((1 << 63) - 1, "ok"), (1 << 63, "format-header")] {
        let image = Vhdx { disk_bytes, ..legal() };
        assert_eq!(image.verdict(), verdict);
        assert_eq!(image.build().window().virtual_size(), (verdict == "ok").then_some(disk_bytes));
    }
}

/// What lies ahead is kept as it passes, however far ahead it is.
#[test]
fn metadata_far_behind_the_tables() {
    let far = 8 * MIB;
    let regions = vec![(METADATA, far as u64, MIB as u32, 1)];
    let image = Vhdx { regions, metadata_at: far, size: far + MIB, ..legal() }.build();
    let mut inspector = Inspector::new();
    for chunk in image.0.chunks(1_000_003) {
        inspector.feed(chunk);
        assert!(inspector.held_bytes() <= Inspector::MOST_BYTES_BUT_VMDK);
    }
    let window = inspector.finish();
    assert_eq!(agree(&window, "vhdx", "bare"), Ok(()));
    assert_eq!(window, read_at_random(&image.0));
    assert_eq!(window, Window::of(&image.0));
}
