//! What fuzz targets call: the grammar of locations, and what servers and operators say of large objects and accounts.

use landfall_handler_api::Result;
use landfall_handler_http::Url;

use crate::dlo::Prefix;
use crate::name::ObjectName;
use crate::segment::Layout;
use crate::url::{AccountUrl, SwiftUrl};
use crate::{base64, dlo, slo, store_config};

/// The object that a URL names, in the account that has the storage URL `account` where it names none of its own.
pub fn location(text: &str, account: &Url) -> Result<Url> {
    let SwiftUrl { account: named, name } = SwiftUrl::parse(text)?;
    Ok(match named {
        AccountUrl::Storage(url) => name.within(&url),
        AccountUrl::Credentials { .. } | AccountUrl::Reference(_) => name.within(account),
    })
}

/// The URL of the object that a static large object's manifest names.
pub fn segment(path: &str, account: &Url) -> Option<Url> {
    ObjectName::parse(path).map(|name| name.within(account))
}

/// For each of `offsets` of a static large object of `size` bytes, where its segment begins and ends; nothing where the
/// manifest does not make the ETag.
pub fn static_layout(manifest: &[u8], etag: Option<&str>, size: u64, offsets: &[u64]) -> Result<Option<Vec<Place>>> {
    Ok(slo::read(manifest, etag, size)?.map(|layout| places(&layout, offsets)))
}

/// The same of a dynamic large object, of its header and one page of its listing.
pub fn dynamic_layout(header: &[u8], page: &[u8], size: u64, offsets: &[u64]) -> Result<Option<Vec<Place>>> {
    let prefix = Prefix::parse(header)?;
    Ok(dlo::read(&prefix, page, size)?.map(|layout| places(&layout, offsets)))
}

/// Where the segment of an offset begins and ends; nothing for an offset behind the end.
pub type Place = Option<(u64, u64)>;

fn places(layout: &Layout, offsets: &[u64]) -> Vec<Place> {
    offsets.iter().map(|offset| layout.at(*offset).map(|(_, within)| (within.start, within.end))).collect()
}

/// How many references an operator's file has.
pub fn references(text: &str) -> Result<usize> {
    store_config::parse(text).map(|references| references.len())
}

/// The bytes that Base64 stands for.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64::decode(text)
}
