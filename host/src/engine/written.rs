//! How handlers' outputs are written and their inputs read, in the agent and in workers alike.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use rustix::fs::{Mode, OFlags};

use crate::disk;
use crate::stage::stage_error;

/// Bytes of one step of a copy from an adopted descriptor.
const STEP: usize = 256 * 1024;
/// Bytes that are adopted before anything else is looked at; a multiple of every block size, so that clones work.
const ADOPT_STEP: u64 = 1 << 30;

/// Refuses a range that is not within an output of `size` bytes.
pub(crate) fn check_bounds(offset: u64, len: u64, size: u64) -> Result<()> {
    if offset.checked_add(len).is_some_and(|end| end <= size) {
        return Ok(());
    }
    let message = format!("{len} bytes at {offset} are beyond the output's {size} bytes");
    Err(Error::new(ErrorKind::Limit, "output-bounds", message).scoped(Scope::Handler))
}

/// The code of an attempt to go back in an input that only goes forward.
pub(crate) const FORWARD_ONLY: &str = "input-forward-only";

/// Refuses to go back in an input that only goes forward.
pub(crate) fn forward_only(offset: u64, position: u64) -> Error {
    let message = format!("the input has no descriptor and is at {position}: it cannot go back to {offset}");
    Error::new(ErrorKind::Unsupported, FORWARD_ONLY, message)
}

/// Opens a file anew, for another process: with the rights that it needs and no more, and without a part in the locks of the
/// descriptor at hand.
pub(crate) fn reopen(file: &File, flags: OFlags) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| stage_error(&errno.into(), "open the stage anew for a handler"))
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write(file: &File, bytes: &[u8], offset: u64) -> Result<()> {
    disk::write_all_at(file.as_fd(), bytes, offset).map_err(|error| stage_error(&error, "write the stage"))
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, offset.saturating_add(filled as u64)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::os(&errno.into(), "read the input")),
            Ok(0) => break,
            Ok(now) => filled = filled.saturating_add(now),
        }
    }
    Ok(filled)
}

/// Takes a range of an adopted descriptor, step by step: `take` gets the offset in the descriptor, the one in the output
/// and the length of each.
pub(crate) fn adopt(
    source: &File,
    source_offset: u64,
    offset: u64,
    len: u64,
    mut take: impl FnMut(Adopted<'_>, u64, u64) -> Result<()>,
) -> Result<()> {
    let metadata = source.metadata().map_err(|error| Error::os(&error, "stat the adopted descriptor"))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Denied, "not-a-regular-file", "the adopted descriptor is no regular file"));
    }
    let mut done = 0_u64;
    while done < len {
        let step = len.saturating_sub(done).min(ADOPT_STEP);
        let from = Adopted { file: source, offset: source_offset.saturating_add(done) };
        take(from, offset.saturating_add(done), step)?;
        done = done.saturating_add(step);
    }
    Ok(())
}

/// Where the bytes of a step come from.
#[derive(Clone, Copy)]
pub(crate) struct Adopted<'a> {
    file: &'a File,
    offset: u64,
}

/// Makes a range read as zeros, as a hole where the file system has them.
pub(crate) fn zero(file: &File, offset: u64, len: u64) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    match disk::punch(file.as_fd(), offset, len) {
        Err(error) if disk::is_missing(&error) => {
            let zeros = vec![0; STEP];
            let mut done = 0_u64;
            while done < len {
                let step = usize::try_from(len.saturating_sub(done)).unwrap_or(STEP).min(STEP);
                let part = zeros.get(..step).unwrap_or_default();
                disk::write_all_at(file.as_fd(), part, offset.saturating_add(done))
                    .map_err(|error| stage_error(&error, "write zeros to the stage"))?;
                done = done.saturating_add(step as u64);
            }
            Ok(())
        }
        done => done.map_err(|error| stage_error(&error, "make a hole in the stage")),
    }
}

/// Takes a range of an adopted descriptor: inside the kernel where possible (which clones on file systems that share
/// blocks), else by reading and writing.
pub(crate) fn adopt_range(from: Adopted<'_>, target: &File, mut offset: u64, mut len: u64) -> Result<()> {
    let (source, mut source_offset) = (from.file, from.offset);
    let mut in_kernel = true;
    let mut buffer = Vec::new();
    while len > 0 {
        let step = usize::try_from(len).unwrap_or(usize::MAX);
        let moved = if in_kernel {
            match disk::copy_range(source.as_fd(), source_offset, target.as_fd(), offset, step) {
                Err(error) if disk::is_missing(&error) => {
                    in_kernel = false;
                    continue;
                }
                moved => moved.map_err(|error| stage_error(&error, "copy into the stage"))?,
            }
        } else {
            buffer.resize(step.min(STEP), 0);
            let filled = rustix::io::pread(source, &mut buffer, source_offset)
                .map_err(|errno| Error::os(&errno.into(), "read the adopted descriptor"))?;
            disk::write_all_at(target.as_fd(), buffer.get(..filled).unwrap_or_default(), offset)
                .map_err(|error| stage_error(&error, "write the stage"))?;
            filled
        };
        if moved == 0 {
            let message = "the adopted descriptor ends before the range that was adopted";
            return Err(Error::new(ErrorKind::Corrupt, "short-body", message));
        }
        let moved = moved as u64;
        source_offset = source_offset.saturating_add(moved);
        offset = offset.saturating_add(moved);
        len = len.saturating_sub(moved);
    }
    Ok(())
}
