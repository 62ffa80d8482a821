//! File stores: maps a location to the store that the operator configured, and opens it safely.
//!
//! `file:///var/lib/glance/images/ID` is a path on the store's own host. The request says which store it belongs to on this
//! node; the path must lie beneath that store's root, and what remains of it is opened beneath the store's mountpoint. What
//! then happens with the descriptor (a clone, a link, a copy) is the host's business.

mod config;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod open;
mod url;

use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, HandlerStatus, ImageHandler, Probe, Request, Result, Source,
    StoreRef, async_trait,
};

pub use config::Config;

/// The file handler.
#[derive(Debug)]
pub struct FileHandler;

#[async_trait]
impl ImageHandler for FileHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("file")
            .description("files of a mounted store, cloned or copied without leaving the kernel")
            .kinds(&[HandlerKind::Source])
            .schemes(&["file", "filesystem"])
            .deletes()
    }

    fn new(_: Config) -> Result<Self> {
        Ok(Self)
    }

    /// Says no to other schemes only: what is wrong with a path is better told by the typed error of `open`.
    fn probe(&self, request: &Request) -> Probe {
        match &request.location {
            None => Probe::no("the request has no location"),
            Some(location) if !["file", "filesystem"].contains(&location.scheme().as_str()) => {
                Probe::no("the location is neither a file:// or filesystem:// URL nor a path")
            }
            Some(_) => Probe::yes(),
        }
    }

    async fn open(&self, _: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let (store, path) = place(request)?;
        Ok(Box::new(open::open_in(store, path)?))
    }

    async fn delete_stored(&self, _: &Call, request: &Request) -> Result<()> {
        let (store, path) = place(request)?;
        open::delete_in(store, path)
    }

    async fn status(&self, _: &Call) -> Result<HandlerStatus> {
        open::status()
    }
}

/// The store that the request's location lies in, and its path.
fn place(request: &Request) -> Result<(&StoreRef, &str)> {
    let Some(location) = &request.location else {
        return Err(Error::new(ErrorKind::Invalid, "no-location", "the request has no location"));
    };
    let path = url::path_of(&location.url)?;
    match &request.store {
        Some(store) => Ok((store, path)),
        None => {
            let message = format!("{path} belongs to no store that is configured on this node");
            Err(Error::new(ErrorKind::Denied, "outside-stores", message))
        }
    }
}
