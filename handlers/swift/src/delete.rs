//! Deletes an object, and the segments of a large one.
//!
//! A manifest is anybody's who may write to its container, and names what it likes. So a segment goes only where its container is
//! one of the setting `delete_containers`, and its name is the object's own with what uploaders add: a number, a time, a size. One that is not
//! so keeps the whole object. Segments go first, the manifest by which they are found last: what was interrupted is done again.

use landfall_handler_api::{Call, Error, ErrorKind, Result};
use landfall_handler_http::{Method, StatusCode, refused};

use crate::account::Account;
use crate::config::Containers;
use crate::dlo;
use crate::name::ObjectName;
use crate::slo;

/// Bytes of an answer to a deletion.
const ANSWER_MAX: usize = 64 << 10;

/// Deletes the object, and what belongs to it.
pub(crate) async fn delete(account: &Account, name: &ObjectName, only: &Containers, call: &Call) -> Result<()> {
    admit(only, name)?;
    let reply = account.ask(Method::HEAD, &name.within(&account.url), ANSWER_MAX, call).await?;
    match reply.status {
        StatusCode::OK | StatusCode::NO_CONTENT => {}
        StatusCode::NOT_FOUND => return Err(gone()),
        status => return Err(account.explain(refused(status, &reply.headers))),
    }
    let is_static =
        reply.headers.get("x-static-large-object").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let segments = if is_static {
        slo::segments(account, name, call).await?
    } else if let Some(manifest) = reply.headers.get("x-object-manifest") {
        let prefix = dlo::Prefix::parse(manifest.as_bytes())?;
        // Before anything is listed: that of other objects is nothing to look at.
        let container = ObjectName::new(prefix.container(), prefix.begins());
        let begins = container.ok_or_else(foreign)?;
        admit(only, &begins)?;
        if !is_own(name, &begins) {
            return Err(foreign());
        }
        dlo::segments(account, &prefix, call).await?
    } else {
        Vec::new()
    };
    // All of them are looked at before the first goes.
    for segment in &segments {
        admit(only, segment)?;
        if !is_own(name, segment) {
            return Err(foreign());
        }
    }
    for (number, segment) in segments.iter().enumerate() {
        call.check()?;
        match delete_one(account, segment, call).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if number > 0 => return Err(halfway(error)),
            outcome => outcome?,
        }
    }
    let outcome = delete_one(account, name, call).await;
    if segments.is_empty() { outcome } else { outcome.map_err(halfway) }
}

/// To be denied means that nothing was touched.
fn halfway(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Denied => Error::new(ErrorKind::Unavailable, "halfway", error.message().to_owned()),
        _ => error,
    }
}

async fn delete_one(account: &Account, name: &ObjectName, call: &Call) -> Result<()> {
    let reply = account.ask(Method::DELETE, &name.within(&account.url), ANSWER_MAX, call).await?;
    match reply.status {
        StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::ACCEPTED => Ok(()),
        StatusCode::NOT_FOUND => Err(gone()),
        status => Err(account.explain(refused(status, &reply.headers))),
    }
}

/// Refuses what is in none of these containers.
pub(crate) fn admit(only: &Containers, name: &ObjectName) -> Result<()> {
    if only.allow(name.container()) {
        return Ok(());
    }
    let message = "nothing is deleted in this container: see delete_containers in [handler.swift]";
    Err(Error::new(ErrorKind::Denied, "container-not-allowed", message))
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "http-404", "the object is not there")
}

fn foreign() -> Error {
    let message = "its manifest names a segment that is not called after it, and may be another object's";
    Error::new(ErrorKind::Denied, "foreign-segment", message)
}

/// Whether a segment, or the beginning of its name, is called after the object: as glance_store does (`NAME-00001`), and python-swiftclient
/// (`NAME/TIME/SIZE/SEGMENT_SIZE/00000001`, also with `slo/` behind the name).
fn is_own(object: &ObjectName, segment: &ObjectName) -> bool {
    let Some(rest) = segment.object().strip_prefix(object.object()) else { return false };
    let numbers = match rest.strip_prefix('/') {
        Some(rest) => rest.strip_prefix("slo/").unwrap_or(rest),
        None => match rest.strip_prefix('-') {
            Some(rest) => rest,
            None => return false,
        },
    };
    numbers.bytes().all(|byte| byte.is_ascii_digit() || b"./-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_called_after_their_object() {
        let own = |object: &str, segment: &str| {
            is_own(&ObjectName::new("c", object).unwrap(), &ObjectName::new("c", segment).unwrap())
        };
        for segment in [
            "8bcd-00001",
            "8bcd-",
            "8bcd/",
            "8bcd/00000001",
            "8bcd/1763940000.123456/1073741824/209715200/00000000",
            "8bcd/slo/1763940000.123456/1073741824/209715200/00000000",
        ] {
            assert!(own("8bcd", segment), "{segment}");
        }
        for segment in [
            "8bcd",
            "8bcd1",
            "8bcde-00001",
            "other",
            "8bcd-other",
            "8bcd/other",
            "8bcd-00001/other",
            "8bc-00001",
            "8bcd/slo/x",
        ] {
            assert!(!own("8bcd", segment), "{segment}");
        }
    }
}
