//! A writer of VMDKs that tells where everything is, so that anything can be changed afterwards.

use libdeflater::{CompressionLvl, Compressor};

const SECTOR: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// streamOptimized as VMware and VirtualBox write it: tables between the grains, footer, end of stream.
    VmwareStream,
    /// streamOptimized as qemu-img writes it: two directories in front, zeros at the end.
    QemuStream,
    /// streamOptimized as open-vmdk writes it: one directory in front, end of stream.
    OpenVmdkStream,
    /// monolithicSparse.
    Sparse,
}

pub(super) const LAYOUTS: [Layout; 4] =
    [Layout::VmwareStream, Layout::QemuStream, Layout::OpenVmdkStream, Layout::Sparse];

/// What is to be written.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) raw: Vec<u8>,
    pub(super) layout: Layout,
    pub(super) grain_sectors: usize,
    pub(super) table_entries: usize,
    /// Grains in the order of the file; zeros of the raw disk are left out.
    pub(super) order: Vec<usize>,
    /// Whether the last grain is filled up.
    pub(super) whole_last: bool,
}

/// What was written, and at which byte.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// Stored grains by number: the marker, or the grain where there is none.
    pub(super) grains: Vec<(usize, usize)>,
    /// Tables by number.
    pub(super) tables: Vec<(usize, usize)>,
    pub(super) redundant_tables: Vec<(usize, usize)>,
    pub(super) directory: usize,
    pub(super) redundant_directory: usize,
    /// The footer's sector behind its marker.
    pub(super) footer: usize,
    /// Where the stream ends, its marker included.
    pub(super) end: usize,
}

impl Image {
    pub(super) fn new(layout: Layout, raw: Vec<u8>) -> Self {
        let mut image =
            Self { raw, layout, grain_sectors: 128, table_entries: 512, order: Vec::new(), whole_last: false };
        image.order = (0..image.grains()).collect();
        image
    }

    pub(super) fn with_grains(mut self, grain_sectors: usize, table_entries: usize) -> Self {
        (self.grain_sectors, self.table_entries) = (grain_sectors, table_entries);
        self.order = (0..self.grains()).collect();
        self
    }

    pub(super) fn grains(&self) -> usize {
        self.raw.len().div_ceil(self.grain_sectors * SECTOR)
    }

    /// The bytes of a grain, if they are not all zeros.
    fn grain(&self, number: usize) -> Option<Vec<u8>> {
        let bytes = self.grain_sectors * SECTOR;
        let mut grain = self.raw.chunks(bytes).nth(number)?.to_vec();
        grain.iter().any(|byte| *byte != 0).then(|| {
            if self.whole_last || self.layout == Layout::Sparse {
                grain.resize(bytes, 0);
            }
            grain
        })
    }

    pub(super) fn descriptor(&self) -> String {
        let kind = if self.layout == Layout::Sparse { "monolithicSparse" } else { "streamOptimized" };
        format!(
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=12345678\nparentCID=ffffffff\n\
             createType=\"{kind}\"\n\n# Extent description\nRW {} SPARSE \"disk one.vmdk\"\n\n\
             # The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.geometry.heads = \"16\"\n",
            self.raw.len() / SECTOR
        )
    }

    pub(super) fn write(&self) -> Written {
        let tables = self.grains().div_ceil(self.table_entries);
        let table_sectors = (self.table_entries * 4).div_ceil(SECTOR);
        let directory_sectors = (tables * 4).div_ceil(SECTOR);
        let (redundant, front) = match self.layout {
            Layout::VmwareStream => (false, false),
            Layout::OpenVmdkStream => (false, true),
            Layout::QemuStream | Layout::Sparse => (true, true),
        };
        let one = directory_sectors + tables * table_sectors;
        let redundant_at = 21;
        let directory_at = if redundant { redundant_at + one } else { 21 };
        let metadata = if front { directory_at + one } else { 21 };
        let overhead = if self.layout == Layout::OpenVmdkStream { metadata } else { metadata.next_multiple_of(128) };

        let mut header = vec![0; SECTOR];
        let flags = 1 | u32::from(redundant) << 1 | if self.layout == Layout::Sparse { 0 } else { 0x3_0000 };
        header[..4].copy_from_slice(b"KDMV");
        poke32(&mut header, 4, if self.layout == Layout::Sparse { 1 } else { 3 });
        poke32(&mut header, 8, flags);
        poke64(&mut header, 0x0c, (self.raw.len() / SECTOR) as u64);
        poke64(&mut header, 0x14, self.grain_sectors as u64);
        poke64(&mut header, 0x1c, 1);
        poke64(&mut header, 0x24, 20);
        poke32(&mut header, 0x2c, self.table_entries as u32);
        poke64(&mut header, 0x30, if redundant { redundant_at as u64 } else { 0 });
        poke64(&mut header, 0x38, if front { directory_at as u64 } else { u64::MAX });
        poke64(&mut header, 0x40, overhead as u64);
        header[0x49..0x4d].copy_from_slice(b"\n \r\n");
        header[0x4d] = u8::from(self.layout != Layout::Sparse);

        let mut written = Written {
            bytes: header.clone(),
            grains: Vec::new(),
            tables: Vec::new(),
            redundant_tables: Vec::new(),
            directory: directory_at * SECTOR,
            redundant_directory: redundant_at * SECTOR,
            footer: 0,
            end: 0,
        };
        written.bytes.extend(self.descriptor().bytes());
        written.bytes.resize(overhead * SECTOR, 0);

        let mut left: Vec<usize> = (0..tables).map(|table| self.stored_in(table)).collect();
        let mut entries = vec![0_u32; tables * self.table_entries];
        let mut directory = vec![0_u32; directory_sectors * SECTOR / 4];
        for number in &self.order {
            let Some(grain) = self.grain(*number) else { continue };
            let at = written.bytes.len();
            written.grains.push((*number, at));
            entries[*number] = (at / SECTOR) as u32;
            if self.layout == Layout::Sparse {
                written.bytes.extend(grain);
                continue;
            }
            written.bytes.extend(((number * self.grain_sectors) as u64).to_le_bytes());
            let stored = deflate(&grain);
            written.bytes.extend((stored.len() as u32).to_le_bytes());
            written.bytes.extend(stored);
            written.pad();
            let table = number / self.table_entries;
            left[table] -= 1;
            if self.layout == Layout::VmwareStream && left[table] == 0 {
                written.marker(table_sectors, 1);
                written.tables.push((table, written.bytes.len()));
                directory[table] = (written.bytes.len() / SECTOR) as u32;
                let entries = &entries[table * self.table_entries..][..self.table_entries];
                written.bytes.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
                written.pad();
            }
        }

        match self.layout {
            Layout::VmwareStream => {
                written.marker(directory_sectors, 2);
                written.directory = written.bytes.len();
                written.bytes.extend(directory.iter().flat_map(|entry| entry.to_le_bytes()));
                written.marker(1, 3);
                written.footer = written.bytes.len();
                poke64(&mut header, 0x38, (written.directory / SECTOR) as u64);
                written.bytes.extend(&header);
                written.marker(0, 0);
                written.end = written.bytes.len();
                return written;
            }
            Layout::OpenVmdkStream => {
                written.marker(0, 0);
                written.end = written.bytes.len();
            }
            Layout::QemuStream => {
                written.end = written.bytes.len();
                let last = written.grains.last().map_or(written.end, |(_, at)| *at);
                let end = written.end.max(last + self.grain_sectors * SECTOR);
                written.bytes.resize(end, 0);
            }
            Layout::Sparse => written.end = written.bytes.len(),
        }
        for (is_redundant, start) in [(false, directory_at), (true, redundant_at)] {
            if is_redundant && !redundant {
                continue;
            }
            for table in 0..tables {
                let at = (start + directory_sectors + table * table_sectors) * SECTOR;
                poke32(&mut written.bytes, start * SECTOR + table * 4, (at / SECTOR) as u32);
                for (entry, sector) in entries[table * self.table_entries..][..self.table_entries].iter().enumerate() {
                    poke32(&mut written.bytes, at + entry * 4, *sector);
                }
                if is_redundant { &mut written.redundant_tables } else { &mut written.tables }.push((table, at));
            }
        }
        written
    }

    fn stored_in(&self, table: usize) -> usize {
        let first = table * self.table_entries;
        (first..(first + self.table_entries).min(self.grains())).filter(|number| self.grain(*number).is_some()).count()
    }
}

impl Written {
    fn pad(&mut self) {
        let len = self.bytes.len().next_multiple_of(SECTOR);
        self.bytes.resize(len, 0);
    }

    fn marker(&mut self, sectors: usize, kind: u32) {
        self.bytes.extend((sectors as u64).to_le_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.resize(self.bytes.len() + 496, 0);
    }

    /// Where the table's entry for a grain is.
    pub(super) fn entry(&self, grain: usize, table_entries: usize) -> usize {
        let (_, table) = self.tables.iter().find(|(table, _)| *table == grain / table_entries).unwrap();
        table + grain % table_entries * 4
    }

    pub(super) fn redundant_entry(&self, grain: usize, table_entries: usize) -> usize {
        let (_, table) = self.redundant_tables.iter().find(|(table, _)| *table == grain / table_entries).unwrap();
        table + grain % table_entries * 4
    }

    /// Where a stored grain is.
    pub(super) fn grain(&self, number: usize) -> usize {
        self.grains.iter().find(|(grain, _)| *grain == number).unwrap().1
    }

    /// Changes the first `from` in the descriptor.
    pub(super) fn replace(&mut self, from: &str, to: &str) {
        let area = String::from_utf8(self.bytes[SECTOR..21 * SECTOR].to_vec()).unwrap();
        assert!(area.contains(from), "{from}");
        let mut area = area.trim_end_matches('\0').replacen(from, to, 1).into_bytes();
        area.resize(20 * SECTOR, 0);
        self.bytes[SECTOR..21 * SECTOR].copy_from_slice(&area);
    }
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut stored = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let len = compressor.zlib_compress(bytes, &mut stored).unwrap();
    stored.truncate(len);
    stored
}

pub(super) fn poke32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn poke64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn peek32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
