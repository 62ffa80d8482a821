//! Predictions from a node's own measurements. Pure: the same samples and the same moment give the same prediction.
//!
//! A [`Sample`] is what came of one attempt over one way from stored bytes to a disk. From the samples of a way, [`Estimate`]
//! knows its rate, its time to the first byte and how it fails of late, each with how sure that is; the older a sample, the less
//! it says. [`choose`] orders ways by the seconds that each may take for an image of a size, and now and then puts one first of
//! which too little is known, within a [`Credit`] that every placement adds to.

mod choice;
mod credit;
mod estimate;
mod failing;
mod level;
mod sample;

pub use choice::{Choice, GRACE, Way, choose, should_leave};
pub use credit::Credit;
pub use estimate::{Estimate, Prediction, Prior};
pub use sample::Sample;
