//! SIGINT, SIGTERM and SIGHUP stop the operation, cleanly the first time, at once the second.

use landfall_handler_api::{Error, Result, Scope};
use nix::sys::signal::{SigSet, Signal};

use crate::cancel::Cancel;

/// What a process that a signal ended exits with when it ends itself: as `cancelled`.
const CANCELLED: i32 = 19;

/// Fires `cancel` when a signal asks this process to end. Called before any other thread is started, so that all of them
/// leave these signals to the one that waits here.
pub(crate) fn cancel_on_signals(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    let mut asked = false;
    listen(move |_| {
        if asked {
            // An unnamed stage goes with the process; a named one is collected.
            std::process::exit(CANCELLED);
        }
        asked = true;
        cancel.cancel();
    })
}

/// Gives SIGINT, SIGTERM and SIGHUP to `caught`, on a thread of its own. Called before any other thread is started.
pub(crate) fn listen(mut caught: impl FnMut(Signal) + Send + 'static) -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    let mut blocked = signals;
    // A write beyond the limit on file sizes then fails with EFBIG and a name, instead of ending the process.
    blocked.add(Signal::SIGXFSZ);
    // Tells of a writer that waits for a lease, which is given back at once anyway.
    blocked.add(Signal::SIGIO);
    blocked.thread_block().map_err(|errno| Error::os(&errno.into(), "block signals").scoped(Scope::Node))?;
    let wait = move || {
        while let Ok(signal) = signals.wait() {
            caught(signal);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .map(drop)
        .map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))
}
