//! A worker that says anything at all.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use landfall_handler_api::{Error, ErrorKind, Result};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::message::Report;
use super::wire::{REPORT_MAX, Wire, pair};

const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// Sends the packet, and takes it as the agent does; see [`crate::fuzzing::report`].
pub(crate) fn receive_report(
    packet: &[u8],
    document: Option<(&[u8], bool)>,
) -> Result<Option<(String, Option<Error>)>> {
    let (ours, theirs) = pair()?;
    let memory = document.map(|(bytes, sealed)| memory_of(bytes, sealed)).transpose()?;
    let descriptors: Vec<BorrowedFd<'_>> = memory.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(&theirs, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)
        .map_err(|errno| Error::os(&errno.into(), "send a packet"))?;
    drop(theirs);
    let Some((report, _)) = Wire::new(ours)?.taking(REPORT_MAX).receive::<Report>()? else { return Ok(None) };
    let json = serde_json::to_string(&report);
    let json = json.map_err(|error| Error::new(ErrorKind::Internal, "json", error.to_string()))?;
    let failure = match report {
        Report::Started(Err(failure)) | Report::Done { outcome: Err(failure), .. } => Some(failure.into()),
        _ => None,
    };
    Ok(Some((json, failure)))
}

fn memory_of(bytes: &[u8], sealed: bool) -> Result<File> {
    let failed = |error: std::io::Error| Error::os(&error, "make a memory file");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(memfd_create("document", flags).map_err(|errno| failed(errno.into()))?);
    memory.write_all(bytes).map_err(failed)?;
    if sealed {
        fcntl_add_seals(&memory, SEALS).map_err(|errno| failed(errno.into()))?;
    }
    Ok(memory)
}
