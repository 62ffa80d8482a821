//! Attribute-based selection: an operator's rules, in CEL (the Common Expression Language, github.com/google/cel-spec).
//!
//! A [`Rule`] denies, prefers or scores a location by what is known of `node`, `image`, `location` and `request`. It is checked
//! when it is read: text that speaks of an attribute that there is not is a [`RuleError`] with its place, and so is what would give
//! neither truth nor a number. What rules may do is bounded: 4 KiB of text, 64 levels, 512 parts, no loops and no regular
//! expressions, so that the time of one is bounded by its size.
//!
//! [`rank`] gives what the criterion `rules` of `landfall-select` takes. Nothing here reads a file, a clock or the network.
//!
//! ```
//! use landfall_rules::{Effect, Facts, Rule, rank};
//! use serde_json::json;
//!
//! let labels = ["site".to_owned()];
//! let rules = [
//!     Rule::new("edge", Effect::Deny, "node.labels.site == 'edge' && location.store == 'central'", &labels)?,
//!     Rule::new("near", Effect::Prefer, "location.url.host.endsWith('.' + node.labels.site)", &labels)?,
//! ];
//! let facts = Facts {
//!     node: json!({ "labels": { "site": "edge" } }),
//!     locations: vec![
//!         json!({ "store": "central", "url": { "host": "swift.edge" } }),
//!         json!({ "store": "far", "url": { "host": "swift.hub" } }),
//!         json!({ "store": "near", "url": { "host": "swift.edge" } }),
//!     ],
//!     ..Facts::default()
//! };
//! let rankings = rank(&rules, &facts);
//! assert_eq!(rankings.iter().map(|ranking| ranking.keep).collect::<Vec<_>>(), [false, true, true]);
//! assert_eq!(rankings[2].reason, "preferred by near");
//! # Ok::<(), landfall_rules::RuleError>(())
//! ```

mod compile;
mod error;
mod facts;
mod rule;
mod schema;

pub use compile::EXPRESSION_MAX;
pub use error::RuleError;
pub use facts::Facts;
pub use rule::{Effect, PREFERENCE, RULES_MAX, Rule, rank};
