//! Tar archives, strictly: what two readers would read differently is refused.

mod archive;
mod header;
mod pax;

pub(crate) use archive::{Archive, HEADERS_MAX, Member, truncated};
