//! What people are shown: aligned text on standard output, errors on standard error.

use landfall_handler_api::{Error, Result};

use super::answer;
use crate::complaint::complain;
use crate::engine::Method;
use crate::ledger::Facts;
use crate::redact::printable;
use crate::report::{ErrorReport, Report};
use crate::verify::Verified;

/// Prints a line to standard output.
pub(super) fn line(text: impl std::fmt::Display) -> Result<()> {
    answer::write(&format!("{text}\n"))
}

/// Tells why a command failed.
pub(super) fn error(error: &Error, json: bool) {
    if json && super::print_json(&error_document(error)).is_ok() {
        return;
    }
    // What is wrong with the configuration has been shown, with its lines, when it was read.
    if !super::exit::is_config(error) {
        complain(format_args!("{} ({} {})", error.message(), error.kind(), error.code()));
    }
}

/// The document of a command that failed and has no document of its own.
pub(super) fn error_document(error: &Error) -> serde_json::Value {
    serde_json::json!({ "schema": "landfall.error/0", "ok": false, "error": ErrorReport::from(error) })
}

/// Bytes for people: three digits and a binary unit.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// What was placed.
pub(super) fn facts(path: &std::path::Path, facts: &Facts) -> Result<()> {
    line(printable(&path.to_string_lossy()))?;
    line(format_args!(
        "  image     {} ({}, {})",
        facts.image.as_deref().unwrap_or("-"),
        facts.format,
        bytes(facts.bytes)
    ))?;
    for location in &facts.locations {
        line(format_args!("  from      {location}"))?;
    }
    line(format_args!("  by        {}, {}", chain(&facts.handler, &facts.handlers), facts.method.name()))?;
    let digest = facts.digest.as_ref().map(|digest| format!(", {digest}")).unwrap_or_default();
    line(format_args!("  verified  {}{digest}", facts.verified.name()))
}

/// Who gave the bytes, and who took them apart.
pub(super) fn chain(handler: &str, handlers: &[String]) -> String {
    if handlers.is_empty() { handler.to_owned() } else { handlers.join(" -> ") }
}

/// What the agent placed; nothing where it did not.
pub(super) fn report(report: &Report) -> Result<()> {
    if !report.ok {
        return Ok(());
    }
    for target in &report.targets {
        line(printable(&target.path))?;
        let image = report.image.as_deref().unwrap_or("-");
        line(format_args!("  image     {image} ({}, {})", target.format, bytes(target.bytes)))?;
    }
    for location in &report.locations {
        line(format_args!("  from      {location}"))?;
    }
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let handlers = report.attempts.last().map_or(&[][..], |attempt| &attempt.handlers);
    let by = chain(&part(&report.handler), handlers);
    let method = report.method.map(Method::name).unwrap_or_default();
    line(format_args!("  by        {by}, {method}, through the agent"))?;
    let digest = report.digest.as_ref().map(|digest| format!(", {digest}")).unwrap_or_default();
    line(format_args!("  verified  {}{digest}", report.verified.map(Verified::name).unwrap_or_default()))?;
    if report.repeated {
        line("  note      the same call had been made before")?;
    }
    line(format_args!("  took      {:.2} s", report.seconds))
}
