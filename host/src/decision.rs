//! The decision record: how locations and handlers were ordered, what was left out and why, and what came of each attempt.
//! `plan` shows it before, `place --json` and `history` after. URLs in it are redacted.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Scope};
use landfall_select::Selection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Config, RouteMode};
use crate::inputs::Inputs;
use crate::ledger::Facts;
use crate::measured::Forecasted;
use crate::redact;
use crate::route::{Attempt, Plan};

/// Entries of each list that go to the history.
const KEPT: usize = 50;
/// Characters of each URL that go there.
const URL_KEPT: usize = 300;

/// A decision, from the first look at the record to the last attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Decision {
    /// The image's id.
    pub(crate) image: Option<String>,
    /// The node's name.
    pub(crate) node: String,
    /// The user that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<u32>,
    /// The criteria, the most significant first.
    pub(crate) strategy: Vec<String>,
    /// `handler-first` or `location-first`.
    pub(crate) route: String,
    /// The usable locations, best first.
    pub(crate) order: Vec<OrderedLocation>,
    /// What is not tried, and why.
    pub(crate) excluded: Vec<ExcludedLocation>,
    /// What would be tried, in this order.
    pub(crate) planned: Vec<PlannedAttempt>,
    /// What was tried, and what came of it.
    pub(crate) attempts: Vec<TriedAttempt>,
    /// Anything else worth knowing about the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// What it was made of. Kept by the history, and shown nowhere else.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) inputs: Option<Arc<Inputs>>,
}

/// A location in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OrderedLocation {
    /// Its index in the record.
    pub(crate) index: usize,
    /// Its URL, redacted.
    pub(crate) location: String,
    /// Why it stands here: a line for each criterion.
    pub(crate) reasons: Vec<String>,
}

/// A location, or a pair of handler and location, that is not tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExcludedLocation {
    /// Its index in the record; null for a handler that needs no location.
    pub(crate) index: Option<usize>,
    /// Its URL, redacted.
    pub(crate) location: Option<String>,
    /// The handler, where only it is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// Why.
    pub(crate) reason: String,
}

/// An attempt before it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlannedAttempt {
    /// The location's index in the record; absent for a handler that needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// The locations' URLs, redacted.
    pub(crate) locations: Vec<String>,
    /// The handlers, in the order of the chain.
    pub(crate) handlers: Vec<String>,
    /// What the handlers do: `source`, `source, unpack` or `transfer`.
    pub(crate) chain: String,
    /// The store that the location belongs to, when it is a configured one.
    pub(crate) store: Option<String>,
    /// What the bytes will be held against.
    pub(crate) verify: String,
    /// Bytes of a scratch file beside the target, for an unpacker that needs one; as many as are stored, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scratch: Option<u64>,
    /// What it may take, as this node has measured; where the selection looks at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<Forecasted>,
}

/// An attempt that was made, or that an earlier failure ruled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TriedAttempt {
    /// The locations' URLs, redacted.
    pub(crate) locations: Vec<String>,
    /// The handlers, in the order of the chain.
    pub(crate) handlers: Vec<String>,
    /// What went wrong; absent on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<ErrorKind>,
    /// The precise cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What the failure ruled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    /// The text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What it was thought to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<Forecasted>,
    /// Stored bytes that came, by whatever method, also of an attempt that failed.
    pub(crate) bytes: u64,
}

/// What came of an attempt.
pub(crate) struct AttemptOutcome<'a> {
    pub(crate) error: Option<&'a Error>,
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
}

impl PlannedAttempt {
    fn is(&self, attempt: &Attempt) -> bool {
        self.locations == locations(attempt) && self.handlers == attempt.handlers()
    }
}

impl Decision {
    /// A decision about `record` that has not been made yet.
    pub(crate) fn about(record: &ImageRecord, config: &Config, caller: u32) -> Self {
        Self {
            caller: Some(caller),
            image: record.id.as_deref().map(redact::printable),
            node: redact::printable(&config.node),
            strategy: config.selection.criteria().iter().map(|criterion| criterion.name().to_owned()).collect(),
            route: match config.route {
                RouteMode::HandlerFirst => "handler-first",
                RouteMode::LocationFirst => "location-first",
            }
            .to_owned(),
            ..Self::default()
        }
    }

    /// Takes what selection and routing decided.
    pub(crate) fn planned(&mut self, record: &ImageRecord, selection: &Selection, plan: &Plan) {
        let url = |index: usize| record.locations.get(index).map(|location| redact::url(&location.url));
        self.order = selection
            .order
            .iter()
            .map(|place| OrderedLocation {
                index: place.location,
                location: url(place.location).unwrap_or_default(),
                reasons: place.keys.iter().map(|key| key.reason.clone()).collect(),
            })
            .collect();
        self.excluded = plan
            .excluded
            .iter()
            .map(|excluded| ExcludedLocation {
                index: excluded.location,
                location: excluded.location.and_then(url),
                handler: excluded.handler.clone(),
                reason: excluded.reason.clone(),
            })
            .collect();
        self.planned = plan
            .attempts
            .iter()
            .map(|attempt| PlannedAttempt {
                index: attempt.location,
                locations: locations(attempt),
                handlers: attempt.handlers().into_iter().map(str::to_owned).collect(),
                chain: attempt.chain_name(),
                store: attempt.belonging.store.as_ref().map(|store| store.id.clone()).filter(|id| !id.is_empty()),
                verify: match &attempt.expected.digest {
                    Some(digest) => digest.algorithm.name().to_owned(),
                    None => "no".to_owned(),
                },
                scratch: attempt.scratch(),
                predicted: attempt.predicted(record),
            })
            .collect();
        self.notes = selection.notes.iter().map(|note| format!("{}: {}", note.criterion, note.text)).collect();
        if let Some(seconds) = plan.instead_of {
            self.notes.push(format!(
                "fastest: the first attempt is made to find out about it; the best that is known would take {seconds:.2} s"
            ));
        }
    }

    /// An attempt was made.
    pub(crate) fn tried(&mut self, attempt: &Attempt, companions: &[Attempt], outcome: AttemptOutcome<'_>) {
        let predicted = self.planned.iter().find(|planned| planned.is(attempt)).and_then(|planned| planned.predicted);
        self.attempts.push(TriedAttempt {
            predicted,
            locations: std::iter::once(attempt).chain(companions).flat_map(locations).collect(),
            handlers: attempt.handlers().into_iter().map(str::to_owned).collect(),
            kind: outcome.error.map(Error::kind),
            code: outcome.error.map(|error| error.code().to_owned()),
            scope: outcome.error.map(Error::scope),
            message: outcome.error.map(|error| redact::printable(error.message())),
            seconds: outcome.seconds,
            bytes: outcome.bytes,
        });
    }

    /// The bytes that this location gave turned out to be wrong, when others had taken their place.
    pub(crate) fn lied(&mut self, location: &str, message: &str) {
        let of_it = |tried: &&mut TriedAttempt| tried.locations.iter().any(|name| name.starts_with(location));
        for tried in self.attempts.iter_mut().filter(of_it) {
            (tried.kind, tried.code) = (Some(ErrorKind::Corrupt), Some("wrong-bytes".to_owned()));
            (tried.scope, tried.message) = (Some(Scope::Location), Some(redact::printable(message)));
        }
        self.notes.push(redact::printable(&format!("{location}: {message}")));
    }

    /// An attempt was not made.
    pub(crate) fn skipped(&mut self, attempt: &Attempt, reason: &str) {
        self.excluded.push(ExcludedLocation {
            index: attempt.location,
            location: locations(attempt).pop(),
            handler: Some(attempt.handler.info().id.clone()),
            reason: reason.to_owned(),
        });
    }

    /// The decision without most of the locations of a record that has very many: the history is for reasons, not for
    /// whatever somebody wrote into a record.
    fn shortened(&self) -> Self {
        let mut short = self.clone();
        let lengths = [short.order.len(), short.excluded.len(), short.planned.len(), short.attempts.len()];
        short.order.truncate(KEPT);
        short.excluded.truncate(KEPT);
        short.planned.truncate(KEPT);
        short.attempts.truncate(KEPT);
        let urls = (short.order.iter_mut().map(|place| &mut place.location))
            .chain(short.excluded.iter_mut().filter_map(|excluded| excluded.location.as_mut()))
            .chain(short.planned.iter_mut().flat_map(|planned| &mut planned.locations))
            .chain(short.attempts.iter_mut().flat_map(|tried| &mut tried.locations));
        for url in urls {
            if let Some((cut, _)) = url.char_indices().nth(URL_KEPT) {
                url.replace_range(cut.., "...");
            }
        }
        if lengths.into_iter().any(|length| length > KEPT) {
            short.notes.push(format!("lists are cut to {KEPT} entries"));
        }
        short
    }

    /// The decision and its outcome, for the history.
    pub(crate) fn record(&self, outcome: Result<&Facts, &Error>) -> Value {
        let decision = self.shortened();
        let mut record = match outcome {
            Ok(facts) => serde_json::json!({ "decision": decision, "placed": facts }),
            Err(error) => serde_json::json!({
                "decision": decision,
                "error": {
                    "kind": error.kind(), "code": error.code(), "scope": error.scope(),
                    "message": redact::printable(error.message()),
                },
            }),
        };
        let inputs = self.inputs.as_ref().map(|inputs| inputs.kept()).filter(|inputs| !inputs.is_null());
        if let (Some(inputs), Some(members)) = (inputs, record.as_object_mut()) {
            members.insert("inputs".to_owned(), inputs);
        }
        record
    }
}

/// The attempt's locations, redacted.
pub(crate) fn locations(attempt: &Attempt) -> Vec<String> {
    attempt.request.location.iter().map(|location| redact::url(&location.url)).collect()
}
