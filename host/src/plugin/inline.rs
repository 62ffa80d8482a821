//! A handler in the agent's own process.

#![allow(unsafe_code)]

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::abi::*;
use landfall_handler_api::crossing::{blank_error, borrow_text, clean_text, copy_least, lend_text, take_outcome};
use landfall_handler_api::{Error, ErrorKind, HandlerInfo, HandlerStatus, PlacementEvent, Probe, Request, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backend::{ByteSink, CallContext, Handler, Input, OpenedSource, Outputs, PluginIdentity, SourceInfo};
use super::host_table::{HostCall, HostInput, HostSink, host};
use super::lent::{Lent, Watched, lend};
use crate::cancel::Cancel;

const VALIDATOR_MAX: usize = 4096;
/// The code of a worker that a signal from outside ended.
pub(crate) const WORKER_KILLED: &str = "worker-killed";
/// How often a call that waits for its turn looks whether it was cancelled.
const TURN_POLL: Duration = Duration::from_millis(50);

/// A configured handler, called on lent threads.
pub(crate) struct InlineHandler {
    shared: Arc<Shared>,
}

/// Everything that a running call may touch. A call that is given up keeps it for ever.
struct Shared {
    info: HandlerInfo,
    plugin: PluginIdentity,
    table: imgh_handler,
    instance: Instance,
    /// Whose turn it is, where only one call may run at a time.
    turn: Option<Turn>,
    wedged: AtomicBool,
    grace: Duration,
}

// SAFETY: the table holds functions that the ABI allows on any thread, and a static string.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[derive(Clone, Copy)]
struct Instance(*mut imgh_instance);

// SAFETY: the ABI lets any thread use an instance; SERIAL handlers are guarded by turns.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

#[derive(Default)]
struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The right to run, for as long as it is kept.
struct MyTurn(Arc<Shared>);

impl Drop for MyTurn {
    fn drop(&mut self) {
        if let Some(turn) = &self.0.turn {
            *turn.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
            turn.free.notify_one();
        }
    }
}

impl InlineHandler {
    /// Makes an instance with `config`, within `limit`.
    pub(crate) fn create(
        info: HandlerInfo,
        plugin: PluginIdentity,
        table: imgh_handler,
        config: &serde_json::Value,
        limit: Duration,
        grace: Duration,
    ) -> Result<Self> {
        let config = config.to_string();
        let create = table.create.ok_or_else(|| Error::unsupported("create"))?;
        let made = lend(&thread_name(&info.id), None, limit, move || {
            let (mut out, mut error) = (std::ptr::null_mut(), blank_error());
            // SAFETY: by the ABI; the text lives until the function returned.
            let status = unsafe { create(host(), lend_text(&config), &raw mut out, &raw mut error) };
            take_outcome(status, &error).map(|()| Instance(out))
        });
        let instance = match made {
            // Whoever reads this wrote that section, and looks for it.
            Lent::Back(instance) => instance.map_err(|error| error.context(format!("[handler.{}]", info.id)))?,
            Lent::Abandoned => {
                let message = format!("it was not ready within {} s", limit.as_secs_f32());
                return Err(Error::new(ErrorKind::Crashed, "setup-timeout", message));
            }
        };
        if instance.0.is_null() {
            return Err(Error::new(ErrorKind::Internal, "no-instance", "create succeeded without an instance"));
        }
        let turn = (table.thread_model == IMGH_SERIAL).then(Turn::default);
        let wedged = AtomicBool::new(false);
        Ok(Self { shared: Arc::new(Shared { info, plugin, table, instance, turn, wedged, grace }) })
    }

    /// Runs an operation that takes JSON, and gives what the handler answered with `result`.
    fn operate(
        &self,
        context: &CallContext,
        function: imgh_operation,
        argument: &impl Serialize,
        outputs: Option<Arc<dyn Outputs>>,
    ) -> Result<Option<String>> {
        let json = encode(argument)?;
        // Who writes the one output of a transfer has to reach the location as well.
        let secrets = outputs.is_some();
        self.run(context, outputs, secrets, move |instance, call, error| {
            // SAFETY: instance and call live while the lent thread runs, the text as long as this closure.
            unsafe { function(instance, call, lend_text(&json), error) }
        })
    }

    /// Runs a function that gives a source, which may use `input` until it is closed.
    fn opened(
        &self,
        call: &CallContext,
        input: Option<Arc<HostInput>>,
        function: impl FnOnce(*mut imgh_instance, *mut imgh_call, *mut *const imgh_source, *mut imgh_error) -> imgh_status
        + Send
        + 'static,
    ) -> Result<InlineSource> {
        let own = call.stoppable()?;
        let host_call = HostCall::new(&own, &self.shared.info.id, None);
        let theirs = Arc::clone(&host_call);
        // A filter has none: what it works on is given to it.
        host_call.give_secrets(input.is_none());
        let back = self.shared.lend(&own, move |shared| {
            let (mut out, mut error) = (std::ptr::null(), blank_error());
            let status = function(shared.instance.0, theirs.raw(), &raw mut out, &raw mut error);
            take_outcome(status, &error)?;
            // SAFETY: the plugin says that this is its source, which lives until it is closed.
            unsafe { Source::read_table(out) }
        });
        host_call.give_secrets(false);
        match back {
            Lent::Back(source) => {
                let source = honest(source, call, &own)?;
                Ok(InlineSource { shared: Arc::clone(&self.shared), source, call: host_call, input })
            }
            Lent::Abandoned => {
                // It may still make a source, which nobody will ever close.
                std::mem::forget((host_call, input));
                Err(self.shared.give_up(&call.cancel))
            }
        }
    }

    fn run(
        &self,
        context: &CallContext,
        outputs: Option<Arc<dyn Outputs>>,
        secrets: bool,
        function: impl FnOnce(*mut imgh_instance, *mut imgh_call, *mut imgh_error) -> imgh_status + Send + 'static,
    ) -> Result<Option<String>> {
        let own = context.stoppable()?;
        let call = HostCall::new(&own, &self.shared.info.id, outputs);
        call.give_secrets(secrets);
        let theirs = Arc::clone(&call);
        let back = self.shared.lend(&own, move |shared| {
            let mut error = blank_error();
            let status = function(shared.instance.0, theirs.raw(), &raw mut error);
            take_outcome(status, &error)
        });
        // Whatever came of it, nothing is written from here on.
        call.give_secrets(false);
        call.shut_outputs();
        match back {
            Lent::Back(outcome) => honest(outcome, context, &own).map(|()| call.take_result()),
            Lent::Abandoned => Err(self.shared.give_up(&context.cancel)),
        }
    }
}

impl Handler for InlineHandler {
    fn info(&self) -> &HandlerInfo {
        &self.shared.info
    }

    fn plugin(&self) -> &PluginIdentity {
        &self.shared.plugin
    }

    fn is_isolated(&self) -> bool {
        false
    }

    fn probe(&self, call: &CallContext, requests: &[&Request]) -> Vec<Result<Probe>> {
        let ask = |request: &&Request| {
            let Some(probe) = self.shared.table.probe else { return Ok(Probe::yes()) };
            decode(self.operate(call, probe, request, None)?, "probe")
        };
        requests.iter().map(ask).collect()
    }

    fn open(&self, call: &CallContext, request: &Request) -> Result<Box<dyn OpenedSource>> {
        let open = self.shared.table.open.ok_or_else(|| Error::unsupported("open"))?;
        let json = encode(request)?;
        let source = self.opened(call, None, move |instance, call, out, error| {
            // SAFETY: instance and call live while the lent thread runs, the text as long as this closure.
            unsafe { open(instance, call, lend_text(&json), out, error) }
        });
        Ok(Box::new(source?))
    }

    fn transfer(&self, call: &CallContext, request: &Request, outputs: Arc<dyn Outputs>) -> Result<()> {
        let transfer = self.shared.table.transfer.ok_or_else(|| Error::unsupported("transfer"))?;
        self.operate(call, transfer, request, Some(outputs)).map(|_| ())
    }

    fn filter(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        into: Arc<Mutex<dyn ByteSink>>,
    ) -> Result<()> {
        let filter = self.shared.table.filter.ok_or_else(|| Error::unsupported("filter"))?;
        let json = encode(request)?;
        let input = HostInput::new(input, call.pulse.clone());
        let theirs = Arc::clone(&input);
        let source = self.opened(call, Some(Arc::clone(&input)), move |instance, call, out, error| {
            // SAFETY: instance, call and input live while the lent thread runs, the text as long as this closure.
            unsafe { filter(instance, call, lend_text(&json), theirs.raw(), out, error) }
        });
        let outcome = source.and_then(|source| source.read(call, 0..u64::MAX, into));
        input.shut();
        outcome
    }

    fn unpack(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        outputs: Arc<dyn Outputs>,
    ) -> Result<Option<String>> {
        let unpack = self.shared.table.unpack.ok_or_else(|| Error::unsupported("unpack"))?;
        let json = encode(request)?;
        let input = HostInput::new(input, call.pulse.clone());
        let theirs = Arc::clone(&input);
        let outcome = self.run(call, Some(outputs), false, move |instance, call, error| {
            // SAFETY: instance, call and input live while the lent thread runs, the text as long as this closure.
            unsafe { unpack(instance, call, lend_text(&json), theirs.raw(), error) }
        });
        input.shut();
        outcome
    }

    fn status(&self, call: &CallContext) -> Result<HandlerStatus> {
        let status = self.shared.table.status.ok_or_else(|| Error::unsupported("status"))?;
        let answer = self.run(call, None, false, move |instance, call, error| {
            // SAFETY: instance and call live while the lent thread runs.
            unsafe { status(instance, call, error) }
        })?;
        decode(answer, "status")
    }

    fn delete_stored(&self, call: &CallContext, request: &Request) -> Result<()> {
        let delete = self.shared.table.delete_stored.ok_or_else(|| Error::unsupported("delete_stored"))?;
        let json = encode(request)?;
        // As with `open`: the store wants to know who asks.
        let deleted = self.run(call, None, true, move |instance, call, error| {
            // SAFETY: instance and call live while the lent thread runs, the text as long as this closure.
            unsafe { delete(instance, call, lend_text(&json), error) }
        });
        deleted.map(|_| ())
    }

    fn placement_removed(&self, call: &CallContext, event: &PlacementEvent) -> Result<()> {
        self.notify(call, self.shared.table.placement_removed, event)
    }

    fn placement_moved(&self, call: &CallContext, event: &PlacementEvent) -> Result<()> {
        self.notify(call, self.shared.table.placement_moved, event)
    }
}

impl InlineHandler {
    /// Tells a handler of something; one that does not want to know is not a failure.
    fn notify(&self, call: &CallContext, hook: Option<imgh_operation>, event: &PlacementEvent) -> Result<()> {
        let Some(hook) = hook else { return Ok(()) };
        match self.operate(call, hook, event, None) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }
}

impl Shared {
    /// Runs `work` on a lent thread, when it is its turn.
    fn lend<T: Send + 'static>(
        self: &Arc<Self>,
        own: &CallContext,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Lent<T> {
        let turn = match self.take_turn(&own.cancel) {
            Ok(turn) => turn,
            Err(error) => return Lent::Back(Err(error)),
        };
        // Waiting for others was not the handler's doing.
        own.pulse.beat();
        let watched = Watched { cancel: &own.cancel, pulse: &own.pulse };
        lend(&thread_name(&self.info.id), Some(watched), self.grace, move || {
            let outcome = work(&turn.0);
            drop(turn);
            outcome
        })
    }

    fn take_turn(self: &Arc<Self>, cancel: &Cancel) -> Result<MyTurn> {
        let check = || {
            if self.wedged.load(Ordering::SeqCst) { Err(self.wedged_error()) } else { cancel.check() }
        };
        check()?;
        if let Some(turn) = &self.turn {
            let mut taken = turn.taken.lock().unwrap_or_else(PoisonError::into_inner);
            while *taken {
                taken = turn.free.wait_timeout(taken, TURN_POLL).unwrap_or_else(PoisonError::into_inner).0;
                check()?;
            }
            *taken = true;
        }
        Ok(MyTurn(Arc::clone(self)))
    }

    /// A call did not come back: the handler is called no more. A caller that was cancelled is told so.
    fn give_up(&self, cancel: &Cancel) -> Error {
        self.wedged.store(true, Ordering::SeqCst);
        let hangs = || Error::new(ErrorKind::Crashed, "handler-hangs", "it gave no sign of life for too long");
        let error = cancel.check().err().unwrap_or_else(hangs);
        error.context(format!(
            "handler {} did not stop within {} s and is not used any more",
            self.info.id,
            self.grace.as_secs_f32()
        ))
    }

    fn wedged_error(&self) -> Error {
        let message = format!("handler {} hangs in an earlier call and is not used any more", self.info.id);
        Error::new(ErrorKind::Crashed, "handler-wedged", message)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(destroy) = self.table.destroy.filter(|_| !self.wedged.load(Ordering::SeqCst)) else { return };
        let instance = self.instance;
        // A destroy that hangs is left to hang: nobody needs the instance any more.
        lend(&thread_name(&self.info.id), None, self.grace, move || {
            let instance = instance;
            // SAFETY: the last use of the instance; every source and call kept `Shared` alive.
            unsafe { destroy(instance.0) };
            Ok(())
        });
    }
}

/// A plugin's source, checked.
struct Source {
    table: imgh_source,
    info: SourceInfo,
    descriptor: Option<OwnedFd>,
}

// SAFETY: the ABI lets any thread use a source.
unsafe impl Send for Source {}
// SAFETY: as above; reads at once only where the handler is PARALLEL and the source ranged.
unsafe impl Sync for Source {}

impl Source {
    /// # Safety
    ///
    /// `out` is what an `open` that succeeded gave.
    unsafe fn read_table(out: *const imgh_source) -> Result<Self> {
        // SAFETY: passed on.
        let table = unsafe { copy_least(out, "imgh_source")? };
        let checked = Self::check(table);
        if let (Err(_), Some(close)) = (&checked, table.close) {
            // SAFETY: the first and last use of a source that is no good.
            unsafe { close(table.ctx) };
        }
        checked
    }

    fn check(table: imgh_source) -> Result<Self> {
        let bad = |message: &str| Error::new(ErrorKind::Internal, "bad-source", message);
        if table.read.is_none() || table.close.is_none() {
            return Err(bad("the source has no read or no close"));
        }
        let size = match table.size {
            -1 => None,
            size => Some(u64::try_from(size).map_err(|_| bad(&format!("the source's size is {size}")))?),
        };
        // SAFETY: the plugin's text, which lives as long as the source.
        let validator = unsafe { borrow_text(table.validator, VALIDATOR_MAX, "the source's validator")? };
        let validator = (!validator.is_empty()).then(|| clean_text(validator.as_bytes(), VALIDATOR_MAX));
        let descriptor = match table.fd {
            _ if table.flags & IMGH_SOURCE_FD == 0 => None,
            // The agent's own input and outputs are nobody's image.
            fd if fd <= 2 => return Err(bad(&format!("the source's descriptor is {fd}"))),
            // SAFETY: the plugin says that it is open; if it is not, duplicating it fails.
            fd => Some(
                unsafe { BorrowedFd::borrow_raw(fd) }
                    .try_clone_to_owned()
                    .map_err(|error| bad(&format!("the source's descriptor {fd} cannot be duplicated: {error}")))?,
            ),
        };
        let ranged = table.flags & IMGH_SOURCE_RANGED != 0;
        Ok(Self { table, info: SourceInfo { size, ranged, validator }, descriptor })
    }
}

struct InlineSource {
    shared: Arc<Shared>,
    source: Source,
    /// The call of `open`, which lives until the source is closed.
    call: Arc<HostCall>,
    /// What a filter reads from, which lives as long.
    input: Option<Arc<HostInput>>,
}

/// `ctx` of a source, on its way to a lent thread.
struct SourceContext(*mut std::ffi::c_void);

// SAFETY: the ABI lets any thread use a source.
unsafe impl Send for SourceContext {}

impl OpenedSource for InlineSource {
    fn info(&self) -> &SourceInfo {
        &self.source.info
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor.as_ref().map(AsFd::as_fd)
    }

    fn read(&self, call: &CallContext, range: Range<u64>, into: Arc<Mutex<dyn ByteSink>>) -> Result<()> {
        let read = self.source.table.read.ok_or_else(|| Error::unsupported("read"))?;
        let Some(len) = range.end.checked_sub(range.start) else {
            return Err(Error::new(ErrorKind::Internal, "bad-range", "the range ends before it begins"));
        };
        let own = call.stoppable()?;
        let host_call = HostCall::new(&own, &self.shared.info.id, None);
        let sink = HostSink::new(Arc::clone(&into), len, own.pulse.clone());
        let (ctx, their_sink) = (SourceContext(self.source.table.ctx), Arc::clone(&sink));
        let back = self.shared.lend(&own, move |_| {
            let ctx = ctx;
            let mut error = blank_error();
            // SAFETY: the source is not closed while it is borrowed, nor ever after a read was given up; call and sink
            // live as long as this closure.
            let status = unsafe { read(ctx.0, host_call.raw(), range.start, len, their_sink.raw(), &raw mut error) };
            take_outcome(status, &error)
        });
        sink.shut();
        match back {
            Lent::Back(outcome) => honest(outcome, call, &own),
            Lent::Abandoned => {
                // The handler may fill the last reservation at any time.
                std::mem::forget(into);
                Err(self.shared.give_up(&call.cancel))
            }
        }
    }
}

impl Drop for InlineSource {
    fn drop(&mut self) {
        // A wedged handler is called no more, not even to close: what its calls can touch stays as it is, for ever.
        let gone = self.shared.wedged.load(Ordering::SeqCst) || !self.close();
        if gone {
            std::mem::forget((Arc::clone(&self.call), self.input.clone()));
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

impl InlineSource {
    /// Closes the source; false when it hangs.
    fn close(&self) -> bool {
        let Some(close) = self.source.table.close else { return true };
        let Ok(cancel) = Cancel::new() else { return false };
        let Ok(turn) = self.shared.take_turn(&cancel) else { return false };
        let ctx = SourceContext(self.source.table.ctx);
        let lent = (Arc::clone(&self.call), self.input.clone());
        let back = lend(&thread_name(&self.shared.info.id), None, self.shared.grace, move || {
            let ctx = ctx;
            // SAFETY: the last use of the source.
            unsafe { close(ctx.0) };
            drop((lent, turn));
            Ok(())
        });
        if matches!(back, Lent::Abandoned) {
            self.shared.wedged.store(true, Ordering::SeqCst);
        }
        matches!(back, Lent::Back(Ok(())))
    }
}

/// Some answers are the host's to give, since they stop the whole plan: whether an operation was cancelled, whether the
/// target exists, whether a digest is missing. `own` is what the operation ran with, a child of `call`.
pub(crate) fn honest<T>(outcome: Result<T>, call: &CallContext, own: &CallContext) -> Result<T> {
    match outcome {
        // Only the agent says that somebody else killed a worker, which is not held against the handler.
        Err(error) if error.code() == WORKER_KILLED => Err(error.coded("plugin-crashed")),
        // Nothing but its silence stops an operation alone.
        Err(_) if own.cancel.is_cancelled() && !call.cancel.is_cancelled() => Err(call.pulse.stalled()),
        Err(error) if matches!(error.kind(), ErrorKind::Exists | ErrorKind::Unhashed) => {
            let message = format!("the handler says {}, which is not its to say: {}", error.kind(), error.message());
            Err(Error::new(ErrorKind::Internal, "bad-error", message))
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            call.cancel.check()?;
            Err(Error::new(ErrorKind::Internal, "not-cancelled", "the handler says cancelled, and nobody cancelled it"))
        }
        outcome => outcome,
    }
}

fn encode(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::Internal, "bad-request", error.to_string()))
}

fn decode<T: DeserializeOwned>(answer: Option<String>, what: &str) -> Result<T> {
    let Some(answer) = answer else {
        return Err(Error::new(ErrorKind::Internal, "no-answer", format!("{what} succeeded without an answer")));
    };
    serde_json::from_str(&answer)
        .map_err(|error| Error::new(ErrorKind::Internal, "bad-answer", format!("the answer of {what}: {error}")))
}

/// Linux shows 15 bytes of it.
fn thread_name(id: &str) -> String {
    format!("h:{id}")
}

/// Lets C libraries write out what their streams still hold. Plugins use the same C library as this process.
pub(super) fn flush_streams() {
    // SAFETY: NULL stands for all streams; each is locked while it is flushed.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Whether `destroy` comes back when there is nothing to destroy.
pub(super) fn destroy_nothing(table: &imgh_handler, limit: Duration) -> bool {
    let Some(destroy) = table.destroy else { return false };
    let back = lend("h:check", None, limit, move || {
        // SAFETY: NULL is allowed by the ABI.
        unsafe { destroy(std::ptr::null_mut()) };
        Ok(())
    });
    matches!(back, Lent::Back(Ok(())))
}
