//! The locations of one image's bytes, one after the other.

use std::sync::Arc;

use landfall_handler_api::{Error, Request, Result};

use crate::plugin::{CallContext, Handler};

/// A location of the bytes, and the handler that opens it.
#[derive(Clone)]
pub(crate) struct Origin {
    /// Who opens it.
    pub(crate) handler: Arc<dyn Handler>,
    /// What it is asked.
    pub(crate) request: Request,
    /// Cancellation, progress, and this location's secrets.
    pub(crate) call: CallContext,
    /// Tells it from the others: handler and location.
    pub(crate) key: String,
    /// The location, redacted; or the handler's id, for one that needs no location.
    pub(crate) name: String,
    /// Scheme, host and port, or the store's id where there is no host: what connections are counted by.
    pub(crate) connects_to: String,
}

/// Where the engine turns when an origin fails in the middle, and what it tells of origins. Called from the placement's
/// thread.
pub(crate) trait Supply {
    /// Whether there is another origin of the same bytes to go on with.
    fn has_other(&self) -> bool;

    /// Others to be read at the same time as the origin at hand, at most so many: their stores want that, and they have the
    /// same bytes.
    fn companions(&mut self, most: usize) -> Vec<Origin> {
        let _ = most;
        Vec::new()
    }

    /// One of several origins that were read at the same time failed with `error`, after `bytes` of its bytes had arrived;
    /// the others go on.
    fn dropped(&mut self, origin: &Origin, error: Error, bytes: u64) {
        let _ = (origin, error, bytes);
    }

    /// The origin at hand failed with `error` after `bytes` of its bytes had arrived. Gives the next one of the same bytes,
    /// or the error that ends the attempt. `later`: the failed one may be tried again after the others.
    fn next(&mut self, error: Error, bytes: u64, later: bool) -> Result<Origin>;

    /// Why the origin at hand is to be left, where it has `left` bytes to go at so many a second and another one would be faster.
    /// Asked now and then while it is read alone.
    fn slower_than_another(&mut self, left: u64, rate: f64) -> Option<Error> {
        let _ = (left, rate);
        None
    }

    /// The failure that is about to be told is that of the filter or unpacker `handler`.
    fn shaper_failed(&mut self, handler: &str);

    /// The bytes of the origin of this name are not the image's; the other origins' are.
    fn lied(&mut self, name: &str, message: &str);
}
