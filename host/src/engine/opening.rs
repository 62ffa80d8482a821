//! Opens an origin, and again where that failed for now: nobody else may have the bytes.

use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::lane::pause;
use super::supply::Origin;
use super::team::longest_pause;
use crate::plugin::{CallContext, OpenedSource, STALLED};

/// How often it is tried again, alone and with others to turn to.
const AGAIN: u32 = 3;
const AGAIN_WITH_OTHERS: u32 = 1;

/// One that takes longer to fail costs more time than it is worth, and whoever it fails at has enough to do.
const SLOW: Duration = Duration::from_secs(10);

/// Opens `origin` with calls that `begin` makes.
pub(super) fn open(
    origin: &Origin,
    others: bool,
    begin: impl Fn() -> Result<CallContext>,
) -> Result<(CallContext, Box<dyn OpenedSource>)> {
    let mut failures = 0;
    loop {
        let (call, began) = (begin()?, Instant::now());
        let error = match origin.handler.open(&call, &origin.request) {
            Ok(source) => return Ok((call, source)),
            Err(error) => error,
        };
        failures += 1;
        if failures > if others { AGAIN_WITH_OTHERS } else { AGAIN }
            || !is_passing(&error, others)
            || began.elapsed() > SLOW
        {
            return Err(error);
        }
        pause(&call.cancel, failures);
        call.cancel.wait_out(error.retry_after().unwrap_or_default())?;
    }
}

fn is_passing(error: &Error, others: bool) -> bool {
    error.kind() == ErrorKind::Unavailable
        && matches!(error.scope(), Scope::Location | Scope::Handler)
        // One that is silent costs more time than it is worth.
        && error.code() != STALLED
        && error.retry_after().unwrap_or_default() <= longest_pause(others)
}
