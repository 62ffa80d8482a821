//! A window of the disk: the memory in which a job's pieces come together, and from which they are written.

use std::ops::Range;

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::disk::Disk;
use crate::inflate::Inflater;
use crate::job::{Coding, Job, Piece};
use crate::zeros::is_zero;

/// Bytes of the disk that one job fills, aligned to as many.
pub const WINDOW: usize = 1 << 20;
/// Bytes, aligned to as many on the disk, that are written or stay a hole as one. A clone costs time for each extent,
/// and what is placed is made to be cloned.
pub const BLOCK: usize = 64 << 10;

const BLOCKS: usize = WINDOW / BLOCK;
/// What direct I/O asks of memory.
const PAGE: usize = 4096;

/// What one thread works with; used again for each of its jobs.
pub(crate) struct Window {
    memory: Vec<u8>,
    inflater: Inflater,
    /// For a stream that has more bytes than its piece.
    spare: Vec<u8>,
}

impl Window {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { memory: vec![0; WINDOW + PAGE], inflater: Inflater::new()?, spare: Vec::new() })
    }

    /// Decodes a job and writes what of it is not zero, within `bounds` of the disk.
    pub(crate) fn finish(&mut self, job: &Job, disk: &dyn Disk, bounds: &Range<u64>) -> Result<()> {
        let Self { memory, inflater, spare } = self;
        let start = memory.as_ptr().align_offset(PAGE);
        let window = memory.get_mut(start..).and_then(|aligned| aligned.get_mut(..WINDOW));
        let window = window.ok_or_else(|| bad_job("no aligned memory"))?;

        let touched = blank_gaps(window, &job.pieces)?;
        for piece in &job.pieces {
            let room = window.get_mut(span(piece)?).ok_or_else(|| bad_job("a piece is outside of its window"))?;
            decode(inflater, spare, piece, job.stored(piece), room)?;
        }
        write(window, &touched, job.window, disk, bounds)
    }
}

/// Puts zeros where no piece is, in blocks that have a piece; says which have. What an earlier job left in the others
/// is not written.
fn blank_gaps(window: &mut [u8], pieces: &[Piece]) -> Result<[bool; BLOCKS]> {
    let mut touched = [false; BLOCKS];
    let mut filled = 0_usize;
    for piece in pieces {
        let span = span(piece)?;
        if span.start < filled || span.is_empty() {
            return Err(bad_job("its pieces are not in order"));
        }
        let gap = filled..span.start;
        let tail = gap.start..filled.next_multiple_of(BLOCK).min(gap.end);
        let head = (span.start & !(BLOCK - 1)).max(tail.end)..gap.end;
        for blank in [tail, head] {
            window.get_mut(blank).unwrap_or_default().fill(0);
        }
        let last = span.end.div_ceil(BLOCK);
        touched.get_mut(span.start / BLOCK..last).unwrap_or_default().fill(true);
        filled = span.end;
    }
    window.get_mut(filled..filled.next_multiple_of(BLOCK)).unwrap_or_default().fill(0);
    Ok(touched)
}

/// Where a piece is in the window.
fn span(piece: &Piece) -> Result<Range<usize>> {
    let end = piece.offset.checked_add(piece.len).filter(|end| *end <= WINDOW);
    end.map(|end| piece.offset..end).ok_or_else(|| bad_job("a piece is outside of its window"))
}

fn decode(inflater: &mut Inflater, spare: &mut Vec<u8>, piece: &Piece, stored: &[u8], room: &mut [u8]) -> Result<()> {
    let whole = match piece.coding {
        Coding::Plain if stored.len() == room.len() => {
            room.copy_from_slice(stored);
            return Ok(());
        }
        Coding::Plain => return Err(bad_job("a plain piece has another size than it is stored with")),
        Coding::Zlib { whole } => whole.max(room.len()),
    };
    let got = if whole > room.len() {
        spare.resize(whole, 0);
        let got = inflater.zlib(stored, spare)?;
        room.copy_from_slice(spare.get(..room.len()).unwrap_or_default());
        got
    } else {
        inflater.zlib(stored, room)?
    };
    if got == room.len() || got == whole {
        return Ok(());
    }
    let message = format!("a zlib stream has {got} bytes, and {} are wanted", room.len());
    Err(Error::new(ErrorKind::Corrupt, "inflates-short", message))
}

/// Writes neighbouring blocks that are not zero as one.
fn write(window: &[u8], touched: &[bool; BLOCKS], at: u64, disk: &dyn Disk, bounds: &Range<u64>) -> Result<()> {
    let within = |offset: u64| usize::try_from(offset.saturating_sub(at)).unwrap_or(WINDOW).min(WINDOW);
    let (first, last) = (within(bounds.start), within(bounds.end));
    let mut run = 0..0;
    let flush = |run: &Range<usize>| match window.get(run.clone()) {
        Some(bytes) if !bytes.is_empty() => disk.write_at(bytes, at.saturating_add(run.start as u64)),
        _ => Ok(()),
    };
    for (number, _) in touched.iter().enumerate().filter(|(_, touched)| **touched) {
        let start = number.saturating_mul(BLOCK).max(first);
        let end = number.saturating_add(1).saturating_mul(BLOCK).min(last);
        if window.get(start..end).is_none_or(is_zero) {
            continue;
        }
        if run.end == start {
            run.end = end;
        } else {
            flush(&run)?;
            run = start..end;
        }
    }
    flush(&run)
}

/// What no unpacker may ask for.
fn bad_job(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "bad-job", format!("an unpacker's job is wrong: {what}"))
}
