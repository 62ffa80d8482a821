//! Glance as a catalog, and as the last resort for bytes.
//!
//! The handler opens two things. Without a location: the data of the request's image, as one stream from Glance itself. With a
//! location `glance://CATALOG/IMAGE`, which only the host writes: the image's record, as JSON, with the best list of locations that
//! the logins get to see. The image is asked for with the login that decides what may be placed; only then are locations.
//!
//! Source of the questions and answers: OpenStack's Image API v2, with `GET /v2/images/{id}/locations` of its version 2.17.

mod catalog;
mod data;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod images;
mod record;
mod refusal;
#[cfg(test)]
mod test_server;

pub use handler::GlanceHandler;
