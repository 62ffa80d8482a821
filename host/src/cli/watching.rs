//! Progress of a job that the agent does, as the option says.

use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar};
use serde_json::{Value, json};

use super::bar;
use super::options::ProgressOption;
use crate::complaint;
use crate::redact::{printable, visible_json};

/// Shows what the agent tells of a job.
pub(super) struct Watching {
    form: Form,
    attempt: u64,
    failures: usize,
    bytes: Option<u64>,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Failures,
    Silence,
}

impl Watching {
    pub(super) fn new(option: ProgressOption) -> Self {
        use std::io::IsTerminal;
        let form = match option {
            ProgressOption::Bar => Form::Bar(bar::empty()),
            ProgressOption::Auto if std::io::stderr().is_terminal() => Form::Bar(bar::empty()),
            ProgressOption::Auto => Form::Failures,
            ProgressOption::Json => Form::Lines,
            ProgressOption::None => Form::Silence,
        };
        Self { form, attempt: 0, failures: 0, bytes: None }
    }

    /// The job has come so far.
    pub(super) fn see(&mut self, progress: Value) {
        let number = |key: &str| progress.get(key).and_then(Value::as_u64);
        let attempt = number("attempt").unwrap_or_default();
        if attempt != self.attempt {
            (self.attempt, self.bytes) = (attempt, None);
            self.attempted(attempt, number("of").unwrap_or_default(), &progress);
        }
        let failures = progress.get("failures").and_then(Value::as_array).cloned().unwrap_or_default();
        for failure in failures.iter().skip(self.failures) {
            self.failed(failure);
        }
        self.failures = failures.len();
        let bytes = number("bytes").filter(|bytes| *bytes > 0);
        if bytes.is_some() && bytes != self.bytes {
            self.bytes = bytes;
            self.moved(bytes.unwrap_or_default(), number("total"), number("rate"), number("eta"));
        }
    }

    fn attempted(&self, attempt: u64, of: u64, progress: &Value) {
        let list = |key: &str| progress.get(key).cloned().unwrap_or_default();
        match &self.form {
            Form::Lines => event(&json!({
                "event": "attempt", "number": attempt, "of": of,
                "handlers": list("handlers"), "locations": list("locations"),
            })),
            Form::Bar(bar) => {
                bar.reset();
                let first = |key: &str| list(key).get(0).and_then(Value::as_str).unwrap_or("no location").to_owned();
                let text = format!("attempt {attempt} of {of}: {} from {}", first("handlers"), first("locations"));
                bar.suspend(|| complaint::line(printable(&text)));
            }
            Form::Failures | Form::Silence => {}
        }
    }

    fn failed(&self, failure: &Value) {
        let part = |key: &str| failure.get(key).and_then(Value::as_str).unwrap_or_default();
        let text = format!("{} ({} {})", part("message"), part("kind"), part("code"));
        match &self.form {
            Form::Lines => event(&json!({
                "event": "failed", "kind": part("kind"), "code": part("code"), "scope": part("scope"),
                "message": part("message"),
            })),
            Form::Bar(bar) => bar.suspend(|| complaint::line(format_args!("  failed: {}", printable(&text)))),
            Form::Failures => complaint::complain(text),
            Form::Silence => {}
        }
    }

    fn moved(&self, bytes: u64, total: Option<u64>, rate: Option<u64>, eta: Option<u64>) {
        match &self.form {
            Form::Lines => {
                event(&json!({ "event": "bytes", "done": bytes, "total": total, "rate": rate, "eta": eta }));
            }
            Form::Bar(bar) => {
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(bytes);
                let speed = rate.map(|rate| format!("{}/s", HumanBytes(rate))).unwrap_or_default();
                let left = eta.map(|eta| format!(" {:#}", HumanDuration(Duration::from_secs(eta)))).unwrap_or_default();
                bar.set_message(format!("{speed}{left}"));
            }
            Form::Failures | Form::Silence => {}
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn event(document: &Value) {
    complaint::line(visible_json(&document.to_string()));
}
