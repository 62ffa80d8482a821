//! The endpoints.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, body};
use http_body_util::BodyExt;
use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admit::errand;
use super::answer::{self, JobDocument};
use super::caller::Caller;
use super::core::{Core, panicked};
use super::events;
use super::job::Job;
use super::metrics;
use super::openapi;
use super::request::{MoveRequest, PlaceRequest, RemoveRequest, wrong};
use super::rights::{denied, refuse_others_name};
use crate::cancel::Cancel;
use crate::decision::Decision;
use crate::hooks::tell_handler;
use crate::ledger::{Ledger, Placement};
use crate::plugin::Handler;
use crate::removal;
use crate::report::{HistoryReport, PlacementReport, PlanReport};

/// The first part of every path, with the major version.
pub(crate) const PREFIX: &str = "/v0";
/// Bytes of a request beside an image's record.
const BODY_MORE: u64 = 64 << 10;
/// How long a request's body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bytes beyond what a request may have that are passed over before it is refused.
const PASSED_OVER: usize = 16 << 20;
/// Entries of the history that are given at most.
const HISTORY_MAX: u32 = 2_000;

/// All endpoints.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let versioned = Router::new()
        .route("/place", post(place))
        .route("/plan", post(plan))
        .route("/remove", post(remove))
        .route("/move", post(rename))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/jobs/{id}/events", get(job_events))
        .route("/placements", get(placements))
        .route("/history", get(history))
        .route("/handlers", get(handlers))
        .route("/health", get(health))
        .route("/openapi.json", get(api))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_endpoint);
    Router::new()
        .nest(PREFIX, versioned)
        .route("/metrics", get(show_metrics))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_endpoint)
        .with_state(core)
}

async fn no_endpoint(request: Request) -> Response {
    pass_over(request).await;
    answer::error(&wrong("no-such-endpoint", "there is no such endpoint; see /v0/openapi.json"))
}

async fn wrong_method(request: Request) -> Response {
    pass_over(request).await;
    answer::error(&wrong("method", "this endpoint is not asked in this way; see /v0/openapi.json"))
}

/// Reads a request's document, within bounds of size and time.
async fn read<T: DeserializeOwned>(core: &Core, request: Request) -> Result<T> {
    let most = core.setup().config.limits.record_bytes.saturating_mul(2).saturating_add(BODY_MORE);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let bytes = match tokio::time::timeout(BODY_TIME, take(request.into_body(), most)).await {
        Err(_) => return Err(wrong("request-slow", "the request did not arrive in time")),
        Ok(taken) => taken?,
    };
    if let Ok(document) = serde_json::from_slice(&bytes) {
        refuse_lists(&document)?;
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // What serde quotes may be secret; the names of keys that nobody knows are no more than what the caller wrote.
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "does not say what this endpoint understands" } else { "is not JSON" };
        let key = unknown_key(&error.to_string()).map(|key| format!(": unknown key {key}")).unwrap_or_default();
        wrong("request", format!("the request {what}{key}: see line {line}, column {column}"))
    })
}

/// Refuses lists where the description has objects: a list of the members in their order would be taken for one.
fn refuse_lists(document: &Value) -> Result<()> {
    let images = document.get("group").and_then(Value::as_array).into_iter().flatten();
    let members = images.clone().filter_map(|member| member.get("image"));
    let mut objects = std::iter::once(document).chain(document.get("image")).chain(images).chain(members);
    match objects.any(Value::is_array) {
        true => Err(wrong("request", "the request has a list where this endpoint wants an object")),
        false => Ok(()),
    }
}

/// Takes a body of at most so many bytes. Of a longer one some more are passed over, so that whoever sends them comes to
/// read why.
async fn take(mut body: body::Body, most: usize) -> Result<Vec<u8>> {
    let (mut bytes, mut over) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| wrong("request", "the request ended early"))?;
        let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        if bytes.len().saturating_add(data.len()) <= most && over == 0 {
            bytes.extend_from_slice(data);
        } else {
            over = over.saturating_add(data.len());
        }
        if over > PASSED_OVER {
            break;
        }
    }
    if over == 0 {
        return Ok(bytes);
    }
    let message = format!("the request has more than {most} bytes");
    Err(Error::new(ErrorKind::Limit, "request-bytes", message).scoped(Scope::Request))
}

/// Passes over a body that nobody wants.
async fn pass_over(request: Request) {
    // Whoever sends too much, or too slowly, may not come to read the answer.
    let _ = tokio::time::timeout(BODY_TIME, take(request.into_body(), 0)).await;
}

/// The key of serde's message that a key is not known, unless it could be anything.
fn unknown_key(message: &str) -> Option<&str> {
    let key = message.strip_prefix("unknown field `")?.split('`').next()?;
    let is_word = key.len() <= 40 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_word.then_some(key)
}

async fn place(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let begun = async {
        let request: Result<PlaceRequest> = read(&core, request).await;
        // Who may ask for nothing is told so, and nothing of what was asked.
        core.rights(&caller)?;
        let request = request?;
        let wait = request.wait;
        Ok::<_, Error>((core.begin(&caller, request)?, wait))
    };
    match begun.await {
        Err(error) => {
            if matches!(error.code(), "queue-full" | "queue-full-for-caller") {
                core.metrics.refused();
            }
            answer::error(&error)
        }
        Ok((job, wait)) => {
            end_in_time(&core, &job);
            if wait {
                answer::report(&outcome(&job).await)
            } else {
                answer::document(StatusCode::ACCEPTED, &JobDocument::from(&*job))
            }
        }
    }
}

/// Ends a job whose deadline passes while nobody has it.
fn end_in_time(core: &Arc<Core>, job: &Arc<Job>) {
    let Some(deadline) = job.cancel.deadline() else { return };
    let (core, job) = (Arc::clone(core), Arc::clone(job));
    tokio::spawn(async move {
        let mut view = job.watch();
        let over = view.wait_for(|view| view.outcome.is_some());
        if tokio::time::timeout_at(deadline.into(), over).await.is_err() {
            // It may wait for the lock of a table.
            let _ = tokio::task::spawn_blocking(move || core.give_up(&job)).await;
        }
    });
}

/// What came of a job, once that is known.
async fn outcome(job: &Job) -> crate::report::Report {
    let mut view = job.watch();
    match view.wait_for(|view| view.outcome.is_some()).await {
        Ok(view) => view.outcome.as_ref().map(|outcome| (*outcome.report).clone()).unwrap_or_else(broken),
        Err(_) => broken(),
    }
}

fn broken() -> crate::report::Report {
    crate::report::Report::new(Decision::default(), Err(&panicked()), 0.0)
}

async fn plan(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let planned = async {
        let request: Result<PlaceRequest> = read(&core, request).await;
        let rights = core.rights(&caller)?;
        let request = request?;
        request.check()?;
        let (setup, who) = (core.setup(), caller.clone());
        core.run(&caller, move |ledger| {
            let deadline = request.deadline_seconds.map(Duration::from_secs_f64);
            let deadline = deadline.and_then(|deadline| std::time::Instant::now().checked_add(deadline));
            let cancel = Cancel::new()?.with_deadline(deadline);
            let errand = errand(&who, &request, &rights, &setup, &cancel)?;
            let node = errand.node(ledger);
            node.refuse_target(&errand.target, errand.dress.replace)?;
            let plan = |member| {
                let mut decision = Decision::about(&errand_image(&errand, member)?.record, &setup.config, who.uid);
                let planned = errand
                    .members
                    .get(member)
                    .ok_or_else(panicked)
                    .and_then(|member| node.plan_at(&errand.order(member), &mut decision, &cancel));
                Ok(PlanReport::new(decision, planned.as_ref().map(|_| ())))
            };
            (0..errand.members.len()).map(plan).collect::<Result<Vec<_>>>()
        })
        .await
    };
    match planned.await {
        Err(error) => answer::error(&error),
        Ok(mut plans) if plans.len() == 1 => answer::document(StatusCode::OK, &plans.remove(0)),
        Ok(plans) => {
            let ok = plans.iter().all(|plan| plan.ok);
            answer::document(StatusCode::OK, &GroupPlan { schema: "landfall.group-plan/0".to_owned(), ok, plans })
        }
    }
}

fn errand_image(errand: &super::errand::Errand, member: usize) -> Result<&crate::catalog::Image> {
    errand.members.get(member).map(|member| &member.image).ok_or_else(panicked)
}

/// The plans of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GroupPlan {
    /// `landfall.group-plan/0`.
    pub(crate) schema: String,
    /// Whether there is something to try for each image.
    pub(crate) ok: bool,
    /// One for each image, in their order.
    pub(crate) plans: Vec<PlanReport>,
}

async fn jobs(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>) -> Response {
    match core.rights(&caller) {
        Err(error) => answer::error(&error),
        Ok(rights) => {
            let jobs = core.jobs.list(&caller, rights.sees_all);
            let jobs: Vec<JobDocument> = jobs.iter().map(|job| JobDocument::from(&**job)).collect();
            answer::document(StatusCode::OK, &JobList { schema: "landfall.jobs/0".to_owned(), ok: true, jobs })
        }
    }
}

/// Jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JobList {
    /// `landfall.jobs/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// Those that run, and those that ended lately; the oldest first.
    pub(crate) jobs: Vec<JobDocument>,
}

fn find(core: &Core, caller: &Caller, id: &str) -> Result<Arc<Job>> {
    let rights = core.rights(caller)?;
    core.jobs.find(id, caller, rights.sees_all)
}

async fn job(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, Path(id): Path<String>) -> Response {
    match find(&core, &caller, &id) {
        Err(error) => answer::error(&error),
        Ok(job) => answer::document(StatusCode::OK, &JobDocument::from(&*job)),
    }
}

async fn cancel(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    let job = match find(&core, &caller, &id) {
        Err(error) => return answer::error(&error),
        Ok(job) => job,
    };
    let (giver, given) = (Arc::clone(&core), Arc::clone(&job));
    // It may wait for the lock of a table.
    let _ = tokio::task::spawn_blocking(move || giver.give_up(&given)).await;
    answer::document(StatusCode::OK, &JobDocument::from(&*job))
}

async fn job_events(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    match find(&core, &caller, &id) {
        Err(error) => answer::error(&error),
        Ok(job) => events::stream(job),
    }
}

async fn remove(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let removed = async {
        let request = read(&core, request).await;
        let rights = core.rights(&caller)?;
        let RemoveRequest { path } = request?;
        absolute(&path)?;
        let (setup, who, jobs) = (core.setup(), caller.clone(), Arc::clone(&core));
        core.run(&caller, move |ledger| {
            let target = rights.open_target(&who, &path)?;
            jobs.jobs.refuse_in_use(target.path(), &who, rights.sees_all)?;
            let allowed = |placement: &Placement| own(placement, &who, rights.sees_all);
            refuse_unknown(ledger, &target, &who, rights.sees_all)?;
            refuse_others_name(&who, &target)?;
            let placement = removal::remove(ledger, &target, &allowed)?;
            tell_handler(&setup.ordered, &setup.config, &placement, Handler::placement_removed);
            Ok(PlacementReport::from(&placement))
        })
        .await
    };
    match removed.await {
        Err(error) => {
            core.failed();
            answer::error(&error)
        }
        Ok(removed) => {
            answer::document(StatusCode::OK, &Removed { schema: "landfall.remove/0".to_owned(), ok: true, removed })
        }
    }
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Removed {
    /// `landfall.remove/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// The placement.
    pub(crate) removed: PlacementReport,
}

async fn rename(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let moved = async {
        let request = read(&core, request).await;
        let rights = core.rights(&caller)?;
        let MoveRequest { from, to } = request?;
        absolute(&from)?;
        absolute(&to)?;
        let (setup, who) = (core.setup(), caller.clone());
        core.run(&caller, move |ledger| {
            let (source, target) = (rights.open_target(&who, &from)?, rights.open_target(&who, &to)?);
            let allowed = |placement: &Placement| own(placement, &who, rights.sees_all);
            refuse_unknown(ledger, &source, &who, rights.sees_all)?;
            refuse_others_name(&who, &source)?;
            setup.node(ledger).refuse_target(&target, false)?;
            let placement = removal::rename(ledger, &source, &target, &allowed)?;
            tell_handler(&setup.ordered, &setup.config, &placement, Handler::placement_moved);
            let shown = |path: &FilePath| path.to_string_lossy().into_owned();
            Ok(Moved {
                schema: "landfall.move/0".to_owned(),
                ok: true,
                from: shown(&placement.path),
                to: shown(target.path()),
            })
        })
        .await
    };
    match moved.await {
        Err(error) => {
            core.failed();
            answer::error(&error)
        }
        Ok(moved) => answer::document(StatusCode::OK, &moved),
    }
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Moved {
    /// `landfall.move/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// Where it was.
    pub(crate) from: String,
    /// Where it is.
    pub(crate) to: String,
}

fn absolute(path: &FilePath) -> Result<()> {
    if path.is_absolute() { Ok(()) } else { Err(wrong("request", "a path is absolute")) }
}

/// Whether a placement is one that the caller may see and change.
fn is_open_to(caller: Option<u32>, who: &Caller, sees_all: bool) -> bool {
    sees_all || caller == Some(who.uid)
}

fn own(placement: &Placement, who: &Caller, sees_all: bool) -> Result<()> {
    if is_open_to(placement.facts.caller, who, sees_all) { Ok(()) } else { Err(not_yours()) }
}

/// Tells a caller that may see its own alone no more of what others placed than of what nobody did.
fn refuse_unknown(ledger: &Ledger, target: &crate::target::Target, who: &Caller, sees_all: bool) -> Result<()> {
    if sees_all {
        return Ok(());
    }
    match ledger.placement_at(target.path())? {
        Some(placement) => own(&placement, who, sees_all),
        None => Err(not_yours()),
    }
}

fn not_yours() -> Error {
    denied("not-your-placement", "there is no such placement of yours".to_owned())
}

async fn placements(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>) -> Response {
    let listed = async {
        let rights = core.rights(&caller)?;
        let who = caller.clone();
        core.run(&caller, move |ledger| {
            let all = ledger.placements()?;
            let open = all.iter().filter(|placement| is_open_to(placement.facts.caller, &who, rights.sees_all));
            let report = |placement: &Placement| PlacementReport {
                stands: Some(ledger.stands(placement)),
                ..PlacementReport::from(placement)
            };
            Ok(open.map(report).collect::<Vec<_>>())
        })
        .await
    };
    match listed.await {
        Err(error) => answer::error(&error),
        Ok(placements) => {
            let schema = "landfall.placements/0".to_owned();
            answer::document(StatusCode::OK, &PlacementList { schema, ok: true, placements })
        }
    }
}

/// Placements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlacementList {
    /// `landfall.placements/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// Those that the caller may see, the oldest first.
    pub(crate) placements: Vec<PlacementReport>,
}

/// How much of the history is wanted.
#[derive(Debug, Clone, Deserialize)]
struct HistoryQuery {
    #[serde(default = "usual_history")]
    most: u32,
}

fn usual_history() -> u32 {
    20
}

async fn history(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    query: std::result::Result<Query<HistoryQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let listed = async {
        let rights = core.rights(&caller)?;
        let Ok(Query(HistoryQuery { most })) = query else {
            return Err(wrong("request", "`most` is a number"));
        };
        let who = caller.clone();
        core.run(&caller, move |ledger| {
            let entries = ledger.history(HISTORY_MAX, (!rights.sees_all).then_some(who.uid))?;
            let open = entries.iter().filter(|entry| is_open_to(entry.caller(), &who, rights.sees_all));
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            Ok(open.take(most).map(HistoryReport::from).collect::<Vec<_>>())
        })
        .await
    };
    match listed.await {
        Err(error) => answer::error(&error),
        Ok(entries) => {
            let schema = "landfall.history/0".to_owned();
            answer::document(StatusCode::OK, &HistoryList { schema, ok: true, entries })
        }
    }
}

/// The history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HistoryList {
    /// `landfall.history/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// What the caller may see of it, the newest first.
    pub(crate) entries: Vec<HistoryReport>,
}

async fn handlers(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>) -> Response {
    if let Err(error) = core.rights(&caller) {
        return answer::error(&error);
    }
    let setup = core.setup();
    let report = |handler: &Arc<dyn Handler>| HandlerReport {
        id: handler.info().id.clone(),
        kinds: handler.info().kinds.iter().filter_map(|kind| serde_json::to_value(kind).ok()).collect(),
        schemes: handler.info().schemes.clone(),
        formats: handler.info().formats.clone(),
        plugin: handler.plugin().name.clone(),
        version: handler.plugin().version.clone(),
        isolation: if handler.is_isolated() { "worker" } else { "inline" }.to_owned(),
    };
    let handlers = setup.ordered.iter().map(report).collect();
    answer::document(
        StatusCode::OK,
        &HandlerList { schema: "landfall.agent-handlers/0".to_owned(), ok: true, handlers },
    )
}

/// A handler that moves bytes or makes disks of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HandlerReport {
    /// Its id.
    pub(crate) id: String,
    /// What it does.
    pub(crate) kinds: Vec<serde_json::Value>,
    /// The schemes of locations that it takes.
    pub(crate) schemes: Vec<String>,
    /// The formats that it takes.
    pub(crate) formats: Vec<String>,
    /// Its plugin.
    pub(crate) plugin: String,
    /// The plugin's version.
    pub(crate) version: String,
    /// `inline` or `worker`.
    pub(crate) isolation: String,
}

/// The handlers in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HandlerList {
    /// `landfall.agent-handlers/0`.
    pub(crate) schema: String,
    /// True.
    pub(crate) ok: bool,
    /// In the order in which they are tried.
    pub(crate) handlers: Vec<HandlerReport>,
}

async fn health(State(core): State<Arc<Core>>) -> Response {
    let state = if core.is_stopping() { "stopping" } else { "serving" };
    let health = Health {
        schema: "landfall.health/0".to_owned(),
        ok: !core.is_stopping(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: state.to_owned(),
        jobs: core.jobs.count(),
    };
    answer::document(StatusCode::OK, &health)
}

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Health {
    /// `landfall.health/0`.
    pub(crate) schema: String,
    /// Whether it takes calls.
    pub(crate) ok: bool,
    /// The version of the program.
    pub(crate) version: String,
    /// `serving` or `stopping`.
    pub(crate) state: String,
    /// Calls under way.
    pub(crate) jobs: u32,
}

async fn api() -> Response {
    answer::document(StatusCode::OK, &openapi::document())
}

async fn show_metrics(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>) -> Response {
    if let Err(error) = core.rights(&caller) {
        return answer::error(&error);
    }
    let text = core.metrics.text(core.gauges());
    let mut response = Response::new(body::Body::from(text));
    let content = axum::http::HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, content);
    response
}
