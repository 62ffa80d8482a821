//! Bounds: what one request, one worker and the node may take.

use std::time::Duration;

use super::Judge;
use crate::config::Limits;
use crate::config::raw::{RawLimits, RawSize};
use crate::config::tree::At;
use crate::config::units::{self, Size, written_duration};

/// Less than that passes on a busy node without anything being wrong.
const STALL_LEAST: Duration = Duration::from_millis(100);

/// A worker with less cannot even load its plugin.
const WORKER_MEMORY_LEAST: u64 = 64 << 20;

/// The kernel counts in seconds.
const WORKER_CPU_LEAST: Duration = Duration::from_secs(1);

impl Judge<'_> {
    pub(super) fn limits(&mut self, raw: &RawLimits) -> Limits {
        Limits {
            disk_bytes: self.size("disk_bytes", &raw.disk_bytes, 1),
            disks: raw.disks,
            overcommit: raw.overcommit,
            record_bytes: self.size("record_bytes", &raw.record_bytes, 1),
            locations: raw.locations,
            grace: self.time("grace", &raw.grace, Duration::from_millis(1)),
            stall: self.time("stall", &raw.stall, STALL_LEAST),
            least_rate: self.size("least_rate", &raw.least_rate, 1),
            connections: raw.connections,
            connections_per_origin: raw.connections_per_origin,
            bandwidth: raw.bandwidth.as_ref().map(|written| self.size("bandwidth", written, 1)),
            worker_memory: self.size("worker_memory", &raw.worker_memory, WORKER_MEMORY_LEAST),
            worker_cpu: self.time("worker_cpu", &raw.worker_cpu, WORKER_CPU_LEAST),
            resume_bytes: self.size("resume_bytes", &raw.resume_bytes, 1),
            bench: self.time("bench", &raw.bench, Duration::ZERO),
        }
    }

    fn size(&mut self, key: &str, written: &RawSize, least: u64) -> u64 {
        let at = At::top().key("limits").key(key);
        let size = match written {
            RawSize::Bytes(bytes) => Size::of(*bytes),
            RawSize::Text(text) => Size::parse(text),
        };
        let Size(bytes) = size.unwrap_or_else(|error| {
            self.bad_unit(&at, format!("`{key}` is not a size"), error);
            Size(least)
        });
        if bytes < least {
            self.bad(&at, format!("`{key}` is out of range"), format!("less than {}", Size(least)));
        }
        bytes
    }

    fn time(&mut self, key: &str, written: &str, least: Duration) -> Duration {
        let at = At::top().key("limits").key(key);
        let time = units::duration(written).unwrap_or_else(|error| {
            self.bad_unit(&at, format!("`{key}` is not a time"), error);
            least
        });
        if time < least {
            let (message, label) =
                (format!("`{key}` is out of range"), format!("less than {}", written_duration(least)));
            if time.is_zero() {
                self.bad_with_help(&at, message, label, "a limit is never 0");
            } else {
                self.bad(&at, message, label);
            }
        }
        time
    }
}
