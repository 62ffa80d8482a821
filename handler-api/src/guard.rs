//! Panics stop here: none may unwind into the host, which could not catch it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::error::{Error, ErrorKind, Result};

thread_local! {
    /// How many guards this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Text and place of the last panic inside a guard.
    static NOTE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic becomes an error of kind `crashed`, code `panic`, that tells text and place.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(note_panics);
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    outcome.unwrap_or_else(|payload| {
        // Dropping a foreign payload may panic again.
        std::mem::forget(payload);
        let note = NOTE.take().unwrap_or_else(|| "panicked".to_owned());
        Err(Error::new(ErrorKind::Crashed, "panic", note))
    })
}

/// Guarded panics are told in the error rather than on the host's standard error; others go on as before.
///
/// Each plugin has a standard library and so a hook of its own: this one sees no panic of the host or of another plugin.
fn note_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            before(info);
        } else {
            NOTE.set(Some(describe(info)));
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a payload that is no text");
    match info.location() {
        Some(place) => format!("panicked at {place}: {text}"),
        None => format!("panicked: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_text_and_place() {
        let error = guard::<()>(|| panic!("no {} today", "luck")).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Crashed, "panic"));
        assert!(error.message().contains("no luck today") && error.message().contains("guard.rs"), "{error}");
        let error = guard::<()>(|| std::panic::panic_any(7)).unwrap_err();
        assert!(error.message().contains("no text"), "{error}");
        assert_eq!(guard(|| Ok(1)), Ok(1));
    }
}
