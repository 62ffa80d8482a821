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
/// Places, all over a sample, at which a byte of it is changed, one at a time.
const PLACES: u64 = 16;
/// Bytes at the start of which each is changed, one at a time, and so many at the end: magic numbers, sizes, sums.
const HEAD: u64 = 64;
const TAIL: u64 = 16;
/// The start of a sample in which every field of eight bytes is made as large as it gets.
const FIELDS: u64 = 512;
/// A larger sample is damaged at fewer places, since all of it is read each time.
const LARGE: u64 = 16 << 20;
/// What an unpacker is told of the container where `--as` begins with it.
const CONTAINER: &str = "container:";

/// What the command line says of a sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SampleFile {
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// Its form: one of the formats of the handlers that it is for; behind `container:` where records have it as their
    /// container_format.
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
    /// Whether the format is that of the container.
    is_container: bool,
    pub(super) expected: Vec<Expected>,
}

/// What must come of a sample.
pub(super) struct Expected {
    pub(super) counted: Counted,
    file: File,
}

impl Expected {
    fn new(file: File) -> Result<Self> {
        Ok(Self { counted: counted(&file)?, file })
    }

    /// How `found`, of which there are these bytes, differs from it; `None` where it does not.
    pub(super) fn differs(&self, found: &Counted, bytes: &File) -> Result<Option<String>> {
        if self.counted == *found {
            return Ok(None);
        }
        let ((size, digest), (wanted, other)) = (found, &self.counted);
        let first = match first_difference(&self.file, bytes)? {
            Some(at) => format!("the first difference is at {at}"),
            None => "what both have is the same".to_owned(),
        };
        Ok(Some(format!("{size} bytes, sha256 {digest}, where {wanted} bytes, sha256 {other}, are expected; {first}")))
    }
}

/// A way in which a sample is damaged.
pub(super) struct Damage {
    /// The first byte that is changed.
    pub(super) at: u64,
    /// Whether eight bytes are made as large as they get; else one gets other bits.
    field: bool,
}

impl Sample {
    pub(super) fn new(file: &SampleFile) -> Result<Self> {
        let failed = |path: &Path, error: &Error| Error::other(format!("{}: {error}", path.display()));
        let bytes = nameless_file()?;
        let mut from = File::open(&file.path).map_err(|error| failed(&file.path, &error))?;
        let size = std::io::copy(&mut from, &mut &bytes).map_err(|error| failed(&file.path, &error))?;
        let count = |path: &PathBuf| {
            let expected = File::open(path).and_then(Expected::new);
            expected.map_err(|error| failed(path, &error))
        };
        let expected = file.expected.iter().map(count).collect::<Result<_>>()?;
        let container = file.format.strip_prefix(CONTAINER);
        let format = container.unwrap_or(&file.format).to_owned();
        Ok(Self { bytes, size, format, is_container: container.is_some(), expected })
    }

    /// Whether it is one for this handler.
    pub(super) fn is_for(&self, info: &HandlerInfo) -> bool {
        info.formats.contains(&self.format)
    }

    /// What the handler is asked.
    pub(super) fn request(&self, kind: HandlerKind) -> Request {
        let mut request = request(kind, &self.format);
        if self.is_container {
            let record = Arc::make_mut(&mut request.image);
            (record.disk_format, record.container_format) = (Some("raw".to_owned()), Some(self.format.clone()));
        }
        request
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

    /// Lets `work` have it damaged.
    pub(super) fn damaged<T>(&self, damage: &Damage, way: Way, work: impl FnOnce(Arc<dyn Input>) -> T) -> Result<T> {
        let mut before = if damage.field { vec![0; 8] } else { vec![0; 1] };
        let got = written::read_full(&self.bytes, &mut before, damage.at).map_err(Error::other)?;
        before.truncate(got);
        let changed = |byte: &u8| if damage.field { 0xff } else { *byte ^ 0xa5 };
        self.bytes.write_all_at(&before.iter().map(changed).collect::<Vec<_>>(), damage.at)?;
        let done = self.input(way).map(work);
        self.bytes.write_all_at(&before, damage.at)?;
        done
    }

    /// How it is damaged: all over, and most of all where forms keep their headers.
    pub(super) fn damages(&self) -> Vec<Damage> {
        let step = self.size.div_ceil(PLACES).max(1);
        let mut bytes: Vec<u64> = (0..PLACES).map(|place| place.saturating_mul(step)).collect();
        let fewer = if self.size > LARGE { 4 } else { 1 };
        bytes.extend((0..HEAD).step_by(fewer));
        bytes.extend((1..=TAIL).step_by(fewer).filter_map(|back| self.size.checked_sub(back)));
        bytes.sort_unstable();
        bytes.dedup();
        let fields = (0..FIELDS).step_by(8 * fewer).map(|at| Damage { at, field: true });
        let all = bytes.into_iter().map(|at| Damage { at, field: false }).chain(fields);
        all.filter(|damage| damage.at < self.size).collect()
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

/// Bytes of no form at all, and none, each with what it is.
pub(super) fn nonsense(way: Way) -> Result<Vec<(&'static str, Arc<dyn Input>)>> {
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
    let sizes = [("noise", NOISE), ("less than a sector of it", 511), ("a byte of it", 1), ("no bytes", 0)];
    let input = |(what, size): (&'static str, usize)| {
        let file = nameless_file()?;
        file.write_all_at(noise.get(..size).unwrap_or_default(), 0)?;
        Ok((what, Arc::new(SampleInput::new(file, way)?) as Arc<dyn Input>))
    };
    sizes.into_iter().map(input).collect()
}

/// Where two files differ first, of what both have.
fn first_difference(one: &File, other: &File) -> Result<Option<u64>> {
    let (mut ours, mut theirs, mut at) = (vec![0; NOISE], vec![0; NOISE], 0_u64);
    loop {
        let got = written::read_full(one, &mut ours, at).map_err(Error::other)?;
        let same = written::read_full(other, &mut theirs, at).map_err(Error::other)?.min(got);
        let (ours, theirs) = (ours.get(..same).unwrap_or_default(), theirs.get(..same).unwrap_or_default());
        if let Some(place) = ours.iter().zip(theirs).position(|(our, their)| our != their) {
            return Ok(Some(at.saturating_add(place as u64)));
        }
        if same < NOISE {
            return Ok(None);
        }
        at = at.saturating_add(same as u64);
    }
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
