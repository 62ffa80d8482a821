//! One handler's operations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{ErrorKind, HandlerInfo, HandlerKind, Location, Request, Result};

use super::super::backend::{CallContext, Handler};
use super::super::inline::InlineHandler;
use super::super::load::HandlerShape;
use super::Target;
use super::filters::try_filter;
use super::findings::{Findings, Outcome, described};
use super::reads::{Whole, skip_reads, try_reads};
use super::sample::{Counted, Sample};
use super::scratch::{Scratch, Trouble};
use super::unpackers::try_unpacker;
use crate::cancel::Cancel;
use crate::cloud::LOGINS;
use crate::redact::printable;
use crate::route::{LOCATION_URL, TLS_ROOTS};
use crate::trusted;

/// For one operation that asks or looks.
const OPERATION_LIMIT: Duration = Duration::from_secs(20);
/// For one operation that moves bytes.
const MOVE_LIMIT: Duration = Duration::from_secs(20 * 60);
/// A handler that asks for nothing and gives nothing for so long hangs.
const STALL: Duration = Duration::from_secs(30);
/// What the agent says of a handler that it gave up.
pub(super) const GIVEN_UP: &str = "is not used any more";
/// What the agent gives a handler that was told to stop, unless its configuration says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A context of one operation on `target`.
pub(super) fn context(target: Option<&Target>, limit: Duration) -> Result<CallContext> {
    let cancel = Cancel::new()?.with_deadline(Some(Instant::now() + limit));
    let url = target.map(|target| target.url.clone().into_bytes());
    let logins = target.map(|target| target.logins.clone()).unwrap_or_default();
    let secrets = Arc::new(move |name: &str| match name {
        LOCATION_URL => url.clone(),
        TLS_ROOTS => trusted::roots(),
        login => logins.get(login).cloned(),
    });
    Ok(CallContext { secrets, ..CallContext::quiet(cancel, limit) })
}

/// A context of one operation that moves bytes.
pub(super) fn moving(target: Option<&Target>) -> Result<CallContext> {
    context(target, MOVE_LIMIT)
}

/// A context of one operation on a sample.
pub(super) fn shaping() -> Result<CallContext> {
    let cancel = Cancel::new()?.with_deadline(Some(Instant::now() + MOVE_LIMIT));
    Ok(CallContext::quiet(cancel, STALL))
}

fn nowhere(scheme: &str) -> Request {
    request(&format!("{scheme}://landfall.invalid/none"))
}

fn request(url: &str) -> Request {
    let mut request = Request::default();
    request.location = Some(Location::from_url(url));
    request
}

/// The location, where the handler has its scheme. As in a placement, it is given the logins that it says that it uses.
pub(super) fn own(target: &Target, info: &HandlerInfo) -> Option<Target> {
    let location = target.request.location.as_ref()?;
    info.schemes.contains(&location.scheme()).then(|| {
        let mut own = target.clone();
        own.logins.retain(|name, _| info.logins.contains(name));
        own.request.secrets.extend(own.logins.keys().cloned());
        own
    })
}

/// Probes, opens, reads, transfers, filters, unpacks and asks for the status.
pub(super) fn try_handler(
    findings: &mut Findings,
    handler: &InlineHandler,
    shape: &HandlerShape,
    target: Option<&Target>,
    sample: Option<&Sample>,
) -> std::io::Result<()> {
    let info = handler.info();
    let own = target.and_then(|target| own(target, info));
    let target = own.as_ref();
    for login in info.logins.iter().filter(|login| !LOGINS.contains(&login.as_str())) {
        let login = printable(login);
        findings.run("logins", || Outcome::failed(format!("this agent has no login {login:?}")))?;
    }
    let probe = |request: &Request| {
        context(target, OPERATION_LIMIT).and_then(|call| handler.probe_one(&call, request)).map(|probe| probe.accepts)
    };
    let probed = |request: &Request| {
        let said = |accepts: bool| if accepts { "it would take that" } else { "it leaves that to others" };
        Outcome::any(probe(request).map(said))
    };
    findings.run("probe-foreign", || {
        if info.schemes.is_empty() {
            return Outcome::skip("it takes no locations");
        }
        probed(&request("no-such-scheme:// \u{1}\u{202e}"))
    })?;
    for scheme in &info.schemes {
        findings.run("probe", || probed(&nowhere(scheme)))?;
    }
    if let Some(target) = target {
        findings.run("probe-url", || match probe(&target.request) {
            Ok(true) => Outcome::ok("it takes the location"),
            Ok(false) => Outcome::failed("it does not take the location"),
            Err(error) => Outcome::failed(described(&error)),
        })?;
    }
    let mut whole = None;
    if info.kinds.contains(&HandlerKind::Source) {
        whole = try_source(findings, handler, shape, target)?;
    }
    if info.kinds.contains(&HandlerKind::Transfer) {
        findings.run("transfer", || match target {
            None => Outcome::skip("no location of its schemes was given (--url)"),
            Some(target) => try_transfer(handler, target, whole.as_ref()),
        })?;
    }
    let sample = sample.filter(|sample| sample.is_for(info));
    if info.kinds.contains(&HandlerKind::Filter) {
        try_filter(findings, handler, sample)?;
    }
    if info.kinds.contains(&HandlerKind::Unpack) {
        try_unpacker(findings, handler, sample)?;
    }
    if info.kinds.contains(&HandlerKind::Select) {
        findings.run("select", || Outcome::skip("this version does not call it"))?;
    }
    findings.run("status", || match context(target, OPERATION_LIMIT).and_then(|call| handler.status(&call)) {
        Err(error) if error.kind() == ErrorKind::Unsupported => Outcome::skip("not offered"),
        status => Outcome::any(status.map(|status| if status.ready { "ready" } else { "not ready" })),
    })?;
    Ok(())
}

/// The location that was given; without one, a location that is not there, which some handlers open all the same.
fn try_source(
    findings: &mut Findings,
    handler: &InlineHandler,
    shape: &HandlerShape,
    target: Option<&Target>,
) -> std::io::Result<Option<Whole>> {
    let open = |request: &Request| context(target, MOVE_LIMIT).and_then(|call| handler.open(&call, request));
    let mut opened = None;
    match target {
        Some(target) => {
            findings.run("open-url", || match open(&target.request) {
                Err(error) => Outcome::failed(described(&error)),
                Ok(source) => {
                    opened = Some(source);
                    Outcome::ok("opened")
                }
            })?;
        }
        None => {
            for scheme in &handler.info().schemes {
                findings.run("open", || match open(&nowhere(scheme)) {
                    Err(error) => Outcome::any(Err(error)),
                    Ok(source) => {
                        opened = Some(source);
                        Outcome::ok("opened")
                    }
                })?;
            }
        }
    }
    let Some(source) = opened else {
        skip_reads(findings, "nothing was opened; --url gives it a location that is there")?;
        return Ok(None);
    };
    let whole = try_reads(findings, source.as_ref(), shape.threads == "parallel", target)?;
    findings.run("close", || {
        drop(source);
        Outcome::ok("closed")
    })?;
    Ok(whole)
}

fn try_transfer(handler: &InlineHandler, target: &Target, whole: Option<&Whole>) -> Outcome {
    let attempt = || -> Result<Counted> {
        let scratch = Arc::new(Scratch::new(1, Trouble::default()));
        handler.transfer(&moving(Some(target))?, &target.request, scratch.clone())?;
        Ok(scratch.close()?.counted().last().cloned().unwrap_or_default())
    };
    match attempt() {
        Err(error) => Outcome::failed(described(&error)),
        Ok((size, digest)) => match whole {
            Some(whole) if (whole.count, whole.digest.as_str()) != (size, digest.as_str()) => {
                Outcome::failed(format!("it wrote {size} bytes that are not those that it reads"))
            }
            _ => Outcome::ok(format!("{size} bytes, sha256 {digest}")),
        },
    }
}
