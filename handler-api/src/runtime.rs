//! The plugin's own tokio runtime: one for all of its handlers, made when it is first needed.
//!
//! A method's future is polled on the thread that the host lent, so that a method that blocks holds up only itself. One
//! thread of the plugin's own drives sockets, timers and spawned tasks; it starts when a method first has to wait, and so
//! never for a handler that only blocks.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::runtime::{Builder, Runtime};

use crate::call::Call;
use crate::crossing::lie;
use crate::error::{Error, Result};

struct Driven {
    runtime: Arc<Runtime>,
    started: Mutex<bool>,
}

fn driven() -> Result<&'static Driven> {
    static DRIVEN: OnceLock<Result<Driven, String>> = OnceLock::new();
    DRIVEN
        .get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
            Ok(Driven { runtime: Arc::new(runtime), started: Mutex::new(false) })
        })
        .as_ref()
        .map_err(|error| lie("no-runtime", format!("make the plugin's runtime: {error}")))
}

impl Driven {
    fn start(&self) -> Result<()> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !*started {
            let runtime = Arc::clone(&self.runtime);
            thread::Builder::new()
                .name("imgh-runtime".to_owned())
                .spawn(move || runtime.block_on(pending::<()>()))
                .map_err(|error| lie("no-runtime", format!("start the plugin's runtime: {error}")))?;
            *started = true;
        }
        Ok(())
    }
}

/// Runs a method to its end, or drops it once the call is cancelled.
pub(crate) fn run<T>(call: &Call, method: impl Future<Output = Result<T>>) -> Result<T> {
    let driven = driven()?;
    let _inside = driven.runtime.enter();
    let mut method = pin!(method);
    if let Poll::Ready(outcome) = method.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return outcome;
    }
    driven.start()?;
    let mut cancelled = pin!(call.cancelled());
    driven.runtime.handle().block_on(poll_fn(|context| {
        if let Poll::Ready(outcome) = method.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        cancelled.as_mut().poll(context).map(|()| Err(Error::cancelled()))
    }))
}

/// Drops `value` where its destructor finds the runtime.
pub(crate) fn drop_inside<T>(value: T) {
    let _inside = driven().map(|driven| driven.runtime.enter());
    drop(value);
}
