//! Step 1: the record's locations in this node's order.

use landfall_handler_api::ImageRecord;
use landfall_select::{Location, Node, Selection};

use crate::config::Config;

/// Orders the record's locations, as the configuration says. Pure.
pub(crate) fn select(record: &ImageRecord, config: &Config) -> Selection {
    let views: Vec<Location<'_>> = record
        .locations
        .iter()
        .map(|location| Location {
            url: &location.url,
            status: location.status.as_ref(),
            metadata: Some(&location.metadata),
            metrics: location.metrics.as_ref(),
        })
        .collect();
    landfall_select::select(&views, &Node { name: &config.node }, &config.selection)
}
