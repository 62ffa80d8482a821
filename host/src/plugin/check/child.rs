//! The process that loads the plugin and tries it out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::ExitCode;

use landfall_handler_api::{Error, ErrorKind};
use serde_json::{Value, json};

use super::super::inline::{InlineHandler, destroy_nothing};
use super::super::load::{Loaded, load};
use super::super::scan::be_expendable;
use super::super::settings;
use super::super::{SETUP_LIMIT, open_alone};
use super::deletion::try_deletion;
use super::findings::{Findings, Outcome, described};
use super::sample::Sample;
use super::surroundings::descriptors;
use super::traces::{Traces, named};
use super::trials::{GRACE, own, try_handler};
use super::{CheckJob, Verdict};
use crate::complaint::complain;
use crate::worker::{keep_heap_small, lower};
use nix::sys::resource::Resource;

/// Address space, as a worker has it unless the configuration says otherwise (`limits.worker_memory`).
const MEMORY: u64 = 1 << 30;

/// The whole of the hidden command: reads a job from standard input and prints what it finds.
pub(crate) fn check_main() -> ExitCode {
    be_expendable(2 * 60 * 60);
    keep_heap_small();
    // A lower one stays.
    let _ = lower(Resource::RLIMIT_AS, MEMORY, MEMORY);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("check: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::io::Result<()> {
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job)?;
    let job: CheckJob = serde_json::from_slice(&job)?;
    let mut findings = Findings::new(File::from(std::io::stdout().as_fd().try_clone_to_owned()?));
    // What the plugin prints is kept, to be counted in the end.
    let printed = File::from(rustix::fs::memfd_create("printed", rustix::fs::MemfdFlags::CLOEXEC)?);
    nix::unistd::dup2_stdout(&printed)?;

    let mut loaded = None;
    findings.run("load", || match open_alone(&job.file, None).and_then(load) {
        Err(refusal) => Outcome::failed(refusal.to_string()),
        Ok(plugin) => {
            loaded = Some(plugin);
            Outcome::ok("loaded into a process of its own")
        }
    })?;
    if let Some(loaded) = loaded {
        // With its first thread, the C library takes a signal for itself.
        std::thread::spawn(|| ()).join().map_err(|_| std::io::Error::other("a thread panicked"))?;
        let sample = take_sample(&mut findings, &loaded, &job)?;
        let mut traces = Traces::new(printed);
        let open = descriptors(usize::MAX);
        round(&mut findings, &loaded, &job, sample.as_ref(), &mut traces)?;
        conduct(&mut findings, &mut traces, open, |findings, traces| {
            round(findings, &loaded, &job, sample.as_ref(), traces)
        })?;
        deletions(&mut findings, &loaded, &job)?;
        findings.run("silence", || traces.silence())?;
    }
    findings.done()
}

/// The sample, where there is one and a handler that takes its format.
fn take_sample(findings: &mut Findings, loaded: &Loaded, job: &CheckJob) -> std::io::Result<Option<Sample>> {
    let Some(file) = &job.sample else { return Ok(None) };
    let mut sample = None;
    findings.run("sample", || match Sample::new(file) {
        Err(error) => Outcome::failed(error.to_string()),
        Ok(read) if loaded.shape.handlers.iter().any(|handler| read.is_for(&handler.info)) => {
            let detail = format!("{} bytes", read.size);
            sample = Some(read);
            Outcome::ok(detail)
        }
        Ok(_) => Outcome::failed("no handler of this plugin lists its format"),
    })?;
    Ok(sample)
}

/// Everything once, for each handler.
fn round(
    findings: &mut Findings,
    loaded: &Loaded,
    job: &CheckJob,
    sample: Option<&Sample>,
    traces: &mut Traces,
) -> std::io::Result<()> {
    let mut ids = BTreeSet::new();
    for number in 0..loaded.tables.len() {
        let Some(handler) = loaded.shape.handlers.get(number) else { continue };
        findings.handler = Some(handler.info.id.clone());
        findings.run("unique-id", || {
            let outcome = ids.insert(&handler.info.id);
            if outcome {
                Outcome::ok("no other handler of this plugin has this id")
            } else {
                Outcome::failed("its id is there twice")
            }
        })?;
        let open = descriptors(usize::MAX);
        try_one(findings, loaded, number, job, sample)?;
        traces.note(&handler.info.id, descriptors(open) > open);
    }
    findings.handler = None;
    Ok(())
}

/// What deletes is tried at the end, and once.
fn deletions(findings: &mut Findings, loaded: &Loaded, job: &CheckJob) -> std::io::Result<()> {
    for (shape, table) in loaded.shape.handlers.iter().zip(&loaded.tables).filter(|(shape, _)| shape.info.deletes) {
        findings.handler = Some(shape.info.id.clone());
        let make = || {
            let given = job.configs.get(&shape.info.id).cloned().unwrap_or_else(|| json!({}));
            let settings = settings::with_files(given, &shape.info.file_settings)
                .map_err(|refusal| Error::new(ErrorKind::Invalid, refusal.code.clone(), refusal.reason))?;
            let plugin = loaded.shape.identity(&job.file);
            InlineHandler::create(shape.info.clone(), plugin, *table, &settings, SETUP_LIMIT, GRACE)
        };
        let target = job.target.as_ref().filter(|_| job.delete).and_then(|target| own(target, &shape.info));
        try_deletion(findings, make, target.as_ref())?;
    }
    findings.handler = None;
    Ok(())
}

fn try_one(
    findings: &mut Findings,
    loaded: &Loaded,
    number: usize,
    job: &CheckJob,
    sample: Option<&Sample>,
) -> std::io::Result<()> {
    let (Some(shape), Some(table)) = (loaded.shape.handlers.get(number), loaded.tables.get(number)) else {
        return Ok(());
    };
    let create = |config: &Value| {
        let plugin = loaded.shape.identity(&job.file);
        InlineHandler::create(shape.info.clone(), plugin, *table, config, SETUP_LIMIT, GRACE)
    };
    let mut hung = false;
    findings.run("bad-config-refused", || match create(&json!({"no-handler-has-this-key": true})) {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            Outcome::ok("a configuration key that nobody knows is refused")
        }
        Err(error) => {
            hung = error.code() == "setup-timeout";
            Outcome::failed(format!(
                "a configuration key that nobody knows is not refused as invalid: {}",
                described(&error)
            ))
        }
        Ok(_) => Outcome::failed("a configuration key that nobody knows is accepted"),
    })?;
    let given = job.configs.get(&shape.info.id).cloned();
    let settings = given.clone().unwrap_or_else(|| json!({}));
    let settings = settings::with_files(settings, &shape.info.file_settings)
        .map_err(|refusal| Error::new(ErrorKind::Invalid, refusal.code.clone(), refusal.reason));
    let mut made = None;
    findings.run("create", || match settings.and_then(|settings| create(&settings)) {
        Ok(handler) => {
            made = Some(handler);
            Outcome::ok(if given.is_some() { "made with its configuration" } else { "made without configuration" })
        }
        Err(error) if error.kind() == ErrorKind::Invalid && given.is_none() => Outcome::skip(format!(
            "needs configuration (--config), so that its operations are not tried: {}",
            error.message()
        )),
        Err(error) => {
            hung |= error.code() == "setup-timeout";
            Outcome::failed(described(&error))
        }
    })?;
    if hung {
        findings.note_hang("create");
    }
    if let Some(handler) = made {
        try_handler(findings, &handler, shape, job.target.as_ref(), sample)?;
        findings.run("destroy", || {
            drop(handler);
            Outcome::ok("destroyed")
        })?;
    }
    findings.run("destroy-null", || {
        let kept = destroy_nothing(table, GRACE);
        if kept { Outcome::ok("destroy tolerates NULL") } else { Outcome::failed("destroy of NULL does not return") }
    })?;
    Ok(())
}

/// What the first round left behind may be what is opened once, a runtime for instance; what the second adds is a leak.
fn conduct(
    findings: &mut Findings,
    traces: &mut Traces,
    open: usize,
    again: impl FnOnce(&mut Findings, &mut Traces) -> std::io::Result<()>,
) -> std::io::Result<()> {
    if let Some((_, why)) = findings.hung.take() {
        findings
            .run("conduct", || Outcome::skip(format!("{why}, and what a thread holds that never ends is no leak")))?;
        return Ok(());
    }
    let first = descriptors(open);
    findings.quiet = true;
    traces.openers.clear();
    again(findings, traces)?;
    findings.quiet = false;
    findings.run("conduct", || {
        let mut changed = traces.changes.clone();
        if descriptors(first) > first {
            changed.push(format!("more open descriptors each time{}", named(&traces.openers)));
        }
        if changed.is_empty() {
            Outcome::ok("umask, signals, working directory and environment are as before, and no descriptors leak")
        } else {
            Outcome(Verdict::Failed, format!("changed: {}", changed.join(", ")))
        }
    })?;
    Ok(())
}
