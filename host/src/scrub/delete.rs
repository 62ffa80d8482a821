//! Has a location's handler delete its stored bytes.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Location, Request, Result, Scope};

use super::Scrub;
use super::due::Candidate;
use crate::cloud::Logins;
use crate::plugin::{CallContext, Handler, Pulse};
use crate::route::{LOCATION_URL, TLS_ROOTS, hand_on};
use crate::trusted;

/// The handlers that delete what locations of this scheme name.
pub(super) fn handlers<'h>(all: &'h [Arc<dyn Handler>], location: &Location) -> Result<Vec<&'h Arc<dyn Handler>>> {
    let scheme = location.scheme();
    let found: Vec<_> =
        all.iter().filter(|handler| handler.info().deletes && handler.info().schemes.contains(&scheme)).collect();
    if found.is_empty() {
        let message = format!("no handler deletes what {scheme} locations name");
        return Err(Error::new(ErrorKind::Unsupported, "no-handler", message).scoped(Scope::Location));
    }
    Ok(found)
}

/// Deletes what the location names, by the first handler that can.
pub(super) fn delete(scrub: &Scrub<'_>, candidate: &Candidate) -> Result<()> {
    let mut unsupported = None;
    for handler in handlers(scrub.handlers, &candidate.location)? {
        let logins = Logins::for_stores(scrub.config);
        let mut request = Request::default();
        hand_on(&candidate.location, &mut request);
        request.store = candidate.belonging.store.clone();
        request.secrets.extend(logins.among(&handler.info().logins));
        let (url, named) = (candidate.location.url.as_bytes().to_vec(), request.secrets.clone());
        let call = CallContext {
            cancel: scrub.cancel.clone(),
            progress: Arc::new(|_, _| {}),
            secrets: Arc::new(move |name| match name {
                LOCATION_URL => Some(url.clone()),
                TLS_ROOTS => trusted::roots(),
                name if named.iter().any(|known| known == name) => logins.get(name).map(<[u8]>::to_vec),
                _ => None,
            }),
            pulse: Pulse::new(scrub.config.limits.stall),
        };
        match handler.delete_stored(&call, &request) {
            Err(error) if error.kind() == ErrorKind::Unsupported => unsupported = Some(error),
            outcome => return outcome,
        }
    }
    Err(unsupported.unwrap_or_else(|| Error::unsupported("delete_stored")))
}
