//! Scrubs now and then, on a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::cancel::Cancel;
use crate::redact::printable;
use crate::scrub::{Outcome, Scrub};

/// How often it is looked at whether it is time, and whether the agent is being stopped.
const TICK: Duration = Duration::from_secs(1);
/// Locations that are deleted at once, so that the locks of the records are not waited for behind very many.
const MOST: usize = 1_000;

/// The life of the scrubbing thread, until the agent stops: then what it deletes is cancelled, and gone on with by the next one.
pub(super) fn live(core: &Arc<Core>, cancel: &Cancel) {
    let mut waited = Duration::ZERO;
    while !core.is_stopping() && cancel.check().is_ok() {
        cancel.sleep(TICK);
        waited = waited.saturating_add(TICK);
        let every = core.setup().config.agent.scrub_every;
        if !every.is_zero() && waited >= every {
            scrub(core, cancel);
            waited = Duration::ZERO;
        }
    }
}

fn scrub(core: &Core, cancel: &Cancel) {
    let setup = core.setup();
    let scrub = Scrub {
        config: &setup.config,
        handlers: &setup.ordered,
        cancel,
        delay: setup.config.agent.scrub_delay,
        most: MOST,
        pause: Duration::ZERO,
        dry_run: false,
    };
    match scrub.run() {
        Err(error) => tracing::warn!(code = error.code(), "not scrubbed: {}", printable(error.message())),
        Ok(scrubbed) => {
            for scrubbed in scrubbed {
                let (image, location, url) = (&scrubbed.image, &scrubbed.location, &scrubbed.url);
                match &scrubbed.outcome {
                    Outcome::Deleted => tracing::info!(image, location, url, "scrubbed"),
                    Outcome::Failed { error } => {
                        tracing::warn!(image, location, url, code = error.code, "not scrubbed: {}", error.message);
                    }
                    // What is not due is not news each time.
                    Outcome::Due | Outcome::Later { .. } | Outcome::Shared { .. } | Outcome::NotAllowed { .. } => {}
                }
            }
        }
    }
}
