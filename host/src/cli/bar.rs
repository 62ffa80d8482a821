//! Progress on standard error: a bar, a JSON document a line, or nothing.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use landfall_handler_api::Error;

use super::options::ProgressOption;
use crate::complaint;
use crate::decision::locations;
use crate::plugin::Progress;
use crate::progress::Watch;
use crate::rate::Rate;
use crate::redact::{printable, visible_json};
use crate::route::Attempt;

/// How often a line or a bar may change.
const PERIOD: Duration = Duration::from_millis(100);

/// Shows progress as the option says.
pub(super) fn watch(option: ProgressOption) -> Box<dyn Watch> {
    match option {
        ProgressOption::Bar => Box::new(Bar { bar: empty() }),
        ProgressOption::Auto if std::io::stderr().is_terminal() => Box::new(Bar { bar: empty() }),
        ProgressOption::Auto => Box::new(Failures::default()),
        ProgressOption::None => Box::new(Silence),
        ProgressOption::Json => Box::new(Lines),
    }
}

struct Silence;

impl Watch for Silence {
    fn attempt(&self, _: usize, _: usize, _: &Attempt) {}
    fn failed(&self, _: &Attempt, _: &Error) {}
    fn bytes(&self) -> Progress {
        Arc::new(|_, _| {})
    }
}

/// No progress, but a line for each failure that another attempt follows: a log would show success and hide what came
/// before. The last failure is the command's own to tell.
#[derive(Default)]
struct Failures {
    last: RefCell<Option<String>>,
}

impl Watch for Failures {
    fn attempt(&self, _: usize, _: usize, _: &Attempt) {
        if let Some(text) = self.last.take() {
            complaint::complain(text);
        }
    }
    fn failed(&self, attempt: &Attempt, error: &Error) {
        let text = format!("{}: {} ({} {})", describe(attempt), error.message(), error.kind(), error.code());
        self.last.replace(Some(text));
    }
    fn bytes(&self) -> Progress {
        Arc::new(|_, _| {})
    }
}

fn describe(attempt: &Attempt) -> String {
    let from = locations(attempt).pop().unwrap_or_else(|| "no location".to_owned());
    format!("{} from {from}", attempt.handler.info().id)
}

struct Bar {
    bar: ProgressBar,
}

/// A bar that shows nothing yet.
pub(super) fn empty() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, indicatif::ProgressDrawTarget::stderr_with_hz(10));
    let template = "  {binary_bytes:>10}/{binary_total_bytes} {wide_bar} {msg:>20}";
    // The template is a constant; a wrong one would only look different.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Watch for Bar {
    fn attempt(&self, number: usize, of: usize, attempt: &Attempt) {
        self.bar.reset();
        self.bar.suspend(|| {
            complaint::line(format_args!("attempt {} of {of}: {}", number.saturating_add(1), describe(attempt)))
        });
    }

    fn failed(&self, _: &Attempt, error: &Error) {
        self.bar.suspend(|| {
            complaint::line(format_args!(
                "  failed: {} ({} {})",
                printable(error.message()),
                error.kind(),
                error.code()
            ))
        });
    }

    fn bytes(&self) -> Progress {
        let bar = self.bar.clone();
        let rate = Mutex::new(Rate::default());
        Arc::new(move |done, total| {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.note(Instant::now(), done);
            let speed = rate.per_second().map(|rate| format!("{}/s", HumanBytes(rate)));
            let left = total.and_then(|total| rate.seconds_left(total)).map(Duration::from_secs);
            let left = left.map(|left| format!(" {:#}", HumanDuration(left)));
            bar.set_message(format!("{}{}", speed.unwrap_or_default(), left.unwrap_or_default()));
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

struct Lines;

fn event(document: &serde_json::Value) {
    complaint::line(visible_json(&document.to_string()));
}

impl Watch for Lines {
    fn attempt(&self, number: usize, of: usize, attempt: &Attempt) {
        event(&serde_json::json!({
            "event": "attempt", "number": number.saturating_add(1), "of": of,
            "handlers": [attempt.handler.info().id], "locations": locations(attempt),
        }));
    }

    fn failed(&self, _: &Attempt, error: &Error) {
        event(&serde_json::json!({
            "event": "failed", "kind": error.kind(), "code": error.code(), "scope": error.scope(),
            "message": printable(error.message()),
        }));
    }

    fn bytes(&self) -> Progress {
        let began = Instant::now();
        let next = AtomicU64::new(0);
        let rate = Mutex::new(Rate::default());
        Arc::new(move |done, total| {
            let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let due = next.load(Ordering::Relaxed);
            let step = u64::try_from(PERIOD.as_millis()).unwrap_or(u64::MAX);
            if now < due && total != Some(done) {
                return;
            }
            if next.compare_exchange(due, now.saturating_add(step), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
                rate.note(Instant::now(), done);
                event(&serde_json::json!({
                    "event": "bytes", "done": done, "total": total,
                    "rate": rate.per_second(), "eta": total.and_then(|total| rate.seconds_left(total)),
                }));
            }
        })
    }
}
