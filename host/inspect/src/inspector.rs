//! Makes the window of an image: from bytes that pass once, or by reading where it has to.

use std::collections::VecDeque;
use std::fmt;

use crate::agree::agree_so_far;
use crate::disagreement::{Disagreement, Shortage, WindowPart};
use crate::plan::{self, Part};
use crate::window::{HEAD_BYTES, TAIL_BYTES, Window, last, length};
use crate::{vhdx, vmdk};

/// Keeps what the rules look at from the bytes of an image, which pass front to back.
///
/// However the bytes are cut into chunks, the [`Window`] at the end is the same, and the same as that of
/// [`inspect_at`].
///
/// ```
/// use landfall_inspect::{Inspector, Window, agree};
///
/// let mut inspector = Inspector::new();
/// inspector.feed(b"vhdx");
/// inspector.feed(b"file and the rest of a VHDX");
/// let window = inspector.finish();
///
/// assert_eq!(window, Window::of(b"vhdxfile and the rest of a VHDX"));
/// assert_eq!(agree(&window, "raw", "bare").unwrap_err().code(), "format-mismatch");
/// ```
#[derive(Clone, Default)]
pub struct Inspector {
    /// What is there; its size is how many bytes passed, and its tail is empty until the end.
    window: Window,
    tail: VecDeque<u8>,
    /// What is to be kept now: the rest of it.
    wanted: Wanted,
}

#[derive(Clone, Default)]
enum Wanted {
    /// Nothing came yet.
    #[default]
    Unasked,
    Part(Part),
    Nothing,
}

impl Inspector {
    /// The most bytes that are kept of any image: head, pieces and tail of a VMDK with the longest descriptor.
    pub const MOST_BYTES: usize = vmdk::MOST_START_BYTES.saturating_add(TAIL_BYTES);

    /// The most bytes that are kept of an image that does not begin as a VMDK; a VHDX needs the most.
    pub const MOST_BYTES_BUT_VMDK: usize = vhdx::MOST_BYTES.saturating_add(TAIL_BYTES);

    /// An inspector of an image of which nothing was seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes, any number of them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        self.window.size = self.window.size.saturating_add(length(bytes));

        let new = last(bytes, TAIL_BYTES);
        let spare = self.tail.len().saturating_add(new.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..spare.min(self.tail.len()));
        self.tail.reserve_exact(TAIL_BYTES.saturating_sub(self.tail.len()));
        self.tail.extend(new);
    }

    /// How many bytes passed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.window.size
    }

    /// How many bytes of memory the kept parts have: at most [`MOST_BYTES`](Self::MOST_BYTES).
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let pieces = self.window.pieces.iter().map(Vec::capacity);
        pieces.fold(self.window.start.capacity().saturating_add(self.tail.capacity()), usize::saturating_add)
    }

    /// Whether what passed may still turn out to be what the record claims.
    ///
    /// Once [`HEAD_BYTES`] have passed, most wrong claims are known to be wrong, and the rest of the image need not be
    /// moved to learn it. Before, and of what only the end tells, nothing is said.
    ///
    /// # Errors
    ///
    /// A [`Disagreement`] where [`agree`](crate::agree) will refuse the image too, whatever follows. That one's code is
    /// the same, or `format-ambiguous` where the end has a mark of its own.
    pub fn agree_so_far(&self, disk_format: &str, container_format: &str) -> Result<(), Disagreement> {
        if self.window.start.len() < HEAD_BYTES {
            return Ok(());
        }
        agree_so_far(&self.window, disk_format, container_format)
    }

    /// The window of the image, which ends here.
    #[must_use]
    pub fn finish(mut self) -> Window {
        self.window.tail = Vec::from(self.tail);
        self.window
    }

    /// Keeps what is wanted of the next bytes.
    fn keep(&mut self, mut bytes: &[u8]) {
        if matches!(self.wanted, Wanted::Unasked) {
            self.wanted = plan::next(&self.window, 0).map_or(Wanted::Nothing, Wanted::Part);
        }
        let mut position = self.window.size;
        while let Wanted::Part(part) = &mut self.wanted {
            let skipped = part.place.start.saturating_sub(position);
            let Some(rest) = usize::try_from(skipped).ok().and_then(|count| bytes.get(count..)) else { return };
            let room = part.place.end.saturating_sub(part.place.start);
            let count = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
            let (wanted, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            if wanted.is_empty() {
                return;
            }
            keep_part(&mut self.window, part, wanted);
            part.place.start = part.place.start.saturating_add(length(wanted));
            (position, bytes) = (part.place.start, after);
            if part.place.is_empty() {
                self.wanted = plan::next(&self.window, position).map_or(Wanted::Nothing, Wanted::Part);
            }
        }
    }
}

/// How much passed, and nothing of what it is.
impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// Adds bytes to a part, and makes room for all that is left of it.
fn keep_part(window: &mut Window, part: &Part, bytes: &[u8]) {
    let room = usize::try_from(part.place.end.saturating_sub(part.place.start)).unwrap_or(0);
    let place = match part.piece {
        None => &mut window.start,
        Some(index) => {
            if window.pieces.len() <= index {
                window.pieces.push(Vec::new());
            }
            let Some(piece) = window.pieces.get_mut(index) else { return };
            piece
        }
    };
    place.reserve_exact(room);
    place.extend_from_slice(bytes);
}

/// The window of an image of `size` bytes whose bytes can be read anywhere.
///
/// `read` fills a buffer from an offset, or a part of it, and says how much; 0 is the end. It is asked for at most
/// [`Inspector::MOST_BYTES`] in all, front to back, and for nothing behind `size`.
///
/// A source that ends before `size` makes a window that [`agree`](crate::agree) refuses with
/// [`Disagreement::WindowShort`].
///
/// # Errors
///
/// That of `read`.
pub fn inspect_at<E>(size: u64, mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>) -> Result<Window, E> {
    let mut window = Window { size, ..Window::default() };
    let mut from = 0;
    while let Some(part) = plan::next(&window, from) {
        let end = part.place.end.min(size);
        let need = usize::try_from(end.saturating_sub(part.place.start)).unwrap_or(0);
        let have = match part.piece {
            None => read_part(&mut read, part.place.start, need, &mut window.start)?,
            Some(_) => {
                let mut piece = Vec::new();
                let have = read_part(&mut read, part.place.start, need, &mut piece)?;
                // As of bytes that pass, of which a piece begins with the first of its own.
                window.pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
                have
            }
        };
        if have < need {
            window.shortage = Some(Shortage { part: WindowPart::Head, have, need });
            return Ok(window);
        }
        if end < part.place.end {
            break;
        }
        from = end;
    }

    // What is in the start is not read again: it could have become something else.
    let need = usize::try_from(size).unwrap_or(usize::MAX).min(TAIL_BYTES);
    let read_to = length(&window.start);
    let missing = need.min(usize::try_from(size.saturating_sub(read_to)).unwrap_or(usize::MAX));
    let mut tail = last(&window.start, need.saturating_sub(missing)).to_vec();
    read_part(&mut read, size.saturating_sub(length_of(missing)), missing, &mut tail)?;
    if tail.len() < need {
        window.shortage = Some(Shortage { part: WindowPart::Tail, have: tail.len(), need });
    }
    window.tail = tail;
    Ok(window)
}

/// Reads `need` bytes, or up to the end of the source, and adds them; how many there were.
fn read_part<E>(
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    offset: u64,
    need: usize,
    into: &mut Vec<u8>,
) -> Result<usize, E> {
    let before = into.len();
    into.reserve_exact(need);
    into.resize(before.saturating_add(need), 0);
    let mut filled = 0_usize;
    while let Some(rest) = into.get_mut(before.saturating_add(filled)..).filter(|rest| !rest.is_empty()) {
        let room = rest.len();
        match read(offset.saturating_add(length_of(filled)), rest)? {
            0 => break,
            count => filled = filled.saturating_add(count.min(room)),
        }
    }
    into.truncate(before.saturating_add(filled));
    Ok(filled)
}

fn length_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
