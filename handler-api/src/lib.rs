//! What an image-handler plugin for Landfall depends on.
//!
//! A plugin is a `cdylib` with one or more types that implement [`ImageHandler`], and one [`export!`]:
//!
//! ```
//! use landfall_handler_api::{Call, HandlerInfo, HandlerKind, ImageHandler, NoConfig, Request, Result};
//! use landfall_handler_api::{Sink, Source, async_trait};
//! use std::ops::Range;
//!
//! struct Zeros;
//!
//! #[async_trait]
//! impl ImageHandler for Zeros {
//!     type Config = NoConfig;
//!
//!     fn info() -> HandlerInfo {
//!         HandlerInfo::new("zeros").kinds(&[HandlerKind::Source]).schemes(&["zeros"])
//!     }
//!
//!     fn new(_: NoConfig) -> Result<Self> {
//!         Ok(Zeros)
//!     }
//!
//!     async fn open(&self, _: &Call, _: &Request) -> Result<Box<dyn Source>> {
//!         Ok(Box::new(Zeros))
//!     }
//! }
//!
//! #[async_trait]
//! impl Source for Zeros {
//!     fn size(&self) -> Option<u64> {
//!         Some(512)
//!     }
//!
//!     async fn read(&self, _: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
//!         let end = range.end.min(512).max(range.start);
//!         sink.write_all(&vec![0; (end - range.start) as usize])
//!     }
//! }
//!
//! landfall_handler_api::export! { name: "zeros", handlers: [Zeros] }
//! # fn main() {}
//! ```
//!
//! Everything about the C ABI is behind `export!`; `docs/writing-a-handler.md` tells the rest, `include/imgh.h` is the
//! contract itself, for authors who write in another language.

pub mod abi;
mod call;
mod cloud;
pub mod crossing;
mod error;
pub mod export;
mod guard;
mod handler;
mod input;
mod logging;
mod output;
mod record;
mod request;
mod runtime;
mod secret;
mod slots;
mod source;

pub use async_trait::async_trait;

pub use call::{Call, Level};
pub use cloud::{Cloud, CloudLogin, CloudScope, CloudUser};
pub use error::{Error, ErrorKind, Result, Scope};
pub use handler::{ImageHandler, NoConfig};
pub use input::{Input, InputReader};
pub use output::Output;
pub use record::{ImageRecord, Location};
pub use request::{
    HandlerInfo, HandlerKind, HandlerStatus, Limits, OutputMeta, PlacementEvent, Probe, Ranked, Request, SelectRequest,
    StoreRef,
};
pub use secret::Secret;
pub use source::{Sink, Source};

/// Compiles the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/writing-a-handler.md")]
struct Guide;
