//! What stands in for the host: stored bytes, disks in memory, and a VMDK of a form of its own.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use landfall_handler_vmdk::Means;
use landfall_unpack::{Disk, Stored};
use serde_json::{Map, Value};

use crate::config::ManifestPolicy;
use crate::operation::{Operation, Terms};
use crate::unpack::unpack;

/// Bytes that can be read anywhere.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Stored for Bytes<'_> {
    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let got = buffer.len().min(rest.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }
}

/// Bytes that are read front to back, with or without knowing how many.
pub(crate) struct Stream<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) sized: bool,
    position: AtomicU64,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(bytes: &'a [u8], sized: bool) -> Self {
        Self { bytes, sized, position: AtomicU64::new(0) }
    }
}

impl Stored for Stream<'_> {
    fn size(&self) -> Option<u64> {
        self.sized.then_some(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if offset < self.position.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unsupported, "input-forward-only", "went back"));
        }
        let got = Bytes(self.bytes).read_at(buffer, offset)?;
        self.position.store(offset + got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// A disk in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    pub(crate) fn new(size: u64) -> Self {
        Self(Mutex::new(vec![0; size as usize]))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Disk for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let offset = offset as usize;
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// A finished output.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) meta: OutputMeta,
    pub(crate) bytes: Vec<u8>,
}

/// The host of one operation.
#[derive(Debug, Default)]
pub(crate) struct Host {
    opened: Mutex<Vec<(u32, OutputMeta)>>,
    pub(crate) finished: Mutex<BTreeMap<u32, Finished>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) machines: Mutex<Vec<Map<String, Value>>>,
    pub(crate) done: AtomicU64,
    /// The sign of life that is answered with "stop", counted down from here; 0 is none.
    pub(crate) stop_at: AtomicU64,
}

impl Operation for Host {
    type Disk = Opened;

    fn pulse(&self, done: u64) -> Result<()> {
        self.done.fetch_max(done, Ordering::Relaxed);
        match self.stop_at.fetch_sub(1, Ordering::Relaxed) {
            1 => Err(Error::cancelled()),
            _ => Ok(()),
        }
    }

    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }

    fn describe(&self, machine: &Map<String, Value>) -> Result<()> {
        self.machines.lock().unwrap().push(machine.clone());
        Ok(())
    }

    fn open(&self, number: u32, size: u64, meta: &OutputMeta) -> Result<Self::Disk> {
        let mut opened = self.opened.lock().unwrap();
        assert!(opened.iter().all(|(other, _)| *other != number), "output {number} was opened twice");
        opened.push((number, meta.clone()));
        Ok(Opened { number, disk: Memory::new(size) })
    }

    fn finish(&self, Opened { number, disk }: Opened) -> Result<()> {
        let opened = self.opened.lock().unwrap();
        let meta = opened.iter().find(|(other, _)| *other == number).unwrap().1.clone();
        self.finished.lock().unwrap().insert(number, Finished { meta, bytes: disk.bytes() });
        Ok(())
    }

    fn vmdk(
        &self,
        stored: &dyn Stored,
        means: &Means,
        open: &mut dyn FnMut(u64) -> Result<Self::Disk>,
    ) -> Result<Self::Disk> {
        assert!(means.threads > 0);
        let corrupt = || Error::new(ErrorKind::Corrupt, "vmdk-magic", "no VMDK");
        let mut head = [0; HEAD];
        if stored.read_at(&mut head, 0)? < HEAD || !head.starts_with(b"KDMV") {
            return Err(corrupt());
        }
        let size = u64::from_le_bytes(head[8..].try_into().unwrap());
        let disk = open(size)?;
        let mut bytes = vec![0; size as usize];
        // As one that has its tables at the end and its grains before them.
        if head[4] == b'B' {
            let mut last = [0];
            stored.read_at(&mut last, HEAD as u64 + size - 1)?;
        }
        for (number, piece) in bytes.chunks_mut(777).enumerate() {
            if stored.read_at(piece, HEAD as u64 + number as u64 * 777)? < piece.len() {
                return Err(corrupt());
            }
        }
        disk.write_at(&bytes, 0)?;
        Ok(disk)
    }
}

/// An output that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    number: u32,
    disk: Memory,
}

impl Disk for Opened {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.disk.write_at(bytes, offset)
    }
}

const HEAD: usize = 16;

/// A file that the host above unpacks as a VMDK: a head with the disk's size, the disk, and bytes that nobody reads.
pub(crate) fn vmdk(disk: &[u8]) -> Vec<u8> {
    [b"KDMV\0\0\0\0", &(disk.len() as u64).to_le_bytes()[..], disk, b"trailer"].concat()
}

/// The same, read from its end first.
pub(crate) fn backward_vmdk(disk: &[u8]) -> Vec<u8> {
    let mut bytes = vmdk(disk);
    bytes[4] = b'B';
    bytes
}

/// How the bytes are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Ranged,
    Stream,
    /// Without knowing how many there are.
    Endless,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Ranged, Self::Stream, Self::Endless];
}

pub(crate) fn terms() -> Terms {
    let means = Means { threads: 2, disk_bytes: 1 << 30 };
    Terms { means, disks: 8, manifest: ManifestPolicy::Enforce, ranged: false }
}

/// Unpacks a package in one way. What was finished before an error is given as well.
pub(crate) fn run_with(package: &[u8], way: Way, terms: &Terms) -> (Host, Result<()>) {
    let host = Host::default();
    let outcome = match way {
        Way::Ranged => unpack(&Bytes(package), &Terms { ranged: true, ..*terms }, &host),
        Way::Stream => unpack(&Stream::new(package, true), terms, &host),
        Way::Endless => unpack(&Stream::new(package, false), terms, &host),
    };
    (host, outcome)
}

/// Unpacks a package in each way, which all come to the same, and gives the disks or the error's kind and code.
#[track_caller]
pub(crate) fn run(package: &[u8]) -> Result<Vec<Vec<u8>>, (ErrorKind, String)> {
    let outcomes = Way::ALL.map(|way| {
        let (host, outcome) = run_with(package, way, &terms());
        let disks = || host.finished.into_inner().unwrap().into_values().map(|output| output.bytes).collect::<Vec<_>>();
        outcome.map(|()| disks()).map_err(|error| (error.kind(), error.code().to_owned()))
    });
    let [ranged, stream, endless] = outcomes;
    assert!(ranged == stream && stream == endless, "{:?} {:?} {:?}", ranged.err(), stream.err(), endless.err());
    ranged
}

/// The code of the error that a package gives, in each way; "" where there is none.
#[track_caller]
pub(crate) fn code(package: &[u8]) -> String {
    run(package).err().map_or_else(String::new, |(_, code)| code)
}
