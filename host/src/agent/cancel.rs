//! The endpoints that give jobs up: one by its id, or all of a caller's for a target.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use landfall_handler_api::Result;

use super::answer::{self, JobDocument};
use super::body::read;
use super::caller::Caller;
use super::core::Core;
use super::job::Job;
use super::placements::absolute;
use super::request::CancelRequest;
use super::routes::{JobList, find};

/// How long the end of jobs that were given up is waited for.
const ENDING: Duration = Duration::from_secs(10);

/// Gives up the job of an id.
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    match find(&core, &caller, &id) {
        Err(error) => answer::error(&error),
        Ok(job) => {
            give_up(&core, vec![Arc::clone(&job)]).await;
            answer::document(StatusCode::OK, &JobDocument::from(&*job))
        }
    }
}

/// Gives up every job of the caller's own that runs for a target, whichever call it came from.
pub(super) async fn all_for_target(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let found = async {
        let request = read(&core, &caller, request).await;
        core.rights(&caller)?;
        let CancelRequest { path } = request?;
        absolute(&path)?;
        Ok(core.jobs.for_target(&path, &caller))
    };
    let found: Result<Vec<Arc<Job>>> = found.await;
    match found {
        Err(error) => answer::error(&error),
        Ok(jobs) => {
            give_up(&core, jobs.clone()).await;
            // Whoever removes what may have been placed, or calls for something else, wants to find nothing under way.
            let over = async {
                for job in &jobs {
                    // Whose sender is gone is over.
                    let _ = job.watch().wait_for(|view| view.outcome.is_some()).await;
                }
            };
            let _ = tokio::time::timeout(ENDING, over).await;
            answer::document(StatusCode::OK, &JobList::of(&jobs))
        }
    }
}

async fn give_up(core: &Arc<Core>, jobs: Vec<Arc<Job>>) {
    let giver = Arc::clone(core);
    // It may wait for the lock of a table.
    let _ = tokio::task::spawn_blocking(move || jobs.iter().for_each(|job| giver.give_up(job))).await;
}
