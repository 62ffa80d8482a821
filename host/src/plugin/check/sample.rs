//! Stored bytes of a form that filters and unpackers say they read, whole and spoilt.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use landfall_handler_api::{HandlerInfo, HandlerKind, ImageRecord, Request};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::backend::Input;
use super::scratch::{hex, nameless_file};
use crate::engine::written;

/// Bytes that are no sample of anything.
const NOISE: usize = 64 << 10;
/// Places at which a sample is damaged, one at a time.
const PLACES: u64 = 16;

/// What the command line says of a sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SampleFile {
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// Its form: one of the formats of the handlers that it is for.
    pub(crate) format: String,
    /// Files of what must come of it, absolute: the bytes, or each of the disks.
    pub(crate) expected: Vec<PathBuf>,
}

/// Number of bytes, and their SHA-256.
pub(super) type Counted = (u64, String);

/// A sample that can be spoilt.
pub(super) struct Sample {
    /// A copy of the file.
    bytes: File,
    pub(super) size: u64,
    format: String,
    pub(super) expected: Vec<Counted>,
}

impl Sample {
    pub(super) fn new(file: &SampleFile) -> Result<Self> {
        let failed = |path: &Path, error: &Error| Error::other(format!("{}: {error}", path.display()));
        let bytes = nameless_file()?;
        let mut from = File::open(&file.path).map_err(|error| failed(&file.path, &error))?;
        let size = std::io::copy(&mut from, &mut &bytes).map_err(|error| failed(&file.path, &error))?;
        let count = |path: &PathBuf| {
            let counted = File::open(path).and_then(|file| counted(&file));
            counted.map_err(|error| failed(path, &error))
        };
        let expected = file.expected.iter().map(count).collect::<Result<_>>()?;
        Ok(Self { bytes, size, format: file.format.clone(), expected })
    }

    /// Whether it is one for this handler.
    pub(super) fn is_for(&self, info: &HandlerInfo) -> bool {
        info.formats.contains(&self.format)
    }

    /// What the handler is asked.
    pub(super) fn request(&self, kind: HandlerKind) -> Request {
        request(kind, &self.format)
    }

    /// The whole of it.
    pub(super) fn input(&self, way: Way) -> Result<Arc<dyn Input>> {
        Ok(Arc::new(SampleInput::new(self.bytes.try_clone()?, way)?))
    }

    /// The first `len` bytes of it.
    pub(super) fn cut(&self, len: u64, way: Way) -> Result<Arc<dyn Input>> {
        let (cut, mut buffer, mut at) = (nameless_file()?, vec![0; NOISE], 0_u64);
        while at < len {
            let step = usize::try_from(len.saturating_sub(at)).unwrap_or(NOISE).min(NOISE);
            let part = buffer.get_mut(..step).unwrap_or_default();
            self.bytes.read_exact_at(part, at)?;
            cut.write_all_at(part, at)?;
            at = at.saturating_add(step as u64);
        }
        Ok(Arc::new(SampleInput::new(cut, way)?))
    }

    /// Lets `work` have it with other bits in the byte at `at`.
    pub(super) fn damaged<T>(&self, at: u64, way: Way, work: impl FnOnce(Arc<dyn Input>) -> T) -> Result<T> {
        let mut byte = [0];
        self.bytes.read_exact_at(&mut byte, at)?;
        self.bytes.write_all_at(&byte.map(|byte| byte ^ 0xa5), at)?;
        let done = self.input(way).map(work);
        self.bytes.write_all_at(&byte, at)?;
        done
    }

    /// Where it is damaged.
    pub(super) fn places(&self) -> impl Iterator<Item = u64> {
        let step = self.size.div_ceil(PLACES).max(1);
        (0..PLACES).map(move |place| place.saturating_mul(step)).take_while(|place| *place < self.size)
    }
}

/// Asks for bytes of `format` to be inflated or unpacked.
pub(super) fn request(kind: HandlerKind, format: &str) -> Request {
    let mut record = ImageRecord::default();
    let (disk, container) = match (kind, format) {
        (HandlerKind::Filter, _) => {
            record.compression = Some(format.to_owned());
            ("raw", "bare")
        }
        (_, "ova") => ("vmdk", "ova"),
        (_, format) => (format, "bare"),
    };
    (record.disk_format, record.container_format) = (Some(disk.to_owned()), Some(container.to_owned()));
    let mut request = Request::default();
    request.image = Arc::new(record);
    request
}

/// Bytes of no form at all, and none.
pub(super) fn nonsense(way: Way) -> Result<[Arc<dyn Input>; 2]> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes().first().copied().unwrap_or_default()
    })
    .take(NOISE)
    .collect();
    let file = nameless_file()?;
    file.write_all_at(&noise, 0)?;
    Ok([Arc::new(SampleInput::new(file, way)?), Arc::new(SampleInput::new(nameless_file()?, way)?)])
}

/// Size and digest of a file.
pub(super) fn counted(file: &File) -> Result<Counted> {
    let (mut hasher, mut buffer, mut at) = (Sha256::new(), vec![0; 256 << 10], 0_u64);
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok((at, hex(&hasher.finalize()))),
            got => {
                hasher.update(buffer.get(..got).unwrap_or_default());
                at = at.saturating_add(got as u64);
            }
        }
    }
}

/// How bytes are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At any offset, with a descriptor.
    Ranged,
    /// Forwards only, without a word of how many there are.
    Stream,
}

struct SampleInput {
    bytes: File,
    size: u64,
    /// How far a stream was read.
    position: Option<Mutex<u64>>,
}

impl SampleInput {
    fn new(bytes: File, way: Way) -> Result<Self> {
        let size = bytes.metadata()?.len();
        Ok(Self { bytes, size, position: (way == Way::Stream).then(Mutex::default) })
    }
}

impl Input for SampleInput {
    fn size(&self) -> Option<u64> {
        self.position.is_none().then_some(self.size)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.position.is_none().then(|| self.bytes.as_fd())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> landfall_handler_api::Result<usize> {
        let Some(position) = &self.position else { return written::read_full(&self.bytes, buffer, offset) };
        let mut position = position.lock().unwrap_or_else(PoisonError::into_inner);
        if offset < *position {
            return Err(written::forward_only(offset, *position));
        }
        let got = written::read_full(&self.bytes, buffer, offset)?;
        *position = offset.saturating_add(got as u64);
        Ok(got)
    }
}
