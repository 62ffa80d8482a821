//! Records of a Glance: asked for through the handler `glance`, which knows how to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Location, Request, Result, Scope};

use crate::cancel::Cancel;
use crate::cloud::Logins;
use crate::plugin::{ByteSink, CallContext, Handler, STALLED};
use crate::route::TLS_ROOTS;
use crate::trusted;

/// The handler that is asked.
const HANDLER: &str = "glance";
/// How often it is asked again when it cannot answer for now, and how long that is waited for, at first and at most.
const AGAIN: u32 = 2;
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(5);
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
    /// As [`Asking::record`], asked again where nobody answers for now: many nodes ask at once.
    pub(super) fn patient_record(&self, catalog: &str, id: &str) -> Result<Vec<u8>> {
        let mut pause = PAUSE;
        for _ in 0..AGAIN {
            let error = match self.record(catalog, id) {
                Err(error) if error.kind() == ErrorKind::Unavailable && error.code() != STALLED => error,
                outcome => return outcome,
            };
            let wanted = error.retry_after().unwrap_or_default().max(pause);
            if wanted > PAUSE_MOST {
                return Err(error);
            }
            self.cancel.wait_out(wanted)?;
            pause = pause.saturating_mul(2);
        }
        self.record(catalog, id)
    }

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
