//! Places VM images on a compute node by their direct locations.
//!
//! `place.rs` is the straight way of a request; each of its steps is a module of its own here.

mod advice;
mod agent;

mod cancel;
mod catalog;
pub mod cli;
mod cloud;
mod complaint;
pub mod config;
mod decision;
mod digest;
mod disk;
mod disks;
mod engine;
mod faults;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
mod identity;
mod inputs;
mod ledger;
mod loading;
mod measured;
mod place;
mod plugin;
mod progress;
mod publish;
mod rate;
mod redact;
mod removal;
mod report;
mod route;
mod scrub;
mod selection;
mod shaping;
mod signals;
mod stage;
mod store;
mod stored;
mod stored_form;
mod target;
mod trials;
mod trusted;
mod verify;
mod warnings;
mod worker;
