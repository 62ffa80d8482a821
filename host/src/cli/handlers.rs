//! `landfall handlers`: what is loaded, what is not and why.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, HandlerKind, Location, Request, Result, Scope};
use serde_json::json;

use super::options::CheckOptions;
use super::setup::{load_config, open_ledger};
use super::{print_json, show};
use crate::cancel::Cancel;
use crate::catalog::Origin;
use crate::cloud::Logins;
use crate::config::Config;
use crate::loading::{in_order, load_plugins};
use crate::plugin::{
    self, CallContext, CheckJob, Finding, Handler, PluginOutcome, Plugins, Refusal, SampleFile, Target, Verdict,
};
use crate::redact::printable;
use crate::report::ErrorReport;
use crate::route::hand_on;
use crate::store::belonging;

/// Lists the handlers, in the order in which they are tried, and the plugin files that were found.
pub(super) fn list(config: Option<&Path>, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(config)?;
    let ledger = open_ledger(&config)?;
    let plugins = load_plugins(&config, &ledger, binary);
    let order = in_order(&plugins.handlers, &config.handlers);
    if json {
        let handlers: Vec<_> = order
            .iter()
            .map(|handler| {
                json!({
                    "info": handler.info(), "plugin": handler.plugin().name, "version": handler.plugin().version,
                    "path": handler.plugin().path, "isolation": isolation(handler.as_ref()), "status": status(handler.as_ref(), config.limits.stall),
                })
            })
            .collect();
        return print_json(&json!({
            "schema": "landfall.handlers/0", "ok": true, "handlers": handlers, "plugins": plugins.reports,
        }));
    }
    show::line("handlers, in the order in which they are tried")?;
    for (place, handler) in (1..).zip(&order) {
        let info = handler.info();
        let kinds: Vec<String> = info.kinds.iter().map(kind_name).collect();
        let schemes = if info.schemes.is_empty() { String::new() } else { format!(" for {}", info.schemes.join(", ")) };
        let description = printable(&info.description);
        show::line(format_args!("  {place}. {}: {}{schemes}", info.id, kinds.join(", ")))?;
        let (plugin, isolation) = (handler.plugin(), isolation(handler.as_ref()));
        show::line(format_args!("     {description} ({} {}, {isolation})", plugin.name, plugin.version))?;
        if !info.logins.is_empty() {
            show::line(format_args!("     is given the logins {}", printable(&info.logins.join(", "))))?;
        }
        if info.deletes {
            show::line("     deletes stored bytes, for `landfall scrub`")?;
        }
        if let Some(trouble) = status(handler.as_ref(), config.limits.stall) {
            show::line(format_args!("     not ready: {}", printable(&trouble)))?;
        }
    }
    if order.is_empty() {
        show::line("  none")?;
    }
    show_plugins(&plugins)
}

fn show_plugins(plugins: &Plugins) -> Result<()> {
    show::line("\nplugin files")?;
    for report in &plugins.reports {
        let path = printable(&report.path.to_string_lossy());
        match &report.outcome {
            PluginOutcome::Loaded { name, version, handlers } => {
                show::line(format_args!("  {path}: {name} {version}"))?;
                for handler in handlers {
                    if let Some(refusal) = &handler.skipped {
                        let (code, reason) = (&refusal.code, printable(&refusal.reason));
                        show::line(format_args!("     {} is not used ({code}): {reason}", handler.id))?;
                    }
                }
            }
            PluginOutcome::Skipped(refusal) => {
                let (code, reason) = (&refusal.code, printable(&refusal.reason));
                show::line(format_args!("  {path}: skipped ({code}): {reason}"))?;
            }
        }
    }
    if plugins.reports.is_empty() {
        show::line("  none")?;
    }
    Ok(())
}

/// Where the handler runs, as the configuration has it.
fn isolation(handler: &dyn Handler) -> &'static str {
    if handler.is_isolated() { "worker" } else { "inline" }
}

/// Why the handler could not serve now, if it says so.
fn status(handler: &dyn Handler, stall: Duration) -> Option<String> {
    let cancel = Cancel::new().ok()?;
    match handler.status(&CallContext::quiet(cancel, stall)) {
        Ok(status) if status.ready => None,
        Ok(status) => Some(status.detail.unwrap_or_else(|| "it does not say why".to_owned())),
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => Some(error.message().to_owned()),
    }
}

fn refused(refusal: &Refusal) -> Error {
    Error::new(ErrorKind::Unsupported, refusal.code.clone(), refusal.reason.clone()).scoped(Scope::Request)
}

/// Shows what a plugin file holds.
pub(super) fn inspect(file: &Path, json: bool, binary: &Path) -> Result<()> {
    let shape = plugin::inspect(file, binary).map_err(|refusal| refused(&refusal))?;
    if json {
        return print_json(&json!({ "schema": "landfall.inspect/0", "ok": true, "plugin": shape }));
    }
    let (name, version) = (printable(&shape.name), printable(&shape.version));
    show::line(format_args!("{name} {version}, built with {}", printable(&shape.built_with)))?;
    show::line(format_args!(
        "  ABI {}.{}, table of {} bytes, flags {:#x}",
        shape.abi_major, shape.abi_minor, shape.struct_size, shape.flags
    ))?;
    for handler in &shape.handlers {
        let info = &handler.info;
        show::line(format_args!("  handler {}: {}", info.id, printable(&info.description)))?;
        show::line(format_args!("    table of {} bytes, calls {}", handler.struct_size, handler.threads))?;
        // A table may hold functions that only say "not offered"; the kinds are what is offered.
        show::line(format_args!("    kinds {}", info.kinds.iter().map(kind_name).collect::<Vec<_>>().join(", ")))?;
        let lists = [
            ("schemes", &info.schemes),
            ("formats", &info.formats),
            ("is given the logins", &info.logins),
            ("settings that may be files", &info.file_settings),
        ];
        for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            show::line(format_args!("    {name} {}", printable(&values.join(", "))))?;
        }
        let moves = info.kinds.iter().any(|kind| matches!(kind, HandlerKind::Source | HandlerKind::Transfer));
        let traits = [
            (info.needs_network, "speaks to the network"),
            (info.deletes, "deletes stored bytes, for `landfall scrub`"),
            (info.ranged_input, "reads its input at any offset"),
            (moves && info.schemes.is_empty(), "needs no location, and is tried after all of them"),
        ];
        for (_, what) in traits.into_iter().filter(|(has, _)| *has) {
            show::line(format_args!("    {what}"))?;
        }
    }
    Ok(())
}

fn kind_name(kind: &HandlerKind) -> String {
    format!("{kind:?}").to_lowercase()
}

/// Runs the checks that every plugin must pass. Gives the error for those that failed, which has been told.
pub(super) fn check(options: &CheckOptions, config: Option<&Path>, json: bool, binary: &Path) -> Result<Option<Error>> {
    // Only where it is named: a plugin is often checked where no agent is set up.
    let config = config.map(|path| load_config(Some(path))).transpose()?;
    let configs = config.iter().flat_map(|config| &config.handler_sections);
    let job = CheckJob {
        file: absolute(&options.file)?,
        configs: configs.map(|(id, section)| (id.clone(), section.config.clone())).collect(),
        target: options.url.as_ref().map(|url| target(url, config.as_ref())).transpose()?,
        delete: options.delete,
        sample: sample(options)?,
    };
    let mut findings = Vec::new();
    let mut shown = Ok(());
    plugin::check(&job, binary, |finding| {
        if !json && shown.is_ok() {
            shown = show_finding(&finding);
        }
        findings.push(finding);
    });
    shown?;
    let failed = findings.iter().filter(|finding| finding.outcome == Verdict::Failed).count();
    let message = format!("{failed} of {} checks failed", findings.len());
    let error = (failed > 0).then(|| Error::new(ErrorKind::Invalid, "check-failed", message).scoped(Scope::Request));
    if json {
        let mut document = json!({ "schema": "landfall.check/0", "ok": error.is_none(), "findings": findings });
        if let (Some(error), Some(document)) = (&error, document.as_object_mut()) {
            document.insert("error".to_owned(), json!(ErrorReport::from(error)));
        }
        print_json(&document)?;
    } else if let Some(error) = &error {
        show::error(error, false);
    }
    Ok(error)
}

/// The sample that the options tell of; all its files are there.
fn sample(options: &CheckOptions) -> Result<Option<SampleFile>> {
    let (Some(path), Some(format)) = (&options.sample, &options.sample_format) else { return Ok(None) };
    let file = |path: &PathBuf, code: &'static str| {
        let failed = |error: &std::io::Error| {
            let message = format!("{}: {error}", printable(&path.display().to_string()));
            Error::new(ErrorKind::Invalid, code, message).scoped(Scope::Request)
        };
        File::open(path).map_err(|error| failed(&error))?;
        absolute(path)
    };
    let expected = options.expect.iter().map(|path| file(path, "no-expected")).collect::<Result<_>>()?;
    Ok(Some(SampleFile { path: file(path, "no-sample")?, format: format.clone(), expected }))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::os(&error, "find the working directory"))
}

fn show_finding(finding: &Finding) -> Result<()> {
    let verdict = match finding.outcome {
        Verdict::Ok => "ok    ",
        Verdict::Failed => "FAILED",
        Verdict::Skip => "skip  ",
    };
    let handler = finding.handler.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    show::line(format_args!("{verdict} {}{handler}: {}", finding.check, printable(&finding.detail)))
}

/// The location as a placement of this URL would hand it on.
fn target(url: &str, config: Option<&Config>) -> Result<Target> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        let path = std::path::absolute(url).map_err(|error| Error::os(&error, "find the working directory"))?;
        path.to_string_lossy().into_owned()
    };
    let location = Location::from_url(url.as_str());
    let stores = config.map_or(&[][..], |config| &config.stores);
    let mut request = Request::default();
    request.store = belonging(stores, &location, &Origin::Caller).store;
    hand_on(&location, &mut request);
    request.named_by_caller = true;
    let logins = config.map(Logins::for_stores).unwrap_or_default().into_map();
    Ok(Target { request, url, logins })
}
