//! Objects of a Swift store as sources: plain ones, static large objects (SLO) and dynamic ones (DLO).
//!
//! A location says where an object is and, sometimes, who may read it: `url` has its forms, which are those that
//! Glance writes. `access` finds out as whom this node reads it: with the location's credentials, with the
//! operator's, with a signature, or as nobody. A plain object is read as any HTTP resource. Of a large object the
//! segments are read straight, each held to the size and hash that the manifest or listing tells, where that is
//! allowed; else the object as the proxy puts it together.
//!
//! Sources of the rules: `glance_store/_drivers/swift/store.py` for locations, Swift's middleware `slo`, `dlo` and
//! `tempurl`.

mod access;
mod account;
mod base64;
mod cloud;
mod config;
mod delete;
mod dlo;
mod entries;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod name;
mod open;
mod percent;
mod segment;
mod segmented;
mod slo;
mod store_config;
mod temp_url;
#[cfg(test)]
mod test_server;
mod url;

pub use config::Config;
pub use handler::SwiftHandler;
