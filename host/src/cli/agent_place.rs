//! `landfall place` and `plan` through the agent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::options::{AccessOption, FormatOption, PlaceOptions};
use super::place::{said, without_slash};
use super::through::{Agent, absolute, error_of, read, told};
use super::watching::Watching;
use super::{exit, plan_table, print_json, show};
use crate::agent::{AccessRequest, FormRequest, ImageRequest, JobDocument, PlaceRequest};
use crate::cancel::Cancel;
use crate::catalog::{self, ImageArgument};
use crate::config::Config;
use crate::report::{PlanReport, Report};
use crate::{signals, store};

/// Places through the agent; gives the exit status.
pub(super) fn place(options: &PlaceOptions, config: &Config, agent: &mut Agent, json: bool) -> Result<u8> {
    let request = PlaceRequest { wait: false, ..request(options, config)? };
    let (stopped, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
    let (stop, known, node) = (Arc::clone(&stopped), Arc::clone(&begun), config.clone());
    // Before the call is made: a signal while the answer is on its way must not leave a job that nobody knows of.
    signals::listen(move |_: Signal| {
        // Told once; whoever asks again does not want to wait for the answer.
        if stop.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(exit::CANCELLED));
        }
        if let Some(id) = known.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            give_up(id, &node);
        }
    })?;
    let job: JobDocument = read(agent.post("/place", &request)?)?;
    *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(job.job.clone());
    if stopped.load(Ordering::SeqCst) {
        give_up(&job.job, config);
    }
    let mut watching = Watching::new(options.progress);
    let mut report = None;
    agent.follow(&format!("/jobs/{}/events", job.job), &mut |name, document: Value| match name {
        "end" => {
            report = document.get("report").cloned();
            true
        }
        _ => {
            watching.see(document);
            false
        }
    })?;
    drop(watching);
    let report: Report = read(report.unwrap_or_default())?;
    if json {
        print_json(&report)?;
    } else {
        show::report(&report)?;
    }
    match &report.error {
        None => Ok(exit::OK),
        Some(error) => {
            let error = error_of(error);
            if !json {
                show::error(&error, false);
            }
            Ok(exit::status(&error))
        }
    }
}

/// Has the agent give the job up. If this cannot be told, the job goes on.
fn give_up(id: &str, config: &Config) {
    if let Ok(Some(mut agent)) = Agent::find(config) {
        let _ = agent.post(&format!("/jobs/{id}/cancel"), &serde_json::json!({}));
    }
}

/// Plans through the agent; gives the exit status.
pub(super) fn plan(options: &PlaceOptions, config: &Config, agent: &mut Agent, json: bool) -> Result<u8> {
    let plan: PlanReport = read(agent.post("/plan", &request(options, config)?)?)?;
    if json {
        print_json(&plan)?;
    } else if !plan.decision.order.is_empty() || !plan.decision.excluded.is_empty() {
        plan_table::show(&plan.decision)?;
    }
    match &plan.error {
        None => Ok(exit::OK),
        Some(_) => {
            let error = told(&serde_json::to_value(&plan).unwrap_or_default());
            if !json {
                show::error(&error, false);
            }
            Ok(exit::status(&error))
        }
    }
}

/// What the command line asks for, as the agent is asked.
fn request(options: &PlaceOptions, config: &Config) -> Result<PlaceRequest> {
    let argument = ImageArgument::read(&options.image, &said(options), !config.catalogs.is_empty())?;
    let image = match argument {
        ImageArgument::Id(id) => ImageRequest { id: Some(id), ..ImageRequest::default() },
        ImageArgument::Standard => {
            let record = catalog::standard_record(config, &Cancel::new()?)?;
            ImageRequest { record: Some(record), ..ImageRequest::default() }
        }
        ImageArgument::Record(path) => {
            let directory = absolute(&store::directory_of(&path))?;
            // Files beside the record are for those who may read them without the agent.
            let is_root = nix::unistd::geteuid().is_root();
            ImageRequest {
                record: Some(catalog::read(&path, config)?),
                record_directory: Some(directory).filter(|_| is_root),
                ..ImageRequest::default()
            }
        }
        ImageArgument::Bare(bare) => ImageRequest {
            url: Some(bare.url),
            hash: bare.said.hash,
            disk_format: bare.said.disk_format,
            container_format: bare.said.container_format,
            compression: bare.said.compression,
            ..ImageRequest::default()
        },
    };
    let target = |path: &Option<std::path::PathBuf>| path.as_deref().map(absolute).transpose();
    let directory = options.to_dir.as_deref().map(without_slash);
    let seconds = options.deadline.map(|deadline| deadline.as_secs_f64());
    if seconds == Some(0.0) {
        return Err(Error::new(ErrorKind::Cancelled, "deadline", "the deadline passed").scoped(Scope::Request));
    }
    Ok(PlaceRequest {
        image: Some(image),
        to: target(&options.to)?,
        to_dir: target(&directory)?,
        format: match options.format {
            FormatOption::Raw => FormRequest::Raw,
            FormatOption::AsIs => FormRequest::AsIs,
        },
        access: match options.access {
            AccessOption::Rw => AccessRequest::Rw,
            AccessOption::Ro => AccessRequest::Ro,
        },
        owner: options.owner,
        mode: options.mode.map(|mode| format!("{mode:04o}")),
        size: options.size,
        replace: options.replace,
        allow_unhashed: options.allow_unhashed,
        deadline_seconds: seconds,
        ..PlaceRequest::default()
    })
}

/// Whether an image is named by an id, and this process has a login of its own to ask for it with.
pub(super) fn is_for_own_login(image: &str) -> bool {
    let is_id = image != "-" && !image.contains('/') && !image.ends_with(".json");
    is_id && crate::cloud::is_in_environment()
}
