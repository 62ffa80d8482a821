//! The same bytes once more: from a staged disk that is the agent's alone into another stage.

use std::fs::File;
use std::os::fd::AsFd;

use landfall_handler_api::Result;

use super::Method;
use super::extents::data_bytes;
use super::pump::pump;
use crate::disk;
use crate::plugin::CallContext;
use crate::stage::{Stage, stage_error};

/// Makes `stage` hold the `bytes` of `file`, which nobody can change: cloned, or copied where that cannot be done.
pub(crate) fn again(file: &File, bytes: u64, stage: &Stage, call: &CallContext) -> Result<Method> {
    if can_clone(file, stage)? {
        return Ok(Method::Reflink);
    }
    stage.check_space(data_bytes(file.as_fd(), bytes)?)?;
    stage.set_size(bytes)?;
    pump(file.as_fd(), bytes, Some(stage.descriptor()), None, call)?;
    Ok(Method::Copy)
}

/// Clones `file` into the stage; false where that cannot be done here, and the stage is as it was.
pub(crate) fn can_clone(file: &File, stage: &Stage) -> Result<bool> {
    match disk::clone(stage.descriptor(), file.as_fd()) {
        Ok(()) => Ok(true),
        // EPERM: an encrypted or immutable source. EISDIR and EBADF are not met with regular files.
        Err(error) if disk::is_missing(&error) || error.raw_os_error() == Some(libc::EPERM) => Ok(false),
        Err(error) => Err(stage_error(&error, "clone the source into the stage")),
    }
}
