//! An unpacker's way with a sample, and with what is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use landfall_handler_api::{Error, ErrorKind, HandlerKind, Request, Result};

use super::super::backend::{Handler, Input};
use super::super::inline::InlineHandler;
use super::filters::{bear_nonsense, damaged, passed_on, said, stopped};
use super::findings::{Findings, Outcome, described, tells_of_a_bug};
use super::sample::{Counted, Sample, Way, request};
use super::scratch::{Scratch, Trouble, Written};
use super::trials::shaping;
use crate::engine::written::FORWARD_ONLY;

/// What needs a sample.
const CHECKS: [&str; 7] = [
    "unpack-whole",
    "unpack-stream",
    "unpack-cut",
    "unpack-damaged",
    "unpack-no-space",
    "unpack-limit",
    "unpack-cancelled",
];

/// Tries the unpacker out; most of it with a sample.
pub(super) fn try_unpacker(
    findings: &mut Findings,
    handler: &InlineHandler,
    sample: Option<&Sample>,
) -> std::io::Result<()> {
    // One that reads at any offset is never given a stream.
    let usual = if handler.info().ranged_input { Way::Ranged } else { Way::Stream };
    findings.run("unpack-nonsense", || {
        let format = handler.info().formats.first().map_or("", String::as_str);
        let asked = request(HandlerKind::Unpack, format);
        bear_nonsense(usual, |input| {
            let disks = unpack(handler, &asked, input, Trouble::default())?;
            Ok(format!("taken as {}", listed(&disks)))
        })
    })?;
    let Some(sample) = sample else {
        let why = "there is no sample of its format (--sample FILE --as FORMAT)";
        return CHECKS.iter().try_for_each(|check| findings.run(check, || Outcome::skip(why)).map(drop));
    };
    let asked = sample.request(HandlerKind::Unpack);
    let run = |input: std::io::Result<Arc<dyn Input>>, trouble: Trouble| {
        unpack(handler, &asked, input.map_err(|error| Error::os(&error, "use the sample"))?, trouble)
    };
    let mut whole = None;
    findings.run("unpack-whole", || match run(sample.input(Way::Ranged), Trouble::default()) {
        Err(error) => Outcome::failed(described(&error)),
        Ok(disks) => {
            let outcome = match disks.differ(&sample.expected) {
                Err(error) => Outcome::failed(format!("compare: {error}")),
                Ok(Some(how)) => Outcome::failed(how),
                Ok(None) => Outcome::ok(listed(&disks)),
            };
            whole = Some(disks);
            outcome
        }
    })?;
    let Some(whole) = whole else {
        let mut rest = CHECKS.iter().skip(1);
        return rest.try_for_each(|check| findings.run(check, || Outcome::skip("the sample is not taken")).map(drop));
    };
    findings.run("unpack-stream", || match run(sample.input(Way::Stream), Trouble::default()) {
        _ if usual == Way::Ranged => Outcome::skip("it says that it reads at any offset (ranged_input)"),
        Err(error) if error.code() == FORWARD_ONLY => {
            Outcome::ok(format!("it goes back, so that the agent would spool: {}", described(&error)))
        }
        Err(error) => Outcome::failed(described(&error)),
        Ok(disks) if disks == whole => Outcome::ok("the same from a stream"),
        Ok(disks) => Outcome::failed(format!("something else from a stream: {}", listed(&disks))),
    })?;
    findings.run("unpack-cut", || {
        let cuts = [sample.size / 2, sample.size.saturating_sub(1)];
        said(cuts.map(|len| {
            let outcome = match run(sample.cut(len, Way::Ranged), Trouble::default()) {
                Err(error) if tells_of_a_bug(&error) => Err(described(&error)),
                Err(error) => Ok(described(&error)),
                Ok(disks) if disks == whole => Ok("the same comes of it: no more counts".to_owned()),
                Ok(disks) => Err(format!("taken for the whole, as {}", listed(&disks))),
            };
            (format!("{len} of {} bytes", sample.size), outcome)
        }))
    })?;
    let again = findings.quiet;
    findings.run("unpack-damaged", || {
        damaged(sample, Way::Ranged, again, |input| {
            unpack_unread(handler, &asked, input, Trouble::default())?.finished().map(drop)
        })
    })?;
    findings.run("unpack-no-space", || {
        let what = "there is no space for what it writes";
        // The first write, and one that others may be under way with.
        for writes in [0, 3] {
            let trouble = Trouble { writes: Some(writes), ..Trouble::default() };
            match run(sample.input(Way::Ranged), trouble) {
                Ok(disks) if writes > 0 && disks == whole => {}
                Err(error) if error.kind() == ErrorKind::NoSpace => {}
                outcome => return passed_on(outcome, ErrorKind::NoSpace, what),
            }
        }
        Outcome::ok("it passes the error on")
    })?;
    findings.run("unpack-limit", || {
        let least = whole.counted().map(|(size, _)| size.saturating_sub(1)).max();
        let trouble = Trouble { disk_bytes: least, ..Trouble::default() };
        passed_on(run(sample.input(Way::Ranged), trouble), ErrorKind::Limit, "a disk may not have so many bytes")
    })?;
    findings.run("unpack-cancelled", || {
        stopped(|| {
            let trouble = Trouble { cancel: Some(shaping()?.cancel), ..Trouble::default() };
            let refused = Arc::clone(&trouble.refused);
            run(sample.input(Way::Ranged), trouble)?;
            Ok(refused.load(Ordering::Relaxed))
        })
    })?;
    Ok(())
}

fn unpack(handler: &InlineHandler, asked: &Request, input: Arc<dyn Input>, trouble: Trouble) -> Result<Written> {
    unpack_unread(handler, asked, input, trouble)?.close()
}

fn unpack_unread(
    handler: &InlineHandler,
    asked: &Request,
    input: Arc<dyn Input>,
    trouble: Trouble,
) -> Result<Arc<Scratch>> {
    let mut call = shaping()?;
    if let Some(cancel) = &trouble.cancel {
        call.cancel = cancel.clone();
    }
    let mut asked = asked.clone();
    if let Some(disk_bytes) = trouble.disk_bytes {
        asked.limits.disk_bytes = disk_bytes;
    }
    let scratch = Arc::new(Scratch::new(asked.limits.disks, trouble));
    handler.unpack(&call, &asked, input, scratch.clone())?;
    Ok(scratch)
}

fn listed(disks: &Written) -> String {
    let one = |(size, digest): &Counted| format!("{size} bytes, sha256 {digest}");
    disks.counted().map(one).collect::<Vec<_>>().join("; ")
}
