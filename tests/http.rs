//! Images from HTTP servers that break, hang, redirect and lie: exact bytes or a named error, and nothing left behind.

mod addresses;
mod connections;
mod lies;
mod outcome;
mod schedules;
mod server;
mod whole;

use crate::support::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    let all =
        [server::cases(), lies::cases(), whole::cases(), addresses::cases(), connections::cases(), schedules::cases()];
    all.into_iter().flatten().collect()
}
