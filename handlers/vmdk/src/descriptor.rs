//! The text descriptor: a file of its own, or embedded behind the header. VMware Virtual Disk Format 5.0, "The
//! Descriptor File".
//!
//! Readers find things in it in their own ways: qemu searches for keys anywhere, comments included, up to a NUL;
//! oslo.utils splits lines at every control code that could end one. Only what all of them see alike is accepted.

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::extent_line::{Extent, ExtentKind, is_extent, is_plain};
use crate::header::SECTOR;
use crate::refusal::{corrupt, unsupported};

/// Bytes of a descriptor: the bound of qemu and oslo.utils. Real ones have less than 2 KiB.
pub const DESCRIPTOR_MAX: usize = (1 << 20) - 1;
/// In so much of what is no extent, a descriptor is looked for.
const TEXT_HEAD: usize = 64 << 10;
/// Extents of a disk: 8 TiB in pieces of 2 GiB.
const EXTENTS_MAX: usize = 4096;
/// Bytes that qemu-img leaves behind a descriptor: a CID of one digit is seven shorter than one of eight, and the first
/// of these is the NUL.
const LEFT_BEHIND: usize = 6;
/// The grain to which VirtualBox rounds up the capacity in the header, but not the one in the descriptor.
const ROUNDING: u64 = 128;

/// How a disk is laid out in files. Other types are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateType {
    /// One compressed file, to be written and read front to back.
    StreamOptimized,
    /// One sparse file.
    MonolithicSparse,
    /// A descriptor and one raw file.
    MonolithicFlat,
    /// A descriptor and sparse files of at most 2 GiB of the disk.
    TwoGbMaxExtentSparse,
    /// A descriptor and raw files of at most 2 GiB.
    TwoGbMaxExtentFlat,
}

impl CreateType {
    const NAMES: [(&'static str, Self); 5] = [
        ("streamOptimized", Self::StreamOptimized),
        ("monolithicSparse", Self::MonolithicSparse),
        ("monolithicFlat", Self::MonolithicFlat),
        ("twoGbMaxExtentSparse", Self::TwoGbMaxExtentSparse),
        ("twoGbMaxExtentFlat", Self::TwoGbMaxExtentFlat),
    ];
    /// Types that are told by name when they are refused.
    const REFUSED: [&'static str; 9] = [
        "custom",
        "fullDevice",
        "partitionedDevice",
        "vmfs",
        "vmfsRawDeviceMap",
        "vmfsPassthroughRawDeviceMap",
        "vmfsSparse",
        "vmfsThin",
        "seSparse",
    ];

    fn parse(value: &[u8]) -> Result<Self> {
        let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        if let Some((_, known)) = Self::NAMES.into_iter().find(|(name, _)| is(name)) {
            return Ok(known);
        }
        let refused = Self::REFUSED.into_iter().find(|name| is(name)).unwrap_or("unknown");
        Err(unsupported("vmdk-create-type", format!("disks of the create type {refused} are not unpacked")))
    }

    /// Whether the disk is whole in the file that the descriptor is embedded in.
    pub fn is_one_file(self) -> bool {
        matches!(self, Self::StreamOptimized | Self::MonolithicSparse)
    }
}

/// A descriptor, checked: no parent, and every line known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Content id, which a child would name as its parent.
    pub cid: u32,
    /// How the disk is laid out.
    pub create_type: CreateType,
    /// The parts of the disk, in its order; at least one.
    pub extents: Vec<Extent>,
}

impl Descriptor {
    /// A whole descriptor, which NULs may follow and nothing else; at most [`DESCRIPTOR_MAX`] bytes.
    ///
    /// `vmdk-descriptor` (`corrupt`): no descriptor, or one that readers could see differently. `vmdk-extent`
    /// (`corrupt`): an extent that is not right, or not of its create type. `vmdk-parent`, `vmdk-create-type`,
    /// `vmdk-other-files` (`unsupported`): legal, and not unpacked.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > DESCRIPTOR_MAX {
            return Err(corrupt("vmdk-descriptor", format!("a descriptor has more than {DESCRIPTOR_MAX} bytes")));
        }
        let (text, rest) = bytes.split_at_checked(text_len(bytes)).unwrap_or((bytes, &[]));
        if !is_padding(rest, text) {
            return Err(corrupt("vmdk-descriptor", "there is more text behind the descriptor's end"));
        }
        if occurrences(text, b"parentfilenamehint") > 0 {
            return Err(parent());
        }
        if occurrences(text, b"changetrackpath") > 0 {
            return Err(unsupported("vmdk-other-files", "the descriptor names a file of changed blocks"));
        }
        if occurrences(text, b"parentcid") != 1 || occurrences(text, b"createtype") != 1 {
            return Err(corrupt("vmdk-descriptor", "the descriptor has not exactly one parentCID and one createType"));
        }

        let mut found = Found::default();
        for line in text.split(|byte| *byte == b'\n') {
            found.line(line.strip_suffix(b"\r").unwrap_or(line))?;
        }
        found.finish()
    }

    /// The descriptor of a disk whose extents are in other files: as [`Descriptor::parse`], and every reader finds these
    /// extents. Otherwise `vmdk-extent-ambiguous` (`unsupported`).
    ///
    /// qemu's `vmdk_parse_extents` passes over lines that do not begin with `RW` or have no file, and takes an extent
    /// behind a blank line once for each of the two; what begins with the magic number of another format is that to some.
    pub fn parse_split(bytes: &[u8]) -> Result<Self> {
        let descriptor = Self::parse(bytes)?;
        let text = bytes.get(..text_len(bytes)).unwrap_or_default();
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        if !first.starts_with(b"#") && !first.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"version=")) {
            let message = "not every reader takes what begins like this for a descriptor";
            return Err(unsupported("vmdk-extent-ambiguous", message));
        }
        let mut behind_blank = false;
        for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            if is_extent(line) && (behind_blank || !is_plain(line)) {
                let message = "not every reader finds the extents that the descriptor has";
                return Err(unsupported("vmdk-extent-ambiguous", message));
            }
            behind_blank = line.is_empty();
        }
        Ok(descriptor)
    }

    /// The descriptor of a disk that is whole in one file, whose header gives it `capacity` sectors.
    pub(crate) fn parse_embedded(area: &[u8], capacity: u64) -> Result<Self> {
        if !area.contains(&0) {
            return Err(corrupt("vmdk-descriptor", "the descriptor does not end within its sectors"));
        }
        let descriptor = Self::parse(area)?;
        let [extent] = descriptor.extents.as_slice() else {
            return Err(unsupported("vmdk-other-files", "the disk has more than one extent"));
        };
        if !descriptor.create_type.is_one_file() || extent.kind != ExtentKind::Sparse {
            return Err(unsupported("vmdk-other-files", "the disk's bytes are in other files"));
        }
        if extent.sectors != capacity && extent.sectors.checked_next_multiple_of(ROUNDING) != Some(capacity) {
            let message = format!("the header gives the disk {capacity} sectors, the descriptor {}", extent.sectors);
            return Err(corrupt("vmdk-capacity-mismatch", message));
        }
        Ok(descriptor)
    }

    /// Whether `bytes`, of which the first 64 KiB count, are meant to be a descriptor, right or wrong: text that is
    /// called one, or that has a create type, before any NUL.
    pub fn is_meant_by(bytes: &[u8]) -> bool {
        let head = bytes.get(..TEXT_HEAD).unwrap_or(bytes);
        let text = head.get(..text_len(head)).unwrap_or_default();
        occurrences(text, b"disk descriptorfile") > 0 || occurrences(text, b"createtype") > 0
    }

    /// Bytes of the disk: those of its extents.
    pub fn disk_bytes(&self) -> Result<u64> {
        let mut extents = self.extents.iter();
        let sectors = extents.try_fold(0_u64, |sum, extent| sum.checked_add(extent.sectors));
        let bytes =
            sectors.and_then(|sectors| sectors.checked_mul(SECTOR)).filter(|bytes| i64::try_from(*bytes).is_ok());
        bytes.ok_or_else(|| corrupt("vmdk-capacity", "the extents have more bytes than there can be"))
    }
}

/// What the lines have said so far.
#[derive(Default)]
struct Found {
    cid: Option<u32>,
    parent: bool,
    create_type: Option<CreateType>,
    extents: Vec<Extent>,
}

impl Found {
    fn line(&mut self, line: &[u8]) -> Result<()> {
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(corrupt("vmdk-descriptor", "a control code is in the descriptor"));
        }
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        if is_extent(line) {
            if self.extents.len() >= EXTENTS_MAX {
                let message = format!("the disk has more than {EXTENTS_MAX} extents");
                return Err(Error::new(ErrorKind::Limit, "vmdk-too-many-extents", message));
            }
            self.extents.push(Extent::parse(line)?);
            return Ok(());
        }
        let unknown = || corrupt("vmdk-descriptor", "a line of the descriptor is none that is known");
        let (key, value) = assignment(line).ok_or_else(unknown)?;
        if key.eq_ignore_ascii_case(b"CID") {
            let digits = std::str::from_utf8(value).ok().filter(|digits| !digits.starts_with('+'));
            let cid = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let cid = cid.ok_or_else(|| corrupt("vmdk-descriptor", "the CID is no hexadecimal number"))?;
            if self.cid.replace(cid).is_some() {
                return Err(corrupt("vmdk-descriptor", "the descriptor has two CIDs"));
            }
        } else if key.eq_ignore_ascii_case(b"parentCID") {
            if !value.eq_ignore_ascii_case(b"ffffffff") {
                return Err(parent());
            }
            self.parent = true;
        } else if key.eq_ignore_ascii_case(b"createType") {
            self.create_type = Some(CreateType::parse(value)?);
        }
        Ok(())
    }

    fn finish(self) -> Result<Descriptor> {
        let missing = || corrupt("vmdk-descriptor", "the descriptor has no CID, parentCID or createType");
        let (Some(cid), Some(create_type), true) = (self.cid, self.create_type, self.parent) else {
            return Err(missing());
        };
        let Self { extents, .. } = self;
        if extents.is_empty() {
            return Err(corrupt("vmdk-extent", "the descriptor has no extent"));
        }
        if extents.iter().all(|extent| extent.kind == ExtentKind::Zero) {
            return Err(unsupported("vmdk-create-type", "disks without any bytes of their own are not unpacked"));
        }
        let fits = |kind| match create_type {
            CreateType::MonolithicFlat | CreateType::TwoGbMaxExtentFlat => kind != ExtentKind::Sparse,
            CreateType::TwoGbMaxExtentSparse => kind != ExtentKind::Flat,
            CreateType::StreamOptimized | CreateType::MonolithicSparse => true,
        };
        if !extents.iter().all(|extent| fits(extent.kind)) {
            return Err(corrupt("vmdk-extent", "an extent is not of the kind that the create type says"));
        }
        Ok(Descriptor { cid, create_type, extents })
    }
}

fn parent() -> Error {
    unsupported("vmdk-parent", "the disk is only what differs from another one")
}

/// Bytes before the first NUL.
fn text_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())
}

/// Whether `rest`, from the first NUL on, is what writers leave behind their text: NULs.
///
/// When qemu-img writes the final CID, it leaves out leading zeros, and what the text was longer before is its own end
/// once more, behind one NUL. One in 256 of its files has that. It is no line of anything.
fn is_padding(rest: &[u8], text: &[u8]) -> bool {
    let behind = rest.get(1..).unwrap_or_default();
    let (left, nuls) = behind.split_at_checked(text_len(behind)).unwrap_or((behind, &[]));
    nuls.iter().all(|byte| *byte == 0) && left.len() <= LEFT_BEHIND && text.ends_with(left)
}

/// Key and value of a line that assigns one.
fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b'=')?)?;
    let key = key.trim_ascii();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    let is_key = !key.is_empty() && key.iter().all(plain);
    is_key.then(|| (key, value.strip_prefix(b"=").unwrap_or(value).trim_ascii()))
}

/// How often `word`, which is in lower case, occurs in the text, in any case.
fn occurrences(text: &[u8], word: &[u8]) -> usize {
    text.windows(word.len()).filter(|at| at.eq_ignore_ascii_case(word)).count()
}
