//! Keeps one origin's lanes running for as long as there is something for them to do.

use std::sync::Arc;
use std::time::Duration;

use landfall_handler_api::{Error, Scope};

use super::board::Board;
use super::lane::Lane;
use super::supply::Origin;
use crate::cancel::Cancel;
use crate::plugin::OpenedSource;

/// How often it looks at its lanes.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// One opened origin of a fetch.
pub(super) struct Crew<'a> {
    pub(super) board: &'a Arc<Board>,
    /// The team on the board.
    pub(super) team: usize,
    pub(super) origin: &'a Origin,
    /// The origin's number on the board.
    pub(super) number: u32,
    pub(super) source: &'a dyn OpenedSource,
    /// Of the lanes of this origin.
    pub(super) cancel: &'a Cancel,
    /// Whether the source is read from its start alone.
    pub(super) whole: bool,
}

impl Crew<'_> {
    /// Returns when its last lane has ended and there is nothing left for another.
    pub(super) fn run(&self) {
        std::thread::scope(|scope| {
            let mut first = true;
            loop {
                for _ in 0..self.board.more_lanes(self.team) {
                    let lane = Lane::new(self, std::mem::take(&mut first));
                    let spawned =
                        std::thread::Builder::new().name("lane".into()).spawn_scoped(scope, move || lane.run());
                    if let Err(error) = spawned {
                        self.board.stop_all(Error::os(&error, "start a thread").scoped(Scope::Node));
                        self.board.lane_ended(self.team, false);
                    }
                }
                self.board.judge(self.team);
                if !self.board.wait(self.team, TICK) {
                    break;
                }
            }
        });
    }
}
