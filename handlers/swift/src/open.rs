//! From an object's name to a source of its bytes.

use std::sync::Arc;

use landfall_handler_api::{Result, Source};
use landfall_handler_http::header::{ETAG, HeaderMap};
use landfall_handler_http::{HttpSource, SystemTrust};

use crate::account::Account;
use crate::name::ObjectName;
use crate::segmented::SegmentedSource;
use crate::{dlo, slo};

/// What kind of object it is.
pub(crate) enum Opened {
    /// Read in one piece: a plain object, or a large one whose segments are the proxy's affair.
    Whole(Box<HttpSource>),
    /// Read segment by segment.
    Segmented(Box<SegmentedSource>),
}

impl Opened {
    /// As a source.
    pub(crate) fn boxed(self) -> Box<dyn Source> {
        match self {
            Self::Whole(source) => source,
            Self::Segmented(source) => source,
        }
    }
}

/// Asks for the object's beginning, and for its segments where it has any.
pub(crate) async fn open(account: Account, name: ObjectName, system: &dyn SystemTrust) -> Result<Opened> {
    let opened = HttpSource::open_over(Arc::clone(&account.connections), account.resource(&name), system).await;
    let whole = opened.map_err(|error| account.explain(error))?;
    // A manifest is anybody's who may write to its container, and names what it likes.
    let dynamic =
        whole.head().get("x-object-manifest").map(|manifest| dlo::Prefix::parse(manifest.as_bytes())).transpose()?;
    if let Some(prefix) = &dynamic {
        account.admit(prefix.container())?;
    }
    let Some(size) = whole_size(&whole).filter(|_| account.lists) else { return Ok(Opened::Whole(Box::new(whole))) };
    let head = whole.head();
    let etag = etag_of(head);
    let layout =
        if head.get("x-static-large-object").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
            slo::layout(&account, &name, etag.as_deref(), size, system).await?
        } else if let Some(prefix) = dynamic {
            dlo::layout(&account, &prefix, etag.as_deref(), size, system).await?
        } else {
            None
        };
    Ok(match layout {
        Some(layout) => Opened::Segmented(Box::new(SegmentedSource::new(account, name, whole, layout, size))),
        None => Opened::Whole(Box::new(whole)),
    })
}

/// The size of what can be read in ranges and was not read already.
fn whole_size(whole: &HttpSource) -> Option<u64> {
    whole.size().filter(|&size| whole.ranged() && size > HttpSource::FIRST_BYTES)
}

/// The ETag without the quotes that Swift puts around those of large objects.
fn etag_of(head: &HeaderMap) -> Option<String> {
    let etag = head.get(ETAG)?.to_str().ok()?;
    let bare = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag);
    Some(bare.to_owned())
}

#[cfg(test)]
mod tests;
