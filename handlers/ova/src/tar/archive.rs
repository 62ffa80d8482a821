//! The members of a tar archive, in its order.

use std::collections::HashSet;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::Stored;

use super::header::{BLOCK, Header, Kind};
use super::pax;
use crate::name;

/// Headers of one archive. A package has a descriptor, a manifest, a certificate and a file for each disk and medium.
pub(crate) const HEADERS_MAX: usize = 1024;
/// Zeros after the two blocks of zeros: the padding of a record, of which GNU tar's largest usual one is 1 MiB.
const PADDING_MAX: usize = 1 << 20;
const PADDING_PIECE: usize = 64 << 10;

/// A regular file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where its bytes begin in the archive.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) size: u64,
}

/// Reads headers front to back and nothing else: whoever wants a member's bytes reads them by their offset.
pub(crate) struct Archive<'a> {
    stored: &'a dyn Stored,
    /// Of the next header.
    offset: u64,
    headers: usize,
    /// Of the members so far, folded.
    names: HashSet<String>,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(stored: &'a dyn Stored) -> Self {
        Self { stored, offset: 0, headers: 0, names: HashSet::new() }
    }

    /// The next member; `None` at the end, which was checked then: two blocks of zeros, and zeros only after them.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>> {
        let mut records = false;
        loop {
            let Some(header) = self.header()? else {
                if records {
                    return Err(dangling_records());
                }
                self.check_end()?;
                return Ok(None);
            };
            let (offset, size) = (self.offset, header.size);
            self.skip(size)?;
            match header.kind {
                Kind::File => return self.member(&header, offset).map(Some),
                Kind::Pax | Kind::PaxGlobal if records => return Err(dangling_records()),
                Kind::Pax | Kind::PaxGlobal => self.check_records(offset, size)?,
            }
            records = header.kind == Kind::Pax;
        }
    }

    /// The next header; `None` is the first block of zeros.
    fn header(&mut self) -> Result<Option<Header>> {
        let header = Header::parse(&self.block()?)?;
        self.headers = self.headers.saturating_add(usize::from(header.is_some()));
        if self.headers > HEADERS_MAX {
            let message = format!("the archive has more than {HEADERS_MAX} headers");
            return Err(Error::new(ErrorKind::Limit, "tar-too-many-members", message));
        }
        Ok(header)
    }

    /// The block at the current offset, which is then behind it.
    fn block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        if self.stored.read_at(&mut block, self.offset)? < BLOCK {
            return Err(truncated());
        }
        self.skip(BLOCK as u64)?;
        Ok(block)
    }

    /// Moves behind `size` bytes and their padding.
    fn skip(&mut self, size: u64) -> Result<()> {
        let end = self.offset.checked_add(size).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "tar-number", "a tar header has a size that is beyond any archive's")
        })?;
        if self.stored.size().is_some_and(|all| end > all) {
            return Err(truncated());
        }
        self.offset = end.checked_next_multiple_of(BLOCK as u64).unwrap_or(end);
        Ok(())
    }

    fn check_records(&self, offset: u64, size: u64) -> Result<()> {
        if size > pax::PAX_MAX {
            let message = format!("a PAX header has more than {} bytes", pax::PAX_MAX);
            return Err(Error::new(ErrorKind::Limit, "tar-pax-too-large", message));
        }
        let mut records = vec![0; usize::try_from(size).unwrap_or_default()];
        if self.stored.read_at(&mut records, offset)? < records.len() {
            return Err(truncated());
        }
        pax::check(&records)
    }

    fn member(&mut self, header: &Header, offset: u64) -> Result<Member> {
        let name = name::plain(&header.name).ok_or_else(|| {
            let message = "a member's name is not a single plain component of UTF-8";
            Error::new(ErrorKind::Unsupported, "tar-name", message)
        })?;
        if !self.names.insert(name::folded(name)) {
            let message = "two members have the same name, or names that differ in case only";
            return Err(Error::new(ErrorKind::Corrupt, "tar-duplicate-name", message));
        }
        Ok(Member { name: name.to_owned(), offset, size: header.size })
    }

    /// After the first block of zeros: another one, and nothing but padding up to the end.
    fn check_end(&mut self) -> Result<()> {
        let trailing = |message| Err(Error::new(ErrorKind::Corrupt, "tar-trailing-data", message));
        if self.block()?.iter().any(|byte| *byte != 0) {
            return trailing("the archive goes on after a single block of zeros");
        }
        let mut piece = vec![0; PADDING_PIECE];
        let mut padding: usize = 0;
        loop {
            let got = self.stored.read_at(&mut piece, self.offset)?;
            if piece.iter().take(got).any(|byte| *byte != 0) {
                return trailing("the archive goes on after its end");
            }
            padding = padding.saturating_add(got);
            if padding > PADDING_MAX {
                return trailing("the archive has more padding after its end than any record");
            }
            if got < piece.len() {
                return Ok(());
            }
            self.offset = self.offset.saturating_add(got as u64);
        }
    }
}

/// The error of an archive that ends before its end.
pub(crate) fn truncated() -> Error {
    let message = "the archive ends inside a member, or before its two blocks of zeros";
    Error::new(ErrorKind::Corrupt, "tar-truncated", message)
}

fn dangling_records() -> Error {
    Error::new(ErrorKind::Corrupt, "tar-pax-malformed", "a PAX header is not followed by the member that it is for")
}
