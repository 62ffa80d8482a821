//! The first step of a job: whether its caller may have the image, and the target. Before anything that others have is looked
//! at.

use std::path::PathBuf;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::caller::Caller;
use super::errand::{Errand, Member};
use super::job::Job;
use super::request::{AccessRequest, FormRequest, ImageRequest, PlaceRequest, wrong};
use super::rights::{Rights, Trust, denied, refuse_others_name};
use super::setup::Setup;
use crate::cancel::Cancel;
use crate::catalog::{self, Asker, BareImage, Image, Origin, Said};
use crate::ledger::{Facts, Ledger, damage};
use crate::place::{Access, Placed};
use crate::publish::Dress;
use crate::redact;
use crate::route::Form;
use crate::target::{Occupant, Target};

/// Images of one group.
const GROUP_MAX: usize = 64;
/// The longest name in a group.
const NAME_MAX: usize = 64;

/// What may become of a job that is allowed.
pub(crate) enum Admitted {
    /// It is to be done.
    Errand(Arc<Errand>),
    /// It was done before.
    Placed(Arc<Errand>, Box<Placed>),
}

/// Finds out what `request` asks for, and refuses what its caller may not have.
pub(crate) fn admit(
    job: &Job,
    request: &PlaceRequest,
    rights: &Rights,
    setup: &Arc<Setup>,
    ledger: &Ledger,
) -> Result<Admitted> {
    let errand = errand(&job.caller, request, rights, setup, &job.cancel)?;
    let node = errand.node(ledger);
    errand.members.iter().try_for_each(|member| node.refuse_impossible(&errand.order(member)))?;
    if let Some(facts) = placed_before(&errand, ledger)? {
        let path = errand.target.path().to_owned();
        return Ok(Admitted::Placed(errand, Box::new(Placed { path, facts })));
    }
    node.refuse_target(&errand.target, errand.dress.replace)?;
    if errand.dress.replace {
        refuse_others_name(&errand.caller, &errand.target)?;
    }
    Ok(Admitted::Errand(errand))
}

/// The errand of a request.
pub(crate) fn errand(
    caller: &Caller,
    request: &PlaceRequest,
    rights: &Rights,
    setup: &Arc<Setup>,
    cancel: &Cancel,
) -> Result<Arc<Errand>> {
    let dress = dress(caller, request, rights)?;
    if request.allow_unhashed {
        rights.refuse_below(Trust::Records, "an image without a digest")?;
    }
    let members = members(caller, request, rights, setup, cancel)?;
    let (path, directory) = target_path(request)?;
    // After the image: who may not see that learns nothing of what stands there.
    let target: Target = rights.open_target(caller, &path)?;
    Ok(Arc::new(Errand {
        setup: Arc::clone(setup),
        caller: caller.clone(),
        target: Arc::new(target),
        directory,
        members,
        form: match request.format {
            FormRequest::Raw => Form::Raw,
            FormRequest::AsIs => Form::AsIs,
        },
        access: match request.access {
            AccessRequest::Rw => Access::ReadWrite,
            AccessRequest::Ro => Access::ReadOnly,
        },
        dress,
        allow_unhashed: request.allow_unhashed,
    }))
}

/// The same call, made before: what it placed, if that stands at the target still, and all of it.
pub(crate) fn placed_before(errand: &Errand, ledger: &Ledger) -> Result<Option<Facts>> {
    if errand.dress.replace {
        return Ok(None);
    }
    let Some(occupant @ (Occupant::File(_) | Occupant::Directory(_))) = errand.target.occupant()? else {
        return Ok(None);
    };
    let found = ledger.placement_at(errand.target.path())?.filter(|placement| occupant.is(&placement.identity));
    let is_same = |facts: &Facts| {
        facts.caller == Some(errand.caller.uid) && facts.request.as_ref() == Some(&errand.fingerprint())
    };
    let Some(placement) = found.filter(|placement| is_same(&placement.facts)) else { return Ok(None) };
    match damage(&errand.target, &placement)? {
        None => Ok(Some(placement.facts)),
        Some(damage) => {
            let message = format!("what was placed at {} is damaged: {damage}", errand.target.path().display());
            Err(Error::new(ErrorKind::Exists, "placement-damaged", message).scoped(Scope::Request))
        }
    }
}

/// Where a request wants its disks, and whether that is a directory.
pub(crate) fn target_path(request: &PlaceRequest) -> Result<(PathBuf, bool)> {
    match (&request.to, &request.to_dir) {
        (Some(path), _) => Ok((path.clone(), false)),
        // As with the command line, a slash behind a directory's name changes nothing.
        (None, Some(path)) => Ok((path.components().collect(), true)),
        (None, None) => Err(wrong("request", "either `to` or `to_dir` says where it goes")),
    }
}

/// How the target is to be. It is the caller's own, unless somebody who could change that anyway says otherwise.
fn dress(caller: &Caller, request: &PlaceRequest, rights: &Rights) -> Result<Dress> {
    let own = (caller.uid, caller.gid);
    let owner = match request.owner {
        Some(owner) if owner != own => {
            rights.refuse_below(Trust::Full, "another owner")?;
            owner
        }
        _ => own,
    };
    let is_agent = owner == (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    Ok(Dress {
        owner: Some(owner).filter(|_| !is_agent),
        mode: request.mode_bits()?,
        size: request.size,
        replace: request.replace,
    })
}

fn members(
    caller: &Caller,
    request: &PlaceRequest,
    rights: &Rights,
    setup: &Setup,
    cancel: &Cancel,
) -> Result<Vec<Member>> {
    if let Some(image) = &request.image {
        return Ok(vec![member(caller, None, image, rights, setup, cancel)?]);
    }
    if request.group.len() > GROUP_MAX {
        let message = format!("a group of {} images, {GROUP_MAX} are allowed", request.group.len());
        return Err(Error::new(ErrorKind::Limit, "group-size", message).scoped(Scope::Request));
    }
    let mut members: Vec<Member> = Vec::with_capacity(request.group.len());
    for asked in &request.group {
        refuse_bad_name(&asked.name)?;
        if members.iter().any(|member| member.name.as_ref() == Some(&asked.name)) {
            return Err(wrong("group-name", format!("two images of the group are named {}", asked.name)));
        }
        let found = member(caller, Some(&asked.name), &asked.image, rights, setup, cancel);
        members.push(found.map_err(|error| error.context(format_args!("{} of the group", asked.name)))?);
    }
    Ok(members)
}

fn refuse_bad_name(name: &str) -> Result<()> {
    let fits = (1..=NAME_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        return Ok(());
    }
    let shown = redact::printable(name);
    Err(wrong(
        "group-name",
        format!("{shown} is no name in a group: up to {NAME_MAX} letters, digits, '-', '_' and '.'"),
    ))
}

fn member(
    caller: &Caller,
    name: Option<&str>,
    asked: &ImageRequest,
    rights: &Rights,
    setup: &Setup,
    cancel: &Cancel,
) -> Result<Member> {
    let name = name.map(str::to_owned);
    let own = format!("user {}", caller.uid);
    match (&asked.id, &asked.record, &asked.url) {
        (Some(id), _, _) => {
            let (catalog, image) = in_catalogs(id, asked, rights, setup, cancel)?;
            Ok(Member { name, image, scope: format!("catalog {catalog}") })
        }
        (None, Some(record), _) => {
            rights.refuse_below(Trust::Records, "a record that is brought along")?;
            let origin = match &asked.record_directory {
                None => Origin::Stream,
                Some(directory) => {
                    rights.refuse_below(Trust::Full, "the directory of a record")?;
                    Origin::RecordFile { directory: directory.clone() }
                }
            };
            let image = catalog::brought(record.clone(), origin, &setup.config)?;
            Ok(Member { name, image, scope: own })
        }
        (None, None, Some(url)) => {
            rights.refuse_below(Trust::Records, "a URL that is brought along")?;
            let said = Said {
                hash: asked.hash.clone(),
                disk_format: asked.disk_format.clone(),
                container_format: asked.container_format.clone(),
                compression: asked.compression.clone(),
            };
            // Only who may read a file anyway names one that is in no store.
            let origin = if rights.trust == Trust::Full { Origin::Caller } else { Origin::Stream };
            let record = match origin {
                Origin::Caller => catalog::bare_record(&BareImage { url: url.clone(), said }, &setup.config)?,
                _ => catalog::described_record(url, &said, &setup.config)?,
            };
            Ok(Member { name, image: catalog::brought(record, origin, &setup.config)?, scope: own })
        }
        (None, None, None) => Err(wrong("request", "an image is named by one of `id`, `record` and `url`")),
    }
}

/// Asks the catalogs that the caller may ask, with its token where it has one.
fn in_catalogs(
    id: &str,
    asked: &ImageRequest,
    rights: &Rights,
    setup: &Setup,
    cancel: &Cancel,
) -> Result<(String, Image)> {
    let wanted = |name: &str| asked.catalog.as_ref().is_none_or(|only| only == name);
    let may_ask = |name: &str| wanted(name) && rights.may_ask(name);
    if !setup.config.catalogs.keys().any(|name| may_ask(name)) && rights.trust < Trust::Full {
        return Err(denied("catalog", "this caller may ask no such catalog".to_owned()));
    }
    if let Some(name) = asked.catalog.as_ref().filter(|name| !setup.config.catalogs.contains_key(*name)) {
        return Err(wrong("catalog", format!("there is no catalog {} here", redact::printable(name))));
    }
    let asker = Asker { may_ask: &may_ask, token: asked.token.as_deref(), has_logins: rights.trust >= Trust::Records };
    let found = catalog::find_id(id, &asker, &setup.config, &setup.all, cancel);
    found.map_err(|error| match error.kind() {
        // A catalog says of what somebody may not see that it is not there.
        ErrorKind::NotFound if rights.trust == Trust::None => {
            denied("image-not-visible", "no catalog shows this caller such an image".to_owned())
        }
        _ => error,
    })
}
