//! Moves an image through a decoder: from the input, in chunks, into the rooms that the host gives.

use landfall_handler_api::{Call, Error, ErrorKind, Input, Result, Sink};

use crate::decoder::{Decoder, broken};

/// Asked of the host at once. What was inflated is read again, for its checksum: it is still in the processor's cache.
const ROOM: usize = 256 << 10;

/// Compressed bytes, front to back.
pub(crate) trait Stored {
    /// The next bytes; fewer than there is room for only at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

/// Where inflated bytes go.
pub(crate) trait Room {
    /// As [`Sink::reserve`].
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]>;
    /// As [`Sink::commit`].
    fn commit(&mut self, filled: usize) -> Result<()>;
}

/// Who waits for them.
pub(crate) trait Host {
    /// As [`Call::check`].
    fn check(&self) -> Result<()>;
    /// `done` bytes were inflated, and no more of late.
    fn alive(&self, done: u64);
}

impl Room for Sink {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        Self::reserve(self, want)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        Self::commit(self, filled)
    }
}

impl Host for Call {
    fn check(&self) -> Result<()> {
        Self::check(self)
    }

    fn alive(&self, done: u64) {
        self.progress(done, None);
    }
}

/// An input from its start on.
pub(crate) struct Stream<'a> {
    input: &'a Input,
    offset: u64,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(input: &'a Input) -> Self {
        Self { input, offset: 0 }
    }
}

impl Stored for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let got = self.input.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(got as u64);
        Ok(got)
    }
}

/// How much may come out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes that the reader wants: after these nothing is looked at any more.
    pub(crate) wanted: u64,
    /// Bytes that the image may have; more are an error.
    pub(crate) disk_bytes: u64,
}

/// Inflates all of `stored` into `room`, or as much as is wanted. `chunk` is what stored bytes are read into, not empty.
///
/// Each turn of the loop takes or gives bytes, so that its time is in proportion to both; and `host` is asked in each.
pub(crate) fn inflate(
    decoder: &mut dyn Decoder,
    stored: &mut dyn Stored,
    chunk: &mut [u8],
    room: &mut dyn Room,
    host: &dyn Host,
    bounds: Bounds,
) -> Result<()> {
    // Bytes of the chunk that were taken, and that there are.
    let (mut taken, mut got) = (0, 0);
    let mut ended = false;
    let (mut done, mut done_before) = (0_u64, 0_u64);
    // For finding out whether more comes where no more may: not of the host's buffers.
    let mut excess = [0];
    while done < bounds.wanted {
        host.check()?;
        if taken >= got && !ended {
            if done == done_before {
                host.alive(done);
            }
            done_before = done;
            (taken, got) = (0, stored.read(chunk)?);
            ended = got < chunk.len();
        }
        let left = bounds.wanted.min(bounds.disk_bytes).saturating_sub(done);
        let full = left == 0;
        // Byte by byte once no more may come: zstd does not tell what it gave before the damage that it found, and where
        // the chunk ends must not decide which of both comes first.
        let end = if full { got.min(taken.saturating_add(1)) } else { got };
        let input = chunk.get(taken..end).unwrap_or_default();
        let want = usize::try_from(left).map_or(ROOM, |left| left.min(ROOM));
        let step = decoder.step(input, if full { &mut excess } else { room.reserve(want)? })?;
        if step.taken == 0 && step.given == 0 && step.fault.is_none() {
            if input.is_empty() {
                return decoder.finish();
            }
            return Err(broken("compression"));
        }
        if step.given > 0 {
            if full {
                return Err(too_much(bounds.disk_bytes));
            }
            room.commit(step.given)?;
            done = done.saturating_add(step.given as u64);
        }
        if let Some(fault) = step.fault {
            return Err(fault);
        }
        taken = taken.saturating_add(step.taken);
    }
    Ok(())
}

fn too_much(most: u64) -> Error {
    Error::new(ErrorKind::Limit, "disk-bytes", format!("the image inflates to more than {most} bytes"))
}
