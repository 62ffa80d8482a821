//! A filter's way with a sample, and with what is none.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use landfall_handler_api::{Error, ErrorKind, HandlerKind, Request, Result};

use super::super::backend::{Handler, Input};
use super::super::inline::InlineHandler;
use super::collected::Collected;
use super::findings::{Findings, Outcome, described, tells_of_a_bug};
use super::sample::{Counted, Sample, Way, nonsense, request};
use super::scratch::nameless_file;
use super::trials::{GIVEN_UP, shaping};

/// Room for the inflated bytes, so small that a filter meets its end everywhere.
const SMALL_ROOM: usize = 1021;

/// What needs a sample.
const CHECKS: [&str; 6] =
    ["filter-whole", "filter-pieces", "filter-cut", "filter-damaged", "filter-limit", "filter-cancelled"];

/// Tries the filter out; most of it with a sample.
pub(super) fn try_filter(
    findings: &mut Findings,
    handler: &InlineHandler,
    sample: Option<&Sample>,
) -> std::io::Result<()> {
    findings.run("filter-nonsense", || {
        let format = handler.info().formats.first().map_or("", String::as_str);
        let asked = request(HandlerKind::Filter, format);
        bear_nonsense(Way::Stream, |input| {
            let sink = filter(handler, &asked, input, Collected::default())?;
            Ok(format!("taken as {} bytes", sink.count))
        })
    })?;
    let Some(sample) = sample else {
        let why = "there is no sample of its format (--sample FILE --as FORMAT)";
        return CHECKS.iter().try_for_each(|check| findings.run(check, || Outcome::skip(why)).map(drop));
    };
    let asked = sample.request(HandlerKind::Filter);
    let run = |input: std::io::Result<Arc<dyn Input>>, sink: Collected| {
        filter(handler, &asked, input.map_err(|error| Error::os(&error, "use the sample"))?, sink)
    };
    let mut whole = None;
    findings.run("filter-whole", || {
        let attempt = || {
            let file = nameless_file().map_err(|error| Error::os(&error, "make a scratch file"))?;
            run(sample.input(Way::Ranged), Collected { file: Some(file), ..Collected::default() })
        };
        match attempt() {
            Err(error) => Outcome::failed(described(&error)),
            Ok(sink) => {
                let counted = sink.counted();
                let outcome = compared(sample, &counted, sink.file.as_ref());
                whole = Some(counted);
                outcome
            }
        }
    })?;
    let Some(whole) = whole else {
        let mut rest = CHECKS.iter().skip(1);
        return rest.try_for_each(|check| findings.run(check, || Outcome::skip("the sample is not taken")).map(drop));
    };
    findings.run("filter-pieces", || {
        let sink = Collected { room_max: SMALL_ROOM, ..Collected::default() };
        match run(sample.input(Way::Stream), sink) {
            Err(error) => Outcome::failed(described(&error)),
            Ok(sink) if sink.counted() == whole => {
                Outcome::ok("the same bytes from a stream, given room piece by piece")
            }
            Ok(sink) => Outcome::failed(format!("{} other bytes from a stream, given room piece by piece", sink.count)),
        }
    })?;
    findings.run("filter-cut", || {
        let cuts = [sample.size / 2, sample.size.saturating_sub(1)];
        said(cuts.map(|len| {
            let outcome = match run(sample.cut(len, Way::Stream), Collected::default()) {
                Err(error) if tells_of_a_bug(&error) => Err(described(&error)),
                Err(error) => Ok(described(&error)),
                Ok(sink) if sink.counted() == whole => Ok("the same comes of it: no more counts".to_owned()),
                Ok(sink) => Err(format!("taken for the whole, as {} bytes", sink.count)),
            };
            (format!("{len} of {} bytes", sample.size), outcome)
        }))
    })?;
    let again = findings.quiet;
    findings.run("filter-damaged", || {
        let unread = || Collected { hasher: None, ..Collected::default() };
        damaged(sample, Way::Stream, again, |input| run(Ok(input), unread()))
    })?;
    findings.run("filter-limit", || {
        if whole.0 < 2 {
            return Outcome::skip("the sample inflates to nothing");
        }
        let sink = Collected { most: whole.0 / 2, room_max: SMALL_ROOM, ..Collected::default() };
        passed_on(run(sample.input(Way::Stream), sink), ErrorKind::Limit, "the host takes no more")
    })?;
    findings.run("filter-cancelled", || cancelled(handler, sample, &asked))?;
    Ok(())
}

fn filter(handler: &InlineHandler, asked: &Request, input: Arc<dyn Input>, sink: Collected) -> Result<Collected> {
    let mut call = shaping()?;
    if let Some(cancel) = &sink.cancel {
        call.cancel = cancel.clone();
    }
    let sink = Arc::new(Mutex::new(sink));
    handler.filter(&call, asked, input, sink.clone())?;
    Ok(std::mem::take(&mut *sink.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The inflated sample beside what is expected.
fn compared(sample: &Sample, counted: &Counted, bytes: Option<&File>) -> Outcome {
    let (Some(expected), Some(bytes)) = (sample.expected.first(), bytes) else {
        return Outcome::ok(format!("{} bytes, sha256 {}", counted.0, counted.1));
    };
    match expected.differs(counted, bytes) {
        Err(error) => Outcome::failed(format!("compare: {error}")),
        Ok(Some(how)) => Outcome::failed(how),
        Ok(None) => Outcome::ok(format!("{} bytes, as expected", counted.0)),
    }
}

/// A filter that is cancelled ends within the grace period, whatever it says.
fn cancelled(handler: &InlineHandler, sample: &Sample, asked: &Request) -> Outcome {
    let run = || {
        let cancel = shaping()?.cancel;
        let sink = Collected { cancel: Some(cancel), room_max: SMALL_ROOM, ..Collected::default() };
        let input = sample.input(Way::Stream).map_err(|error| Error::os(&error, "use the sample"))?;
        filter(handler, asked, input, sink).map(|sink| sink.refused)
    };
    stopped(run)
}

/// What is said of an operation that was told to stop: its error, or whether it went on though nothing more was taken.
pub(super) fn stopped(run: impl FnOnce() -> Result<bool>) -> Outcome {
    let began = Instant::now();
    let outcome = run();
    let seconds = began.elapsed().as_secs_f32();
    match outcome {
        Err(error) if error.message().contains(GIVEN_UP) => Outcome::failed(described(&error)),
        Err(error) if error.kind() == ErrorKind::Cancelled => Outcome::ok(format!("it stopped within {seconds:.1} s")),
        Err(error) => Outcome::failed(format!("told to stop, it says: {}", described(&error))),
        Ok(true) => Outcome::failed("it ends well where the host takes no more, since it was told to stop"),
        Ok(false) => Outcome::skip("the sample is so small that it was over before it could stop"),
    }
}

/// What the host says to a handler's write or read comes back from it, and nothing else does.
pub(super) fn passed_on<T>(outcome: Result<T>, kind: ErrorKind, what: &str) -> Outcome {
    match outcome {
        Ok(_) => Outcome::failed(format!("it ends well where {what}")),
        Err(error) if error.kind() == kind => Outcome::ok("it passes the error on"),
        Err(error) => Outcome::failed(format!("where {what} it says: {}", described(&error))),
    }
}

/// Damage may be noticed or not: it is the digest's to find. But nothing crashes or hangs. Done `again`, for what that leaves
/// behind, a few places will do.
pub(super) fn damaged<T>(sample: &Sample, way: Way, again: bool, run: impl Fn(Arc<dyn Input>) -> Result<T>) -> Outcome {
    let (mut count, mut refused) = (0_u64, 0_u64);
    for damage in sample.damages().iter().step_by(if again { 16 } else { 1 }) {
        match sample.damaged(damage, way, &run) {
            Err(error) => return Outcome::failed(format!("use the sample: {error}")),
            Ok(Err(error)) if tells_of_a_bug(&error) => {
                return Outcome::failed(format!("with byte {} changed: {}", damage.at, described(&error)));
            }
            Ok(outcome) => refused = refused.saturating_add(u64::from(outcome.is_err())),
        }
        count = count.saturating_add(1);
    }
    Outcome::ok(format!("{refused} of {count} changes are noticed"))
}

/// Whatever is said to nonsense, but what tells of a bug.
pub(super) fn bear_nonsense(way: Way, run: impl Fn(Arc<dyn Input>) -> Result<String>) -> Outcome {
    let inputs = match nonsense(way) {
        Ok(inputs) => inputs,
        Err(error) => return Outcome::failed(format!("make noise: {error}")),
    };
    said(inputs.into_iter().map(|(what, input)| {
        let outcome = match run(input) {
            Ok(taken) => Ok(taken),
            Err(error) if tells_of_a_bug(&error) => Err(described(&error)),
            Err(error) => Ok(described(&error)),
        };
        (what.to_owned(), outcome)
    }))
}

/// The outcome of several attempts: what failed of them, else all.
pub(super) fn said(outcomes: impl IntoIterator<Item = (String, std::result::Result<String, String>)>) -> Outcome {
    let (mut well, mut failed) = (Vec::new(), Vec::new());
    for (what, outcome) in outcomes {
        match outcome {
            Ok(said) => well.push(format!("{what}: {said}")),
            Err(said) => failed.push(format!("{what}: {said}")),
        }
    }
    if failed.is_empty() { Outcome::ok(well.join("; ")) } else { Outcome::failed(failed.join("; ")) }
}
