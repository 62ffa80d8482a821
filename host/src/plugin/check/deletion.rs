//! Deletes what was given for it. After everything else, since then it is gone.

use landfall_handler_api::{Error, ErrorKind, HandlerKind, Result};

use super::super::backend::Handler;
use super::super::inline::InlineHandler;
use super::Target;
use super::findings::{Findings, Outcome, described};
use super::trials::moving;

/// Asks whether it would, deletes, looks whether it is gone, and deletes once more.
pub(super) fn try_deletion(
    findings: &mut Findings,
    make: impl FnOnce() -> Result<InlineHandler>,
    target: Option<&Target>,
) -> std::io::Result<()> {
    let Some(target) = target else {
        findings.run("delete", || Outcome::skip("--delete tries it, on a location of its schemes (--url)"))?;
        return Ok(());
    };
    let mut target = target.clone();
    target.request.to_delete = true;
    let mut made = None;
    findings.run("delete-probe", || match make().and_then(|handler| Ok((moving(Some(&target))?, handler))) {
        Err(error) => Outcome::failed(described(&error)),
        Ok((call, handler)) => match handler.probe_one(&call, &target.request) {
            Ok(probe) if probe.accepts => {
                made = Some(handler);
                Outcome::ok("it would delete the location")
            }
            Ok(probe) => {
                Outcome::failed(format!("it would not: {}", probe.reason.as_deref().unwrap_or("no reason given")))
            }
            Err(error) => Outcome::failed(described(&error)),
        },
    })?;
    let Some(handler) = made else { return Ok(()) };
    let delete = || moving(Some(&target)).and_then(|call| handler.delete_stored(&call, &target.request));
    findings.run("delete", || match delete() {
        Ok(()) => Outcome::ok("it says that it is deleted"),
        Err(error) => Outcome::failed(described(&error)),
    })?;
    if handler.info().kinds.contains(&HandlerKind::Source) {
        let mut reading = target.request.clone();
        reading.to_delete = false;
        findings.run("delete-gone", || match moving(Some(&target)).and_then(|call| handler.open(&call, &reading)) {
            Ok(_) => Outcome::failed("it says that it is deleted, and opens it still"),
            Err(error) => not_there(&error),
        })?;
    }
    findings.run("delete-again", || match delete() {
        Ok(()) => Outcome::ok("deleting what is gone is no error"),
        Err(error) => not_there(&error),
    })?;
    Ok(())
}

fn not_there(error: &Error) -> Outcome {
    let said = described(error);
    match error.kind() {
        ErrorKind::NotFound => Outcome::ok(said),
        _ => Outcome::failed(format!("not said to be not-found: {said}")),
    }
}
