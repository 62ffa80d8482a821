//! The parts of an image that the rules look at.

use std::fmt;

use crate::disagreement::{Disagreement, Shortage};
use crate::inspector::Inspector;

/// How many bytes of the start of any image the rules look at: 64 KiB.
///
/// The farthest mark of the start is that of ISO 9660, just past 32 KiB. Of a VMDK and a VHDX more is kept, see
/// [`Inspector`].
pub const HEAD_BYTES: usize = 64 * 1024;

/// How many bytes of the end of any image the rules look at: 4 KiB.
///
/// The trailers of VHD and DMG are the last 512 bytes; what surrounds the footer of a streamOptimized VMDK begins 1536
/// bytes before the end.
pub const TAIL_BYTES: usize = 4 * 1024;

/// The parts of one image that the rules look at, and its whole size.
///
/// Made by an [`Inspector`], which sees the bytes pass, or by [`inspect_at`](crate::inspect_at), which reads the parts
/// where they are. Of the same bytes both make the same window.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The first bytes: `min(size, HEAD_BYTES)`, or more where the format has more to look at.
    pub(crate) start: Vec<u8>,
    /// The last `min(size, TAIL_BYTES)` bytes.
    pub(crate) tail: Vec<u8>,
    /// Parts between the two, in the order in which they lie; the format knows which.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) size: u64,
    /// What the source did not give, though its size demands it.
    pub(crate) shortage: Option<Shortage>,
}

impl Window {
    /// The window of an image that is in memory as a whole.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut inspector = Inspector::new();
        inspector.feed(bytes);
        inspector.finish()
    }

    /// The size of the whole image, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether all is there that the size demands.
    ///
    /// # Errors
    ///
    /// [`Disagreement::WindowShort`] when the source ended before its size: a mark may be in what is missing.
    pub fn check(&self) -> Result<(), Disagreement> {
        match self.shortage {
            None => Ok(()),
            Some(Shortage { part, have, need }) => Err(Disagreement::WindowShort { part, have, need }),
        }
    }

    /// The first `min(size, HEAD_BYTES)` bytes.
    pub(crate) fn head(&self) -> &[u8] {
        first(&self.start, HEAD_BYTES)
    }

    /// Whether `magic` is `at` bytes after the start.
    pub(crate) fn starts(&self, at: usize, magic: &[u8]) -> bool {
        self.head().get(at..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// The last `back` bytes, if they are there and begin with `magic`.
    pub(crate) fn end(&self, back: usize, magic: &[u8]) -> Option<&[u8]> {
        let trailer = last(&self.tail, back);
        (trailer.len() == back && trailer.starts_with(magic)).then_some(trailer)
    }

    /// Whether the last `back` bytes are there and begin with `magic`.
    pub(crate) fn ends(&self, back: usize, magic: &[u8]) -> bool {
        self.end(back, magic).is_some()
    }
}

/// The size, and nothing of what the bytes are.
impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The first `count` bytes, or all.
fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// The last `count` bytes, or all.
pub(crate) fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or(bytes)
}

pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
