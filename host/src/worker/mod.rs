//! Handlers in processes of their own: what crashes, hangs or lies there is one failed attempt.
//!
//! ```text
//! agent                                                worker: this binary, `landfall worker`
//! handler.rs  WorkerHandler, WorkerSource              serve.rs    loads the plugin, runs its operations
//! process.rs  starts, stops; watcher.rs    <- wire ->  confine.rs  gives up what it does not need
//! mailbox.rs  what arrives for an operation <= ring => remote.rs   outputs and inputs that the agent holds
//! ```
//!
//! A worker serves one job and dies with it; there is no pool, in which one tenant's image could leave something for the
//! next. Control messages (`message.rs`) and descriptors go over a socket (`wire.rs`), bytes through shared memory
//! (`ring.rs`) that never joins two workers.

mod confine;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod handler;
mod mailbox;
mod message;
mod orphans;
mod process;
mod remote;
mod ring;
mod serve;
#[cfg(test)]
mod tests;
mod watcher;
mod wire;

pub(crate) use confine::{hide_memory, keep_heap_small, lower};
#[cfg(feature = "fuzzing")]
pub(crate) use fuzzing::receive_report;
pub(crate) use handler::{WorkerHandler, WorkerSettings};
pub(crate) use orphans::{forget, spawn};
pub(crate) use serve::worker_main;
