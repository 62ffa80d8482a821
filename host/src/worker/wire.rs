//! Control messages between the agent and a worker: one JSON object in each packet of a socket, descriptors beside it.
//!
//! A packet starts with `{`, and is the document, or is `M` and a decimal number: then the document has so many bytes
//! and is in the first descriptor, a memory file that nobody can change any more. Whatever else comes is
//! `wire-garbage`, and the end of the conversation. The other process may be hostile: what it sends costs a bounded
//! amount of memory, its bytes are never quoted, and descriptors that are not handed on are closed.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ring::{new_memory, poll_timeout};

/// The longest packet, in bytes. Longer documents travel in memory files.
pub(crate) const PACKET_MAX: usize = 32 * 1024;
/// The longest document, in bytes.
pub(crate) const MESSAGE_MAX: usize = 16 << 20;
/// The longest document that the agent takes from a worker, in bytes: what is read from JSON takes several times its room.
pub(super) const REPORT_MAX: usize = 1 << 20;
/// How many descriptors a message may have, its document's not counted.
pub(crate) const DESCRIPTORS_MAX: usize = 8;

/// How long a peer may leave its packets unread. One that works takes them in at once, whatever it is doing.
const PATIENCE: Duration = Duration::from_secs(10);
const CONTROL: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX + 1));
const LAST_WORD: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// The two ends of a new wire. One is for the other process; nobody else keeps a copy of it.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| Error::os(&errno.into(), "make a pair of sockets"))
}

fn garbage(what: &'static str) -> Error {
    Error::new(ErrorKind::Crashed, "wire-garbage", format!("the other process sent {what}"))
}

fn gone() -> Error {
    Error::new(ErrorKind::Crashed, "worker-gone", "the other process is gone")
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: OwnedFd,
    patience: Duration,
    /// The longest document that is taken.
    most: usize,
}

impl Wire {
    /// A wire over an end that `pair` made.
    pub(crate) fn new(socket: OwnedFd) -> Result<Self> {
        let kind = sockopt::socket_domain(&socket).and_then(|domain| Ok((domain, sockopt::socket_type(&socket)?)));
        if kind != Ok((AddressFamily::UNIX, SocketType::SEQPACKET)) {
            return Err(Error::new(ErrorKind::Internal, "wire-misused", "a wire needs a socket that keeps packets"));
        }
        Ok(Self { socket, patience: PATIENCE, most: MESSAGE_MAX })
    }

    /// The same, taking no document longer than `most` bytes.
    pub(super) fn taking(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Sends `message`, which must be an object in JSON, and copies of `descriptors`. From any thread: messages stay
    /// whole.
    ///
    /// Blocks while the peer is behind, but not for ever: `crashed` with `wire-blocked` then. A peer that is gone is
    /// `crashed` with `worker-gone`. Too long a message is `limit` with `wire-too-long`.
    pub(crate) fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let misused = |what: &str| Error::new(ErrorKind::Internal, "wire-misused", format!("a message cannot {what}"));
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(misused("have so many descriptors"));
        }
        let document = serde_json::to_vec(message).map_err(|_| misused("be written as JSON"))?;
        if document.first() != Some(&b'{') {
            return Err(misused("be anything but an object"));
        }
        if document.len() <= PACKET_MAX {
            return self.send_packet(&document, descriptors);
        }
        if document.len() > MESSAGE_MAX {
            let message = format!("a message of {} bytes is longer than {MESSAGE_MAX}", document.len());
            return Err(Error::new(ErrorKind::Limit, "wire-too-long", message));
        }
        let memory = in_memory(&document)?;
        let all: Vec<BorrowedFd<'_>> = std::iter::once(memory.as_fd()).chain(descriptors.iter().copied()).collect();
        self.send_packet(format!("M{}", document.len()).as_bytes(), &all)
    }

    fn send_packet(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let give_up = Instant::now().checked_add(self.patience);
        loop {
            let mut space = [MaybeUninit::uninit(); CONTROL];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(Error::new(ErrorKind::Internal, "wire-misused", "descriptors found no room"));
            }
            // The agent must not block here, nor be killed by a signal for a peer that died.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.socket, &[IoSlice::new(packet)], &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(gone()),
                Err(errno) => return Err(Error::os(&errno.into(), "send a message to another process")),
            }
            if give_up.is_some_and(|moment| Instant::now() >= moment) {
                let message = format!("the other process read no message for {} s", self.patience.as_secs_f32());
                return Err(Error::new(ErrorKind::Crashed, "wire-blocked", message));
            }
            // An interrupted or failed poll only means that the packet is tried again.
            let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)], poll_timeout(give_up));
        }
    }

    /// The next message and its descriptors; `None` once the peer is gone and all that it sent was received. Blocks
    /// until then; poll `descriptor` where that is too long. One thread at a time.
    ///
    /// A peer that does not keep to the rules is `crashed` with `wire-garbage`; nothing more should be received from
    /// it.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>> {
        let Some((packet, mut descriptors)) = self.receive_packet()? else { return Ok(None) };
        let document = match packet.split_first() {
            Some((b'{', _)) => packet,
            Some((b'M', size)) if !descriptors.is_empty() => from_memory(size, self.most, descriptors.remove(0))?,
            _ => return Err(garbage("a packet that is no message")),
        };
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(garbage("too many descriptors"));
        }
        // The parser's own words could quote the document.
        let message = serde_json::from_slice(&document).map_err(|_| garbage("a message that cannot be understood"))?;
        Ok(Some((message, descriptors)))
    }

    fn receive_packet(&self) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut packet = vec![0_u8; PACKET_MAX];
        let mut was_reset = false;
        loop {
            let mut space = [MaybeUninit::uninit(); CONTROL];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut room = [IoSliceMut::new(&mut packet)];
            let received = match recvmsg(&self.socket, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                // Said once, before what the peer still sent, when it died without having read all that it was sent.
                Err(Errno::CONNRESET) if !was_reset => {
                    was_reset = true;
                    continue;
                }
                Err(Errno::CONNRESET) => return Ok(None),
                Err(errno) => return Err(Error::os(&errno.into(), "receive a message from another process")),
            };
            // Taken at once, so that they are closed whatever is wrong with the packet.
            let mut descriptors = Vec::new();
            for beside in control.drain() {
                if let RecvAncillaryMessage::ScmRights(passed) = beside {
                    descriptors.extend(passed);
                }
            }
            if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
                return Err(garbage("more in one packet than fits"));
            }
            // The end reads like an empty packet.
            if received.bytes == 0 && descriptors.is_empty() && self.is_hung_up()? {
                return Ok(None);
            }
            packet.truncate(received.bytes);
            return Ok(Some((packet, descriptors)));
        }
    }

    fn is_hung_up(&self) -> Result<bool> {
        loop {
            // A hang-up is told without being asked for.
            let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
            match poll(&mut polled, PollTimeout::ZERO) {
                Ok(_) => {
                    let [polled] = polled;
                    return Ok(polled.revents().is_some_and(|seen| seen.contains(PollFlags::POLLHUP)));
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Error::os(&errno.into(), "look at a socket")),
            }
        }
    }

    /// Readable when there is a message, or the peer is gone. To be polled, not to be read.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Puts a document into memory that nobody can change afterwards.
fn in_memory(document: &[u8]) -> Result<File> {
    let mut memory = File::from(new_memory("landfall-message")?);
    memory.write_all(document).map_err(|error| Error::os(&error, "write a message"))?;
    fcntl_add_seals(&memory, LAST_WORD | SealFlags::SEAL)
        .map_err(|errno| Error::os(&errno.into(), "seal a message"))?;
    Ok(memory)
}

/// Reads the document of `size` (in digits), at most `most`, from the peer's memory. Never maps it.
fn from_memory(size: &[u8], most: usize, memory: OwnedFd) -> Result<Vec<u8>> {
    // First, since only memory files have seals, and anything can happen when one asks a foreign file system.
    let seals = fcntl_get_seals(&memory).map_err(|_| garbage("a document that is no memory file"))?;
    if !seals.contains(LAST_WORD) {
        return Err(garbage("a document that is not sealed"));
    }
    let digits = std::str::from_utf8(size).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let size = digits.and_then(|digits| digits.parse::<usize>().ok()).filter(|&size| size <= most);
    let memory = File::from(memory);
    let there = memory.metadata().map_err(|error| Error::os(&error, "look at a message"))?.len();
    let size = size.filter(|&size| there == size as u64).ok_or_else(|| garbage("a document of another size"))?;
    let mut document = vec![0; size];
    memory.read_exact_at(&mut document, 0).map_err(|error| Error::os(&error, "read a message"))?;
    if document.first() != Some(&b'{') {
        return Err(garbage("a document that is no object"));
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
