//! Tells handlers what becomes of what they placed.

use std::sync::Arc;
use std::time::Instant;

use landfall_handler_api::{PlacementEvent, Result};

use crate::cancel::Cancel;
use crate::complaint::complain;
use crate::config::Config;
use crate::ledger::Placement;
use crate::plugin::{CallContext, Handler};
use crate::redact::printable;

/// Tells the handler that made a placement what became of it. The deed is done: not being able to tell is only logged.
pub(crate) fn tell_handler(
    handlers: &[Arc<dyn Handler>],
    config: &Config,
    placement: &Placement,
    tell: fn(&(dyn Handler + 'static), &CallContext, &PlacementEvent) -> Result<()>,
) {
    let told = || -> Result<()> {
        let Some(handler) = handlers.iter().find(|handler| handler.info().id == placement.facts.handler) else {
            return Ok(());
        };
        let mut event = PlacementEvent::default();
        event.placement = placement.id;
        event.image.clone_from(&placement.facts.image);
        // The deed is done; nobody waits long for a handler to hear of it.
        let deadline = Instant::now().checked_add(config.limits.grace);
        let call = CallContext::quiet(Cancel::new()?.with_deadline(deadline), config.limits.stall);
        tell(handler.as_ref(), &call, &event)
    };
    if let Err(error) = told() {
        complain(format_args!("handler {} was not told: {}", placement.facts.handler, printable(error.message())));
    }
}
