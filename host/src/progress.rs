//! How a placement is watched.

use landfall_handler_api::Error;

use crate::plugin::Progress;
use crate::route::Attempt;

/// Sees a placement as it goes on. Called from the placement's thread, but for the function that [`Watch::bytes`] gives,
/// which any thread may call, often.
pub(crate) trait Watch {
    /// Attempt `number` (from 0) of `of` begins.
    fn attempt(&self, number: usize, of: usize, attempt: &Attempt);

    /// It failed.
    fn failed(&self, attempt: &Attempt, error: &Error);

    /// Takes the bytes that are done, and the total when it is known.
    fn bytes(&self) -> Progress;
}
