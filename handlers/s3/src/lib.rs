//! Objects of an S3 store as sources.
//!
//! A location says where an object is and, mostly, who may read it: `url` has its forms, which are those that Glance
//! writes. `access` finds out as whom this node reads it: with the location's credentials, with the operator's, or as
//! nobody. `object` makes the URL to ask of it, and `signature` signs each request in its query, so that ranges and
//! conditions are free to vary and a signature never expires in the middle of a download. The rest is HTTP: objects
//! that were uploaded in parts are read like others.
//!
//! Sources of the rules: `glance_store/_drivers/s3.py` for locations, Amazon's "Authenticating Requests: Using Query
//! Parameters (AWS Signature Version 4)" for signatures.

mod access;
mod config;
mod delete;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod object;
mod open;
mod signature;
#[cfg(test)]
mod test_server;
mod url;

pub use config::Config;
pub use handler::S3Handler;
