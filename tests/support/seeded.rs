//! Images of the test plugins `seeded`, `serve` and `shuffle`: what their bytes are, records of them, and what the plugins
//! say was read of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::c_plugin::PluginDir;
use super::command::Running;
use super::record::digest;
use super::sandbox::Sandbox;

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
/// The blocks that the option `zeros` makes zeros of.
const BLOCK: u64 = 64 << 10;

/// The bytes of `seeded://NAME/SIZE/SEED?zeros=ZEROS`, as `seeded.c` defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    pub(crate) size: u64,
    seed: u64,
    zeros: u64,
}

impl Content {
    pub(crate) const fn new(size: u64, seed: u64) -> Self {
        Self { size, seed, zeros: 0 }
    }

    /// The same with every so manieth block of 64 KiB zero.
    pub(crate) const fn with_zeros(self, zeros: u64) -> Self {
        Self { zeros, ..self }
    }

    /// The bytes from `offset` on, which is a multiple of 64 KiB.
    pub(crate) fn fill(self, into: &mut [u8], offset: u64) {
        for (block, number) in into.chunks_mut(BLOCK as usize).zip(offset / BLOCK..) {
            if self.zeros != 0 && number % self.zeros == 0 {
                block.fill(0);
                continue;
            }
            let mut state = self.seed.wrapping_add((number * BLOCK / 8).wrapping_mul(GAMMA));
            for word in block.chunks_mut(8) {
                state = state.wrapping_add(GAMMA);
                let mut mixed = state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                mixed ^= mixed >> 31;
                word.copy_from_slice(&mixed.to_le_bytes()[..word.len()]);
            }
        }
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap()];
        self.fill(&mut bytes, 0);
        bytes
    }

    /// In lower-case hex; computed once for each content.
    pub(crate) fn sha256(self) -> String {
        static KNOWN: Mutex<BTreeMap<Content, String>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let compute = || {
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 20];
            let mut offset = 0;
            while offset < self.size {
                let len = (self.size - offset).min(buffer.len() as u64);
                let part = &mut buffer[..usize::try_from(len).unwrap()];
                self.fill(part, offset);
                hash.update(part);
                offset += len;
            }
            hex(hash)
        };
        known.entry(self).or_insert_with(compute).clone()
    }

    /// The location `name`, with these options.
    pub(crate) fn url(self, name: &str, options: &str) -> String {
        let zeros = if self.zeros == 0 { String::new() } else { format!("zeros={}&", self.zeros) };
        let query = format!("{zeros}{options}");
        let query = query.trim_end_matches('&');
        let mark = if query.is_empty() { "" } else { "?" };
        format!("seeded://{name}/{}/{}{mark}{query}", self.size, self.seed)
    }

    /// The true record of a raw image that these locations have.
    pub(crate) fn record(self, urls: &[String]) -> Value {
        record("raw", self.size, &self.sha256(), urls)
    }

    /// What is wrong with a file that should have exactly these bytes.
    pub(crate) fn fault_of(self, file: &Path) -> Option<String> {
        let found = file.metadata().unwrap_or_else(|error| panic!("{}: {error}", file.display())).len();
        if found != self.size {
            return Some(format!("it has {found} bytes, not {}", self.size));
        }
        if digest::<Sha256>(file) == self.sha256() {
            return None;
        }
        let mut file = File::open(file).unwrap();
        let (mut wanted, mut found) = (vec![0; BLOCK as usize], vec![0; BLOCK as usize]);
        for offset in (0..self.size).step_by(BLOCK as usize) {
            let len = usize::try_from((self.size - offset).min(BLOCK)).unwrap();
            self.fill(&mut wanted[..len], offset);
            file.read_exact(&mut found[..len]).unwrap();
            if let Some(at) = (0..len).find(|&at| wanted[at] != found[at]) {
                return Some(format!("the byte at {} is {}, not {}", offset + at as u64, found[at], wanted[at]));
            }
        }
        panic!("the same bytes with another digest")
    }

    /// Fails unless the file has exactly these bytes.
    #[track_caller]
    pub(crate) fn assert_at(self, file: &Path) {
        assert_eq!(self.fault_of(file), None, "{}", file.display());
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// A record of an image of this format, size and SHA-256.
pub(crate) fn record(format: &str, size: u64, sha256: &str, urls: &[String]) -> Value {
    let locations: Vec<Value> = urls.iter().map(|url| json!({ "url": url, "metadata": {} })).collect();
    json!({
        "id": "5eeded00-0000-4000-8000-000000000001", "status": "active",
        "disk_format": format, "container_format": "bare", "size": size,
        "os_hash_algo": "sha256", "os_hash_value": sha256, "locations": locations,
    })
}

/// The plugin `seeded`, and a file that counts what it serves.
pub(crate) struct Seeded<'s, 'w> {
    sandbox: &'s Sandbox<'w>,
    dir: PluginDir,
    pub(crate) counts: CountFile,
}

impl<'s, 'w> Seeded<'s, 'w> {
    pub(crate) fn new(sandbox: &'s Sandbox<'w>) -> Self {
        let dir = PluginDir::new(sandbox, "seeded");
        dir.add(sandbox.world, "seeded.so", "tests/plugins/seeded.c", &[]);
        let counts = CountFile(sandbox.home("counts"));
        File::create(&counts.0).unwrap();
        Self { sandbox, dir, counts }
    }

    /// Writes the configuration: where the plugin runs, and lines of the top level and of the limits.
    pub(crate) fn configure(&self, isolation: &str, top: &str, limits: &str) {
        let tables = format!(
            "[handler.seeded]\nisolation = {isolation:?}\ncount_file = {:?}\n[limits]\n{limits}\n",
            self.counts.0
        );
        self.sandbox.configure(&format!("{}{top}\n", self.dir.line()), &tables);
    }
}

/// What plugins write of every open and of everything that they serve.
pub(crate) struct CountFile(pub(crate) PathBuf);

impl CountFile {
    /// Where it ends now: what comes later is [`Self::since`] this.
    pub(crate) fn mark(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    /// What was served since the mark was taken.
    pub(crate) fn since(&self, mark: u64) -> Served {
        Served::parse(&fs::read_to_string(&self.0).unwrap()[usize::try_from(mark).unwrap()..])
    }

    /// Waits until so many bytes were served since the mark, or the command has ended; whether they were.
    pub(crate) fn wait_for(&self, mark: u64, bytes: u64, running: &Running) -> bool {
        let mut file = File::open(&self.0).unwrap();
        file.seek(SeekFrom::Start(mark)).unwrap();
        let (mut text, mut served, mut ended) = (String::new(), 0, false);
        let process = PathBuf::from(format!("/proc/{}", running.pid()));
        // Nothing is ever sent: this is a pause between two looks.
        let (_sender, never) = mpsc::channel::<()>();
        while served < bytes && !ended {
            let _ = never.recv_timeout(Duration::from_millis(1));
            ended = !process.exists();
            file.read_to_string(&mut text).unwrap();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            served += Served::parse(&text[..whole]).bytes();
            text.drain(..whole);
        }
        served >= bytes
    }
}

/// Opens and ranges, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served(Vec<(String, Option<Range<u64>>)>);

impl Served {
    pub(crate) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next().unwrap().to_owned();
            let number = |word: Option<&str>| -> u64 { word.and_then(|word| word.parse().ok()).expect(line) };
            match words.next() {
                Some("open") => (name, None),
                offset => {
                    let offset = number(offset);
                    (name, Some(offset..offset + number(words.next())))
                }
            }
        };
        Self(text.lines().map(line).collect())
    }

    /// Of ranges that were counted elsewhere, by location.
    pub(crate) fn of_ranges(ranges: impl Iterator<Item = (String, Range<u64>)>) -> Self {
        Self(ranges.map(|(name, range)| (name, Some(range))).collect())
    }

    /// Only what this location served.
    pub(crate) fn of(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(its, _)| its == name).cloned().collect())
    }

    pub(crate) fn opens(&self) -> usize {
        self.0.iter().filter(|(_, range)| range.is_none()).count()
    }

    fn ranges(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter().filter_map(|(_, range)| range.as_ref())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.ranges().map(|range| range.end - range.start).sum()
    }

    /// What was served at all, in order, joined.
    pub(crate) fn covered(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = self.ranges().cloned().collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut().filter(|last| range.start <= last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => joined.push(range),
            }
        }
        joined
    }

    /// How many of the bytes had been served before.
    pub(crate) fn again(&self) -> u64 {
        self.bytes() - self.covered().iter().map(|range| range.end - range.start).sum::<u64>()
    }

    /// How many reads were under way at once: reads that each go on where they were, from their first line to their last.
    pub(crate) fn at_once(&self) -> usize {
        // Where each read has come to, its first line and its last.
        let mut reads: Vec<(u64, usize, usize)> = Vec::new();
        for (line, range) in self.ranges().enumerate() {
            match reads.iter_mut().find(|read| read.0 == range.start) {
                Some(read) => (read.0, read.2) = (range.end, line),
                None => reads.push((range.end, line, line)),
            }
        }
        let at = |line: usize| reads.iter().filter(|read| (read.1..=read.2).contains(&line)).count();
        (0..self.ranges().count()).map(at).max().unwrap_or(0)
    }
}

/// How an image that `shuffle` unpacks is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each record with its data behind it.
    Streamed,
    /// The records as the last bytes.
    Ranged,
}

impl Layout {
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::Streamed => "shuffled",
            Self::Ranged => "shuffled-ranged",
        }
    }

    pub(crate) fn unpacker(self) -> &'static str {
        match self {
            Self::Streamed => "shuffle",
            Self::Ranged => "shuffle-ranged",
        }
    }
}

/// What is wrong with a stored image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// The checksum of the block that comes fifth.
    Checksum,
    /// The last 100 bytes are missing.
    Cut,
    /// There are 100 bytes too many.
    Trailing,
}

/// Stores a disk as blocks in an order that no disk has them in. Zero blocks are told of, or left out in turn.
pub(crate) fn shuffled(disk: &[u8], block: usize, layout: Layout, flaw: Flaw) -> Vec<u8> {
    const HEADER: usize = 4096;
    let blocks: Vec<&[u8]> = disk.chunks(block).collect();
    // A step without a common divisor with the number of blocks comes to each of them once.
    let step = (blocks.len() * 5 / 8..).find(|&step| common_divisor(step, blocks.len()) == 1).unwrap();
    let order = (0..blocks.len()).map(|at| (at * step + 3) % blocks.len());
    let (mut stored, mut table, mut zeros, mut count) = (vec![0; HEADER], Vec::new(), 0, 0_u64);
    for index in order {
        let data = blocks[index];
        let is_zero = data.iter().all(|&byte| byte == 0);
        zeros += usize::from(is_zero);
        if is_zero && zeros % 2 == 0 {
            continue;
        }
        count += 1;
        let sum = if is_zero { 0 } else { fnv(data) ^ u64::from(flaw == Flaw::Checksum && count == 5) };
        let offset = if is_zero || layout == Layout::Streamed { 0 } else { stored.len() as u64 };
        let record = [index as u64, u64::from(is_zero), sum, offset].map(u64::to_le_bytes);
        match layout {
            Layout::Streamed => stored.extend_from_slice(record.as_flattened()),
            Layout::Ranged => table.extend_from_slice(record.as_flattened()),
        }
        if !is_zero {
            stored.extend_from_slice(data);
        }
    }
    stored.extend_from_slice(&table);
    stored[..8].copy_from_slice(b"LFSHUFL1");
    for (at, number) in [(8, disk.len() as u64), (16, block as u64), (24, count)] {
        stored[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    match flaw {
        Flaw::Cut => stored.truncate(stored.len() - 100),
        // In front of the table, which is what is last.
        Flaw::Trailing => stored.extend_from_slice(&[0x5A; 100]),
        Flaw::None | Flaw::Checksum => {}
    }
    stored
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// FNV-1a with 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
