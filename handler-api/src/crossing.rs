//! What crosses the boundary, read and written with distrust: sized structs, text, errors.
//!
//! For the glue behind `export!` and for hosts; a plugin author needs nothing of it. Whatever the other side says is
//! bounded, checked and copied here, and nowhere else.

#![allow(unsafe_code)]

use std::mem::{MaybeUninit, offset_of, size_of};
use std::time::Duration;

use crate::abi::*;
use crate::error::{Error, ErrorKind, Result, Scope};

/// The longest JSON document that either side takes, in bytes.
pub const JSON_MAX: usize = 16 << 20;

/// A struct of the ABI that begins with `struct_size` and may grow.
///
/// # Safety
///
/// The type is `repr(C)`, its first field is `struct_size: usize`, and all zeros is a value of it.
pub unsafe trait Growing: Copy {
    /// The bytes without which it is of no use.
    const LEAST: usize;
}

// SAFETY: repr(C), led by struct_size, made of numbers, pointers and optional functions.
unsafe impl Growing for imgh_sink {
    const LEAST: usize = offset_of!(Self, commit) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_source {
    const LEAST: usize = offset_of!(Self, close) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_input {
    const LEAST: usize = offset_of!(Self, read_at) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_output {
    const LEAST: usize = offset_of!(Self, write_at) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_host {
    const LEAST: usize = offset_of!(Self, cancel_fd) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_handler {
    const LEAST: usize = offset_of!(Self, probe) + size_of::<usize>();
}
// SAFETY: as above.
unsafe impl Growing for imgh_plugin {
    const LEAST: usize = offset_of!(Self, handler_count) + size_of::<usize>();
}

/// The other side's struct as this side knows it: the smaller of the two sizes is copied, the rest is zero.
///
/// # Safety
///
/// `from` is NULL, or points to a `T` of the other side with as many readable bytes as its `struct_size` says.
pub unsafe fn copy_least<T: Growing>(from: *const T, what: &str) -> Result<T> {
    if from.is_null() {
        return Err(lie("null-struct", format!("{what} is NULL")));
    }
    if !from.is_aligned() {
        return Err(lie("misaligned-struct", format!("{what} is at an address that no {what} can have")));
    }
    // SAFETY: not NULL and aligned; by the contract at least struct_size itself is readable.
    let size = unsafe { from.cast::<usize>().read() };
    if size < T::LEAST || size % size_of::<usize>() != 0 {
        let least = T::LEAST;
        let message = format!("{what} says that it has {size} bytes; it takes {least}, or more by whole words");
        return Err(lie("struct-too-short", message));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: min() bytes are readable by the contract and fit the copy; zeros are a T by the trait's contract.
    unsafe {
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), size.min(size_of::<T>()));
        Ok(copy.assume_init())
    }
}

/// Text of the other side, borrowed: at most `max` bytes of UTF-8.
///
/// # Safety
///
/// `text.ptr` is NULL or points to `text.len` readable bytes that do not change during `'a`.
pub unsafe fn borrow_text<'a>(text: imgh_str, max: usize, what: &str) -> Result<&'a str> {
    // SAFETY: passed on.
    let bytes = unsafe { borrow_bytes(text, max, what)? };
    std::str::from_utf8(bytes)
        .map_err(|error| Error::new(ErrorKind::Invalid, "not-utf8", format!("{what} is not UTF-8: {error}")))
}

/// Bytes of the other side, borrowed: at most `max`.
///
/// # Safety
///
/// As for [`borrow_text`].
pub unsafe fn borrow_bytes<'a>(text: imgh_str, max: usize, what: &str) -> Result<&'a [u8]> {
    if text.len == 0 {
        return Ok(&[]);
    }
    if text.ptr.is_null() {
        return Err(lie("null-text", format!("{what} is NULL and {} bytes long", text.len)));
    }
    if text.len > max {
        let message = format!("{what} has {} bytes; {max} are the most", text.len);
        return Err(Error::new(ErrorKind::Limit, "text-too-long", message));
    }
    // SAFETY: not NULL, and `len` bytes are readable by the contract.
    Ok(unsafe { std::slice::from_raw_parts(text.ptr.cast::<u8>(), text.len) })
}

/// Text lent to the other side for one call, or for ever if it is static.
pub fn lend_text(text: &str) -> imgh_str {
    imgh_str { ptr: text.as_ptr().cast(), len: text.len() }
}

/// An error for the other side to fill in.
pub fn blank_error() -> imgh_error {
    imgh_error {
        struct_size: size_of::<imgh_error>(),
        kind: 0,
        scope: 0,
        os_errno: 0,
        retry_after_ms: 0,
        code: [0; IMGH_CODE_BYTES],
        message: [0; IMGH_MESSAGE_BYTES],
    }
}

/// Hands an outcome to the other side: the status to return, and the error filled in as far as there is room.
///
/// # Safety
///
/// `into` is NULL, or points to an error of the other side with as many writable bytes as its `struct_size` says.
pub unsafe fn give_outcome(into: *mut imgh_error, outcome: &Result<()>) -> imgh_status {
    let Err(error) = outcome else { return 0 };
    let status = error.kind().number();
    if into.is_null() {
        return status;
    }
    let mut full = blank_error();
    full.kind = status;
    full.scope = if error.scope_is_explicit() { error.scope().number() } else { 0 };
    full.os_errno = error.os_errno().unwrap_or(0);
    full.retry_after_ms = retry_number(error.retry_after());
    put_text(&mut full.code, error.code());
    put_text(&mut full.message, error.message());
    const LEAD: usize = size_of::<usize>();
    // SAFETY: by the contract struct_size is readable and so many bytes are writable; everything after struct_size itself
    // is copied as far as both sides have it.
    unsafe {
        let room = into.cast::<usize>().read_unaligned().min(size_of::<imgh_error>());
        if room > LEAD {
            let from = (&raw const full).cast::<u8>().add(LEAD);
            std::ptr::copy_nonoverlapping(from, into.cast::<u8>().add(LEAD), room - LEAD);
        }
    }
    status
}

/// The outcome of a call into the other side, which returned `status` and may have filled in `error`.
///
/// Nothing of it is believed: an unknown kind becomes `internal`, an unknown scope the kind's own, the code is forced to
/// kebab-case, control characters of the message are escaped.
pub fn take_outcome(status: imgh_status, error: &imgh_error) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    let code = clean_code(until_nul(&error.code));
    let message = clean_message(until_nul(&error.message));
    let mut taken = match ErrorKind::from_number(status) {
        Some(kind) => Error::new(kind, code, message),
        None => lie("bad-error", format!("unknown error kind {status}: {message}")),
    };
    if let Some(scope) = Scope::from_number(error.scope) {
        taken = taken.scoped(scope);
    }
    // Linux keeps 4095 numbers for errors.
    if (1..4096).contains(&error.os_errno) {
        taken = taken.with_errno(error.os_errno);
    }
    if error.retry_after_ms > 0 {
        taken = taken.retried_after(Duration::from_millis(error.retry_after_ms.into()));
    }
    Err(taken)
}

/// A pause in whole milliseconds, rounded up, at most some 49 days; 0 for none.
pub fn retry_number(pause: Option<Duration>) -> u32 {
    pause.map_or(0, |pause| u32::try_from(pause.as_micros().div_ceil(1000)).unwrap_or(u32::MAX))
}

/// The other side broke the contract.
pub(crate) fn lie(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, code, message)
}

/// Text that is fit for a log line: control and direction-changing characters escaped, at most `max` bytes.
pub fn clean_text(bytes: &[u8], max: usize) -> String {
    let mut clean = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        let before = clean.len();
        let turns = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
        if char.is_control() || turns {
            clean.extend(char.escape_default());
        } else {
            clean.push(char);
        }
        if clean.len() > max {
            clean.truncate(before);
            break;
        }
    }
    clean
}

fn clean_message(bytes: &[u8]) -> String {
    let message = clean_text(bytes, Error::MESSAGE_MAX);
    if message.is_empty() { "no reason was given".to_owned() } else { message }
}

fn clean_code(bytes: &[u8]) -> String {
    let kebab: String = bytes
        .iter()
        .take(Error::CODE_MAX)
        .map(|byte| byte.to_ascii_lowercase())
        .map(|byte| if byte.is_ascii_lowercase() || byte.is_ascii_digit() { char::from(byte) } else { '-' })
        .collect();
    let kebab = kebab.trim_matches('-');
    if kebab.is_empty() { "unexplained".to_owned() } else { kebab.to_owned() }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Puts text and a NUL, cut between characters.
fn put_text(into: &mut [u8], text: &str) {
    let mut end = text.len().min(into.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, &from) in into.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn across(error: Error) -> Error {
        let mut carrier = blank_error();
        // SAFETY: a whole error of our own.
        let status = unsafe { give_outcome(&raw mut carrier, &Err(error)) };
        take_outcome(status, &carrier).unwrap_err()
    }

    #[test]
    fn an_error_survives_the_crossing() {
        let error =
            Error::new(ErrorKind::NotFound, "no-such-object", "öbject x: gone").scoped(Scope::Image).with_errno(2);
        assert_eq!(across(error.clone()), error);
        let busy = Error::new(ErrorKind::Unavailable, "http-503", "busy").retried_after(Duration::from_millis(1500));
        assert_eq!(across(busy.clone()), busy);
        let plain = Error::new(ErrorKind::Io, "eio", "read");
        assert!(!across(plain).scope_is_explicit());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let error = across(Error::new(ErrorKind::Io, "c".repeat(99), "ä".repeat(2000)));
        assert_eq!(error.code().len(), Error::CODE_MAX);
        assert_eq!(error.message(), "ä".repeat(Error::MESSAGE_MAX / 2));
    }

    #[test]
    fn nonsense_is_made_fit_to_print() {
        let mut error = blank_error();
        error.scope = 77;
        error.os_errno = -5;
        error.code = [b'X'; IMGH_CODE_BYTES];
        error.message = [0xFF; IMGH_MESSAGE_BYTES];
        error.code[1] = b' ';
        error.message[0] = b'\n';
        let taken = take_outcome(999, &error).unwrap_err();
        assert_eq!((taken.kind(), taken.code(), taken.os_errno()), (ErrorKind::Internal, "bad-error", None));
        let taken = take_outcome(9, &error).unwrap_err();
        assert_eq!(taken.scope(), Scope::Location);
        assert!(taken.code().starts_with("x-xxx"), "{}", taken.code());
        assert!(taken.message().starts_with("\\n\u{fffd}"));
        assert!(taken.message().len() <= Error::MESSAGE_MAX);
        let silent = take_outcome(5, &blank_error()).unwrap_err();
        assert_eq!((silent.kind(), silent.code()), (ErrorKind::Unavailable, "unexplained"));
    }

    #[test]
    fn a_short_error_struct_is_not_overrun() {
        let mut carrier = blank_error();
        carrier.struct_size = offset_of!(imgh_error, os_errno);
        // SAFETY: fewer bytes than there are.
        let status = unsafe { give_outcome(&raw mut carrier, &Err(Error::cancelled().with_errno(4))) };
        assert_eq!((status, carrier.kind, carrier.os_errno, carrier.code[0]), (12, 12, 0, 0));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { give_outcome(std::ptr::null_mut(), &Err(Error::cancelled())) }, 12);
    }

    #[test]
    fn a_shorter_struct_reads_as_zeros_and_too_short_a_one_is_refused() {
        let whole = imgh_output {
            struct_size: imgh_output::LEAST,
            ctx: std::ptr::null_mut(),
            write_at: None,
            zero: Some(zero),
            adopt_fd: None,
            set_size: None,
            finish: None,
        };
        unsafe extern "C" fn zero(_: *mut std::ffi::c_void, _: u64, _: u64, _: *mut imgh_error) -> imgh_status {
            0
        }
        // SAFETY: struct_size is not above the real size.
        assert!(unsafe { copy_least(&raw const whole, "output") }.unwrap().zero.is_none());
        let short = imgh_output { struct_size: 8, ..whole };
        // SAFETY: as above.
        let error = unsafe { copy_least(&raw const short, "output") }.unwrap_err();
        assert_eq!(error.code(), "struct-too-short");
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { copy_least::<imgh_output>(std::ptr::null(), "output") }.unwrap_err().code(), "null-struct");
    }
}
