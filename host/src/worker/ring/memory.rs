//! Memory that two processes share: a sealed memory file, and a lane's mapping of one.
//!
//! The other process may write to it anywhere and at any time, but it cannot cut it short under a reader, since it is
//! sealed. All that is unsafe about a lane is in this file.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of one slot: large enough that handing over costs nothing, small enough to stay in the cache.
pub(crate) const SLOT: usize = 256 * 1024;
/// How few slots a lane may have: one to be filled while one is emptied.
pub(super) const SLOTS_MIN: u32 = 2;
/// How many slots a lane may have.
pub(super) const SLOTS_MAX: u32 = 16;

const HEADER: usize = 4096;

/// The start of the header page. All of it is atomic, since the other process may write anywhere at any time.
#[repr(C)]
pub(super) struct Header {
    /// Slots handed over so far, wrapping. The producer's, as all up to `consumed`.
    pub(super) produced: AtomicU32,
    _spare: [AtomicU32; 15],
    /// How many bytes each slot has.
    pub(super) lengths: [AtomicU32; SLOTS_MAX as usize],
    /// Slots given back so far, wrapping. The consumer's, on a cache line of its own.
    pub(super) consumed: AtomicU32,
}

const _: () = assert!(size_of::<Header>() <= HEADER);

/// Bytes of memory of a lane with `slots` slots.
fn lane_size(slots: u32) -> u64 {
    HEADER as u64 + u64::from(slots) * SLOT as u64
}

/// A new, empty memory file that can be sealed.
pub(crate) fn new_memory(name: &str) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Linux may be told to refuse memory that could be executed; before 6.3 it does not know the flag.
    memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|errno| if errno == Errno::INVAL { memfd_create(name, flags) } else { Err(errno) })
        .map_err(|errno| Error::os(&errno.into(), "make shared memory"))
}

/// The memory of a new lane with `slots` slots, sealed at its size. The counters and lengths in it are zero.
pub(super) fn new_lane_memory(slots: u32) -> Result<OwnedFd> {
    let memory = new_memory("landfall-ring")?;
    ftruncate(&memory, lane_size(slots))
        .and_then(|()| fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL))
        .map_err(|errno| Error::os(&errno.into(), "make the memory of a lane").scoped(Scope::Node))?;
    Ok(memory)
}

/// What the other process passed on is not what it must be.
pub(super) fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::Crashed, "ring-refused", format!("the other process sent no lane: {what}"))
}

/// The memory of a lane in this process's address space.
pub(super) struct Mapping {
    base: NonNull<u8>,
    slots: u32,
}

// SAFETY: the mapping belongs to no thread and lives until it is dropped.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps memory that may come from the other process. Refuses whatever could change its size.
    pub(super) fn open(memory: BorrowedFd<'_>) -> Result<Self> {
        // First, since only memory files have seals, and anything can happen when one asks a foreign file system.
        let seals = fcntl_get_seals(memory).map_err(|_| refused("its memory is no memory file"))?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL) {
            return Err(refused("its memory is not sealed"));
        }
        let stat = fstat(memory).map_err(|errno| Error::os(&errno.into(), "look at a lane's memory"))?;
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let slots = (SLOTS_MIN..=SLOTS_MAX)
            .find(|&slots| lane_size(slots) == size)
            .ok_or_else(|| refused("its memory has another size"))?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let base = unsafe { mmap(ptr::null_mut(), Self::len(slots), protection, flags, memory, 0) }
            .map_err(|errno| Error::os(&errno.into(), "map a lane's memory"))?;
        let base = NonNull::new(base.cast()).ok_or_else(|| refused("its memory is nowhere"))?;
        Ok(Self { base, slots })
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    fn len(slots: u32) -> usize {
        HEADER + slots as usize * SLOT
    }

    /// The words of both sides.
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping starts on a page, is larger than a header, cannot shrink since it is sealed, and lives as
        // long as `self`. A header has no byte that is not atomic, and any bytes are one.
        unsafe { self.base.cast().as_ref() }
    }

    /// The first of the SLOT bytes of slot `index`.
    fn slot(&self, index: u32) -> *mut u8 {
        let offset = HEADER + (index % self.slots) as usize * SLOT;
        // SAFETY: the remainder is below the number of slots, so that all of the slot is within the mapping.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Copies from `offset` of slot `index` on, as much as the slot has; gives how much that is.
    pub(super) fn copy_out(&self, index: u32, offset: usize, into: &mut [u8]) -> usize {
        let count = into.len().min(SLOT.saturating_sub(offset));
        // SAFETY: `offset + count <= SLOT` unless `count` is 0 and nothing is touched; `into` is not of the mapping,
        // which nobody else in this process has a reference to. The other process may write meanwhile: what is copied
        // is then anything, as it would be anyway from a liar.
        unsafe { ptr::copy_nonoverlapping(self.slot(index).wrapping_add(offset), into.as_mut_ptr(), count) };
        // So that nobody reads the slot again in place of the copy.
        fence(Ordering::Acquire);
        count
    }

    /// Copies to `offset` of slot `index`, as much as the slot has room for; gives how much that is.
    pub(super) fn copy_in(&mut self, index: u32, offset: usize, from: &[u8]) -> usize {
        let count = from.len().min(SLOT.saturating_sub(offset));
        // SAFETY: as in `copy_out`, the other way round.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.slot(index).wrapping_add(offset), count) };
        count
    }

    /// Slot `index` itself. Only where the other process is trusted not to touch it, and only while the slot is ours.
    pub(super) fn slot_mut(&mut self, index: u32) -> &mut [u8] {
        // SAFETY: all of it is within the mapping, initialized as all memory from the kernel, and borrowed with `self`.
        // The other process could write to it; callers have only one that they trust not to.
        unsafe { slice::from_raw_parts_mut(self.slot(index), SLOT) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the very mapping that `open` made, and every reference into it borrows `self`. It cannot fail
        // with these arguments.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), Self::len(self.slots)) };
    }
}
