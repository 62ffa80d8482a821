//! Which handler deletes what a location names, and has it do so.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Request, Result, Scope};

use super::Scrub;
use super::due::Candidate;
use super::report::Outcome;
use crate::cloud::Logins;
use crate::plugin::{CallContext, Handler};
use crate::redact::printable;
use crate::route::{LOCATION_URL, TLS_ROOTS, hand_on, limits};
use crate::trusted;

/// Requests of one question, so that answers stay small.
const AT_ONCE: usize = 256;

/// Asks the handlers, in the operator's order, which of them would delete what each due location names. The first that would
/// is who will; where none would, nothing is to become of the location.
pub(super) fn assign(scrub: &Scrub<'_>, logins: &Logins, candidates: &mut [Candidate]) -> Result<()> {
    let mut refusals: Vec<Option<Outcome>> = vec![None; candidates.len()];
    for handler in scrub.handlers.iter().filter(|handler| handler.info().deletes) {
        let asked: Vec<usize> = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.scrubbed.outcome == Outcome::Due && candidate.deleter.is_none())
            .filter(|(_, candidate)| handler.info().schemes.contains(&candidate.location.scheme()))
            .map(|(index, _)| index)
            .collect();
        for asked in asked.chunks(AT_ONCE) {
            scrub.cancel.check()?;
            let requests: Vec<Request> = asked
                .iter()
                .filter_map(|&index| Some(request(scrub, logins, handler, candidates.get(index)?)))
                .collect();
            let answers = handler.probe(&questions(scrub), &requests.iter().collect::<Vec<_>>());
            for (&index, answer) in asked.iter().zip(answers) {
                let (Some(candidate), Some(refusal)) = (candidates.get_mut(index), refusals.get_mut(index)) else {
                    continue;
                };
                match answer {
                    Ok(probe) if probe.accepts => candidate.deleter = Some(handler.clone()),
                    Ok(probe) => {
                        let why = probe.reason.unwrap_or_else(|| "it gives no reason".to_owned());
                        let reason = format!("handler {}: {}", handler.info().id, printable(&why));
                        *refusal = Some(Outcome::NotAllowed { reason });
                    }
                    Err(error) => *refusal = Some(Outcome::failed(&error)),
                }
            }
        }
    }
    for (candidate, refusal) in candidates.iter_mut().zip(refusals) {
        if candidate.scrubbed.outcome == Outcome::Due && candidate.deleter.is_none() {
            candidate.scrubbed.outcome = refusal.unwrap_or_else(|| {
                let scheme = candidate.location.scheme();
                let message = format!("no handler that is used deletes what {scheme} locations name");
                Outcome::failed(&Error::new(ErrorKind::Unsupported, "no-handler", message).scoped(Scope::Location))
            });
        }
    }
    Ok(())
}

/// Deletes what the location names.
pub(super) fn delete(scrub: &Scrub<'_>, logins: &Logins, candidate: &Candidate) -> Result<()> {
    let handler = candidate.deleter.as_ref().expect("a location that is due has somebody who deletes it");
    let request = request(scrub, logins, handler, candidate);
    let (url, named, logins) = (candidate.location.url.as_bytes().to_vec(), request.secrets.clone(), logins.clone());
    let call = CallContext {
        secrets: Arc::new(move |name| match name {
            LOCATION_URL => Some(url.clone()),
            TLS_ROOTS => trusted::roots(),
            name if named.iter().any(|known| known == name) => logins.get(name).map(<[u8]>::to_vec),
            _ => None,
        }),
        ..questions(scrub)
    };
    handler.delete_stored(&call, &request)
}

fn request(scrub: &Scrub<'_>, logins: &Logins, handler: &Arc<dyn Handler>, candidate: &Candidate) -> Request {
    let mut request = Request::default();
    hand_on(&candidate.location, &mut request);
    request.image = candidate.record.clone();
    request.store = candidate.belonging.store.clone();
    request.to_delete = true;
    request.limits = limits(scrub.config);
    request.secrets.extend(logins.among(&handler.info().logins));
    request
}

/// A call without secrets.
fn questions(scrub: &Scrub<'_>) -> CallContext {
    CallContext::quiet(scrub.cancel.clone(), scrub.config.limits.stall)
}
