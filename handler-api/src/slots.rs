//! The functions that a handler's table points to: decode, guard, run, encode. One set for each handler type.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

use crate::abi::*;
use crate::call::Call;
use crate::crossing::{JSON_MAX, borrow_text, copy_least, give_outcome, lend_text, lie};
use crate::error::{Error, ErrorKind, Result, Scope};
use crate::guard::guard;
use crate::handler::ImageHandler;
use crate::input::Input;
use crate::logging::{Attribution, make_with_log};
use crate::runtime;
use crate::source::{Sink, Source};

/// What an `imgh_instance *` of this kit points to.
struct Instance<H> {
    host: imgh_host,
    config: String,
    /// Absent after a panic, until the next operation makes a new one.
    handler: Mutex<Option<Arc<H>>>,
}

impl<H: ImageHandler> Instance<H> {
    fn handler(&self) -> Result<Arc<H>> {
        let mut slot = self.handler.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handler) = slot.as_ref() {
            return Ok(Arc::clone(handler));
        }
        let made = Arc::new(make::<H>(&self.config)?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Gives up a handler that panicked. Operations that still use it go on with it.
    fn give_up(&self, panicked: &Arc<H>) {
        let mut slot = self.handler.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|handler| Arc::ptr_eq(handler, panicked)) {
            *slot = None;
        }
    }
}

fn make<H: ImageHandler>(config: &str) -> Result<H> {
    let config = serde_json::from_str(if config.is_empty() { "{}" } else { config })
        .map_err(|error| Error::new(ErrorKind::Invalid, "bad-config", reason(&error)).scoped(Scope::Handler))?;
    H::new(config)
}

/// What is wrong, without the place in the JSON: the operator wrote TOML. And without a value of the wrong type, which may be a secret
/// that lacks its quotes.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    for what in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = text.strip_prefix(what).and_then(|rest| rest.rsplit_once(", expected ")) {
            let kind = found.split([' ', '`', '"']).next().unwrap_or_default();
            return format!("{what}{kind}, expected {expected}");
        }
    }
    text.to_owned()
}

pub(crate) unsafe extern "C" fn create<H: ImageHandler>(
    host: *const imgh_host,
    config: imgh_str,
    out: *mut *mut imgh_instance,
    error: *mut imgh_error,
) -> imgh_status {
    let outcome = guard(|| {
        let out = not_null(out)?;
        // SAFETY: the host's table lives for ever, the text until this function returns.
        let (host, config) = unsafe { (copy_least(host, "imgh_host")?, borrow_text(config, JSON_MAX, "config")?) };
        let handler = Mutex::new(Some(Arc::new(make_with_log(&host, || make::<H>(config))?)));
        let instance = Box::new(Instance { host, config: config.to_owned(), handler });
        // SAFETY: not NULL; the host gave it to be written.
        unsafe { out.write(Box::into_raw(instance).cast()) };
        Ok(())
    });
    // SAFETY: the host's error, or NULL.
    unsafe { give_outcome(error, &outcome) }
}

pub(crate) unsafe extern "C" fn destroy<H: ImageHandler>(instance: *mut imgh_instance) {
    // A panic while dropping has nobody to be told to.
    let _ = guard(|| {
        if !instance.is_null() {
            // SAFETY: `create` made it of a box, and this is the last use.
            runtime::drop_inside(unsafe { Box::from_raw(instance.cast::<Instance<H>>()) });
        }
        Ok(())
    });
}

/// Runs one operation of a handler: guarded, with a call that is cut off when the operation is over.
///
/// `work` may keep a call alive by answering `Kept`.
unsafe fn operate<H: ImageHandler>(
    instance: *mut imgh_instance,
    raw: *mut imgh_call,
    error: *mut imgh_error,
    work: impl FnOnce(&H, &Call) -> Result<Lives>,
) -> imgh_status {
    let outcome = guard(|| {
        let instance = not_null(instance.cast::<Instance<H>>())?;
        // SAFETY: `create` made it, and it lives while operations run.
        let instance = unsafe { &*instance };
        // SAFETY: the host keeps the call while this function runs; longer only where `Kept` says that a source has it.
        let call = unsafe { Call::new(instance.host, raw)? };
        let _lines = Attribution::to(&call);
        let handler = instance.handler()?;
        let outcome = guard(|| work(&handler, &call));
        if !matches!(outcome, Ok(Lives::Kept)) {
            call.end();
        }
        if outcome.as_ref().is_err_and(|error| error.code() == "panic") {
            instance.give_up(&handler);
        }
        runtime::drop_inside(handler);
        outcome.map(|_| ())
    });
    // SAFETY: the host's error, or NULL.
    unsafe { give_outcome(error, &outcome) }
}

/// Whether a call outlives its operation.
enum Lives {
    Over,
    Kept,
}

unsafe fn decode<T: DeserializeOwned>(json: imgh_str, what: &str) -> Result<T> {
    // SAFETY: the text lives until the slot returns.
    let text = unsafe { borrow_text(json, JSON_MAX, what)? };
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Invalid, "bad-request", format!("{what}: {error}")).scoped(Scope::Request)
    })
}

fn not_null<T>(pointer: *mut T) -> Result<*mut T> {
    if pointer.is_null() { Err(lie("null-argument", "the host passed NULL")) } else { Ok(pointer) }
}

macro_rules! operation {
    ($(#[$doc:meta])* $name:ident, |$handler:ident, $call:ident, $json:ident| $work:expr) => {
        $(#[$doc])*
        pub(crate) unsafe extern "C" fn $name<H: ImageHandler>(
            instance: *mut imgh_instance,
            call: *mut imgh_call,
            json: imgh_str,
            error: *mut imgh_error,
        ) -> imgh_status {
            // SAFETY: what the host passes lives until this function returns.
            unsafe {
                operate::<H>(instance, call, error, |$handler, $call| {
                    let $json = decode(json, stringify!($name))?;
                    $work?;
                    Ok(Lives::Over)
                })
            }
        }
    };
}

operation!(probe, |handler, call, request| call.answer(&handler.probe(&request)));
operation!(transfer, |handler, call, request| runtime::run(call, handler.transfer(call, &request)));
operation!(select, |handler, call, request| { call.answer(&runtime::run(call, handler.select(call, &request))?) });
operation!(delete_stored, |handler, call, request| runtime::run(call, handler.delete_stored(call, &request)));
operation!(placement_removed, |handler, call, event| runtime::run(call, handler.placement_removed(call, &event)));
operation!(placement_moved, |handler, call, event| runtime::run(call, handler.placement_moved(call, &event)));

pub(crate) unsafe extern "C" fn status<H: ImageHandler>(
    instance: *mut imgh_instance,
    call: *mut imgh_call,
    error: *mut imgh_error,
) -> imgh_status {
    // SAFETY: what the host passes lives until this function returns.
    unsafe {
        operate::<H>(instance, call, error, |handler, call| {
            call.answer(&runtime::run(call, handler.status(call))?)?;
            Ok(Lives::Over)
        })
    }
}

pub(crate) unsafe extern "C" fn open<H: ImageHandler>(
    instance: *mut imgh_instance,
    call: *mut imgh_call,
    request: imgh_str,
    out: *mut *const imgh_source,
    error: *mut imgh_error,
) -> imgh_status {
    // SAFETY: what the host passes lives until this function returns; the call until the source is closed.
    unsafe {
        operate::<H>(instance, call, error, |handler, call| {
            let (out, request) = (not_null(out)?, decode(request, "open")?);
            let source = runtime::run(call, handler.open(call, &request))?;
            out.write(Opened::hand_out(source, call.clone(), instance_host::<H>(instance)));
            Ok(Lives::Kept)
        })
    }
}

pub(crate) unsafe extern "C" fn filter<H: ImageHandler>(
    instance: *mut imgh_instance,
    call: *mut imgh_call,
    request: imgh_str,
    input: *const imgh_input,
    out: *mut *const imgh_source,
    error: *mut imgh_error,
) -> imgh_status {
    // SAFETY: what the host passes lives until this function returns; call and input until the source is closed.
    unsafe {
        operate::<H>(instance, call, error, |handler, call| {
            let (out, request) = (not_null(out)?, decode(request, "filter")?);
            let input = Input::new(call.clone(), copy_least(input, "imgh_input")?);
            let source = runtime::run(call, handler.filter(call, &request, input))?;
            out.write(Opened::hand_out(source, call.clone(), instance_host::<H>(instance)));
            Ok(Lives::Kept)
        })
    }
}

pub(crate) unsafe extern "C" fn unpack<H: ImageHandler>(
    instance: *mut imgh_instance,
    call: *mut imgh_call,
    request: imgh_str,
    input: *const imgh_input,
    error: *mut imgh_error,
) -> imgh_status {
    // SAFETY: what the host passes lives until this function returns.
    unsafe {
        operate::<H>(instance, call, error, |handler, call| {
            let request = decode(request, "unpack")?;
            let input = Input::new(call.clone(), copy_least(input, "imgh_input")?);
            runtime::run(call, handler.unpack(call, &request, input))?;
            Ok(Lives::Over)
        })
    }
}

/// # Safety
///
/// `instance` is one of `create`'s.
unsafe fn instance_host<H>(instance: *mut imgh_instance) -> imgh_host {
    // SAFETY: by the contract.
    unsafe { (*instance.cast::<Instance<H>>()).host }
}

/// What the `ctx` of a source points to.
struct Opened {
    table: imgh_source,
    source: Box<dyn Source>,
    /// What `table.validator` points into.
    _validator: String,
    /// The call of `open`, which lives until the source is closed.
    call: Call,
    host: imgh_host,
    panicked: AtomicBool,
}

impl Opened {
    fn hand_out(source: Box<dyn Source>, call: Call, host: imgh_host) -> *const imgh_source {
        let validator = source.validator().unwrap_or_default();
        let descriptor = source.descriptor();
        let table = imgh_source {
            struct_size: size_of::<imgh_source>(),
            ctx: std::ptr::null_mut(),
            size: source.size().and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
            flags: if source.ranged() { IMGH_SOURCE_RANGED } else { 0 }
                | if descriptor.is_some() { IMGH_SOURCE_FD } else { 0 },
            fd: descriptor.map_or(-1, |descriptor| std::os::fd::AsRawFd::as_raw_fd(&descriptor)),
            validator: lend_text(&validator),
            read: Some(read),
            close: Some(close),
        };
        let opened = Self { table, source, _validator: validator, call, host, panicked: AtomicBool::new(false) };
        let raw = Box::into_raw(Box::new(opened));
        // SAFETY: just made of a box, and nobody else has it yet.
        unsafe {
            (*raw).table.ctx = raw.cast();
            &raw const (*raw).table
        }
    }
}

unsafe extern "C" fn read(
    ctx: *mut c_void,
    call: *mut imgh_call,
    offset: u64,
    len: u64,
    sink: *const imgh_sink,
    error: *mut imgh_error,
) -> imgh_status {
    let outcome = guard(|| {
        // SAFETY: `hand_out` made it, and the host does not close a source that it reads.
        let opened = unsafe { &*not_null(ctx.cast::<Opened>())? };
        if opened.panicked.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Crashed, "poisoned", "this source panicked in an earlier read"));
        }
        let end = offset.checked_add(len).ok_or_else(|| lie("bad-range", "the range has no end"))?;
        // SAFETY: the host keeps call and sink until this function returns.
        let (call, mut sink) = unsafe { (Call::new(opened.host, call)?, Sink::new(copy_least(sink, "imgh_sink")?)) };
        let _lines = Attribution::to(&call);
        let outcome = guard(|| runtime::run(&call, opened.source.read(&call, offset..end, &mut sink)));
        call.end();
        if outcome.as_ref().is_err_and(|error| error.code() == "panic") {
            opened.panicked.store(true, Ordering::SeqCst);
        }
        outcome
    });
    // SAFETY: the host's error, or NULL.
    unsafe { give_outcome(error, &outcome) }
}

unsafe extern "C" fn close(ctx: *mut c_void) {
    // A panic while dropping has nobody to be told to.
    let _ = guard(|| {
        // SAFETY: `hand_out` made it of a box, and this is the last use.
        let opened = unsafe { Box::from_raw(not_null(ctx.cast::<Opened>())?) };
        let call = opened.call.clone();
        let _lines = Attribution::to(&call);
        let outcome = guard(|| {
            runtime::drop_inside(opened);
            Ok(())
        });
        call.end();
        outcome
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::reason;

    #[test]
    fn a_value_of_the_wrong_type_is_not_shown() {
        type Texts = BTreeMap<String, String>;
        for (json, expected) in [
            ("{\"key\": 12345678}", "invalid type: integer, expected a string"),
            ("{\"key\": [\"x, expected y\"]}", "invalid type: sequence, expected a string"),
            ("\"geheim, expected x\"", "invalid type: string, expected a map"),
            ("{\"key\": \"x\", ", "EOF while parsing a value"),
        ] {
            let shown = serde_json::from_str::<Texts>(json).map_err(|error| reason(&error)).unwrap_err();
            assert_eq!(shown, expected, "{json}");
        }
    }
}
