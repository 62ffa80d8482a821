//! What the host offers to plugins: the callbacks behind `imgh_host`, and the calls, outputs and sinks that they serve.
//!
//! Every callback takes nothing for granted that it can cheaply check, and lets no panic out. What a handler is given can be
//! taken away from it again: after that its pointers still lead to memory, and to nothing else.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use landfall_handler_api::abi::*;
use landfall_handler_api::crossing::{borrow_bytes, borrow_text, clean_text, give_outcome};
use landfall_handler_api::{Error, ErrorKind, Level, OutputMeta, Result};

use super::backend::{ByteSink, CallContext, Input, Output, Outputs};
use super::pulse::Pulse;
use crate::complaint::complain;

const SECRET_NAME_MAX: usize = 256;
const META_MAX: usize = 64 * 1024;
const RESULT_MAX: usize = 1 << 20;
const LINE_MAX: usize = 2000;

/// Lines of handlers up to this level are kept: they go to standard error.
const LEVEL_KEPT: u32 = Level::Warn as u32;

/// Where the lines of handlers go, in a process that does not tell them itself.
static SENDER: OnceLock<LogSender> = OnceLock::new();

type LogSender = Box<dyn Fn(u32, &str, &str) + Send + Sync>;

/// From now on `send` gets the lines of handlers: level, target and text. Once for a process.
pub(crate) fn send_log(send: impl Fn(u32, &str, &str) + Send + Sync + 'static) {
    // A second one would change nothing.
    let _ = SENDER.set(Box::new(send));
}

/// The table that plugins are given.
pub(super) fn host() -> *const imgh_host {
    struct Shared(imgh_host);
    // SAFETY: functions for any thread, and static strings.
    unsafe impl Sync for Shared {}
    static HOST: Shared = Shared(imgh_host {
        struct_size: size_of::<imgh_host>(),
        abi_major: IMGH_ABI_MAJOR,
        abi_minor: IMGH_ABI_MINOR,
        name: imgh_str { ptr: c"landfall".as_ptr(), len: 8 },
        version: imgh_str { ptr: env!("CARGO_PKG_VERSION").as_ptr().cast(), len: env!("CARGO_PKG_VERSION").len() },
        log: Some(log),
        log_level: Some(log_level),
        progress: Some(progress),
        is_cancelled: Some(is_cancelled),
        cancel_fd: Some(cancel_fd),
        secret: Some(secret),
        open_output: Some(open_output),
        result: Some(result),
        get_extension: Some(get_extension),
    });
    &raw const HOST.0
}

/// Something of the host's that a handler may use until it is taken away.
struct Gate<T: ?Sized>(RwLock<Option<Arc<T>>>);

impl<T: ?Sized> Gate<T> {
    fn new(thing: Option<Arc<T>>) -> Self {
        Self(RwLock::new(thing))
    }

    /// Uses it, unless it was taken away.
    fn enter<R>(&self, use_it: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        let thing = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match thing.as_ref() {
            Some(thing) => use_it(thing),
            None => Err(Error::new(ErrorKind::Cancelled, "operation-over", "the operation is over")),
        }
    }

    /// Takes it away, after waiting for the uses that are under way.
    fn shut(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an `imgh_call *` points to.
pub(super) struct HostCall {
    context: CallContext,
    handler: String,
    outputs: Gate<dyn Outputs>,
    /// Whether this operation ever had any.
    writes: bool,
    /// Whether secrets are given now.
    gives_secrets: AtomicBool,
    /// Handlers have pointers to them, which stay valid as long as this call.
    opened: Mutex<Vec<Arc<HostOutput>>>,
    result: Mutex<Option<String>>,
}

impl HostCall {
    pub(super) fn new(context: &CallContext, handler: &str, outputs: Option<Arc<dyn Outputs>>) -> Arc<Self> {
        Arc::new(Self {
            context: context.clone(),
            handler: handler.to_owned(),
            writes: outputs.is_some(),
            gives_secrets: AtomicBool::new(false),
            outputs: Gate::new(outputs),
            opened: Mutex::new(Vec::new()),
            result: Mutex::new(None),
        })
    }

    /// Secrets are given from now on, or not any more.
    pub(super) fn give_secrets(&self, gives: bool) {
        self.gives_secrets.store(gives, Ordering::SeqCst);
    }

    /// What is given to the plugin. It is valid while an `Arc` of this call is kept.
    pub(super) fn raw(self: &Arc<Self>) -> *mut imgh_call {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// Takes the outputs away. When this returns, no write is under way and none will come.
    pub(super) fn shut_outputs(&self) {
        self.outputs.shut();
        for output in locked(&self.opened).iter() {
            output.gate.shut();
        }
    }

    /// The answer that the handler gave.
    pub(super) fn take_result(&self) -> Option<String> {
        locked(&self.result).take()
    }
}

/// What the `ctx` of an `imgh_output` points to.
struct HostOutput {
    table: imgh_output,
    gate: Gate<dyn Output>,
    pulse: Pulse,
}

// SAFETY: the table is not changed once it is handed out; its pointer leads to this value itself.
unsafe impl Send for HostOutput {}
// SAFETY: as above.
unsafe impl Sync for HostOutput {}

impl HostOutput {
    fn new(output: Arc<dyn Output>, pulse: Pulse) -> Arc<Self> {
        Arc::new_cyclic(|made: &Weak<Self>| {
            let table = imgh_output {
                struct_size: size_of::<imgh_output>(),
                ctx: made.as_ptr().cast_mut().cast(),
                write_at: Some(write_at),
                zero: Some(zero),
                adopt_fd: Some(adopt_fd),
                set_size: Some(set_size),
                finish: Some(finish),
            };
            Self { table, gate: Gate::new(Some(output)), pulse }
        })
    }
}

impl HostOutput {
    fn enter(&self, use_it: impl FnOnce(&(dyn Output + 'static)) -> Result<()>) -> Result<()> {
        let _held = self.pulse.hold();
        self.gate.enter(use_it)
    }
}

/// What the `ctx` of an `imgh_sink` points to: the reader's sink, for the bytes of one range.
pub(super) struct HostSink {
    table: imgh_sink,
    open: Mutex<Option<OpenSink>>,
    pulse: Pulse,
}

struct OpenSink {
    into: Arc<Mutex<dyn ByteSink>>,
    /// Bytes of the range that are still to come.
    left: u64,
    /// Bytes of the reservation that was not committed yet.
    reserved: usize,
}

// SAFETY: the table is not changed once it is handed out; its pointer leads to this value itself.
unsafe impl Send for HostSink {}
// SAFETY: as above.
unsafe impl Sync for HostSink {}

impl HostSink {
    pub(super) fn new(into: Arc<Mutex<dyn ByteSink>>, len: u64, pulse: Pulse) -> Arc<Self> {
        Arc::new_cyclic(|made: &Weak<Self>| {
            let table = imgh_sink {
                struct_size: size_of::<imgh_sink>(),
                ctx: made.as_ptr().cast_mut().cast(),
                reserve: Some(reserve),
                commit: Some(commit),
            };
            Self { table, open: Mutex::new(Some(OpenSink { into, left: len, reserved: 0 })), pulse }
        })
    }

    /// What is given to the plugin. It is valid while an `Arc` of this sink is kept.
    pub(super) fn raw(&self) -> *const imgh_sink {
        &raw const self.table
    }

    /// Takes the sink away. When this returns, nothing uses it and nothing will.
    pub(super) fn shut(&self) {
        *locked(&self.open) = None;
    }

    fn enter<R>(&self, use_it: impl FnOnce(&mut OpenSink) -> Result<R>) -> Result<R> {
        match locked(&self.open).as_mut() {
            Some(open) => use_it(open),
            None => Err(Error::new(ErrorKind::Cancelled, "operation-over", "the read is over")),
        }
    }
}

/// What the `ctx` of an `imgh_input` points to.
pub(super) struct HostInput {
    table: imgh_input,
    gate: Gate<dyn Input>,
    pulse: Pulse,
}

// SAFETY: the table is not changed once it is handed out; its pointer leads to this value itself.
unsafe impl Send for HostInput {}
// SAFETY: as above.
unsafe impl Sync for HostInput {}

impl HostInput {
    pub(super) fn new(input: Arc<dyn Input>, pulse: Pulse) -> Arc<Self> {
        Arc::new_cyclic(|made: &Weak<Self>| {
            let descriptor = input.descriptor();
            let table = imgh_input {
                struct_size: size_of::<imgh_input>(),
                ctx: made.as_ptr().cast_mut().cast(),
                size: input.size().and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
                flags: if descriptor.is_some() { IMGH_INPUT_RANGED } else { 0 },
                fd: descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd()),
                read_at: Some(read_at),
            };
            Self { table, gate: Gate::new(Some(input)), pulse }
        })
    }

    /// What is given to the plugin. It is valid while an `Arc` of this input is kept.
    pub(super) fn raw(&self) -> *const imgh_input {
        &raw const self.table
    }

    /// Takes the input away, after waiting for the reads that are under way.
    pub(super) fn shut(&self) {
        self.gate.shut();
    }
}

/// Runs a callback's work: no panic leaves it, and the outcome goes where the plugin wants it.
fn answer(error: *mut imgh_error, work: impl FnOnce() -> Result<()>) -> imgh_status {
    let outcome = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "host-panic", "the host panicked in a callback")));
    // SAFETY: the plugin's error, or NULL.
    unsafe { give_outcome(error, &outcome) }
}

fn misuse(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "bad-argument", message)
}

/// # Safety
///
/// `pointer` is NULL or leads to a `T` that lives during `'a`.
unsafe fn borrow<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    // SAFETY: passed on.
    unsafe { pointer.as_ref() }.ok_or_else(|| misuse(&format!("{what} is NULL")))
}

/// # Safety
///
/// `call` is NULL or one of [`HostCall::raw`] that is still kept.
unsafe fn call_of<'a>(call: *mut imgh_call) -> Result<&'a HostCall> {
    // SAFETY: passed on.
    unsafe { borrow(call.cast_const().cast::<HostCall>(), "the call") }
}

unsafe extern "C" fn log(call: *mut imgh_call, level: u32, target: imgh_str, message: imgh_str) {
    answer(std::ptr::null_mut(), || {
        // SAFETY: by the ABI: the text lives until this function returns, the call longer; NULL is a line of no call.
        let (call, target, message) = unsafe {
            (call_of(call).ok(), borrow_bytes(target, LINE_MAX, "target")?, borrow_bytes(message, 1 << 20, "message")?)
        };
        if level > LEVEL_KEPT {
            return Ok(());
        }
        let who = call.map_or("plugin", |call| call.handler.as_str());
        let (target, text) = (clean_text(target, LINE_MAX), clean_text(message, LINE_MAX));
        if let Some(send) = SENDER.get() {
            send(level, &target, &text);
            return Ok(());
        }
        let gap = if target.is_empty() { "" } else { ": " };
        complain(format_args!("{who}: {target}{gap}{text}"));
        Ok(())
    });
}

unsafe extern "C" fn log_level() -> u32 {
    LEVEL_KEPT
}

unsafe extern "C" fn progress(call: *mut imgh_call, done: u64, total: i64) {
    answer(std::ptr::null_mut(), || {
        // SAFETY: by the ABI.
        let call = unsafe { call_of(call)? };
        call.context.pulse.beat();
        (call.context.progress)(done, u64::try_from(total).ok());
        Ok(())
    });
}

unsafe extern "C" fn is_cancelled(call: *mut imgh_call) -> u32 {
    // SAFETY: by the ABI. Whoever asks without a call is best told to stop.
    unsafe { call_of(call) }.map_or(1, |call| u32::from(call.context.cancel.is_cancelled()))
}

unsafe extern "C" fn cancel_fd(call: *mut imgh_call) -> i32 {
    // SAFETY: by the ABI.
    unsafe { call_of(call) }.map_or(-1, |call| call.context.cancel.descriptor().as_raw_fd())
}

unsafe extern "C" fn secret(
    call: *mut imgh_call,
    name: imgh_str,
    buffer: *mut c_void,
    room: usize,
    len: *mut usize,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let (call, name) = unsafe { (call_of(call)?, borrow_text(name, SECRET_NAME_MAX, "a secret's name")?) };
        if len.is_null() || (buffer.is_null() && room > 0) {
            return Err(misuse("secret: len or buf is NULL"));
        }
        if !call.gives_secrets.load(Ordering::SeqCst) {
            let message = "secrets are given while open, transfer or delete_stored runs, and not at other times";
            return Err(Error::new(ErrorKind::Invalid, "secret-not-now", message));
        }
        let Some(mut secret) = (call.context.secrets)(name) else {
            let message = format!("the request has no secret {name:?}");
            return Err(Error::new(ErrorKind::NotFound, "no-such-secret", message));
        };
        // SAFETY: not NULL; the plugin says that there is so much room.
        unsafe {
            len.write(secret.len());
            if !buffer.is_null() && secret.len() <= room {
                std::ptr::copy_nonoverlapping(secret.as_ptr(), buffer.cast::<u8>(), secret.len());
            }
        }
        secret.fill(0);
        // Keeps the compiler from dropping the wipe.
        std::hint::black_box(&secret);
        Ok(())
    })
}

unsafe extern "C" fn open_output(
    call: *mut imgh_call,
    number: u32,
    size: u64,
    meta: imgh_str,
    out: *mut *const imgh_output,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let (call, meta) = unsafe { (call_of(call)?, borrow_text(meta, META_MAX, "meta")?) };
        if out.is_null() {
            return Err(misuse("open_output: out is NULL"));
        }
        if !call.writes {
            return Err(Error::new(ErrorKind::Internal, "no-outputs", "outputs are for transfer and unpack"));
        }
        let meta: OutputMeta = serde_json::from_str(if meta.is_empty() { "{}" } else { meta })
            .map_err(|error| Error::new(ErrorKind::Internal, "bad-meta", format!("output {number}: {error}")))?;
        call.outputs.enter(|outputs| {
            let output = HostOutput::new(outputs.open(number, size, meta)?, call.context.pulse.clone());
            // SAFETY: not NULL, and the plugin's to be written.
            unsafe { out.write(&raw const output.table) };
            locked(&call.opened).push(output);
            Ok(())
        })
    })
}

unsafe extern "C" fn result(call: *mut imgh_call, json: imgh_str, error: *mut imgh_error) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let (call, json) = unsafe { (call_of(call)?, borrow_text(json, RESULT_MAX, "the result")?) };
        *locked(&call.result) = Some(json.to_owned());
        Ok(())
    })
}

unsafe extern "C" fn get_extension(_: imgh_str) -> *const c_void {
    std::ptr::null()
}

/// # Safety
///
/// `ctx` is NULL or that of a [`HostOutput`] whose call is still kept.
unsafe fn output_of<'a>(ctx: *mut c_void) -> Result<&'a HostOutput> {
    // SAFETY: passed on.
    unsafe { borrow(ctx.cast_const().cast::<HostOutput>(), "the output's ctx") }
}

unsafe extern "C" fn write_at(
    ctx: *mut c_void,
    buffer: *const c_void,
    len: usize,
    offset: u64,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        let bytes = imgh_str { ptr: buffer.cast(), len };
        // SAFETY: by the ABI: so many bytes are readable.
        let (output, bytes) = unsafe { (output_of(ctx)?, borrow_bytes(bytes, isize::MAX.cast_unsigned(), "buf")?) };
        end_of(offset, len as u64)?;
        output.enter(|output| output.write_at(bytes, offset))
    })
}

unsafe extern "C" fn zero(ctx: *mut c_void, offset: u64, len: u64, error: *mut imgh_error) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let output = unsafe { output_of(ctx)? };
        end_of(offset, len)?;
        output.enter(|output| output.zero(offset, len))
    })
}

unsafe extern "C" fn adopt_fd(
    ctx: *mut c_void,
    fd: i32,
    fd_offset: u64,
    offset: u64,
    len: u64,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let output = unsafe { output_of(ctx)? };
        end_of(fd_offset, len).and_then(|()| end_of(offset, len))?;
        if fd < 0 {
            return Err(misuse("adopt_fd: not a descriptor"));
        }
        // SAFETY: the plugin says that it is open; if it is not, duplicating it fails.
        let descriptor = unsafe { BorrowedFd::borrow_raw(fd) }
            .try_clone_to_owned()
            .map_err(|error| Error::os(&error, "duplicate the adopted descriptor"))?;
        output.enter(|output| output.adopt(descriptor, fd_offset, offset, len))
    })
}

unsafe extern "C" fn read_at(
    ctx: *mut c_void,
    buffer: *mut c_void,
    len: usize,
    offset: u64,
    got: *mut usize,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let input = unsafe { borrow(ctx.cast_const().cast::<HostInput>(), "the input's ctx")? };
        if got.is_null() || (buffer.is_null() && len > 0) || isize::try_from(len).is_err() {
            return Err(misuse("read_at: buf or got is NULL, or len is impossible"));
        }
        end_of(offset, len as u64)?;
        if len == 0 {
            // SAFETY: not NULL, and the plugin's to be written.
            unsafe { got.write(0) };
            return Ok(());
        }
        // SAFETY: the plugin says that so many bytes are its own to be written.
        let into = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
        let _held = input.pulse.hold();
        let read = input.gate.enter(|input| input.read_at(into, offset))?;
        // SAFETY: as above.
        unsafe { got.write(read) };
        Ok(())
    })
}

unsafe extern "C" fn set_size(ctx: *mut c_void, size: u64, error: *mut imgh_error) -> imgh_status {
    // SAFETY: by the ABI.
    answer(error, || unsafe { output_of(ctx)? }.enter(|output| output.set_size(size)))
}

unsafe extern "C" fn finish(ctx: *mut c_void, error: *mut imgh_error) -> imgh_status {
    // SAFETY: by the ABI.
    answer(error, || unsafe { output_of(ctx)? }.enter(|output| output.finish()))
}

fn end_of(offset: u64, len: u64) -> Result<()> {
    match offset.checked_add(len) {
        Some(end) if i64::try_from(end).is_ok() => Ok(()),
        _ => Err(misuse("offset and length reach beyond every file")),
    }
}

unsafe extern "C" fn reserve(
    ctx: *mut c_void,
    want: usize,
    buffer: *mut *mut c_void,
    room: *mut usize,
    error: *mut imgh_error,
) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let sink = unsafe { borrow(ctx.cast_const().cast::<HostSink>(), "the sink's ctx")? };
        if buffer.is_null() || room.is_null() || want == 0 {
            return Err(misuse("reserve: buf or room is NULL, or nothing is wanted"));
        }
        let _held = sink.pulse.hold();
        sink.enter(|open| {
            let want = want.min(usize::try_from(open.left).unwrap_or(usize::MAX));
            if want == 0 {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "beyond-range",
                    "the source gives more than it was asked for",
                ));
            }
            let mut into = locked(&open.into);
            let bytes = into.reserve(want)?;
            if bytes.is_empty() {
                return Err(Error::new(ErrorKind::Internal, "no-room", "the host reserved nothing"));
            }
            open.reserved = bytes.len().min(want);
            // SAFETY: not NULL, and the plugin's to be written.
            unsafe {
                buffer.write(bytes.as_mut_ptr().cast());
                room.write(open.reserved);
            }
            Ok(())
        })
    })
}

unsafe extern "C" fn commit(ctx: *mut c_void, filled: usize, error: *mut imgh_error) -> imgh_status {
    answer(error, || {
        // SAFETY: by the ABI.
        let sink = unsafe { borrow(ctx.cast_const().cast::<HostSink>(), "the sink's ctx")? };
        let _held = sink.pulse.hold();
        sink.enter(|open| {
            if filled > open.reserved {
                return Err(misuse("commit: more than was reserved"));
            }
            open.reserved = 0;
            open.left = open.left.saturating_sub(filled as u64);
            locked(&open.into).commit(filled)
        })
    })
}
