//! Which parts of an image are kept, as far as those that are there tell.
//!
//! Each part lies behind those before it, so that bytes which pass once are enough. A header that sends its reader back
//! is refused by the check of its format.

use std::ops::Range;

use crate::mark::Mark;
use crate::window::{HEAD_BYTES, Window};
use crate::{vhdx, vmdk};

/// A part of the image that is to be kept next.
#[derive(Clone)]
pub(crate) struct Part {
    /// The piece that it becomes; `None` for more of the start.
    pub(crate) piece: Option<usize>,
    /// Where it is, in bytes from the start of the image. Not empty.
    pub(crate) place: Range<u64>,
}

/// The part to keep after those in the window. `from` is where the last one ended.
pub(crate) fn next(window: &Window, from: u64) -> Option<Part> {
    let part = if window.start.len() < HEAD_BYTES {
        Part { piece: None, place: places(window.start.len()..HEAD_BYTES) }
    } else {
        let want = start_bytes(window);
        if window.start.len() < want {
            Part { piece: None, place: places(window.start.len()..want) }
        } else if Mark::Vhdx.is_in(window) {
            Part { piece: Some(window.pieces.len()), place: vhdx::next_piece(window)? }
        } else {
            return None;
        }
    };
    (part.place.start >= from && !part.place.is_empty()).then_some(part)
}

/// How many bytes of the start are kept of an image with this head.
fn start_bytes(window: &Window) -> usize {
    if Mark::VmdkSparse.is_in(window) {
        vmdk::start_bytes(window.head())
    } else if Mark::Vhdx.is_in(window) {
        vhdx::START_BYTES
    } else {
        HEAD_BYTES
    }
}

fn places(range: Range<usize>) -> Range<u64> {
    let place = |at: usize| u64::try_from(at).unwrap_or(u64::MAX);
    place(range.start)..place(range.end)
}
