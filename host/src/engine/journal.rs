//! What of a kept stage is on the disk, so that a later run can go on from there.
//!
//! A small file with two slots that are written in turn, so that a torn write leaves the checkpoint before it. A slot
//! is believed only if its digest is right and what it says is consistent; the caller writes one only after the bytes
//! that it speaks of are on the disk.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::disk;
use crate::identity::FileIdentity;
use crate::stage::stage_error;

/// Bytes of a slot.
const SLOT: usize = 64 << 10;
/// Magic, sequence number (u64), payload length (u32), SHA-256 of those and the payload. Numbers are little-endian.
const HEADER: usize = 52;
const MAGIC: [u8; 8] = *b"LFJRNL01";
/// The most pieces in a checkpoint.
const PIECES_MAX: usize = 4096;

/// What is on the disk of a stage that is not complete.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    /// The digest that the whole must have.
    pub(crate) digest: Digest,
    /// Bytes of the whole.
    pub(crate) size: u64,
    /// The data file.
    #[serde(with = "StoredIdentity")]
    pub(crate) file: FileIdentity,
    /// When its content last changed, nanoseconds since 1970; as of the inode, [`Checkpoint::changed`].
    pub(crate) modified: i64,
    /// When its inode last changed.
    pub(crate) changed: i64,
    /// Which bytes are on the disk: sorted, disjoint, and as few as can be.
    pub(crate) pieces: Vec<Piece>,
    /// Redacted names of the locations that the pieces came from.
    pub(crate) origins: Vec<String>,
    /// How many of the first bytes `state` has seen.
    pub(crate) hashed: u64,
    /// The digest's state over them, in lower-case hex; may be empty when there are none.
    pub(crate) state: String,
}

/// Bytes that came from one location. In JSON `[start, end, origin]`, since there can be many.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone, Copy)]
#[serde(from = "(u64, u64, u32)", into = "(u64, u64, u32)")]
pub(crate) struct Piece {
    /// The offset of the first byte.
    pub(crate) start: u64,
    /// The offset after the last byte.
    pub(crate) end: u64,
    /// The location's index in [`Checkpoint::origins`].
    pub(crate) origin: u32,
}

impl From<(u64, u64, u32)> for Piece {
    fn from((start, end, origin): (u64, u64, u32)) -> Self {
        Self { start, end, origin }
    }
}

impl From<Piece> for (u64, u64, u32) {
    fn from(piece: Piece) -> Self {
        (piece.start, piece.end, piece.origin)
    }
}

/// [`FileIdentity`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(remote = "FileIdentity", deny_unknown_fields)]
struct StoredIdentity {
    file_system: u64,
    inode: u64,
    born: Option<i64>,
}

impl Checkpoint {
    /// Refuses (code `checkpoint-inconsistent`, scope `node`) what no stage can be in.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: &str| {
            let message = format!("a checkpoint of a kept stage is inconsistent: {why}");
            Err(Error::new(ErrorKind::Internal, "checkpoint-inconsistent", message).scoped(Scope::Node))
        };
        if i64::try_from(self.size).is_err() {
            return refuse("the size is more than a file can have");
        }
        if self.pieces.len() > PIECES_MAX {
            return refuse("there are too many pieces");
        }
        let mut last: Option<&Piece> = None;
        let mut prefix = 0;
        for piece in &self.pieces {
            if piece.start >= piece.end {
                return refuse("a piece is empty");
            }
            if piece.end > self.size {
                return refuse("a piece ends beyond the size");
            }
            if !usize::try_from(piece.origin).is_ok_and(|origin| origin < self.origins.len()) {
                return refuse("a piece's origin is not listed");
            }
            if last.is_some_and(|last| piece.start < last.end) {
                return refuse("pieces overlap or are not sorted");
            }
            if last.is_some_and(|last| piece.start == last.end && piece.origin == last.origin) {
                return refuse("two adjacent pieces are one");
            }
            if piece.start == prefix {
                prefix = piece.end;
            }
            last = Some(piece);
        }
        if self.hashed > prefix {
            return refuse("more bytes are hashed than are there from the start on");
        }
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !self.state.len().is_multiple_of(2) || !self.state.bytes().all(is_hex) {
            return refuse("the digest's state is not hex");
        }
        if self.hashed > 0 && self.state.is_empty() {
            return refuse("the digest's state is missing");
        }
        Ok(())
    }
}

/// A journal that checkpoints are written to.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// The sequence number of the next checkpoint.
    next: u64,
}

impl Journal {
    /// A journal in an empty file.
    #[cfg(test)]
    pub(crate) fn new(file: File) -> Self {
        Self { file, next: 0 }
    }

    /// The journal in `file`, its last whole checkpoint, and whether a slot is damaged: by a write that a crash cut
    /// short, or by what must not happen. Fails (scope `node` or `request`) only when the file cannot be read.
    pub(crate) fn open(file: File) -> Result<(Self, Option<Checkpoint>, bool)> {
        let failed = |error: std::io::Error| stage_error(&error, "read the journal of a kept stage");
        let mut bytes = Vec::new();
        (&file).rewind().map_err(failed)?;
        (&file).take(2 * SLOT as u64).read_to_end(&mut bytes).map_err(failed)?;
        let (mut newest, mut damaged) = (None, false);
        for (index, slot) in (0..).zip(bytes.chunks(SLOT)) {
            let found = decode(slot).filter(|(sequence, _)| sequence % 2 == index);
            damaged |= found.is_none() && slot.iter().take(HEADER).any(|byte| *byte != 0);
            newest = newest.into_iter().chain(found).max_by_key(|(sequence, _)| *sequence);
        }
        let next = newest.as_ref().map_or(0, |(sequence, _)| sequence.saturating_add(1));
        Ok((Self { file, next }, newest.map(|(_, checkpoint)| checkpoint), damaged))
    }

    /// Empties the journal, and waits until that is on the disk.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let file = self.file.as_fd();
        disk::set_size(file, 0)
            .and_then(|()| disk::sync_journal(file))
            .map_err(|error| stage_error(&error, "empty the journal of a kept stage"))?;
        self.next = 0;
        Ok(())
    }

    /// Writes a checkpoint and waits until it is on the disk. The one before stays, also when this fails: with code
    /// `journal-full` (scope `node`) when there are more pieces, or longer names, than a slot holds; with that of
    /// [`Checkpoint::check`]; or with the system's.
    pub(crate) fn write(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check()?;
        let payload = serde_json::to_vec(checkpoint).map_err(|error| {
            let message = format!("write a checkpoint as JSON: {error}");
            Error::new(ErrorKind::Internal, "checkpoint-json", message).scoped(Scope::Node)
        })?;
        let Some(slot) = encode(self.next, &payload) else {
            let (pieces, bytes, most) = (checkpoint.pieces.len(), payload.len(), SLOT - HEADER);
            let message = format!("a checkpoint of {pieces} pieces takes {bytes} bytes, a journal's slot holds {most}");
            return Err(Error::new(ErrorKind::Limit, "journal-full", message).scoped(Scope::Node));
        };
        disk::write_journal(self.file.as_fd(), &slot, offset_of(self.next))
            .map_err(|error| stage_error(&error, "write the journal of a kept stage"))?;
        disk::sync_journal(self.file.as_fd())
            .map_err(|error| stage_error(&error, "sync the journal of a kept stage"))?;
        // Only now: what failed is tried again in the same slot, and the other one stays.
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}

/// Where the slot of the checkpoint with this sequence number begins.
fn offset_of(sequence: u64) -> u64 {
    (sequence % 2).saturating_mul(SLOT as u64)
}

/// A slot's used bytes; `None` if it cannot hold the payload.
fn encode(sequence: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= SLOT - HEADER)?;
    let head = [&MAGIC[..], &sequence.to_le_bytes(), &length.to_le_bytes()].concat();
    let digest = Sha256::new().chain_update(&head).chain_update(payload).finalize();
    Some([&head, &digest[..], payload].concat())
}

/// The checkpoint in a slot, and its sequence number; `None` if it is not what [`Journal::write`] wrote.
fn decode(slot: &[u8]) -> Option<(u64, Checkpoint)> {
    let (sequence, rest) = slot.get(MAGIC.len()..)?.split_first_chunk()?;
    let (length, _) = rest.split_first_chunk()?;
    // The last number would leave none for the next checkpoint.
    let sequence = Some(u64::from_le_bytes(*sequence)).filter(|sequence| *sequence < u64::MAX)?;
    let payload = slot.get(HEADER..)?.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    // Magic and digest at once.
    if !slot.starts_with(&encode(sequence, payload)?) {
        return None;
    }
    let checkpoint: Checkpoint = serde_json::from_slice(payload).ok()?;
    checkpoint.check().is_ok().then_some((sequence, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;

    fn checkpoint(number: u64) -> Checkpoint {
        Checkpoint {
            digest: Digest { algorithm: Algorithm::Sha512, value: "ab".repeat(64) },
            size: 1000,
            file: FileIdentity { file_system: 7, inode: u64::MAX, born: Some(-1) },
            modified: 5,
            changed: 6,
            pieces: vec![(0, 100 + number, 0).into(), (100 + number, 500, 1).into(), (600, 1000, 0).into()],
            origins: vec!["http://a/".into(), "http://b/".into()],
            hashed: 128,
            state: "00ff".into(),
        }
    }

    fn file(slots: [&[u8]; 2]) -> File {
        let file = tempfile::tempfile().unwrap();
        for (slot, offset) in slots.into_iter().zip([0, SLOT as u64]) {
            file.write_all_at(slot, offset).unwrap();
        }
        file
    }

    fn read(file: &File) -> (Option<Checkpoint>, bool) {
        let (_, checkpoint, damaged) = Journal::open(file.try_clone().unwrap()).unwrap();
        (checkpoint, damaged)
    }

    fn slot(sequence: u64, checkpoint: &Checkpoint) -> Vec<u8> {
        encode(sequence, &serde_json::to_vec(checkpoint).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_the_one_before_stays() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read(&file), (None, false));
        let mut journal = Journal::new(file.try_clone().unwrap());
        for number in 0..6 {
            if number == 3 {
                journal = Journal::open(file.try_clone().unwrap()).unwrap().0;
            }
            journal.write(&checkpoint(number)).unwrap();
            assert_eq!(read(&file), (Some(checkpoint(number)), false));
            // Without what was just written there is the one before.
            let (mut header, newest) = ([0; HEADER], offset_of(number));
            file.read_exact_at(&mut header, newest).unwrap();
            file.write_all_at(&[0; HEADER], newest).unwrap();
            assert_eq!(read(&file), (number.checked_sub(1).map(checkpoint), false));
            file.write_all_at(&header, newest).unwrap();
        }
    }

    #[test]
    fn a_torn_write_leaves_the_one_before() {
        let (old, new) = (slot(4, &checkpoint(4)), slot(5, &checkpoint(5)));
        for cut in 0..new.len() {
            assert_eq!(read(&file([&old, &new[..cut]])), (Some(checkpoint(4)), cut > 0));
        }
        let torn = file([&old, &new[..new.len() - 1]]);
        let mut journal = Journal::open(torn.try_clone().unwrap()).unwrap().0;
        journal.write(&checkpoint(6)).unwrap();
        assert_eq!(read(&torn), (Some(checkpoint(6)), false));
    }

    #[test]
    fn no_flipped_bit_makes_another_checkpoint() {
        let slots = [slot(6, &checkpoint(6)), slot(5, &checkpoint(5))];
        let file = file([&slots[0], &slots[1]]);
        for (index, slot) in slots.iter().enumerate() {
            for (place, byte) in slot.iter().enumerate() {
                let offset = (index * SLOT + place) as u64;
                for bit in 0..8 {
                    file.write_all_at(&[byte ^ (1 << bit)], offset).unwrap();
                    let other = checkpoint(if index == 0 { 5 } else { 6 });
                    assert_eq!(read(&file), (Some(other), true), "bit {bit} of byte {place} of slot {index}");
                }
                file.write_all_at(&[*byte], offset).unwrap();
            }
        }
        assert_eq!(read(&file), (Some(checkpoint(6)), false));
    }

    #[test]
    fn a_slot_in_the_others_place_is_damaged() {
        let good = slot(5, &checkpoint(5));
        assert_eq!(read(&file([&good, &[]])), (None, true));
        assert_eq!(read(&file([&[], &slot(u64::MAX, &checkpoint(5))])), (None, true));
        assert_eq!(read(&file([&[], &encode(1, b"{}").unwrap()])), (None, true));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut journal = Journal::new(tempfile::tempfile().unwrap());
        journal.write(&checkpoint(0)).unwrap();
        let mut many = checkpoint(0);
        (many.size, many.hashed) = (1 << 40, 0);
        for (count, code) in [(4097, "checkpoint-inconsistent"), (4096, "journal-full"), (1800, "")] {
            many.pieces = (0..count).map(|piece| (piece << 27, (piece << 27) + 1, 0).into()).collect();
            let code_of = |error: Error| error.code().to_owned();
            assert_eq!(journal.write(&many).map_err(code_of), if code.is_empty() { Ok(()) } else { Err(code.into()) });
            assert_eq!(read(&journal.file), (Some(if code.is_empty() { many.clone() } else { checkpoint(0) }), false));
        }
    }

    #[test]
    fn each_inconsistency_is_refused() {
        checkpoint(0).check().unwrap();
        type Spoil = fn(&mut Checkpoint);
        let table: [(&str, Spoil); 13] = [
            ("than a file can have", |it| it.size = u64::MAX),
            ("too many", |it| it.pieces = (0..4097).map(|at| (2 * at, 2 * at + 1, 0).into()).collect()),
            ("empty", |it| it.pieces[2].end = it.pieces[2].start),
            ("empty", |it| it.pieces[2].end = it.pieces[2].start - 1),
            ("beyond the size", |it| it.size -= 1),
            ("not listed", |it| it.origins.truncate(1)),
            ("overlap", |it| it.pieces[1].start -= 1),
            ("not sorted", |it| it.pieces.swap(1, 2)),
            ("adjacent", |it| it.pieces[1].origin = 0),
            ("hashed", |it| it.hashed = 501),
            ("hashed", |it| it.pieces[0].start = 1),
            ("not hex", |it| it.state = "00F".into()),
            ("missing", |it| it.state.clear()),
        ];
        for (why, spoil) in table {
            let mut bad = checkpoint(0);
            spoil(&mut bad);
            let error = bad.check().unwrap_err();
            assert_eq!((error.code(), error.scope()), ("checkpoint-inconsistent", Scope::Node));
            assert!(error.message().contains(why), "{} is not about {why}", error.message());
            assert_eq!(read(&file([&slot(0, &bad), &[]])), (None, true));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_no_checkpoint(
            bytes in prop::collection::vec(1..=u8::MAX, 0..300), gap in 0..2 * SLOT, magic: bool,
        ) {
            let garbage = file([&vec![0; gap], &[]]);
            garbage.write_all_at(&bytes, if magic { MAGIC.len() as u64 } else { gap as u64 }).unwrap();
            if magic {
                garbage.write_all_at(&MAGIC, 0).unwrap();
            }
            prop_assert_eq!(read(&garbage).0, None);
        }

        #[test]
        fn only_what_is_consistent_is_read(
            numbers in prop::collection::vec((0..9_u64, 0..9_u64, 0..3_u32), 0..4),
            (size, hashed) in (0..9_u64, 0..9_u64),
        ) {
            let pieces = numbers.into_iter().map(Piece::from).collect();
            let any = Checkpoint { pieces, size, hashed, ..checkpoint(0) };
            let consistent = any.check().is_ok();
            let found = read(&file([&slot(2, &any), &[]]));
            prop_assert_eq!(found, (consistent.then_some(any), !consistent));
        }
    }
}
