//! Shows those who wait how a movement goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::Error;

use super::core::Core;
use super::flight::Flight;
use super::job::{Job, Progress};
use crate::decision::locations;
use crate::plugin;
use crate::progress::Watch;
use crate::rate::Rate;
use crate::route::Attempt;

/// How often bytes are told.
const PERIOD: Duration = Duration::from_millis(100);

/// Those who are shown something.
type Audience = Arc<dyn Fn(&dyn Fn(&mut Progress)) + Send + Sync>;

/// Shows a movement to whoever waits for it at the time.
pub(crate) struct Spectator {
    audience: Audience,
}

impl Spectator {
    /// For all who wait for a flight.
    pub(crate) fn of_flight(core: &Arc<Core>, flight: &Flight) -> Self {
        let (core, key, number) = (Arc::clone(core), flight.key.clone(), flight.number);
        Self {
            audience: Arc::new(move |change| {
                for ticket in core.flights.waiting(&key, number) {
                    ticket.job.progress(|progress| change(progress));
                }
            }),
        }
    }

    /// For one job.
    pub(crate) fn of_job(job: &Arc<Job>) -> Self {
        let job = Arc::clone(job);
        Self { audience: Arc::new(move |change| job.progress(|progress| change(progress))) }
    }
}

impl Watch for Spectator {
    fn attempt(&self, number: usize, of: usize, attempt: &Attempt) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        (self.audience)(&|progress| {
            progress.attempt = count(number).saturating_add(1);
            progress.of = count(of);
            progress.handlers = attempt.handlers().into_iter().map(str::to_owned).collect();
            progress.locations = locations(attempt);
            (progress.bytes, progress.total, progress.rate, progress.eta) = (0, None, None, None);
        });
    }

    fn failed(&self, _: &Attempt, error: &Error) {
        (self.audience)(&|progress| progress.failed(error));
    }

    fn bytes(&self) -> plugin::Progress {
        let audience = Arc::clone(&self.audience);
        let (began, next, rate) = (Instant::now(), AtomicU64::new(0), Mutex::new(Rate::default()));
        Arc::new(move |done, total| {
            let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let due = next.load(Ordering::Relaxed);
            let step = u64::try_from(PERIOD.as_millis()).unwrap_or(u64::MAX);
            let is_mine =
                || next.compare_exchange(due, now.saturating_add(step), Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if (now < due && total != Some(done)) || !is_mine() {
                return;
            }
            let (speed, eta) = {
                let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
                rate.note(Instant::now(), done);
                (rate.per_second(), total.and_then(|total| rate.seconds_left(total)))
            };
            audience(&|progress| {
                (progress.bytes, progress.total, progress.rate, progress.eta) = (done, total, speed, eta);
            });
        })
    }
}
