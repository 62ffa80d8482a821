//! What whoever called can do about an error: try again, or something else.

use landfall_handler_api::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the same call may succeed later, with nothing changed by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Retry {
    /// It will fail again until something is changed.
    No,
    /// It may succeed.
    Later,
}

/// Whether to try again.
pub(crate) fn retry(error: &Error) -> Retry {
    match error.code() {
        // Somebody wanted it not to be done.
        "cancelled" => return Retry::No,
        "request-slow" => return Retry::Later,
        _ => {}
    }
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::NoSpace | ErrorKind::Io | ErrorKind::Cancelled | ErrorKind::Crashed => {
            Retry::Later
        }
        ErrorKind::Unsupported
        | ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::Denied
        | ErrorKind::Corrupt
        | ErrorKind::Limit
        | ErrorKind::Exists
        | ErrorKind::Unhashed
        | ErrorKind::Internal => Retry::No,
    }
}

/// What to do next; one line.
pub(crate) fn advice(error: &Error) -> &'static str {
    match error.code() {
        "queue-full" | "queue-full-for-caller" | "connections" => "call again after the time that is given",
        "agent-stopping" | "agent-gone" => "call again: the agent is being restarted",
        "target-in-use" => "wait for the call that is under way for this target, or cancel it",
        "cancelled" => {
            "somebody gave it up; call again only if it is wanted after all: what was fetched so far is gone on with"
        }
        "request-slow" => "send the whole request without pause",
        "no-such-job" => "the agent may have been restarted since: call place again, which finds what was placed",
        "placement-damaged" => "remove it, and call again: it is placed anew",
        "no-placement" => "nothing stands there, as after a removal; nothing is left to do",
        "not-a-placement" => "Landfall did not place what stands there, and leaves it alone",
        "image-deactivated" => "have whoever withdrew the image say whether it may be used again",
        "other-file-system" => "place it anew on the other file system, and remove this one",
        "agent-running" => "stop the agent that serves there, or give this one another socket",
        "target-directory" => "make the directory of the target",
        "deadline" => "call again with a later deadline: what was fetched so far is gone on with",
        "no-handler" | "no-attempt" => {
            "see the reasons in `excluded`: a handler, store or catalog may have to be configured"
        }
        _ => of_kind(error.kind()),
    }
}

fn of_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unsupported => "ask for another form, or place it on a node that has a handler for this one",
        ErrorKind::Invalid => "correct the request, or the image's record",
        ErrorKind::NotFound => "check the image's id and its locations",
        ErrorKind::Denied => "call with other rights: another user, token or target",
        ErrorKind::Unavailable => "call again later",
        ErrorKind::Corrupt => "the stored bytes are not the image: have it uploaded again, or remove the bad location",
        ErrorKind::Limit => "have the operator raise the limit that is named, if the image is to be placed here",
        ErrorKind::NoSpace => "free space on the file system, or choose a target on another one, and call again",
        ErrorKind::Io => "see to the node's storage, and call again",
        ErrorKind::Cancelled => "call again: what was fetched so far is gone on with",
        ErrorKind::Exists => "remove what stands at the target, or ask to replace it",
        ErrorKind::Unhashed => "give the image a digest, or allow that it has none",
        ErrorKind::Crashed => "call again: the handler that crashed is left out for this image, for a while",
        ErrorKind::Internal => "report it, with the agent's log: this is a fault of Landfall or of a handler",
    }
}
