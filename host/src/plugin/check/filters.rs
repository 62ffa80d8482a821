//! A filter's way with a sample, and with what is none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use landfall_handler_api::{Error, HandlerKind, Request, Result};

use super::super::backend::{Handler, Input};
use super::super::inline::InlineHandler;
use super::collected::Collected;
use super::findings::{Findings, Outcome, described, tells_of_a_bug};
use super::sample::{Counted, Sample, Way, nonsense, request};
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
        let outcomes = nonsense(Way::Stream).map_err(|error| Error::os(&error, "make noise")).map(|inputs| {
            let run = |input| filter(handler, &asked, input, Collected::default());
            inputs.map(|input| bearable(run(input)))
        });
        outcomes.map_or_else(|error| Outcome::failed(described(&error)), said)
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
    findings.run("filter-whole", || match run(sample.input(Way::Ranged), Collected::default()) {
        Err(error) => Outcome::failed(described(&error)),
        Ok(counted) => {
            let expected = sample.expected.first();
            let outcome = match expected.filter(|expected| **expected != counted) {
                Some((bytes, _)) => Outcome::failed(format!("{} bytes, which are not the expected {bytes}", counted.0)),
                None => Outcome::ok(format!("{} bytes, sha256 {}", counted.0, counted.1)),
            };
            whole = Some(counted);
            outcome
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
            Ok(counted) if counted == whole => Outcome::ok("the same bytes from a stream, given room piece by piece"),
            Ok((bytes, _)) => Outcome::failed(format!("{bytes} other bytes from a stream, given room piece by piece")),
        }
    })?;
    findings.run("filter-cut", || {
        let cuts = [sample.size / 2, sample.size.saturating_sub(1)];
        let outcomes = cuts.map(|len| match run(sample.cut(len, Way::Stream), Collected::default()) {
            Err(error) if tells_of_a_bug(&error) => Err(described(&error)),
            Err(error) => Ok(format!("{len} bytes: {}", described(&error))),
            Ok(counted) if counted == whole => Ok(format!("{len} bytes are all that count")),
            Ok((bytes, _)) => Err(format!("{len} of {} bytes are taken for the whole, as {bytes} bytes", sample.size)),
        });
        said(outcomes)
    })?;
    findings.run("filter-damaged", || damaged(sample, Way::Stream, |input| run(Ok(input), Collected::default())))?;
    findings.run("filter-limit", || {
        if whole.0 < 2 {
            return Outcome::skip("the sample inflates to nothing");
        }
        let sink = Collected { most: whole.0 / 2, room_max: SMALL_ROOM, ..Collected::default() };
        match run(sample.input(Way::Stream), sink) {
            Ok(_) => Outcome::failed("it ends well where the host takes no more"),
            Err(error) if tells_of_a_bug(&error) => Outcome::failed(described(&error)),
            Err(error) => Outcome::ok(described(&error)),
        }
    })?;
    let verdict = findings.run("filter-cancelled", || cancelled(handler, sample, &asked))?;
    findings.note_hang(verdict, handler);
    Ok(())
}

fn filter(handler: &InlineHandler, asked: &Request, input: Arc<dyn Input>, sink: Collected) -> Result<Counted> {
    let mut call = shaping()?;
    if let Some(cancel) = &sink.cancel {
        call.cancel = cancel.clone();
    }
    let sink = Arc::new(Mutex::new(sink));
    handler.filter(&call, asked, input, sink.clone())?;
    let sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(sink.counted())
}

/// A filter that is cancelled ends within the grace period, whatever it says.
fn cancelled(handler: &InlineHandler, sample: &Sample, asked: &Request) -> Outcome {
    let run = || {
        let cancel = shaping()?.cancel;
        let sink = Collected { cancel: Some(cancel), room_max: SMALL_ROOM, ..Collected::default() };
        let input = sample.input(Way::Stream).map_err(|error| Error::os(&error, "use the sample"))?;
        filter(handler, asked, input, sink)
    };
    stopped(run)
}

/// What is said of an operation that was told to stop.
pub(super) fn stopped<T>(run: impl FnOnce() -> Result<T>) -> Outcome {
    let began = Instant::now();
    let outcome = run();
    let seconds = began.elapsed().as_secs_f32();
    match outcome {
        Err(error) if error.message().contains(GIVEN_UP) => Outcome::failed(described(&error)),
        Ok(_) => Outcome::ok("it was over before it could stop"),
        Err(_) => Outcome::ok(format!("it stopped within {seconds:.1} s")),
    }
}

/// Damage may be noticed or not: it is the digest's to find. But nothing crashes or hangs.
pub(super) fn damaged<T>(sample: &Sample, way: Way, run: impl Fn(Arc<dyn Input>) -> Result<T>) -> Outcome {
    let (mut count, mut refused) = (0_u64, 0_u64);
    for place in sample.places() {
        match sample.damaged(place, way, &run) {
            Err(error) => return Outcome::failed(format!("use the sample: {error}")),
            Ok(Err(error)) if tells_of_a_bug(&error) => {
                return Outcome::failed(format!("with byte {place} changed: {}", described(&error)));
            }
            Ok(outcome) => refused = refused.saturating_add(u64::from(outcome.is_err())),
        }
        count = count.saturating_add(1);
    }
    Outcome::ok(format!("{refused} of {count} places are noticed"))
}

/// Whatever is said to nonsense, but what tells of a bug.
pub(super) fn bearable<T: std::fmt::Debug>(outcome: Result<T>) -> Result<String, String> {
    match outcome {
        Ok(taken) => Ok(format!("taken as {taken:?}")),
        Err(error) if tells_of_a_bug(&error) => Err(described(&error)),
        Err(error) => Ok(described(&error)),
    }
}

/// The outcome of two attempts.
pub(super) fn said(outcomes: [Result<String, String>; 2]) -> Outcome {
    let [one, other] = outcomes;
    one.and_then(|one| Ok(format!("{one}; {}", other?))).into()
}
