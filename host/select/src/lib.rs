//! The selection function: orders an image's locations for a node, and says why.
//!
//! Nothing here reads a file, a clock, the network or the environment, and nothing panics: the same
//! input always gives the same [`Selection`]. So an agent, boot code or an image service can share it.
//!
//! * A [`Location`] is one stored copy, borrowed from whatever record type the caller has.
//! * A [`Strategy`] is a list of criteria. The first matters most; each next one decides the ties that
//!   the ones before it left. What ties to the end stays in the record's order.
//! * A [`Criterion`] gives each location a [`Ranking`]: a key (lower first, none last), whether to keep
//!   it, and a reason. One piece of code sorts by them, whoever computed them.
//! * A [`Selection`] is the decision record: every location is in `order` or in `excluded`, once, with
//!   a reason.
//!
//! # Which locations are used
//!
//! Only those whose status is `active`. An absent or null status counts as `active`, because Glance
//! strips it from what it shows. Any other status excludes the location.
//!
//! What a location's status may become is [`LocationStatus::may_become`]; the status of the image follows from those of its
//! locations by [`ImageStatus::of`].
//!
//! # What a decision record never holds
//!
//! URLs may carry secrets, so locations are named by their index in the record. Text that comes from
//! the record or from an [`External`] criterion is made one line without control characters, cut to
//! [`MAX_REASON`], and loses everything from the first word with `://` in it.
//!
//! # Recipe
//!
//! ```
//! use landfall_select::{Location, Node, Strategy, select};
//! use serde_json::json;
//!
//! let far = json!({"weight": 1, "node-weights": {"novahost1": 1, "novahost2": 9}});
//! let near = json!({"weight": 2});
//! let locations = [
//!     Location { url: "swift+https://far/images/a", metrics: Some(&far), ..Location::default() },
//!     Location { url: "file:///images/a", metrics: Some(&near), ..Location::default() },
//! ];
//!
//! let selection = select(&locations, &Node { name: "novahost1" }, &Strategy::default());
//! let order: Vec<usize> = selection.order.iter().map(|place| place.location).collect();
//! assert_eq!(order, [1, 0]);
//! assert_eq!(selection.order[0].keys[0].reason, "weight 2 (metrics.weight)");
//! assert_eq!(selection.order[1].keys[0].reason, "weight 1 (metrics.node-weights.novahost1)");
//!
//! // Written down as JSON, the selection explains itself later.
//! let record = serde_json::to_string(&selection)?;
//! assert_eq!(serde_json::from_str::<landfall_select::Selection>(&record)?, selection);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! A preference for store types, as a configuration writes it:
//!
//! ```
//! use landfall_select::Strategy;
//!
//! let strategy: Strategy =
//!     serde_json::from_str(r#"[{ "store-type": ["file", "swift"] }, "weight"]"#)?;
//! assert_eq!(strategy.to_string(), "store-type [file, swift], weight");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! To add a criterion of one's own, rank the locations elsewhere and give the result to
//! [`select_with`]; see [`External`].

#![forbid(unsafe_code)]

mod criterion;
mod error;
mod image_status;
mod location;
mod node;
mod ranking;
mod reason;
mod select;
mod selection;
mod status;
mod store;
mod store_type;
mod strategy;
mod weight;

pub use criterion::{Criterion, MAX_EXTERNAL_NAME};
pub use error::{StatusError, StrategyError};
pub use image_status::{ImageStatus, Overlay};
pub use location::Location;
pub use node::Node;
pub use ranking::{External, Ranking};
pub use reason::MAX_REASON;
pub use select::{select, select_with};
pub use selection::{Excluded, Key, Note, Place, Selection};
pub use status::LocationStatus;
pub use store_type::StoreType;
pub use strategy::Strategy;
pub use weight::MAX_ENCODED;
