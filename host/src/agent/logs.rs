//! The agent's log: lines, JSON or journal entries, each placement in a span of its own.

use std::io;

use landfall_handler_api::{Error, Result, Scope};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use super::job::Job;
use crate::complaint;
use crate::config::LogFormat;
use crate::engine::Method;
use crate::redact::printable;
use crate::report::Report;
use crate::verify::Verified;

/// Begins to log. What the rest of the program has to tell is logged from now on too.
pub(crate) fn begin(format: LogFormat) -> Result<()> {
    let failed = |error: io::Error| Error::os(&error, "open the log").scoped(Scope::Node);
    let begun = match format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
            Registry::default().with(lines).try_init()
        }
        LogFormat::Json => {
            let documents = tracing_subscriber::fmt::layer().json().with_writer(io::stderr).with_target(false);
            Registry::default().with(documents).try_init()
        }
        LogFormat::Journald => {
            let journal = tracing_journald::layer().map_err(failed)?.with_syslog_identifier("landfall".to_owned());
            Registry::default().with(journal).try_init()
        }
    };
    begun.map_err(|error| failed(io::Error::other(error)))?;
    complaint::divert(|text| tracing::warn!("{text}"));
    Ok(())
}

/// The span of a job.
pub(crate) fn span(id: &str, uid: u32, image: Option<&str>, target: &std::path::Path) -> tracing::Span {
    let target = printable(&target.to_string_lossy());
    tracing::info_span!("placement", job = id, uid, image, target)
}

/// A job is over.
pub(crate) fn ended(job: &Job, report: &Report) {
    let _span = job.span.enter();
    let (seconds, repeated) = (report.seconds, report.repeated);
    match &report.error {
        None => {
            let bytes = report.targets.iter().fold(0_u64, |all, target| all.saturating_add(target.bytes));
            let (handler, method) = (report.handler.as_deref(), report.method.map(Method::name));
            let verified = report.verified.map(Verified::name);
            tracing::info!(seconds, repeated, bytes, handler, method, verified, "placed");
        }
        Some(error) => {
            let (kind, code) = (error.kind.name(), error.code.as_str());
            tracing::warn!(seconds, kind, code, "not placed: {}", error.message);
        }
    }
}
