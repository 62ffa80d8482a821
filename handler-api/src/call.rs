//! The running operation, as the handler sees it.

#![allow(unsafe_code)]

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::abi::*;
use crate::crossing::{blank_error, copy_least, lend_text, lie, take_outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::logging::{HostLog, Line};
use crate::output::Output;
use crate::request::OutputMeta;
use crate::secret::Secret;

/// How often a waiting operation asks whether it was cancelled. The host's grace period is far longer.
const CANCEL_POLL: Duration = Duration::from_millis(50);
/// A secret is a token or a key, not a file.
const SECRET_MAX: usize = 1 << 20;
const SECRET_USUAL: usize = 4096;

/// The running operation: progress, cancellation, secrets, outputs, log. Cheap to clone.
///
/// Made by the glue for every operation and given to the handler's method on the thread that the host lent; clones may
/// be used from any thread. When the operation is over its clones stay harmless: they say "cancelled" and do nothing.
///
/// Why not a set of globals: two operations run at once, and each has its own request, secrets and cancellation.
#[derive(Clone)]
pub struct Call {
    shared: Arc<Shared>,
}

struct Shared {
    host: imgh_host,
    /// NULL once the operation is over. Whoever uses it holds the lock, so the operation does not end under a running
    /// use.
    raw: RwLock<RawCall>,
}

#[derive(Clone, Copy)]
struct RawCall(*mut imgh_call);

// SAFETY: the ABI lets any thread use a call while it lives; that it lives is what the lock above is for.
unsafe impl Send for RawCall {}
// SAFETY: as above.
unsafe impl Sync for RawCall {}
// SAFETY: functions for any thread, and strings that live as long as the process.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Somebody must act.
    Error = IMGH_LOG_ERROR,
    /// Something is odd, and the operation goes on.
    Warn = IMGH_LOG_WARN,
    /// What an operator wants to know afterwards.
    Info = IMGH_LOG_INFO,
    /// For whoever looks for a fault.
    Debug = IMGH_LOG_DEBUG,
    /// Everything.
    Trace = IMGH_LOG_TRACE,
}

impl Call {
    /// # Safety
    ///
    /// `raw` lives until [`Call::end`] was called.
    pub(crate) unsafe fn new(host: imgh_host, raw: *mut imgh_call) -> Result<Self> {
        if raw.is_null() {
            return Err(lie("null-call", "the host passed no call"));
        }
        Ok(Self { shared: Arc::new(Shared { host, raw: RwLock::new(RawCall(raw)) }) })
    }

    /// Cuts every clone off, after waiting for the uses that are under way.
    pub(crate) fn end(&self) {
        self.shared.raw.write().unwrap_or_else(PoisonError::into_inner).0 = std::ptr::null_mut();
    }

    /// Lets `use_it` have the host's call, unless the operation is over.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&imgh_host, *mut imgh_call) -> T) -> Option<T> {
        let raw = self.shared.raw.read().unwrap_or_else(PoisonError::into_inner);
        (!raw.0.is_null()).then(|| use_it(&self.shared.host, raw.0))
    }

    /// As [`Call::with`], for what can fail.
    pub(crate) fn attempt<T>(&self, use_it: impl FnOnce(&imgh_host, *mut imgh_call) -> Result<T>) -> Result<T> {
        self.with(use_it)
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Cancelled, "operation-over", "the operation is over already")))
    }

    /// Tells how many bytes are done, and the total when it is known. For display, and a sign of life: an
    /// operation that moves no bytes for a while calls this, or is given up (`stalled`). Once for each chunk is fine.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        let total = total.and_then(|total| i64::try_from(total).ok()).unwrap_or(-1);
        self.with(|host, raw| {
            if let Some(progress) = host.progress {
                // SAFETY: the call lives while `with` runs.
                unsafe { progress(raw, done, total) }
            }
        });
    }

    /// Whether the operation must stop, or has.
    pub fn is_cancelled(&self) -> bool {
        self.with(|host, raw| {
            // SAFETY: the call lives while `with` runs.
            host.is_cancelled.is_some_and(|is_cancelled| unsafe { is_cancelled(raw) } != 0)
        })
        .unwrap_or(true)
    }

    /// `Err(cancelled)` once the operation must stop: `call.check()?` in every loop that does not wait.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Resolves when the operation must stop. Every method of a handler is raced against this already.
    pub async fn cancelled(&self) {
        while !self.is_cancelled() {
            tokio::time::sleep(CANCEL_POLL).await;
        }
    }

    /// A secret: `location.url`, the location's whole URL, where the request names it since it shows the URL redacted; or
    /// `tls.roots`, the certificates that this node trusts, in PEM; or a login ([`Cloud`](crate::Cloud)) that the request names.
    /// Given to the call of `open`, `transfer` or `delete_stored` while that runs, else `secret-not-now`.
    pub fn secret(&self, name: &str) -> Result<Secret> {
        self.attempt(|host, raw| {
            let fetch = host.secret.ok_or_else(|| Error::unsupported("secrets"))?;
            let mut room = SECRET_USUAL;
            loop {
                let mut secret = Secret::new(vec![0; room]);
                let (mut len, mut error) = (0, blank_error());
                // SAFETY: the call lives while `attempt` runs; the buffer has as many bytes as it says.
                let status = unsafe {
                    fetch(raw, lend_text(name), secret.room().as_mut_ptr().cast(), room, &raw mut len, &raw mut error)
                };
                take_outcome(status, &error)?;
                if len <= room {
                    secret.keep(len);
                    return Ok(secret);
                }
                if len > SECRET_MAX {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        "secret-too-long",
                        format!("secret {name:?} is too long"),
                    ));
                }
                room = len;
            }
        })
    }

    /// Opens output `number` for `size` bytes, once each: number 0 for the first disk, 1 for the next, without a gap. For
    /// `transfer`, which has one, and `unpack`; fails with `no-outputs` in every other operation, and with `several-disks`
    /// where the caller wants one disk. What `meta` says of the disk is written beside it. To be ended with
    /// [`Output::finish`].
    pub fn output(&self, number: u32, size: u64, meta: &OutputMeta) -> Result<Output> {
        let meta = serde_json::to_string(meta).map_err(|error| lie("bad-meta", error.to_string()))?;
        let table = self.attempt(|host, raw| {
            let open = host.open_output.ok_or_else(|| Error::unsupported("outputs"))?;
            let (mut out, mut error) = (std::ptr::null(), blank_error());
            // SAFETY: the call lives while `attempt` runs.
            let status = unsafe { open(raw, number, size, lend_text(&meta), &raw mut out, &raw mut error) };
            take_outcome(status, &error)?;
            // SAFETY: the host handed it out, and it lives as long as the call.
            unsafe { copy_least(out, "imgh_output") }
        })?;
        Ok(Output::new(self.clone(), table))
    }

    /// Says what the container knows of the machine that the disks are for: processors, memory, networks, as a JSON object.
    /// For `unpack`; written beside the disks. The last one counts.
    pub fn describe(&self, machine: &Map<String, Value>) -> Result<()> {
        self.answer(machine)
    }

    /// One line for the operator, cut off after 2000 bytes. Never a secret. Warnings and errors go to the agent's
    /// standard error; this version shows nothing else.
    ///
    /// Why not only events of `tracing`, which go the same way: those of tasks and threads of the plugin's own belong
    /// to no operation. A line of a call does, from any thread.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        let Some(log) = HostLog::of(&self.shared.host).filter(|log| log.keeps(level)) else { return };
        // Not inside `with`: what is shown may use this call, and the lock is not to be taken twice.
        let line = Line::of(message);
        // SAFETY: the call lives while `with` runs.
        self.with(|_, raw| unsafe { log.write(raw, level, "", &line) });
    }

    /// Gives the host the operation's answer.
    pub(crate) fn answer(&self, value: &impl serde::Serialize) -> Result<()> {
        let json = serde_json::to_string(value).map_err(|error| lie("bad-answer", error.to_string()))?;
        self.attempt(|host, raw| {
            let result = host.result.ok_or_else(|| Error::unsupported("results"))?;
            let mut error = blank_error();
            // SAFETY: the call lives while `attempt` runs, the text as long as this function.
            let status = unsafe { result(raw, lend_text(&json), &raw mut error) };
            take_outcome(status, &error)
        })
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("cancelled", &self.is_cancelled()).finish()
    }
}
