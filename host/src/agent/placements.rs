//! The endpoints about what is placed: list, remove, move.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer;
use super::body::read;
use super::caller::Caller;
use super::core::Core;
use super::request::{MoveRequest, RemoveRequest, wrong};
use super::rights::{Rights, denied, refuse_others_name};
use super::setup::Setup;
use crate::hooks::tell_handler;
use crate::ledger::{Ledger, Placement};
use crate::plugin::Handler;
use crate::removal;
use crate::report::PlacementReport;
use crate::target::Target;

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
    /// Whether the same call had been made before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) repeated: bool,
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

/// Which are wanted: those of one path, or of a job's target.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct PathQuery {
    path: Option<PathBuf>,
}

/// The path of a query, without what changes nothing about where it leads.
pub(super) fn wanted_path(query: std::result::Result<Query<PathQuery>, QueryRejection>) -> Result<Option<PathBuf>> {
    let Ok(Query(PathQuery { path })) = query else { return Err(wrong("request", "`path` is one path")) };
    path.map(|path| absolute(&path).map(|()| path.components().collect())).transpose()
}

pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    query: std::result::Result<Query<PathQuery>, QueryRejection>,
) -> Response {
    let listed = async {
        let rights = core.rights(&caller)?;
        let wanted = wanted_path(query)?;
        let who = caller.clone();
        core.run(&caller, move |ledger| {
            let mut placements = match wanted {
                None => ledger.placements()?,
                Some(path) => {
                    let target = rights.open_target(&who, &path)?;
                    ledger.placement_at(target.path())?.into_iter().collect()
                }
            };
            placements.retain(|placement| is_open_to(placement.facts.caller, &who, rights.sees_all));
            Ok(placements.iter().map(|placement| PlacementReport::as_it_is(placement, ledger)).collect::<Vec<_>>())
        })
        .await
    };
    match listed.await {
        Err(error) => answer::error(&error),
        Ok(placements) => {
            let schema = "landfall.placements/0".to_owned();
            answer::list(&core, &PlacementList { schema, ok: true, placements })
        }
    }
}

pub(super) async fn remove(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let removed = async {
        let request = read(&core, &caller, request).await;
        let rights = core.rights(&caller)?;
        let RemoveRequest { path } = request?;
        absolute(&path)?;
        let (setup, who, jobs) = (core.setup(), caller.clone(), Arc::clone(&core));
        core.run(&caller, move |ledger| {
            let target = rights.open_target(&who, &path)?;
            jobs.jobs.refuse_in_use(target.path(), &who, rights.sees_all)?;
            refuse_unknown(ledger, &target, &who, rights.sees_all)?;
            refuse_others_name(&who, &target)?;
            let placement = removal::remove(ledger, &target, &|placement| own(placement, &who, rights.sees_all))?;
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

pub(super) async fn rename(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let moved = async {
        let request = read(&core, &caller, request).await;
        let rights = core.rights(&caller)?;
        let MoveRequest { from, to } = request?;
        absolute(&from)?;
        absolute(&to)?;
        let (setup, who, jobs) = (core.setup(), caller.clone(), Arc::clone(&core));
        core.run(&caller, move |ledger| {
            let (source, target) = (rights.open_target(&who, &from)?, rights.open_target(&who, &to)?);
            for path in [source.path(), target.path()] {
                jobs.jobs.refuse_in_use(path, &who, rights.sees_all)?;
            }
            move_once(&source, &target, &who, &rights, &setup, ledger)
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

/// Moves a placement, or finds that the same call did.
fn move_once(
    source: &Target,
    target: &Target,
    who: &Caller,
    rights: &Rights,
    setup: &Setup,
    ledger: &Ledger,
) -> Result<Moved> {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let moved = |repeated| Moved {
        schema: "landfall.move/0".to_owned(),
        ok: true,
        from: shown(source.path()),
        to: shown(target.path()),
        repeated,
    };
    if source.occupant()?.is_none()
        && let Some(placement) = ledger.placement_at(target.path())?
        && is_open_to(placement.facts.caller, who, rights.sees_all)
        && ledger.moved_from(&placement)?.as_deref() == Some(source.path())
        && ledger.damage(&placement).is_none()
    {
        return Ok(moved(true));
    }
    refuse_unknown(ledger, source, who, rights.sees_all)?;
    refuse_others_name(who, source)?;
    setup.node(ledger).refuse_target(target, false)?;
    let placement = removal::rename(ledger, source, target, &|placement| own(placement, who, rights.sees_all))?;
    tell_handler(&setup.ordered, &setup.config, &placement, Handler::placement_moved);
    Ok(moved(false))
}

/// Refuses a path that depends on where somebody stands.
pub(super) fn absolute(path: &Path) -> Result<()> {
    if path.is_absolute() { Ok(()) } else { Err(wrong("request", "a path is absolute")) }
}

/// Whether a placement is one that the caller may see and change.
pub(super) fn is_open_to(caller: Option<u32>, who: &Caller, sees_all: bool) -> bool {
    sees_all || caller == Some(who.uid)
}

fn own(placement: &Placement, who: &Caller, sees_all: bool) -> Result<()> {
    if is_open_to(placement.facts.caller, who, sees_all) { Ok(()) } else { Err(not_yours()) }
}

/// Refuses a caller that may see its own alone what is not its own. Whether somebody else placed what stands there is not told,
/// nor whether somebody did where nothing stands any more; that something stands there it can see for itself.
fn refuse_unknown(ledger: &Ledger, target: &Target, who: &Caller, sees_all: bool) -> Result<()> {
    let placement = ledger.placement_at(target.path())?;
    if placement.is_some_and(|placement| is_open_to(placement.facts.caller, who, sees_all)) {
        return Ok(());
    }
    match target.occupant()? {
        // What it is, is told later.
        Some(_) if sees_all => Ok(()),
        Some(_) => Err(not_yours()),
        None => {
            let message = format!("there is nothing at {}", target.path().display());
            Err(Error::new(ErrorKind::NotFound, "no-placement", message).scoped(Scope::Request))
        }
    }
}

fn not_yours() -> Error {
    denied("not-your-placement", "there is no such placement of yours".to_owned())
}
