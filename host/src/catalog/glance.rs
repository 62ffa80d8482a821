//! Records of a Glance: asked for through the handler `glance`, which knows how to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Location, Request, Result, Scope};

use crate::cancel::Cancel;
use crate::cloud::Logins;
use crate::plugin::{ByteSink, CallContext, Handler};
use crate::route::TLS_ROOTS;
use crate::trusted;

/// The handler that is asked.
const HANDLER: &str = "glance";
/// Asked for at once.
const STEP: usize = 64 << 10;

/// Whom a Glance is asked through, and how much it may answer.
pub(super) struct Asking<'a> {
    pub(super) handlers: &'a [Arc<dyn Handler>],
    pub(super) logins: Logins,
    pub(super) cancel: &'a Cancel,
    pub(super) stall: Duration,
    pub(super) record_bytes: u64,
}

impl Asking<'_> {
    /// The record of the image `id`, its locations among it, as JSON. `catalog` is the catalog's name.
    pub(super) fn record(&self, catalog: &str, id: &str) -> Result<Vec<u8>> {
        let handler = self.handlers.iter().find(|handler| handler.info().id == HANDLER).ok_or_else(|| {
            let message = format!("catalog {catalog} is a Glance, and no handler {HANDLER} is loaded to ask it");
            Error::new(ErrorKind::Unsupported, "no-catalog-handler", message).scoped(Scope::Request)
        })?;
        let mut request = Request::default();
        request.location = Some(Location::from_url(format!("{HANDLER}://{catalog}/{id}")));
        request.named_by_caller = true;
        request.secrets = self.logins.among(&handler.info().logins);
        let logins = self.logins.clone();
        let secrets = Arc::new(move |name: &str| match name {
            TLS_ROOTS => trusted::roots(),
            name => logins.get(name).map(<[u8]>::to_vec),
        });
        let call = CallContext { secrets, ..CallContext::quiet(self.cancel.clone(), self.stall) };
        let source = handler.open(&call, &request)?;
        let text = Arc::new(Mutex::new(Text { bytes: Vec::new(), filled: 0, most: self.record_bytes }));
        source.read(&call.begin()?, 0..u64::MAX, text.clone())?;
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = text.filled;
        text.bytes.truncate(filled);
        Ok(std::mem::take(&mut text.bytes))
    }
}

/// A record in memory; one byte more than is allowed, so that too long a one is told.
struct Text {
    bytes: Vec<u8>,
    filled: usize,
    most: u64,
}

impl ByteSink for Text {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        let most = usize::try_from(self.most.saturating_add(1)).unwrap_or(usize::MAX);
        if self.filled >= most {
            let message = format!("the record has more than {} bytes", self.most);
            return Err(Error::new(ErrorKind::Limit, "record-bytes", message).scoped(Scope::Request));
        }
        let end = self.filled.saturating_add(want.clamp(1, STEP)).min(most);
        self.bytes.resize(end, 0);
        Ok(self.bytes.get_mut(self.filled..end).unwrap_or_default())
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.filled = self.filled.saturating_add(filled).min(self.bytes.len());
        Ok(())
    }
}
