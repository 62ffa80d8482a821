//! Stored bytes, front to back.

use std::ops::Range;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::stored::Stored;

/// Bytes that are asked for at a time.
pub const CHUNK: usize = 1 << 20;

/// Reads [`Stored`] bytes front to back through a buffer of [`CHUNK`] bytes.
///
/// It reads ahead, so whoever uses one must not read the same bytes past it.
pub struct StoredReader<'a> {
    stored: &'a dyn Stored,
    /// Parts of it may be shared with jobs; then it is no longer written to.
    buffer: Arc<Vec<u8>>,
    /// Buffers of before, for when no job has a part of them any more.
    spare: Vec<Arc<Vec<u8>>>,
    /// The unread part of the buffer is `start..end`.
    start: usize,
    end: usize,
    /// Where the unread part begins in the stored bytes.
    position: u64,
}

/// Some of the stored bytes, as they were read.
#[derive(Debug, Clone)]
pub struct Shared {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Shared {
    /// Whether both are parts of one buffer.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl<'a> StoredReader<'a> {
    /// A reader at offset 0, which has read nothing yet.
    pub fn new(stored: &'a dyn Stored) -> Self {
        Self { stored, buffer: Arc::new(vec![0; CHUNK]), spare: Vec::new(), start: 0, end: 0, position: 0 }
    }

    /// The offset of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next `len` bytes; an early end is `corrupt`, code `unexpected-end`. The buffer grows to `len`, which the
    /// caller bounds.
    pub fn take(&mut self, len: usize) -> Result<&[u8]> {
        if self.fill(len)? < len {
            return Err(self.unexpected_end(len));
        }
        let from = self.start;
        self.advance(len);
        Ok(self.buffer.get(from..self.start).unwrap_or_default())
    }

    /// As [`StoredReader::take`], for a job to keep: nothing is copied.
    pub fn share(&mut self, len: usize) -> Result<Shared> {
        self.take(len)?;
        Ok(Shared { buffer: Arc::clone(&self.buffer), range: self.start.saturating_sub(len)..self.start })
    }

    /// The next `len` bytes, or all that are left if these are fewer.
    pub fn take_most(&mut self, len: usize) -> Result<&[u8]> {
        let len = self.fill(len)?.min(len);
        self.take(len)
    }

    /// Fills all of `room` with the next bytes; an early end is `corrupt`, code `unexpected-end`.
    pub fn read_into(&mut self, room: &mut [u8]) -> Result<()> {
        // Where so much is missing, a detour through the buffer would only cost a copy.
        if room.len().saturating_sub(self.buffered()) >= CHUNK / 2 {
            return self.read_just_into(room);
        }
        room.copy_from_slice(self.take(room.len())?);
        Ok(())
    }

    /// As [`StoredReader::read_into`], without reading ahead: for pieces that lie here and there.
    pub fn read_just_into(&mut self, room: &mut [u8]) -> Result<()> {
        let (buffered, mut missing) = room.split_at_mut(self.buffered().min(room.len()));
        buffered.copy_from_slice(self.take(buffered.len())?);
        while !missing.is_empty() {
            let got = self.stored.read_at(missing, self.position)?.min(missing.len());
            if got == 0 {
                return Err(self.unexpected_end(missing.len()));
            }
            (self.start, self.end) = (0, 0);
            self.position = self.position.saturating_add(got as u64);
            missing = missing.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether there are no more bytes.
    pub fn at_end(&mut self) -> Result<bool> {
        Ok(self.fill(1)? == 0)
    }

    /// Goes to `offset`, without reading what lies between. Forwards always works, even past the end. Backwards, the
    /// next read may fail with `input-forward-only`, unless what is there is still buffered.
    pub fn seek(&mut self, offset: u64) {
        let buffer = self.position.saturating_sub(self.start as u64);
        let at = offset.checked_sub(buffer).and_then(|at| usize::try_from(at).ok());
        self.position = offset;
        match at.filter(|at| *at <= self.end) {
            Some(at) => self.start = at,
            None => (self.start, self.end) = (0, 0),
        }
    }

    fn buffered(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    fn advance(&mut self, len: usize) {
        self.start = self.start.saturating_add(len);
        self.position = self.position.saturating_add(len as u64);
    }

    /// Sees to it that `len` bytes are buffered, and says how many are: fewer only at the end.
    fn fill(&mut self, len: usize) -> Result<usize> {
        if self.buffered() < len
            && (self.buffer.len().saturating_sub(self.start) < len || Arc::get_mut(&mut self.buffer).is_none())
        {
            self.turn_over(len);
        }
        while self.buffered() < len {
            let at = self.position.saturating_add(self.buffered() as u64);
            let buffer = Arc::get_mut(&mut self.buffer);
            let room = buffer.and_then(|buffer| buffer.get_mut(self.end..)).unwrap_or_default();
            let got = self.stored.read_at(room, at)?.min(room.len());
            if got == 0 {
                break;
            }
            self.end = self.end.saturating_add(got);
        }
        Ok(self.buffered())
    }

    /// Moves what is buffered to the front of a buffer that nobody else has, with room for `len` bytes.
    fn turn_over(&mut self, len: usize) {
        let (start, end) = (self.start, self.end);
        (self.start, self.end) = (0, self.buffered());
        if let Some(buffer) = Arc::get_mut(&mut self.buffer) {
            buffer.copy_within(start..end, 0);
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            return;
        }
        let unused = self.spare.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some());
        let unused = unused.map(|at| self.spare.swap_remove(at)).unwrap_or_default();
        let old = std::mem::replace(&mut self.buffer, unused);
        if let (Some(buffer), Some(rest)) = (Arc::get_mut(&mut self.buffer), old.get(start..end)) {
            buffer.resize(buffer.len().max(len).max(CHUNK), 0);
            if let Some(front) = buffer.get_mut(..rest.len()) {
                front.copy_from_slice(rest);
            }
        }
        self.spare.push(old);
    }

    fn unexpected_end(&self, wanted: usize) -> Error {
        let message = format!("the stored bytes end inside {wanted} bytes at {}", self.position);
        Error::new(ErrorKind::Corrupt, "unexpected-end", message)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Bytes that are given at most `most` at a time, forwards only where that is said.
    struct Bytes {
        bytes: Vec<u8>,
        most: usize,
        forward: Option<Mutex<u64>>,
    }

    impl Stored for Bytes {
        fn size(&self) -> Option<u64> {
            None
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
            let rest = self.bytes.get(offset as usize..).unwrap_or_default();
            let got = rest.len().min(buffer.len()).min(self.most);
            buffer[..got].copy_from_slice(&rest[..got]);
            if let Some(at) = &self.forward {
                let mut at = at.lock().unwrap();
                if offset < *at {
                    return Err(Error::unsupported("going back").coded("input-forward-only"));
                }
                *at = offset + got as u64;
            }
            Ok(got)
        }
    }

    fn bytes(len: usize, most: usize) -> Bytes {
        let bytes = (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
        Bytes { bytes, most, forward: Some(Mutex::new(0)) }
    }

    #[test]
    fn every_way_of_reading_gives_the_bytes_in_order() {
        for most in [1 << 12, 70_001, CHUNK, usize::MAX] {
            let stored = bytes(5 * CHUNK + 17, most);
            let mut reader = StoredReader::new(&stored);
            let mut at = 0;
            for step in [1, 12, 500, CHUNK - 3, 2, CHUNK + 9, 512] {
                assert_eq!(reader.position(), at as u64);
                assert_eq!(reader.take(step).unwrap(), &stored.bytes[at..at + step]);
                at += step;
            }
            for step in [0, 9, 1000, CHUNK + 7] {
                let mut room = vec![0; step];
                if most % 2 == 0 { reader.read_into(&mut room) } else { reader.read_just_into(&mut room) }.unwrap();
                assert_eq!(room, &stored.bytes[at..at + step]);
                at += step;
            }
            reader.seek(at as u64 + 5);
            assert_eq!(reader.take(3).unwrap(), &stored.bytes[at + 5..at + 8]);
            reader.seek(stored.bytes.len() as u64 - 1);
            assert!(!reader.at_end().unwrap());
            reader.take(1).unwrap();
            assert!(reader.at_end().unwrap());
        }
        let stored = bytes(CHUNK + 1, 1000);
        let mut reader = StoredReader::new(&stored);
        assert_eq!(reader.take_most(CHUNK).unwrap().len(), CHUNK);
        assert_eq!(reader.take_most(CHUNK).unwrap(), &stored.bytes[CHUNK..]);
    }

    #[test]
    fn what_is_shared_stays_as_it_was() {
        for most in [1 << 12, 70_001, usize::MAX] {
            let stored = bytes(9 * CHUNK + 5, most);
            let mut reader = StoredReader::new(&stored);
            let mut shared = Vec::new();
            let mut at = 0;
            for step in
                [5, 300_000, CHUNK, 800_000, 1, CHUNK / 2, 2 * CHUNK + 3, 17, 900_000].into_iter().cycle().take(15)
            {
                shared.push((at, reader.share(step).unwrap()));
                at += step;
                reader.seek(at as u64 + 3);
                at += 3;
            }
            for (at, shared) in &shared {
                let wanted = &stored.bytes[*at..*at + shared.bytes().len()];
                assert!(shared.bytes() == wanted, "{at}");
            }
            let rest = stored.bytes.len() - at;
            assert_eq!(reader.share(rest + 1).unwrap_err().code(), "unexpected-end");
            assert!(reader.share(rest).unwrap().bytes() == &stored.bytes[at..]);
        }
    }

    #[test]
    fn buffers_are_used_again_once_nobody_has_a_part() {
        let stored = bytes(40 * CHUNK, usize::MAX);
        let mut reader = StoredReader::new(&stored);
        let mut kept = std::collections::VecDeque::new();
        for _ in 0..39 * 2 {
            kept.push_back(reader.share(CHUNK / 2).unwrap());
            if kept.len() > 4 {
                kept.pop_front();
            }
        }
        assert!(reader.spare.len() <= 4, "{} buffers", reader.spare.len());
    }

    #[test]
    fn an_early_end_is_corrupt() {
        for len in [0, 1, 511, CHUNK, 2 * CHUNK] {
            let stored = bytes(len, usize::MAX);
            let error = StoredReader::new(&stored).take(len + 1).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "unexpected-end"));
            let stored = bytes(len, usize::MAX);
            let error = StoredReader::new(&stored).read_into(&mut vec![0; len + 1]).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "unexpected-end"));
        }
        let stored = bytes(10, usize::MAX);
        let mut reader = StoredReader::new(&stored);
        reader.seek(u64::MAX - 3);
        assert_eq!(reader.take(1).unwrap_err().code(), "unexpected-end");
    }

    #[test]
    fn going_back_further_is_the_store_s_to_refuse() {
        let mut stored = bytes(3 * CHUNK, usize::MAX);
        let mut reader = StoredReader::new(&stored);
        reader.take(10).unwrap();
        reader.seek(5);
        assert_eq!(reader.take(7).unwrap(), &stored.bytes[5..12], "still buffered");
        reader.seek(CHUNK as u64);
        reader.take(1).unwrap();
        reader.seek(5);
        assert_eq!(reader.take(1).unwrap_err().code(), "input-forward-only");
        stored.forward = None;
        let mut reader = StoredReader::new(&stored);
        reader.seek(CHUNK as u64);
        reader.take(1).unwrap();
        reader.seek(5);
        assert_eq!(reader.take(1).unwrap(), &stored.bytes[5..6]);
    }
}
