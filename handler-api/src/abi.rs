//! The C ABI as Rust sees it: the mirror of `include/imgh.h`, which is the truth and holds the documentation.
//!
//! Nothing but layout is here; `tests/layout.rs` compares every size, offset and constant with the header. Function
//! pointers are optional throughout, since a shorter struct of the other side reads as zeros.

#![allow(missing_docs, non_camel_case_types)]

use std::ffi::{c_char, c_void};

pub const IMGH_MAGIC: u32 = 0x4847_4D49;
pub const IMGH_ABI_MAJOR: u32 = 0;
pub const IMGH_ABI_MINOR: u32 = 2;

/// The exported symbol, for the loader.
pub const IMGH_ENTRY: &str = "imgh_plugin_v0";

pub const IMGH_CODE_BYTES: usize = 48;
pub const IMGH_MESSAGE_BYTES: usize = 1024;

pub const IMGH_SOURCE_RANGED: u32 = 1;
pub const IMGH_SOURCE_FD: u32 = 2;
pub const IMGH_INPUT_RANGED: u32 = 1;

pub const IMGH_LOG_ERROR: u32 = 1;
pub const IMGH_LOG_WARN: u32 = 2;
pub const IMGH_LOG_INFO: u32 = 3;
pub const IMGH_LOG_DEBUG: u32 = 4;
pub const IMGH_LOG_TRACE: u32 = 5;

pub const IMGH_SERIAL: u32 = 0;
pub const IMGH_PARALLEL: u32 = 1;

pub const IMGH_PLUGIN_PANIC_ABORTS: u32 = 1;
pub const IMGH_PLUGIN_WORKER_ONLY: u32 = 2;

/// 0, or the number of an [`ErrorKind`](crate::ErrorKind).
pub type imgh_status = u32;

/// The host's, one for each running operation.
#[repr(C)]
pub struct imgh_call {
    _opaque: [u8; 0],
}

/// The plugin's, one for each configured handler.
#[repr(C)]
pub struct imgh_instance {
    _opaque: [u8; 0],
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_str {
    pub ptr: *const c_char,
    pub len: usize,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_error {
    pub struct_size: usize,
    pub kind: u32,
    pub scope: u32,
    pub os_errno: i32,
    pub retry_after_ms: u32,
    pub code: [u8; IMGH_CODE_BYTES],
    pub message: [u8; IMGH_MESSAGE_BYTES],
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_sink {
    pub struct_size: usize,
    pub ctx: *mut c_void,
    pub reserve:
        Option<unsafe extern "C" fn(*mut c_void, usize, *mut *mut c_void, *mut usize, *mut imgh_error) -> imgh_status>,
    pub commit: Option<unsafe extern "C" fn(*mut c_void, usize, *mut imgh_error) -> imgh_status>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_source {
    pub struct_size: usize,
    pub ctx: *mut c_void,
    pub size: i64,
    pub flags: u32,
    pub fd: i32,
    pub validator: imgh_str,
    pub read: Option<
        unsafe extern "C" fn(*mut c_void, *mut imgh_call, u64, u64, *const imgh_sink, *mut imgh_error) -> imgh_status,
    >,
    pub close: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_input {
    pub struct_size: usize,
    pub ctx: *mut c_void,
    pub size: i64,
    pub flags: u32,
    pub fd: i32,
    pub read_at:
        Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize, u64, *mut usize, *mut imgh_error) -> imgh_status>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_output {
    pub struct_size: usize,
    pub ctx: *mut c_void,
    pub write_at: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize, u64, *mut imgh_error) -> imgh_status>,
    pub zero: Option<unsafe extern "C" fn(*mut c_void, u64, u64, *mut imgh_error) -> imgh_status>,
    pub adopt_fd: Option<unsafe extern "C" fn(*mut c_void, i32, u64, u64, u64, *mut imgh_error) -> imgh_status>,
    pub set_size: Option<unsafe extern "C" fn(*mut c_void, u64, *mut imgh_error) -> imgh_status>,
    pub finish: Option<unsafe extern "C" fn(*mut c_void, *mut imgh_error) -> imgh_status>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_host {
    pub struct_size: usize,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub name: imgh_str,
    pub version: imgh_str,
    pub log: Option<unsafe extern "C" fn(*mut imgh_call, u32, imgh_str, imgh_str)>,
    pub log_level: Option<unsafe extern "C" fn() -> u32>,
    pub progress: Option<unsafe extern "C" fn(*mut imgh_call, u64, i64)>,
    pub is_cancelled: Option<unsafe extern "C" fn(*mut imgh_call) -> u32>,
    pub cancel_fd: Option<unsafe extern "C" fn(*mut imgh_call) -> i32>,
    pub secret: Option<
        unsafe extern "C" fn(*mut imgh_call, imgh_str, *mut c_void, usize, *mut usize, *mut imgh_error) -> imgh_status,
    >,
    pub open_output: Option<
        unsafe extern "C" fn(
            *mut imgh_call,
            u32,
            u64,
            imgh_str,
            *mut *const imgh_output,
            *mut imgh_error,
        ) -> imgh_status,
    >,
    pub result: Option<unsafe extern "C" fn(*mut imgh_call, imgh_str, *mut imgh_error) -> imgh_status>,
    pub get_extension: Option<unsafe extern "C" fn(imgh_str) -> *const c_void>,
}

/// An operation that takes a request or an event as JSON.
pub type imgh_operation =
    unsafe extern "C" fn(*mut imgh_instance, *mut imgh_call, imgh_str, *mut imgh_error) -> imgh_status;

/// `open`: an operation that gives a source.
pub type imgh_open = unsafe extern "C" fn(
    *mut imgh_instance,
    *mut imgh_call,
    imgh_str,
    *mut *const imgh_source,
    *mut imgh_error,
) -> imgh_status;

/// `filter`: an operation that makes a source of an input.
pub type imgh_filter = unsafe extern "C" fn(
    *mut imgh_instance,
    *mut imgh_call,
    imgh_str,
    *const imgh_input,
    *mut *const imgh_source,
    *mut imgh_error,
) -> imgh_status;

/// `unpack`: an operation that reads an input.
pub type imgh_unpack = unsafe extern "C" fn(
    *mut imgh_instance,
    *mut imgh_call,
    imgh_str,
    *const imgh_input,
    *mut imgh_error,
) -> imgh_status;

/// `create`: makes an instance.
pub type imgh_create =
    unsafe extern "C" fn(*const imgh_host, imgh_str, *mut *mut imgh_instance, *mut imgh_error) -> imgh_status;

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_handler {
    pub struct_size: usize,
    pub thread_model: u32,
    pub reserved: u32,
    pub info: imgh_str,
    pub create: Option<imgh_create>,
    pub destroy: Option<unsafe extern "C" fn(*mut imgh_instance)>,
    pub probe: Option<imgh_operation>,
    pub transfer: Option<imgh_operation>,
    pub open: Option<imgh_open>,
    pub filter: Option<imgh_filter>,
    pub unpack: Option<imgh_unpack>,
    pub select: Option<imgh_operation>,
    pub delete_stored: Option<imgh_operation>,
    pub status: Option<unsafe extern "C" fn(*mut imgh_instance, *mut imgh_call, *mut imgh_error) -> imgh_status>,
    pub placement_removed: Option<imgh_operation>,
    pub placement_moved: Option<imgh_operation>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct imgh_plugin {
    pub struct_size: usize,
    pub magic: u32,
    pub abi_major: u32,
    pub abi_minor: u32,
    pub flags: u32,
    pub name: imgh_str,
    pub version: imgh_str,
    pub built_with: imgh_str,
    pub handlers: *const *const imgh_handler,
    pub handler_count: usize,
    pub get_extension: Option<unsafe extern "C" fn(imgh_str) -> *const c_void>,
}
