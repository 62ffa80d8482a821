//! The documents that `place --json` and `plan --json` print.

use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advice::{Retry, advice, retry};
use crate::decision::{Decision, ExcludedLocation, TriedAttempt};
use crate::engine::Method;
use crate::ledger::{Facts, HistoryEntry, Ledger, Placement, State};
use crate::place::Placed;
use crate::redact;
use crate::verify::Verified;

/// The documents' names and major versions.
const SCHEMA: &str = "landfall.place/0";
const PLAN_SCHEMA: &str = "landfall.plan/0";

/// What came of `place`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Report {
    /// `landfall.place/0`.
    pub(crate) schema: String,
    /// Whether the disk was placed.
    pub(crate) ok: bool,
    /// The agent's job, where the agent placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// Whether the same call had been made before, and the disk was there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) repeated: bool,
    /// The image's id.
    pub(crate) image: Option<String>,
    /// What was published.
    pub(crate) targets: Vec<TargetReport>,
    /// Where the bytes came from, redacted.
    pub(crate) locations: Vec<String>,
    /// Who brought them.
    pub(crate) handler: Option<String>,
    /// How.
    pub(crate) method: Option<Method>,
    /// How the digest is known.
    pub(crate) verified: Option<Verified>,
    /// The digest of the stored bytes, `ALGORITHM:HEX`.
    pub(crate) digest: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Why it failed; absent on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorReport>,
    /// What was tried.
    pub(crate) attempts: Vec<TriedAttempt>,
    /// What was not tried, and why.
    pub(crate) excluded: Vec<ExcludedLocation>,
    /// Anything else worth knowing, such as a location that lied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// What `plan` decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanReport {
    /// `landfall.plan/0`.
    pub(crate) schema: String,
    /// Whether there is anything to try, or nothing left to do.
    pub(crate) ok: bool,
    /// Whether the same call placed what stands at the target: `place` would find that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) repeated: bool,
    /// The decision, as far as it came.
    pub(crate) decision: Decision,
    /// Why nothing can be tried; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorReport>,
}

impl PlanReport {
    /// The report of a decision.
    pub(crate) fn new(decision: Decision, planned: Result<(), &Error>) -> Self {
        let error = planned.err().map(ErrorReport::from);
        Self { schema: PLAN_SCHEMA.to_owned(), ok: error.is_none(), repeated: false, decision, error }
    }
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TargetReport {
    /// Its absolute path. Bytes that are not UTF-8 are replaced.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its disk format.
    pub(crate) format: String,
    /// The name in the group of the image whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_name: Option<String>,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorReport {
    /// From a closed list.
    pub(crate) kind: ErrorKind,
    /// The precise cause.
    pub(crate) code: String,
    /// What the failure rules out.
    pub(crate) scope: Scope,
    /// The text for people.
    pub(crate) message: String,
    /// Whether the same call may succeed later.
    pub(crate) retry: Retry,
    /// Seconds after which it is worth trying again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_seconds: Option<u64>,
    /// What can be done about it.
    pub(crate) advice: String,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().to_owned(),
            scope: error.scope(),
            message: redact::printable(error.message()),
            retry: retry(error),
            retry_after_seconds: error.retry_after().map(|wait| wait.as_secs().max(1)),
            advice: advice(error).to_owned(),
        }
    }
}

impl Report {
    /// The report of a placement.
    pub(crate) fn new(decision: Decision, placed: Result<&Placed, &Error>, seconds: f64) -> Self {
        let error = placed.err().map(ErrorReport::from);
        let placed = placed.ok();
        let facts = placed.map(|placed| &placed.facts);
        Self {
            schema: SCHEMA.to_owned(),
            ok: placed.is_some(),
            job: None,
            repeated: false,
            image: decision.image,
            targets: placed.map(TargetReport::of).unwrap_or_default(),
            locations: facts.map(|facts| facts.locations.clone()).unwrap_or_default(),
            handler: facts.map(|facts| facts.handler.clone()),
            method: facts.map(|facts| facts.method),
            verified: facts.map(|facts| facts.verified),
            digest: facts.and_then(|facts| facts.digest.as_ref()).map(ToString::to_string),
            seconds,
            error,
            attempts: decision.attempts,
            excluded: decision.excluded,
            notes: decision.notes,
        }
    }
}

impl TargetReport {
    /// The disks of a placement.
    fn of(placed: &Placed) -> Vec<Self> {
        let (path, facts) = (&placed.path, &placed.facts);
        let report = |path: &Path, bytes: u64, image_name: Option<&String>| Self {
            path: path.to_string_lossy().into_owned(),
            bytes,
            format: facts.format.clone(),
            image_name: image_name.cloned(),
        };
        if facts.disks.is_empty() {
            return vec![report(path, facts.bytes, None)];
        }
        facts.disks.iter().map(|disk| report(&path.join(&disk.file), disk.bytes, disk.image_name.as_ref())).collect()
    }
}

/// A placement, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlacementReport {
    /// The ledger's number.
    pub(crate) id: i64,
    /// Its absolute path. Bytes that are not UTF-8 are replaced.
    pub(crate) path: String,
    /// Where in its life it is.
    pub(crate) state: State,
    /// The inode's number.
    pub(crate) inode: u64,
    /// When it was placed, in UTC (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub(crate) at: String,
    /// What was placed.
    pub(crate) placed: Facts,
    /// Whether what was placed stands there still, and all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stands: Option<bool>,
    /// What is missing of it; absent where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) damage: Option<String>,
}

impl PlacementReport {
    /// A placement with how it is now.
    pub(crate) fn as_it_is(placement: &Placement, ledger: &Ledger) -> Self {
        let damage = ledger.damage(placement).map(|damage| redact::printable(&damage));
        Self { stands: Some(damage.is_none()), damage, ..Self::from(placement) }
    }
}

impl From<&Placement> for PlacementReport {
    fn from(placement: &Placement) -> Self {
        Self {
            id: placement.id,
            path: placement.path.to_string_lossy().into_owned(),
            state: placement.state,
            inode: placement.identity.inode,
            at: moment(placement.at),
            placed: placement.facts.clone(),
            stands: None,
            damage: None,
        }
    }
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HistoryReport {
    /// Its number, rising.
    pub(crate) id: i64,
    /// When, in UTC (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub(crate) at: String,
    /// What was done.
    #[schemars(extend("enum" = ["place", "remove", "move"]))]
    pub(crate) deed: String,
    /// Whether it was done.
    pub(crate) ok: bool,
    /// The target.
    pub(crate) path: String,
    /// An object: of a placement, `decision` and either `placed` or `error`, and `inputs`, what the decision was made of, without secrets; of a removal or a move `placement`, the ledger's
    /// number, `placed`, and of a move `from` and `to`.
    #[schemars(extend("type" = "object"))]
    pub(crate) record: serde_json::Value,
}

impl From<&HistoryEntry> for HistoryReport {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            id: entry.id,
            at: moment(entry.at),
            deed: entry.deed.clone(),
            ok: entry.ok,
            path: entry.path.to_string_lossy().into_owned(),
            record: entry.record.clone(),
        }
    }
}

/// A moment of the ledger, in milliseconds since 1970, in UTC, as RFC 3339 writes it.
pub(crate) fn moment(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        assert_committed("place", &schemars::schema_for!(Report));
        assert_committed("plan", &schemars::schema_for!(PlanReport));
    }

    fn assert_committed(name: &str, schema: &schemars::Schema) {
        let path = format!("{}/../docs/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let schema = serde_json::to_string_pretty(schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == schema, "{path} is not up to date; UPDATE_GOLDEN=1 writes it");
    }

    #[test]
    fn a_failure_is_told_in_full() {
        let error = Error::new(ErrorKind::NoSpace, "space-short", "no room\n");
        let report = Report::new(Decision::default(), Err(&error), 0.5);
        let document = serde_json::to_value(&report).unwrap();
        assert_eq!(document["ok"], false);
        assert_eq!(document["error"]["kind"], "no-space");
        assert_eq!(document["error"]["scope"], "node");
        assert_eq!(document["error"]["message"], "no room\\u{a}");
        assert_eq!(serde_json::from_value::<Report>(document).unwrap(), report);
    }
}
