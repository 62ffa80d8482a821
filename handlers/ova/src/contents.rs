//! The bytes of one member, as an unpacker reads them.

use std::sync::{Mutex, PoisonError};

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::Stored;

use crate::digest::Digests;
use crate::tar::{Member, truncated};

/// Bytes that are read at a time where nobody but the digests wants them.
const PIECE: usize = 1 << 20;

/// A sign of life, with the bytes of the archive that were read; fails once the operation must stop.
pub(crate) type Pulse<'a> = &'a (dyn Fn(u64) -> Result<()> + Sync);

/// A member's bytes and no others. What is read is hashed on its way, in order and once; what a reader skips is read
/// for the digest before it is gone.
pub(crate) struct Contents<'a, 'scope> {
    stored: &'a dyn Stored,
    pulse: Pulse<'a>,
    offset: u64,
    size: u64,
    /// Absent where no digest of this member is wanted.
    tee: Option<Mutex<Tee<'a, 'scope>>>,
}

struct Tee<'a, 'scope> {
    digests: &'a mut Digests<'scope>,
    /// Bytes from the member's start that were hashed.
    hashed: u64,
}

impl<'a, 'scope> Contents<'a, 'scope> {
    pub(crate) fn new(
        stored: &'a dyn Stored,
        member: &Member,
        digests: Option<&'a mut Digests<'scope>>,
        pulse: Pulse<'a>,
    ) -> Self {
        let tee = digests.map(|digests| Mutex::new(Tee { digests, hashed: 0 }));
        Self { stored, pulse, offset: member.offset, size: member.size, tee }
    }

    /// All of the bytes, where there are no more than `most`; otherwise the error `code` about `what`.
    pub(crate) fn read_all(&self, most: u64, code: &'static str, what: &str) -> Result<Vec<u8>> {
        if self.size > most {
            return Err(Error::new(ErrorKind::Limit, code, format!("{what} has more than {most} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or_default()];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Hashes what nobody has read, and ends the digest of member number `index`.
    pub(crate) fn finish(mut self, index: usize) -> Result<()> {
        let Some(tee) = self.tee.take() else { return Ok(()) };
        let mut tee = tee.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut tee, self.size)?;
        tee.digests.end(index)
    }

    /// Reads and hashes what is between the last hashed byte and `offset`.
    fn catch_up(&self, tee: &mut Tee<'_, '_>, offset: u64) -> Result<()> {
        let mut piece = Vec::new();
        while tee.hashed < offset {
            let left = offset.saturating_sub(tee.hashed);
            piece.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
            self.read(&mut piece, tee.hashed)?;
            tee.push(&piece, tee.hashed)?;
        }
        Ok(())
    }

    /// Fills `buffer`, which is within the member, from the member's `offset`.
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        // The sum of a member's offset and size was checked with its header.
        let at = self.offset.saturating_add(offset);
        if self.stored.read_at(buffer, at)? < buffer.len() {
            return Err(truncated());
        }
        (self.pulse)(at.saturating_add(buffer.len() as u64))
    }
}

impl Stored for Contents<'_, '_> {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(tee) = &self.tee else {
            self.read(buffer, offset)?;
            return Ok(buffer.len());
        };
        let mut tee = tee.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut tee, offset)?;
        self.read(buffer, offset)?;
        tee.push(buffer, offset)?;
        Ok(buffer.len())
    }
}

impl Tee<'_, '_> {
    /// Hashes those of `bytes`, which are at `offset`, that were not hashed yet. None before them is missing.
    fn push(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let known = usize::try_from(self.hashed.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        self.digests.push(new)?;
        self.hashed = self.hashed.saturating_add(new.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::digest::Algorithm;
    use crate::tests::host::Bytes;
    use crate::tests::package::noise;

    fn member(offset: u64, size: u64) -> Member {
        Member { name: "m".to_owned(), offset, size }
    }

    #[test]
    fn a_member_ends_where_it_ends() {
        let archive = noise(1, 1000);
        let stored = Bytes(&archive);
        let (inside, cut) = (member(100, 50), member(980, 50));
        let inside = Contents::new(&stored, &inside, None, &|_| Ok(()));
        let mut room = [0; 80];
        assert_eq!(inside.size(), Some(50));
        assert_eq!(inside.read_at(&mut room, 20).unwrap(), 30);
        assert_eq!(room[..30], archive[120..150]);
        for offset in [50, 51, u64::MAX] {
            assert_eq!(inside.read_at(&mut room, offset).unwrap(), 0);
        }
        let cut = Contents::new(&stored, &cut, None, &|_| Ok(()));
        assert_eq!(cut.read_at(&mut room[..20], 0).unwrap(), 20);
        assert_eq!(cut.read_at(&mut room[..21], 0).unwrap_err().code(), "tar-truncated");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_way_of_reading_gives_one_digest(
            offset in 0_usize..100,
            size in 0_usize..5000,
            reads in proptest::collection::vec((0_usize..5200, 0_usize..3000), 0..8),
        ) {
            let archive = noise(2, offset + size + 10);
            let stored = Bytes(&archive);
            let member = member(offset as u64, size as u64);
            let expected = &archive[offset..offset + size];
            let found = std::thread::scope(|scope| {
                let mut digests = Digests::start(scope, &[Algorithm::Sha256]).unwrap();
                assert!(digests.begin(&[Algorithm::Sha256]));
                let contents = Contents::new(&stored, &member, Some(&mut digests), &|_| Ok(()));
                for (at, length) in reads {
                    let mut room = vec![0; length];
                    let got = contents.read_at(&mut room, at as u64).unwrap();
                    let rest = expected.get(at..).unwrap_or_default();
                    assert!(room[..got] == rest[..length.min(rest.len())]);
                }
                contents.finish(0).unwrap();
                digests.finish().unwrap()
            });
            prop_assert!(found[0].digest == Sha256::digest(expected).as_slice());
        }
    }
}
