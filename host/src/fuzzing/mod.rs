//! What the fuzz targets of `tests/fuzz` call: the parsers of what others write, and a whole placement with handlers
//! that are linked in. Behind the feature `fuzzing`, which no release has.

mod importer;
mod parsers;

pub use importer::{Importer, Linked};
pub use parsers::{cloud, environment, journal, record, redacted, report};
