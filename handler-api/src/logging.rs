//! The author's `tracing` events on their way to the host's log.
//!
//! Each plugin has a copy of tracing's globals of its own, which nothing of the host's ever sees. So the glue sets a
//! subscriber there, when the first instance is made.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::ptr::null_mut;

use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::dispatcher::{Dispatch, get_default, set_global_default, with_default};
use tracing_core::field::{Field, Visit};
use tracing_core::subscriber::{Interest, NoSubscriber};
use tracing_core::{Event, Metadata, Subscriber, span};

use crate::abi::{IMGH_LOG_INFO, imgh_call, imgh_host, imgh_str};
use crate::call::{Call, Level};
use crate::crossing::lend_text;

/// The most bytes of a line; the rest is cut off.
const LINE_MAX: usize = 2000;

thread_local! {
    /// The operation that this thread was lent for.
    static CURRENT: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// Until it is dropped, what this thread logs belongs to an operation.
pub(crate) struct Attribution {
    before: Option<Call>,
}

impl Attribution {
    /// To the operation of `call`. Once that is over, lines belong to none.
    pub(crate) fn to(call: &Call) -> Self {
        Self { before: CURRENT.replace(Some(call.clone())) }
    }
}

impl Drop for Attribution {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// Makes an instance; what it logs, and everything that the plugin logs afterwards, goes to the log of `host`.
///
/// A plugin that set a subscriber of its own, before or in `make`, keeps it.
pub(crate) fn make_with_log<T>(host: &imgh_host, make: impl FnOnce() -> T) -> T {
    let taken = get_default(|current| !current.is::<NoSubscriber>());
    let Some(log) = HostLog::of(host).filter(|_| !taken) else { return make() };
    let ours = Dispatch::new(log);
    let made = with_default(&ours, make);
    // Refused where the plugin set one of its own.
    let _ = set_global_default(ours);
    // What other threads logged for the first time in `make` was found to interest nobody, which is remembered.
    rebuild_interest_cache();
    made
}

type WriteLine = unsafe extern "C" fn(*mut imgh_call, u32, imgh_str, imgh_str);
type AskLevel = unsafe extern "C" fn() -> u32;

/// The log of the host's table, which lives as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct HostLog {
    log: WriteLine,
    level: Option<AskLevel>,
}

impl HostLog {
    /// Where the host has one.
    pub(crate) fn of(host: &imgh_host) -> Option<Self> {
        host.log.map(|log| Self { log, level: host.log_level })
    }

    /// Whether the host keeps lines of `level`.
    pub(crate) fn keeps(self, level: Level) -> bool {
        // SAFETY: a function without arguments.
        level as u32 <= self.level.map_or(IMGH_LOG_INFO, |log_level| unsafe { log_level() })
    }

    /// # Safety
    ///
    /// `call` is NULL, or lives until this returned.
    pub(crate) unsafe fn write(self, call: *mut imgh_call, level: Level, target: &str, line: &Line) {
        // SAFETY: the call by the contract; the texts live as long as this function.
        unsafe { (self.log)(call, level as u32, lend_text(target), lend_text(&line.text)) }
    }
}

impl Subscriber for HostLog {
    /// Asked for each event anew, since the host's level may change. Spans are nobody's business.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() { Interest::never() } else { Interest::sometimes() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && self.keeps(level(metadata))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let (level, target) = (level(event.metadata()), event.metadata().target());
        // Not there any more on a thread that ends; then the line belongs to no operation either.
        let call = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
        // SAFETY: the call lives while `with` runs.
        let written = call.and_then(|call| call.with(|_, raw| unsafe { self.write(raw, level, target, &line) }));
        if written.is_none() {
            // SAFETY: NULL is allowed.
            unsafe { self.write(null_mut(), level, target, &line) }
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        _ => Level::Trace,
    }
}

/// The text of one line: of an event its message, then `field=value` for each of the others.
#[derive(Default)]
pub(crate) struct Line {
    text: String,
    full: bool,
}

impl Line {
    /// The line that `message` is.
    pub(crate) fn of(message: impl fmt::Display) -> Self {
        let mut line = Self::default();
        // Fails once the line is full.
        let _ = write!(line, "{message}");
        line
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        let mut end = text.len().min(LINE_MAX - self.text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&text[..end]);
        self.full = end < text.len();
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let gap = if self.text.is_empty() { "" } else { " " };
        // Fails once the line is full.
        let _ = match field.name() {
            "message" => write!(self, "{gap}{value:?}"),
            name => write!(self, "{gap}{}={value:?}", name.trim_start_matches("r#")),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use super::*;
    use crate::abi::{IMGH_LOG_DEBUG, IMGH_LOG_WARN};
    use crate::crossing::borrow_text;

    static LEVEL: AtomicU32 = AtomicU32::new(IMGH_LOG_WARN);
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    unsafe extern "C" fn log(_: *mut imgh_call, _: u32, _: imgh_str, text: imgh_str) {
        // SAFETY: the text lives until this returns.
        LINES.lock().unwrap().push(unsafe { borrow_text(text, LINE_MAX, "text") }.unwrap().to_owned());
    }

    unsafe extern "C" fn log_level() -> u32 {
        LEVEL.load(Ordering::SeqCst)
    }

    fn host() -> imgh_host {
        // SAFETY: all zeros is a host that offers nothing.
        let nothing: imgh_host = unsafe { MaybeUninit::zeroed().assume_init() };
        imgh_host { log: Some(log), log_level: Some(log_level), ..nothing }
    }

    /// Counts events.
    struct Own;

    static COUNTED: AtomicUsize = AtomicUsize::new(0);

    impl Subscriber for Own {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, _: &Event<'_>) {
            COUNTED.fetch_add(1, Ordering::SeqCst);
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn the_level_may_change_and_a_plugins_own_subscriber_stays() {
        let say = |number: u32| tracing::debug!("line {number}");
        make_with_log(&host(), || {
            say(1);
            LEVEL.store(IMGH_LOG_DEBUG, Ordering::SeqCst);
            say(2);
            set_global_default(Dispatch::new(Own)).unwrap();
            say(3);
        });
        assert_eq!(*LINES.lock().unwrap(), ["line 2", "line 3"]);
        say(4);
        make_with_log(&host(), || say(5));
        assert_eq!((LINES.lock().unwrap().len(), COUNTED.load(Ordering::SeqCst)), (2, 2));
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let line = Line::of(format_args!("a{}{}", "ä".repeat(1500), "more"));
        assert_eq!(line.text, format!("a{}", "ä".repeat(999)));
    }
}
