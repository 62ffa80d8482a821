//! One lane of bytes from one process to another, through shared memory: one producer, one consumer, in order.
//!
//! A lane is a sealed memory file (a header page, then the slots) and a bell. Each side counts, in a word that the
//! other only reads, the slots that it has passed on; no lock is held and no side waits for a word to change. Who has
//! to wait sleeps in poll(2) on its end of the bell, beside whatever else may end the wait.
//!
//! The bell is a pair of sockets and not an eventfd: an eventfd is one open file, so that the other process could make
//! it a blocking one, or fill it, and a read or write of ours would then never return. Nor is it a pipe, whose lock the
//! other process can hold for as long as it likes.
//!
//! Nothing that the other process writes is trusted: each word is read once and then checked, nobody reads the own
//! counter back, and bytes are copied out once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt};

use self::memory::{Mapping, SLOTS_MAX, SLOTS_MIN, new_lane_memory, refused};
use crate::cancel::Cancel;

mod memory;

pub(crate) use self::memory::SLOT;
pub(super) use self::memory::new_memory;

/// Room for some ten unread rings. One would do, and more only cost time when they are taken.
const BELL_ROOM: usize = 4096;
/// More rings than that at once are the other side's nonsense. They wait for the next look.
const RINGS_TAKEN: usize = 64;

/// The descriptors of one end of a lane, in the order in which they are passed on.
#[derive(Debug)]
pub(crate) struct LaneParts {
    /// The sealed memory file, the same for both ends.
    pub(crate) memory: OwnedFd,
    /// This end of the bell.
    pub(crate) bell: OwnedFd,
}

impl LaneParts {
    /// Both, in order, to be sent.
    pub(crate) fn as_fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.memory.as_fd(), self.bell.as_fd()]
    }
}

/// Makes a lane of `slots` slots (2 to 16) and gives its two ends, which are alike: open one, and pass the other to the
/// other process without keeping a copy.
pub(crate) fn make(slots: u32) -> Result<(LaneParts, LaneParts)> {
    if !(SLOTS_MIN..=SLOTS_MAX).contains(&slots) {
        return Err(misused("a lane of so many slots"));
    }
    let failed = |errno: Errno| Error::os(&errno.into(), "make a lane");
    let memory = new_lane_memory(slots)?;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(failed)?;
    for bell in [&ours, &theirs] {
        sockopt::set_socket_send_buffer_size(bell, BELL_ROOM).map_err(failed)?;
    }
    let again = memory.try_clone().map_err(|error| Error::os(&error, "make a lane"))?;
    Ok((LaneParts { memory, bell: ours }, LaneParts { memory: again, bell: theirs }))
}

/// How long poll(2) may sleep so as to be back at `until`.
pub(super) fn poll_timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return PollTimeout::ZERO;
    }
    // Whole milliseconds, rounded up so as not to spin through the last one.
    PollTimeout::try_from(left.saturating_add(Duration::from_millis(1))).unwrap_or(PollTimeout::MAX)
}

fn misused(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "ring-misused", format!("the host asked for {what}"))
}

fn lied(what: &'static str) -> Error {
    Error::new(ErrorKind::Crashed, "ring-lied", format!("the other process broke the ring: {what}"))
}

/// What may end a wait besides the other side of the lane.
pub(crate) struct Wait<'a> {
    /// Stops the operation. Asked on every call, also when there is no need to wait.
    pub(crate) cancel: &'a Cancel,
    /// Becomes readable when the other process has something to say elsewhere, or is gone.
    pub(crate) other: Option<BorrowedFd<'a>>,
    /// Until when to wait. A moment in the past means not at all.
    pub(crate) until: Option<Instant>,
}

/// Why a call on a lane did nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `Wait::cancel` fired, or its deadline passed.
    Cancelled,
    /// `Wait::other` is readable. All that was handed over before it became so has been taken.
    Other,
    /// `Wait::until` passed.
    TimedOut,
    /// The other end of the lane is closed, and all that it handed over has been taken.
    Gone,
    /// The other side lied (`crashed`, `ring-lied`), or a system call failed. The lane is of no more use.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Producer,
    Consumer,
}

/// What the two sides have in common: each has slots ready to use, which the other side passed to it, and passes them
/// back.
struct Side {
    mapping: Mapping,
    bell: OwnedFd,
    role: Role,
    /// Slots passed to the other side so far, wrapping. The memory only has a copy of it.
    passed: u32,
    /// The slot to be passed next. Not `passed % slots`, which jumps where the counter wraps.
    at: u32,
    /// Slots ready for this side, as last seen.
    ready: u32,
}

impl Side {
    fn open(parts: LaneParts, role: Role) -> Result<Self> {
        let LaneParts { memory, bell } = parts;
        let kind = sockopt::socket_domain(&bell).and_then(|domain| Ok((domain, sockopt::socket_type(&bell)?)));
        if kind != Ok((AddressFamily::UNIX, SocketType::SEQPACKET)) {
            return Err(refused("its bell is no such socket"));
        }
        Ok(Self { mapping: Mapping::open(memory.as_fd())?, bell, role, passed: 0, at: 0, ready: 0 })
    }

    /// How many slots are ready for this side now. Reads the other side's counter, once.
    fn look(&self) -> Result<u32> {
        let header = self.mapping.header();
        let slots = self.mapping.slots();
        // All slots are the producer's to begin with.
        let (theirs, ahead) = match self.role {
            Role::Producer => (&header.consumed, slots),
            Role::Consumer => (&header.produced, 0),
        };
        // Acquire: what the other side did to the slots before it passed them is done.
        let ready = theirs.load(Ordering::Acquire).wrapping_add(ahead).wrapping_sub(self.passed);
        // A counter that went backwards, or too far, is out of range alike.
        if ready > slots {
            return Err(lied("its counter cannot be right"));
        }
        Ok(ready)
    }

    /// Waits until a slot is ready.
    ///
    /// No ring is lost: the other side counts first and rings after that, and rings are taken only before the counter
    /// is looked at again. A ring that was taken thus came with a count that is then seen, and a later one is still
    /// there to end the sleep. The same look lets nothing that was passed go unseen because of a wait that ended.
    fn wait(&mut self, wait: &Wait<'_>) -> Result<(), Stop> {
        let mut ended = None;
        loop {
            if wait.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if self.ready == 0 {
                self.ready = self.look()?;
            }
            if self.ready > 0 {
                return Ok(());
            }
            if let Some(stop) = ended {
                return Err(stop);
            }
            ended = self.sleep(wait)?;
        }
    }

    /// Sleeps until the bell rings or the wait ends, and then says why.
    fn sleep(&self, wait: &Wait<'_>) -> Result<Option<Stop>> {
        let descriptors = [Some(self.bell.as_fd()), Some(wait.cancel.descriptor()), wait.other];
        let mut polled: Vec<PollFd<'_>> =
            descriptors.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let until = [wait.until, wait.cancel.deadline()].into_iter().flatten().min();
        match poll(&mut polled, poll_timeout(until)) {
            Err(nix::errno::Errno::EINTR) => return Ok(None),
            result => result.map_err(|errno| Error::os(&errno.into(), "wait for the other process"))?,
        };
        let happened = |index: usize| polled.get(index).is_some_and(|fd: &PollFd<'_>| fd.any() != Some(false));
        let gone = happened(0) && self.take_rings()?;
        Ok(if happened(2) {
            Some(Stop::Other)
        } else if gone {
            Some(Stop::Gone)
        } else if wait.until.is_some_and(|until| Instant::now() >= until) {
            Some(Stop::TimedOut)
        } else {
            None
        })
    }

    /// Takes the rings that came; whether the other end is closed. An end that says nothing (an empty packet) is.
    fn take_rings(&self) -> Result<bool> {
        let mut gone = false;
        for _ in 0..RINGS_TAKEN {
            match recv(&self.bell, &mut [0_u8; 1], RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => {
                    gone = true;
                    break;
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(Error::os(&errno.into(), "listen to the other process")),
            }
        }
        // With the fence in `pass`: either that side finds room for its ring, or this one now sees its count.
        fence(Ordering::SeqCst);
        Ok(gone)
    }

    /// Passes the slot at hand to the other side.
    fn pass(&mut self) -> Result<()> {
        self.passed = self.passed.wrapping_add(1);
        self.at = self.at.wrapping_add(1) % self.mapping.slots();
        self.ready = self.ready.saturating_sub(1);
        let header = self.mapping.header();
        let ours = if self.role == Role::Producer { &header.produced } else { &header.consumed };
        // Release: what was done to the slot is done before anybody sees the count.
        ours.store(self.passed, Ordering::Release);
        fence(Ordering::SeqCst);
        match send(&self.bell, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            // Where there is no room, there are rings to be heard. An end that is closed is noticed by the next wait.
            Ok(_) | Err(Errno::AGAIN | Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Error::os(&errno.into(), "call the other process")),
        }
    }
}

/// The end of a lane that bytes are put into: by `slot` and `hand_over`, or by `put` and `flush`. One thread at a time.
pub(crate) struct Producer {
    side: Side,
    /// Bytes put into the slot at hand.
    filled: usize,
}

impl Producer {
    /// Opens an end of a new lane. Refuses descriptors that are none (`crashed`, `ring-refused`).
    pub(crate) fn open(parts: LaneParts) -> Result<Self> {
        Ok(Self { side: Side::open(parts, Role::Producer)?, filled: 0 })
    }

    /// The next slot, all SLOT bytes of it, to be filled in place. Waits while the ring is full. Only for a process
    /// that trusts its consumer, as a worker does the agent; the agent itself uses `put`.
    pub(crate) fn slot(&mut self, wait: &Wait<'_>) -> Result<&mut [u8], Stop> {
        self.side.wait(wait)?;
        Ok(self.side.mapping.slot_mut(self.side.at))
    }

    /// Hands over the first `len` bytes (1 to SLOT) of the slot that `slot` gave. Never blocks.
    pub(crate) fn hand_over(&mut self, len: usize) -> Result<()> {
        let length = u32::try_from(len).ok().filter(|_| (1..=SLOT).contains(&len) && self.side.ready > 0);
        let length = length.ok_or_else(|| misused("a slot to be handed over that is not there"))?;
        let word = self.side.mapping.header().lengths.get(self.side.at as usize);
        word.ok_or_else(|| misused("a slot beyond the last"))?.store(length, Ordering::Relaxed);
        self.filled = 0;
        self.side.pass()
    }

    /// Copies as much of `bytes` as the slot at hand has room for, at least one byte unless there are none, and hands
    /// the slot over once it is full. Waits while the ring is full. Gives how many bytes that were.
    pub(crate) fn put(&mut self, bytes: &[u8], wait: &Wait<'_>) -> Result<usize, Stop> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.side.wait(wait)?;
        let count = self.side.mapping.copy_in(self.side.at, self.filled, bytes);
        self.filled = self.filled.saturating_add(count);
        if self.filled >= SLOT {
            self.flush()?;
        }
        Ok(count)
    }

    /// Hands over what was put into a slot that is not full. Never blocks.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.filled == 0 { Ok(()) } else { self.hand_over(self.filled) }
    }

    /// Forgets what was put and not yet handed over, so that the lane can be used for something else.
    pub(crate) fn discard(&mut self) {
        self.filled = 0;
    }
}

/// The end of a lane that bytes are taken from. One thread at a time.
pub(crate) struct Consumer {
    side: Side,
    /// Of the slot at hand, once it was looked at: bytes taken, and how many it has.
    current: Option<(usize, usize)>,
}

impl Consumer {
    /// Opens an end of a new lane. Refuses descriptors that are none (`crashed`, `ring-refused`).
    pub(crate) fn open(parts: LaneParts) -> Result<Self> {
        Ok(Self { side: Side::open(parts, Role::Consumer)?, current: None })
    }

    /// Copies the next bytes into `buffer`, at most what is left of the slot at hand and at least one unless `buffer`
    /// has no room; gives the slot back once all of it was taken. Waits while the ring is empty. Gives how many bytes
    /// that were.
    pub(crate) fn take(&mut self, buffer: &mut [u8], wait: &Wait<'_>) -> Result<usize, Stop> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.side.wait(wait)?;
        let (taken, length) = match self.current {
            Some(current) => current,
            None => (0, self.length()?),
        };
        let most = length.saturating_sub(taken).min(buffer.len());
        let room = buffer.get_mut(..most).unwrap_or_default();
        let count = self.side.mapping.copy_out(self.side.at, taken, room);
        let taken = taken.saturating_add(count);
        if taken < length {
            self.current = Some((taken, length));
        } else {
            self.current = None;
            self.side.pass()?;
        }
        Ok(count)
    }

    /// Waits until `take` would give bytes at once.
    pub(crate) fn wait(&mut self, wait: &Wait<'_>) -> Result<(), Stop> {
        self.side.wait(wait)
    }

    /// How many bytes the slot at hand has. Reads what the producer says, once.
    fn length(&self) -> Result<usize> {
        let word = self.side.mapping.header().lengths.get(self.side.at as usize);
        let length = word.map_or(0, |word| word.load(Ordering::Relaxed)) as usize;
        if (1..=SLOT).contains(&length) { Ok(length) } else { Err(lied("a slot cannot have so many bytes")) }
    }

    /// Whether `take` would give bytes without waiting.
    #[cfg(test)]
    pub(crate) fn has_bytes(&self) -> Result<bool> {
        Ok(self.side.ready > 0 || self.side.look()? > 0)
    }

    /// Throws away all that was handed over so far. Makes the lane fit for another use once the producer has stopped.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.current = None;
        self.side.ready = self.side.look()?;
        // Ends: each pass makes one slot fewer, and there are at most sixteen.
        while self.side.ready > 0 {
            self.side.pass()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
