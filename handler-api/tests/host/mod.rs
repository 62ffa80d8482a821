//! A host in memory: it writes down what a handler does, and calls the handler's functions through its table.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use landfall_handler_api::abi::*;
use landfall_handler_api::crossing::{blank_error, borrow_text, give_outcome, lend_text, take_outcome};
use landfall_handler_api::{Error, ErrorKind, Result};

/// One operation; an output of it is the operation itself.
#[derive(Default)]
pub(crate) struct MemoryCall {
    log: Mutex<Vec<String>>,
    answer: Mutex<String>,
    cancelled: AtomicBool,
    output: Mutex<Option<Box<Table<imgh_output>>>>,
}

/// Log lines of no operation.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The log lines of no operation, so far, that have `text` in them.
pub(crate) fn lines_with(text: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

struct Table<T>(T);

// SAFETY: never changed once it is made; what it points to can be used from any thread.
unsafe impl<T> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Table<T> {}

impl MemoryCall {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What was done with outputs and progress, and logged, since this was last asked.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    pub(crate) fn answer(&self) -> String {
        self.answer.lock().unwrap().clone()
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    fn raw(&self) -> *mut imgh_call {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn note(&self, line: String) -> imgh_status {
        self.log.lock().unwrap().push(line);
        0
    }
}

/// # Safety
///
/// `pointer` is a call of this file, or an output of one.
unsafe fn call<'a, T>(pointer: *mut T) -> &'a MemoryCall {
    // SAFETY: by the contract.
    unsafe { &*pointer.cast_const().cast::<MemoryCall>() }
}

static HOST: Table<imgh_host> = Table(imgh_host {
    struct_size: size_of::<imgh_host>(),
    abi_major: IMGH_ABI_MAJOR,
    abi_minor: IMGH_ABI_MINOR,
    name: imgh_str { ptr: std::ptr::null(), len: 0 },
    version: imgh_str { ptr: std::ptr::null(), len: 0 },
    log: Some(log),
    log_level: Some(log_level),
    progress: Some(progress),
    is_cancelled: Some(is_cancelled),
    cancel_fd: None,
    secret: Some(secret),
    open_output: Some(open_output),
    result: Some(result),
    get_extension: None,
});

unsafe extern "C" fn log(raw: *mut imgh_call, level: u32, target: imgh_str, text: imgh_str) {
    // SAFETY: the glue passes what the ABI asks for.
    let line = unsafe {
        let (target, text) = (borrow_text(target, 99, "target").unwrap(), borrow_text(text, 2000, "text").unwrap());
        format!("log {level} {target}: {text}")
    };
    if raw.is_null() {
        LINES.lock().unwrap().push(line);
    } else {
        // SAFETY: a call of this file.
        unsafe { call(raw) }.note(line);
    }
}

unsafe extern "C" fn log_level() -> u32 {
    IMGH_LOG_DEBUG
}

unsafe extern "C" fn progress(raw: *mut imgh_call, done: u64, total: i64) {
    // SAFETY: a call of this file.
    unsafe { call(raw) }.note(format!("progress {done} {total}"));
}

unsafe extern "C" fn is_cancelled(raw: *mut imgh_call) -> u32 {
    // SAFETY: a call of this file.
    unsafe { call(raw) }.cancelled.load(Ordering::SeqCst).into()
}

unsafe extern "C" fn secret(
    _: *mut imgh_call,
    name: imgh_str,
    buffer: *mut c_void,
    room: usize,
    len: *mut usize,
    error: *mut imgh_error,
) -> imgh_status {
    // SAFETY: the glue passes what the ABI asks for.
    unsafe {
        if borrow_text(name, 99, "name").unwrap() != "token" {
            return give_outcome(error, &Err(Error::new(ErrorKind::NotFound, "no-such-secret", "none")));
        }
        *len = 5000;
        if room >= 5000 {
            buffer.cast::<u8>().write_bytes(b's', 5000);
        }
    }
    0
}

unsafe extern "C" fn open_output(
    raw: *mut imgh_call,
    number: u32,
    size: u64,
    meta: imgh_str,
    out: *mut *const imgh_output,
    _: *mut imgh_error,
) -> imgh_status {
    // SAFETY: the glue passes what the ABI asks for.
    let (call, meta) = unsafe { (call(raw), borrow_text(meta, 9999, "meta").unwrap()) };
    let mut output = call.output.lock().unwrap();
    let table = output.insert(Box::new(Table(imgh_output {
        struct_size: size_of::<imgh_output>(),
        ctx: raw.cast(),
        write_at: Some(write_at),
        zero: Some(zero),
        adopt_fd: Some(adopt_fd),
        set_size: Some(set_size),
        finish: Some(finish),
    })));
    // SAFETY: not NULL.
    unsafe { *out = &raw const table.0 };
    call.note(format!("open {number} of {size}: {meta}"))
}

unsafe extern "C" fn result(raw: *mut imgh_call, json: imgh_str, _: *mut imgh_error) -> imgh_status {
    // SAFETY: the glue passes what the ABI asks for.
    unsafe { *call(raw).answer.lock().unwrap() = borrow_text(json, 9999, "json").unwrap().to_owned() };
    0
}

unsafe extern "C" fn write_at(
    ctx: *mut c_void,
    buffer: *const c_void,
    len: usize,
    offset: u64,
    _: *mut imgh_error,
) -> imgh_status {
    // SAFETY: the glue passes what the ABI asks for.
    let (call, bytes) = unsafe { (call(ctx), std::slice::from_raw_parts(buffer.cast::<u8>(), len)) };
    call.note(format!("write {} at {offset}", String::from_utf8_lossy(bytes)))
}

unsafe extern "C" fn zero(ctx: *mut c_void, offset: u64, len: u64, _: *mut imgh_error) -> imgh_status {
    // SAFETY: an output of this file.
    unsafe { call(ctx) }.note(format!("zero {len} at {offset}"))
}

unsafe extern "C" fn adopt_fd(
    ctx: *mut c_void,
    fd: i32,
    fd_offset: u64,
    offset: u64,
    len: u64,
    _: *mut imgh_error,
) -> imgh_status {
    assert!(fd >= 0);
    // SAFETY: an output of this file.
    unsafe { call(ctx) }.note(format!("adopt {len} from {fd_offset} at {offset}"))
}

unsafe extern "C" fn set_size(ctx: *mut c_void, size: u64, _: *mut imgh_error) -> imgh_status {
    // SAFETY: an output of this file.
    unsafe { call(ctx) }.note(format!("size {size}"))
}

unsafe extern "C" fn finish(ctx: *mut c_void, _: *mut imgh_error) -> imgh_status {
    // SAFETY: an output of this file.
    unsafe { call(ctx) }.note("finish".to_owned())
}

/// The first handler of a plugin, made.
pub(crate) struct Instance {
    table: &'static imgh_handler,
    raw: *mut imgh_instance,
}

// SAFETY: the ABI lets any thread use an instance.
unsafe impl Sync for Instance {}

impl Instance {
    pub(crate) fn create(plugin: *const imgh_plugin, config: &str) -> Result<Self> {
        let mut instance = Self::null(plugin);
        let mut error = blank_error();
        // SAFETY: all of it lives long enough.
        let status = unsafe {
            instance.table.create.unwrap()(&raw const HOST.0, lend_text(config), &raw mut instance.raw, &raw mut error)
        };
        take_outcome(status, &error)?;
        Ok(instance)
    }

    pub(crate) fn null(plugin: *const imgh_plugin) -> Self {
        // SAFETY: a static table with at least one handler.
        Self { table: unsafe { &**(*plugin).handlers }, raw: std::ptr::null_mut() }
    }

    pub(crate) fn info(&self) -> &str {
        // SAFETY: a static text.
        unsafe { borrow_text(self.table.info, 9999, "info").unwrap() }
    }

    fn operate(&self, function: Option<imgh_operation>, call: *mut imgh_call, json: &str) -> Result<()> {
        let mut error = blank_error();
        // SAFETY: all of it lives long enough.
        let status = unsafe { function.unwrap()(self.raw, call, lend_text(json), &raw mut error) };
        take_outcome(status, &error)
    }

    pub(crate) fn probe(&self, call: &MemoryCall, json: &str) -> Result<()> {
        self.operate(self.table.probe, call.raw(), json)
    }

    pub(crate) fn transfer(&self, call: &MemoryCall, json: &str) -> Result<()> {
        self.operate(self.table.transfer, call.raw(), json)
    }

    pub(crate) fn transfer_raw(&self, call: *mut imgh_call) -> Result<()> {
        self.operate(self.table.transfer, call, "{}")
    }

    pub(crate) fn select(&self, call: &MemoryCall, json: &str) -> Result<()> {
        self.operate(self.table.select, call.raw(), json)
    }

    pub(crate) fn delete_stored(&self, call: &MemoryCall, json: &str) -> Result<()> {
        self.operate(self.table.delete_stored, call.raw(), json)
    }

    pub(crate) fn placement_removed(&self, call: &MemoryCall, json: &str) -> Result<()> {
        self.operate(self.table.placement_removed, call.raw(), json)
    }

    pub(crate) fn status(&self, call: &MemoryCall) -> Result<()> {
        let mut error = blank_error();
        // SAFETY: all of it lives long enough.
        let status = unsafe { self.table.status.unwrap()(self.raw, call.raw(), &raw mut error) };
        take_outcome(status, &error)
    }

    pub(crate) fn open(&self, call: &MemoryCall, json: &str) -> Result<Opened> {
        let (mut out, mut error) = (std::ptr::null(), blank_error());
        // SAFETY: all of it lives long enough; the tests keep a call longer than its source.
        let status =
            unsafe { self.table.open.unwrap()(self.raw, call.raw(), lend_text(json), &raw mut out, &raw mut error) };
        take_outcome(status, &error).map(|()| Opened { table: out, _input: None })
    }

    pub(crate) fn filter(&self, call: &MemoryCall, text: &'static str) -> Result<Opened> {
        let (mut out, mut error, input) = (std::ptr::null(), blank_error(), input(text));
        // SAFETY: as in `open`; the input is kept with the source.
        let status = unsafe {
            self.table.filter.unwrap()(
                self.raw,
                call.raw(),
                lend_text("{}"),
                &raw const *input,
                &raw mut out,
                &raw mut error,
            )
        };
        take_outcome(status, &error).map(|()| Opened { table: out, _input: Some(input) })
    }

    pub(crate) fn unpack(&self, call: &MemoryCall, text: &'static str) -> Result<()> {
        let (mut error, input) = (blank_error(), input(text));
        // SAFETY: all of it lives long enough.
        let status = unsafe {
            self.table.unpack.unwrap()(self.raw, call.raw(), lend_text("{}"), &raw const *input, &raw mut error)
        };
        take_outcome(status, &error)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the last use; NULL is allowed.
        unsafe { self.table.destroy.unwrap()(self.raw) }
    }
}

fn input(text: &'static str) -> Box<imgh_input> {
    Box::new(imgh_input {
        struct_size: size_of::<imgh_input>(),
        ctx: Box::leak(Box::new(text)) as *mut &str as *mut c_void,
        size: text.len() as i64,
        flags: IMGH_INPUT_RANGED,
        fd: -1,
        read_at: Some(read_at),
    })
}

unsafe extern "C" fn read_at(
    ctx: *mut c_void,
    buffer: *mut c_void,
    len: usize,
    offset: u64,
    got: *mut usize,
    _: *mut imgh_error,
) -> imgh_status {
    // SAFETY: `input` made the ctx; the glue passes what the ABI asks for.
    unsafe {
        let text = *ctx.cast::<&str>();
        let rest = &text.as_bytes()[(offset as usize).min(text.len())..];
        *got = rest.len().min(len);
        std::ptr::copy_nonoverlapping(rest.as_ptr(), buffer.cast::<u8>(), *got);
    }
    0
}

/// A source that a handler opened.
pub(crate) struct Opened {
    table: *const imgh_source,
    _input: Option<Box<imgh_input>>,
}

// SAFETY: the ABI lets any thread read a source.
unsafe impl Sync for Opened {}

/// Gives two bytes of room at a time.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    room: [u8; 2],
}

unsafe extern "C" fn reserve(
    ctx: *mut c_void,
    want: usize,
    buffer: *mut *mut c_void,
    room: *mut usize,
    _: *mut imgh_error,
) -> imgh_status {
    // SAFETY: `Opened::read` made the ctx; the glue passes what the ABI asks for.
    unsafe {
        *buffer = (&raw mut (*ctx.cast::<Bytes>()).room).cast();
        *room = want.min(2);
    }
    0
}

unsafe extern "C" fn commit(ctx: *mut c_void, filled: usize, _: *mut imgh_error) -> imgh_status {
    // SAFETY: `Opened::read` made the ctx.
    let bytes = unsafe { &mut *ctx.cast::<Bytes>() };
    bytes.bytes.extend_from_slice(&bytes.room[..filled]);
    0
}

impl Opened {
    pub(crate) fn table(&self) -> &imgh_source {
        // SAFETY: lives until it is closed.
        unsafe { &*self.table }
    }

    pub(crate) fn validator(&self) -> &str {
        // SAFETY: lives as long as the source.
        unsafe { borrow_text(self.table().validator, 999, "validator").unwrap() }
    }

    pub(crate) fn read(&self, range: Range<u64>) -> Result<String> {
        self.read_on(&MemoryCall::new(), range)
    }

    pub(crate) fn read_on(&self, call: &MemoryCall, range: Range<u64>) -> Result<String> {
        let (mut bytes, mut error) = (Bytes::default(), blank_error());
        let sink = imgh_sink {
            struct_size: size_of::<imgh_sink>(),
            ctx: (&raw mut bytes).cast(),
            reserve: Some(reserve),
            commit: Some(commit),
        };
        let source = self.table();
        // SAFETY: all of it lives long enough.
        let status = unsafe {
            source.read.unwrap()(
                source.ctx,
                call.raw(),
                range.start,
                range.end - range.start,
                &raw const sink,
                &raw mut error,
            )
        };
        take_outcome(status, &error)?;
        Ok(String::from_utf8(bytes.bytes).unwrap())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the last use.
        unsafe { self.table().close.unwrap()(self.table().ctx) }
    }
}
