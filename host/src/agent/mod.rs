//! `landfall agent`: the service that boot code calls, HTTP/1.1 and JSON on a Unix socket.
//!
//! ```text
//! connection -> routes -> core: jobs -> hands: admit -> flights -> movers: land -> hands: deliver
//!    caller       request     bounds     rights, catalog, target   one movement          a disk for each
//! ```
//!
//! A call becomes a job (`job.rs`). A hand finds out whether its caller may have the image and the target (`admit.rs`); only
//! then is looked at whether somebody moves those bytes already (`flight.rs`). A mover moves them, verified, into a stage that is
//! the agent's own (`anchor.rs`); from that, hands make each caller's disk and publish it (`work.rs`).

mod admit;
mod anchor;
mod answer;
mod body;
mod borrow;
mod caller;
mod cancel;
mod connection;
mod core;
mod errand;
mod events;
mod flight;
mod job;
mod jobs;
mod logs;
mod metrics;
mod openapi;
mod patience;
mod placements;
mod queue;
mod reload;
mod request;
mod rights;
mod routes;
mod scrubbing;
mod service;
mod setup;
mod slots;
mod socket;
mod spectator;
mod work;

pub(crate) use answer::JobDocument;
pub(crate) use request::{AccessRequest, FormRequest, ImageRequest, MoveRequest, PlaceRequest, RemoveRequest};
pub(crate) use routes::PREFIX;
pub(crate) use service::run;
