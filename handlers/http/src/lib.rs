//! HTTP servers as sources: ranged reads that are checked in every answer, and the client that other network handlers
//! build on.
//!
//! A location is opened by asking for its first MiB. What that answer says, the size, the version, whether ranges work, is
//! held against every later answer, and whatever does not fit is an error with a name: nothing is padded, cut off or
//! guessed. Retries, parallel ranges, fail-over and digests are the host's.
//!
//! Where a record may lead is bounded: names are resolved once for a source, and addresses that only this machine can
//! reach are refused unless the operator or the calling person named them, in URLs and in redirects alike. Nothing here
//! reads the environment or opens a file.

mod address;
mod answer;
mod body;
mod chain;
mod client;
mod config;
mod connections;
mod content_range;
mod elsewhere;
mod exchange;
mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod login;
mod names;
mod redirect;
mod resource;
mod retry_after;
mod source;
mod status;
#[cfg(test)]
mod test_certificates;
#[cfg(test)]
mod test_server;
mod tls;
mod version;

pub use body::Room;
pub use client::Client;
pub use config::Config;
pub use connections::Connections;
pub use elsewhere::refuse_elsewhere;
pub use exchange::{Exchange, Reply};
pub use handler::HttpHandler;
pub use login::Login;
pub use resource::Resource;
pub use source::HttpSource;
pub use status::refused;
pub use tls::SystemTrust;

/// URLs, headers and the like, as they stand in [`Resource`] and [`Exchange`].
pub use reqwest::{Method, StatusCode, Url, header};
