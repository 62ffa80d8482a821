//! The part of an image that the rules look at.

use crate::disagreement::{Disagreement, WindowPart};

/// How many bytes of the start the rules look at: 64 KiB.
///
/// The farthest mark of the start is that of ISO 9660, just past 32 KiB; a text descriptor of VMDK is a few hundred
/// bytes, but comments may come first.
pub const HEAD_BYTES: usize = 64 * 1024;

/// How many bytes of the end the rules look at: 4 KiB.
///
/// The trailers of VHD and DMG are the last 512 bytes; the footer of a streamOptimized VMDK, for checks of what is
/// inside a format, begins 1536 bytes before the end.
pub const TAIL_BYTES: usize = 4 * 1024;

/// The start and the end of an image, and its whole size.
///
/// Whoever fills it in reads exactly the first `min(size, HEAD_BYTES)` and the last `min(size, TAIL_BYTES)` bytes; the
/// two overlap in a small image.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// The first `min(size, HEAD_BYTES)` bytes.
    pub head: &'a [u8],
    /// The last `min(size, TAIL_BYTES)` bytes.
    pub tail: &'a [u8],
    /// The size of the whole image, in bytes.
    pub size: u64,
}

impl<'a> Window<'a> {
    /// The window of an image that is in memory as a whole.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { head: first(bytes, HEAD_BYTES), tail: last(bytes, TAIL_BYTES), size: length(bytes) }
    }

    /// Whether head, tail and size fit together.
    ///
    /// # Errors
    ///
    /// [`Disagreement::WindowShort`] when the size demands more bytes than are there: a mark may be in those which are
    /// missing. [`Disagreement::WindowInconsistent`] when there are more than the size allows, or when head and tail
    /// overlap with different bytes, which means that the image changed between two reads.
    pub fn check(&self) -> Result<(), Disagreement> {
        for (part, bytes, limit) in
            [(WindowPart::Head, self.head, HEAD_BYTES), (WindowPart::Tail, self.tail, TAIL_BYTES)]
        {
            let have = bytes.len();
            let need = usize::try_from(self.size).unwrap_or(usize::MAX).min(limit);
            if have < need {
                return Err(Disagreement::WindowShort { part, have, need });
            }
            if have > need {
                return Err(Disagreement::WindowInconsistent);
            }
        }

        let both = length(self.head).saturating_add(length(self.tail));
        let shared = usize::try_from(both.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if last(self.head, shared) == first(self.tail, shared) { Ok(()) } else { Err(Disagreement::WindowInconsistent) }
    }

    /// The head, cut to [`HEAD_BYTES`] so that no caller's buffer size changes a verdict.
    pub(crate) fn head(&self) -> &'a [u8] {
        first(self.head, HEAD_BYTES)
    }

    /// Whether `magic` is `at` bytes after the start.
    pub(crate) fn starts(&self, at: usize, magic: &[u8]) -> bool {
        self.head().get(at..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// The last `back` bytes, if they are there and begin with `magic`.
    pub(crate) fn end(&self, back: usize, magic: &[u8]) -> Option<&'a [u8]> {
        let trailer = last(self.tail, back);
        (trailer.len() == back && trailer.starts_with(magic)).then_some(trailer)
    }

    /// Whether the last `back` bytes are there and begin with `magic`.
    pub(crate) fn ends(&self, back: usize, magic: &[u8]) -> bool {
        self.end(back, magic).is_some()
    }
}

/// The first `count` bytes, or all.
fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// The last `count` bytes, or all.
fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or(bytes)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(head: &[u8], tail: &[u8], size: u64) -> Option<&'static str> {
        Window { head, tail, size }.check().err().map(|error| error.code())
    }

    #[test]
    fn windows_of_every_size_class_fit() {
        let image: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for size in [0, 1, 511, 512, 4095, 4096, 4097, 65_535, 65_536, 65_537, 69_631, 69_632, 69_633, 100_000] {
            assert_eq!(Window::of(&image[..size]).check(), Ok(()), "{size}");
        }
    }

    #[test]
    fn a_short_part_is_named() {
        let bytes = [0; HEAD_BYTES];
        let (head, tail) = (&bytes[..], &bytes[..TAIL_BYTES]);
        let size = 1 << 30;

        assert_eq!(code(head, tail, size), None);
        assert_eq!(code(&head[1..], tail, size), Some("window-short"));
        assert_eq!(code(head, &tail[1..], size), Some("window-short"));
        assert_eq!(code(&[], &[], 1), Some("window-short"));
        assert_eq!(code(head, tail, u64::MAX), None);
    }

    #[test]
    fn more_bytes_than_the_size_are_refused() {
        let bytes = [0; HEAD_BYTES + 1];
        assert_eq!(code(&bytes[..8], &bytes[..8], 7), Some("window-inconsistent"));
        assert_eq!(code(&bytes[..7], &bytes[..8], 7), Some("window-inconsistent"));
        assert_eq!(code(&bytes, &bytes[..TAIL_BYTES], 1 << 30), Some("window-inconsistent"));
    }

    #[test]
    fn head_and_tail_must_be_the_same_where_they_overlap() {
        assert_eq!(code(b"abcd", b"abcd", 4), None);
        assert_eq!(code(b"abcd", b"abce", 4), Some("window-inconsistent"));

        let head = [7; HEAD_BYTES];
        let mut tail = [7; TAIL_BYTES];
        let size = length(&head) + 1;
        assert_eq!(code(&head, &tail, size), None);
        tail[TAIL_BYTES - 1] = 8;
        assert_eq!(code(&head, &tail, size), None, "past the head");
        tail[TAIL_BYTES - 2] = 8;
        assert_eq!(code(&head, &tail, size), Some("window-inconsistent"));
    }
}
