//! Counters for Prometheus, in the OpenMetrics text format.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::decision::{Decision, TriedAttempt};
use crate::engine::Moved;
use crate::report::Report;

/// What Prometheus is told that the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    /// `ok`, or the kind of the error.
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    /// `move`: from the plan to verified bytes; `publish`: until the disk has its name; `whole`: of a call.
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    /// The handlers, in the order of the chain.
    handler: String,
    /// The store's id; empty for a location outside of all.
    store: String,
    /// `ok`, or the kind of the error.
    outcome: String,
}

/// The state of the agent when it is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    /// Calls under way.
    pub(crate) jobs: u32,
    /// Movements that wait for their turn.
    pub(crate) movements_waiting: usize,
    /// Short tasks that wait.
    pub(crate) tasks_waiting: usize,
    /// Slots of workers that are taken.
    pub(crate) workers: u32,
    /// Open connections.
    pub(crate) connections: u32,
    /// Images that are held for others.
    pub(crate) held: usize,
    /// Their bytes.
    pub(crate) held_bytes: u64,
}

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    jobs: Family<OutcomeLabel, Counter>,
    joined: Counter,
    moved: Family<MethodLabel, Counter>,
    saved: Counter,
    seconds: Family<StageLabel, Histogram, fn() -> Histogram>,
    attempts: Family<AttemptLabel, Counter>,
    refused: Counter,
    gauges: [Gauge<u64, AtomicU64>; 7],
}

fn seconds() -> Histogram {
    // From a millisecond to an hour and more.
    Histogram::new(exponential_buckets(0.001, 4.0, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("landfall");
        let jobs = Family::default();
        registry.register("jobs", "Calls to place something that are over", jobs.clone());
        let joined = Counter::default();
        registry.register("jobs_joined", "Calls that were served by what others had asked for", joined.clone());
        let moved = Family::default();
        registry.register_with_unit("moved", "Stored bytes that were moved", Unit::Bytes, moved.clone());
        let saved = Counter::default();
        registry.register_with_unit(
            "saved",
            "Bytes of disks that nobody had to move again",
            Unit::Bytes,
            saved.clone(),
        );
        let seconds_of: Family<StageLabel, Histogram, fn() -> Histogram> = Family::new_with_constructor(seconds);
        registry.register_with_unit("stage", "Time that stages of a call took", Unit::Seconds, seconds_of.clone());
        let attempts = Family::default();
        registry.register("attempts", "Attempts to get an image's bytes", attempts.clone());
        let refused = Counter::default();
        registry.register("refused", "Calls and connections that there was no room for", refused.clone());
        let names = [
            ("jobs_running", "Calls under way"),
            ("movements_waiting", "Movements of bytes that wait for their turn"),
            ("tasks_waiting", "Short tasks that wait for a thread"),
            ("workers", "Slots of worker processes that are taken"),
            ("connections", "Open connections"),
            ("held_images", "Images whose verified bytes are held for others"),
            ("held_bytes", "Bytes of those"),
        ];
        let gauges = names.map(|(name, help)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        Self { registry, jobs, joined, moved, saved, seconds: seconds_of, attempts, refused, gauges }
    }
}

impl Metrics {
    /// A call was served by what another one had asked for.
    pub(crate) fn joined(&self) {
        self.joined.inc();
    }

    /// Bytes were moved, verified, in so much time.
    pub(crate) fn moved(&self, moved: &Moved, took: Duration) {
        let label = MethodLabel { method: moved.method.name().to_owned() };
        self.moved.get_or_create(&label).inc_by(moved.stored_bytes());
        self.seconds.get_or_create(&StageLabel { stage: "move" }).observe(took.as_secs_f64());
    }

    /// Disks of so many bytes were made `times` without moving their bytes again.
    pub(crate) fn saved(&self, bytes: u64, times: usize) {
        self.saved.inc_by(bytes.saturating_mul(u64::try_from(times).unwrap_or(u64::MAX)));
    }

    /// Disks got their names, or did not, in so much time.
    pub(crate) fn delivered(&self, took: Duration) {
        self.seconds.get_or_create(&StageLabel { stage: "publish" }).observe(took.as_secs_f64());
    }

    /// A call or connection was refused for want of room.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// A call is over.
    pub(crate) fn ended(&self, report: &Report) {
        let outcome = report.error.as_ref().map_or("ok", |error| error.kind.name()).to_owned();
        self.jobs.get_or_create(&OutcomeLabel { outcome }).inc();
        self.seconds.get_or_create(&StageLabel { stage: "whole" }).observe(report.seconds);
    }

    /// Attempts were made.
    pub(crate) fn attempts(&self, decision: &Decision) {
        for attempt in &decision.attempts {
            let label = AttemptLabel {
                handler: attempt.handlers.join(" "),
                store: store_of(decision, attempt),
                outcome: attempt.kind.map_or("ok", |kind| kind.name()).to_owned(),
            };
            self.attempts.get_or_create(&label).inc();
        }
    }

    /// The text, with the state that there is now.
    pub(crate) fn text(&self, now: Gauges) -> String {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let values = [
            u64::from(now.jobs),
            count(now.movements_waiting),
            count(now.tasks_waiting),
            u64::from(now.workers),
            u64::from(now.connections),
            count(now.held),
            now.held_bytes,
        ];
        for (gauge, value) in self.gauges.iter().zip(values) {
            gauge.set(value);
        }
        let mut text = String::new();
        // A string takes all that is written to it.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// The store that an attempt was planned from.
fn store_of(decision: &Decision, attempt: &TriedAttempt) -> String {
    let is_it = |planned: &&crate::decision::PlannedAttempt| {
        planned.handlers == attempt.handlers && planned.locations.first() == attempt.locations.first()
    };
    decision.planned.iter().find(is_it).and_then(|planned| planned.store.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted() {
        let metrics = Metrics::default();
        metrics.joined();
        metrics.saved(10, 3);
        metrics.delivered(Duration::from_millis(5));
        let text = metrics.text(Gauges { jobs: 7, ..Gauges::default() });
        for line in ["landfall_jobs_joined_total 1", "landfall_saved_bytes_total 30", "landfall_jobs_running 7"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
