//! Reads a file front to back and gives its bytes to a writer that leaves zeros out and to a digest that runs beside it.

use std::os::fd::BorrowedFd;
use std::sync::mpsc;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::extents::{Extent, Extents};
use super::writeback::Writeback;
use crate::digest::{Digest, Hasher};
use crate::disk;
use crate::plugin::CallContext;
use crate::stage::stage_error;

/// Bytes of one read: small enough to stay in the cache between reader, writer and digest.
pub(super) const CHUNK: usize = 256 * 1024;
/// Chunks in flight between the reader and the digest.
const CHUNKS: usize = 8;
/// Zeros that the digest is given at once; it cannot be stopped before it is through with them.
const ZEROS: u64 = 16 << 20;
/// Zeros of at least this length, and aligned to it, become holes. Finer holes would make clones slow: each costs the
/// file system a mapping.
pub(super) const HOLE: usize = 64 * 1024;

/// What the digest is given.
enum Piece {
    Bytes(Vec<u8>, usize),
    Zeros(u64),
}

/// The bytes of a file in order, on their way to a digest. Without a digest it does nothing.
pub(super) struct Digesting {
    pieces: Option<mpsc::SyncSender<Piece>>,
    empties: mpsc::Receiver<Vec<u8>>,
    made: usize,
    thread: Option<std::thread::JoinHandle<Digest>>,
}

impl Digesting {
    /// Starts the digest's thread.
    pub(super) fn start(hasher: Option<Hasher>) -> Result<Self> {
        let (give_back, empties) = mpsc::channel();
        let Some(mut hasher) = hasher else {
            return Ok(Self { pieces: None, empties, made: 0, thread: None });
        };
        let (pieces, work) = mpsc::sync_channel(CHUNKS);
        let thread = std::thread::Builder::new().name("digest".into()).spawn(move || {
            let zeros = vec![0; CHUNK];
            for piece in work {
                match piece {
                    Piece::Bytes(buffer, filled) => {
                        hasher.update(buffer.get(..filled).unwrap_or_default());
                        // The reader may have ended already.
                        let _ = give_back.send(buffer);
                    }
                    Piece::Zeros(mut len) => {
                        while len > 0 {
                            let step = usize::try_from(len).unwrap_or(CHUNK).min(CHUNK);
                            hasher.update(zeros.get(..step).unwrap_or_default());
                            len = len.saturating_sub(step as u64);
                        }
                    }
                }
            }
            hasher.finish()
        });
        let thread = thread.map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
        Ok(Self { pieces: Some(pieces), empties, made: 0, thread: Some(thread) })
    }

    /// A buffer of [`CHUNK`] bytes; waits until the digest gives one back.
    pub(super) fn buffer(&mut self) -> Result<Vec<u8>> {
        if let Ok(buffer) = self.empties.try_recv() {
            return Ok(buffer);
        }
        if self.made < CHUNKS {
            self.made = self.made.saturating_add(1);
            return Ok(vec![0; CHUNK]);
        }
        self.empties.recv().map_err(|_| digest_died())
    }

    /// The next `filled` bytes. Without a digest the buffer is just kept for the next read.
    pub(super) fn bytes(&mut self, buffer: Vec<u8>, filled: usize, spare: &mut Option<Vec<u8>>) -> Result<()> {
        match &self.pieces {
            Some(pieces) => pieces.send(Piece::Bytes(buffer, filled)).map_err(|_| digest_died()),
            None => {
                *spare = Some(buffer);
                Ok(())
            }
        }
    }

    /// The next `len` bytes are zeros.
    pub(super) fn zeros(&mut self, len: u64) -> Result<()> {
        match &self.pieces {
            Some(pieces) => pieces.send(Piece::Zeros(len)).map_err(|_| digest_died()),
            None => Ok(()),
        }
    }

    /// The digest of everything.
    pub(super) fn finish(mut self) -> Result<Option<Digest>> {
        self.pieces = None;
        match self.thread.take() {
            None => Ok(None),
            Some(thread) => thread.join().map(Some).map_err(|_| digest_died()),
        }
    }
}

fn digest_died() -> Error {
    Error::new(ErrorKind::Internal, "digest-thread", "the digest's thread ended early").scoped(Scope::Node)
}

/// Reads the first `size` bytes of `source`; writes what is not zero to `target`, whose size is set already; gives the
/// digest when there is a hasher.
pub(super) fn pump(
    source: BorrowedFd<'_>,
    size: u64,
    target: Option<BorrowedFd<'_>>,
    hasher: Option<Hasher>,
    call: &CallContext,
) -> Result<Option<Digest>> {
    let mut digesting = Digesting::start(hasher)?;
    let mut writeback = Writeback::default();
    let mut spare = None;
    let mut offset = 0_u64;
    for extent in Extents::new(source, size) {
        match extent? {
            Extent::Hole(len) => {
                let end = offset.saturating_add(len);
                while offset < end {
                    call.cancel.check()?;
                    let step = end.saturating_sub(offset).min(ZEROS);
                    digesting.zeros(step)?;
                    offset = offset.saturating_add(step);
                    (call.progress)(offset, Some(size));
                }
            }
            Extent::Data(len) => {
                let end = offset.saturating_add(len);
                while offset < end {
                    call.cancel.check()?;
                    let mut buffer = match spare.take() {
                        Some(buffer) => buffer,
                        None => digesting.buffer()?,
                    };
                    // Chunks stay aligned to the hole size whatever the extents are.
                    let to_boundary = (CHUNK as u64).saturating_sub(offset % CHUNK as u64);
                    let wanted = usize::try_from(end.saturating_sub(offset).min(to_boundary)).unwrap_or(CHUNK);
                    let filled = read_at(source, buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
                    if filled == 0 {
                        return Err(source_changed("the source became shorter while it was read"));
                    }
                    let bytes = buffer.get(..filled).unwrap_or_default();
                    if let Some(target) = target {
                        write_sparse(target, bytes, offset)?;
                    }
                    offset = offset.saturating_add(filled as u64);
                    if let Some(target) = target {
                        writeback.written_to(target, offset);
                    }
                    digesting.bytes(buffer, filled, &mut spare)?;
                    (call.progress)(offset, Some(size));
                }
            }
        }
        (call.progress)(offset, Some(size));
    }
    digesting.finish()
}

fn read_at(source: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    loop {
        match rustix::io::pread(source, &mut *buffer, offset) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(filled) => return Ok(filled),
            Err(errno) => return Err(Error::os(&errno.into(), "read the source")),
        }
    }
}

/// The source is not what it was when the attempt began.
pub(super) fn source_changed(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "source-changed", message)
}

/// Writes `bytes` at `offset`, leaving out blocks of [`HOLE`] zeros that are aligned to [`HOLE`].
pub(super) fn write_sparse(target: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<()> {
    let write = |from: usize, to: usize| -> Result<()> {
        let run = bytes.get(from..to).unwrap_or_default();
        disk::write_all_at(target, run, offset.saturating_add(from as u64))
            .map_err(|error| stage_error(&error, "write the stage"))
    };
    let mut run_start = 0_usize;
    let mut at = 0_usize;
    while at < bytes.len() {
        let misaligned = usize::try_from(offset.saturating_add(at as u64) % HOLE as u64).unwrap_or(0);
        let step = HOLE.saturating_sub(misaligned).min(bytes.len().saturating_sub(at));
        let next = at.saturating_add(step);
        if step == HOLE && is_zero(bytes.get(at..next).unwrap_or_default()) {
            if run_start < at {
                write(run_start, at)?;
            }
            run_start = next;
        }
        at = next;
    }
    if run_start < bytes.len() { write(run_start, bytes.len()) } else { Ok(()) }
}

/// Whether all bytes are zero.
fn is_zero(bytes: &[u8]) -> bool {
    // A block at a time without an early exit inside it, so that the compiler can use wide registers.
    let mut blocks = bytes.chunks_exact(512);
    blocks.by_ref().all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && blocks.remainder().iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::digest::Algorithm;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileExt, MetadataExt};

    fn sample(size: usize) -> Vec<u8> {
        // Data, a long run of zeros, short runs of zeros, data.
        let mut bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let third = size / 3;
        bytes[third..2 * third].fill(0);
        for at in (0..third).step_by(5000) {
            bytes[at..(at + 100).min(size)].fill(0);
        }
        bytes
    }

    #[test]
    fn what_is_pumped_is_the_same_bytes_and_their_digest() {
        for size in [0, 1, 4097, HOLE - 1, HOLE, HOLE + 1, CHUNK, 3 * CHUNK + 5] {
            let bytes = sample(size);
            let source = tempfile::tempfile().unwrap();
            source.write_all_at(&bytes, 0).unwrap();
            let mut target = tempfile::tempfile().unwrap();
            target.set_len(size as u64).unwrap();
            let call = CallContext::quiet(Cancel::new().unwrap(), std::time::Duration::from_secs(60));
            let hasher = Algorithm::Sha256.hasher();
            let digest = pump(source.as_fd(), size as u64, Some(target.as_fd()), Some(hasher), &call).unwrap();
            let mut copied = Vec::new();
            target.read_to_end(&mut copied).unwrap();
            assert!(copied == bytes, "size {size}");
            let mut again = Algorithm::Sha256.hasher();
            again.update(&bytes);
            assert_eq!(digest.unwrap(), again.finish());
        }
    }

    #[test]
    fn zeros_become_holes_but_none_finer_than_the_hole_size() {
        let mut bytes = vec![1_u8; 4 * HOLE];
        bytes[HOLE..2 * HOLE].fill(0);
        bytes[2 * HOLE + 4096..2 * HOLE + 40960].fill(0);
        let target = tempfile::tempfile().unwrap();
        target.set_len(bytes.len() as u64).unwrap();
        write_sparse(target.as_fd(), &bytes, 0).unwrap();
        target.sync_all().unwrap();
        assert_eq!(target.metadata().unwrap().blocks() * 512, 3 * HOLE as u64);
    }

    #[test]
    fn a_source_that_shrinks_is_named() {
        let source = tempfile::tempfile().unwrap();
        source.write_all_at(&[1; 100], 0).unwrap();
        let call = CallContext::quiet(Cancel::new().unwrap(), std::time::Duration::from_secs(60));
        let error = pump(source.as_fd(), 200, None, None, &call).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "source-changed"));
    }
}
