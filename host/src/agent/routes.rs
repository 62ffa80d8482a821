//! The endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, body};
use landfall_handler_api::{Error, HandlerKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admit::{errand, placed_before};
use super::answer::{self, JobDocument};
use super::body::{pass_over, read};
use super::caller::Caller;
use super::core::{Core, panicked};
use super::job::Job;
use super::placements::{self, PathQuery, is_open_to, wanted_path};
use super::request::{PlaceRequest, wrong};
use super::{cancel, events, metrics, openapi};
use crate::cancel::Cancel;
use crate::decision::Decision;
use crate::plugin::Handler;
use crate::report::{HistoryReport, PlanReport, moment};

/// The first part of every path, with the major version.
pub(crate) const PREFIX: &str = "/v0";
/// Entries of the history that are given at most.
const HISTORY_MAX: u32 = 2_000;

/// All endpoints.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let versioned = Router::new()
        .route("/place", post(place))
        .route("/plan", post(plan))
        .route("/remove", post(placements::remove))
        .route("/move", post(placements::rename))
        .route("/cancel", post(cancel::all_for_target))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/cancel", post(cancel::one))
        .route("/jobs/{id}/events", get(job_events))
        .route("/placements", get(placements::list))
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

async fn place(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let begun = async {
        let request: Result<PlaceRequest> = read(&core, &caller, request).await;
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
        let request: Result<PlaceRequest> = read(&core, &caller, request).await;
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
            let repeated = placed_before(&errand, ledger)?.is_some();
            if !repeated {
                node.refuse_target(&errand.target, errand.dress.replace)?;
            }
            let plan = |member| {
                let mut decision = Decision::about(&errand_image(&errand, member)?.record, &setup.config, who.uid);
                let planned = errand
                    .members
                    .get(member)
                    .ok_or_else(panicked)
                    .and_then(|member| node.plan_at(&errand.order(member), &mut decision, &cancel));
                let planned = planned.as_ref().map(|_| ());
                // What stands needs nobody to bring it.
                let planned = if repeated { Ok(()) } else { planned };
                Ok(PlanReport { repeated, ..PlanReport::new(decision, planned) })
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

async fn jobs(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    query: std::result::Result<Query<PathQuery>, QueryRejection>,
) -> Response {
    let listed = || {
        let rights = core.rights(&caller)?;
        let wanted = wanted_path(query)?;
        let mut jobs = core.jobs.list(&caller, rights.sees_all);
        jobs.retain(|job| wanted.as_ref().is_none_or(|path| job.is_for(path)));
        Ok(JobList::of(&jobs))
    };
    match listed() {
        Err(error) => answer::error(&error),
        Ok(jobs) => answer::list(&core, &jobs),
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

impl JobList {
    pub(super) fn of(jobs: &[Arc<Job>]) -> Self {
        let jobs = jobs.iter().map(|job| JobDocument::from(&**job)).collect();
        Self { schema: "landfall.jobs/0".to_owned(), ok: true, jobs }
    }
}

pub(super) fn find(core: &Core, caller: &Caller, id: &str) -> Result<Arc<Job>> {
    let rights = core.rights(caller)?;
    core.jobs.find(id, caller, rights.sees_all)
}

async fn job(State(core): State<Arc<Core>>, Extension(caller): Extension<Caller>, Path(id): Path<String>) -> Response {
    match find(&core, &caller, &id) {
        Err(error) => answer::error(&error),
        Ok(job) => answer::document(StatusCode::OK, &JobDocument::from(&*job)),
    }
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
    query: std::result::Result<Query<HistoryQuery>, QueryRejection>,
) -> Response {
    let listed = async {
        let rights = core.rights(&caller)?;
        let Ok(Query(HistoryQuery { most })) = query else {
            return Err(wrong("request", "`most` is a number"));
        };
        let who = caller.clone();
        core.run(&caller, move |ledger| {
            let entries = ledger.history(most.min(HISTORY_MAX), (!rights.sees_all).then_some(who.uid))?;
            let open = entries.iter().filter(|entry| is_open_to(entry.caller(), &who, rights.sees_all));
            Ok(open.map(HistoryReport::from).collect::<Vec<_>>())
        })
        .await
    };
    match listed.await {
        Err(error) => answer::error(&error),
        Ok(entries) => {
            let schema = "landfall.history/0".to_owned();
            answer::list(&core, &HistoryList { schema, ok: true, entries })
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
        kinds: handler.info().kinds.clone(),
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
    #[schemars(extend("items" = { "type": "string", "enum": ["transfer", "source", "filter", "unpack", "select"] }))]
    pub(crate) kinds: Vec<HandlerKind>,
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
    let setup = core.setup();
    let state = if core.is_stopping() { "stopping" } else { "serving" };
    let health = Health {
        schema: "landfall.health/0".to_owned(),
        ok: !core.is_stopping(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: state.to_owned(),
        jobs: core.jobs.count(),
        handlers: setup.ordered.len(),
        configured_at: moment(setup.at),
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
    /// Handlers in force. Without any, nothing can be placed.
    pub(crate) handlers: usize,
    /// When the configuration in force was read, in UTC (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub(crate) configured_at: String,
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
