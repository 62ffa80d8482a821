//! Every way to read an opened location, each compared with the first.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::super::backend::OpenedSource;
use super::Target;
use super::collected::Collected;
use super::findings::{Findings, Outcome, described};
use super::trials::{GIVEN_UP, moving};

/// A read that gives nothing for so long hangs.
const STALL: Duration = Duration::from_secs(30);
/// How far behind the end is read.
const BEYOND: u64 = 4096;

const READS: [&str; 8] = [
    "read-whole",
    "read-again",
    "read-offset",
    "read-nothing",
    "read-past-end",
    "read-two-at-once",
    "read-cancelled",
    "read-descriptor",
];

/// All bytes of a source.
pub(super) struct Whole {
    kept: Vec<u8>,
    pub(super) count: u64,
    pub(super) digest: String,
}

/// Says that none of it was tried.
pub(super) fn skip_reads(findings: &mut Findings, why: &str) -> std::io::Result<()> {
    READS.iter().try_for_each(|check| findings.run(check, || Outcome::skip(why)).map(drop))
}

/// Gives the bytes, if they can be read at all.
pub(super) fn try_reads(
    findings: &mut Findings,
    source: &dyn OpenedSource,
    parallel: bool,
    target: Option<&Target>,
) -> std::io::Result<Option<Whole>> {
    let info = source.info();
    let take = |range: Range<u64>| take(source, target, range);
    let mut whole = None;
    findings.run("read-whole", || match take(0..info.size.unwrap_or(u64::MAX)) {
        Err(detail) => Outcome::failed(detail),
        Ok(all) if info.size.is_some_and(|size| size != all.count) => {
            Outcome::failed(format!("it gave {} bytes, and says that there are {:?}", all.count, info.size))
        }
        Ok(all) => {
            let detail = format!("{} bytes, sha256 {}", all.count, all.digest);
            whole = Some(all);
            Outcome::ok(detail)
        }
    })?;
    let Some(whole) = whole else {
        for check in READS.iter().skip(1) {
            findings.run(check, || Outcome::skip("the whole could not be read"))?;
        }
        return Ok(None);
    };
    let same = |range: Range<u64>| {
        let bytes = slice(&whole.kept, &range);
        let part = take(range.clone())?;
        if part.kept == bytes {
            Ok(format!("{} bytes from {} are the same", bytes.len(), range.start))
        } else {
            Err(format!("bytes {} to {} read alone are not those of the whole", range.start, range.end))
        }
    };
    let kept = whole.kept.len() as u64;
    let third = kept / 3;
    findings.run("read-again", || match take(0..info.size.unwrap_or(u64::MAX)) {
        Err(detail) => Outcome::failed(detail),
        Ok(again) if again.digest == whole.digest => Outcome::ok("the same bytes a second time"),
        Ok(again) => Outcome::failed(format!("{} other bytes a second time", again.count)),
    })?;
    let not_ranged = || Outcome::skip("the source is not ranged");
    findings.run("read-offset", || if info.ranged { same(third..kept).into() } else { not_ranged() })?;
    findings.run("read-nothing", || if info.ranged { same(third..third).into() } else { not_ranged() })?;
    findings.run("read-past-end", || {
        if !info.ranged {
            return not_ranged();
        }
        let count = |start: u64| take(start..whole.count.saturating_add(BEYOND)).map(|part| part.count);
        let last = whole.count.saturating_sub(1);
        match (count(whole.count), count(last)) {
            (Ok(0), Ok(left)) if left == whole.count.saturating_sub(last) => Outcome::ok("it ends where it ends"),
            (Ok(beyond), Ok(left)) => {
                Outcome::failed(format!("{beyond} bytes behind the end, and {left} from the last byte on"))
            }
            (Err(detail), _) | (_, Err(detail)) => Outcome::failed(detail),
        }
    })?;
    findings.run("read-two-at-once", || {
        if !(parallel && info.ranged) {
            return Outcome::skip("the source is not ranged, or the handler serial");
        }
        let both = std::thread::scope(|scope| {
            let first = scope.spawn(|| same(0..third));
            same(third..kept).and_then(|_| first.join().unwrap_or_else(|_| Err("the check panicked".to_owned())))
        });
        both.map(|_| "both are right".to_owned()).into()
    })?;
    findings.run("read-cancelled", || {
        if whole.count == 0 { Outcome::skip("there is nothing to read") } else { cancelled(source, target) }
    })?;
    findings.run("read-descriptor", || match source.descriptor() {
        None => Outcome::skip("the source has no descriptor"),
        Some(descriptor) => compare_descriptor(descriptor, &whole).into(),
    })?;
    Ok(Some(whole))
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}

fn take(source: &dyn OpenedSource, target: Option<&Target>, range: Range<u64>) -> Result<Whole, String> {
    let call = moving(target).map_err(|error| described(&error))?;
    let (alive, bytes) = mpsc::channel();
    let sink = Arc::new(Mutex::new(Collected { alive: Some(alive), ..Collected::default() }));
    let cancel = call.cancel.clone();
    std::thread::spawn(move || {
        while bytes.recv_timeout(STALL).is_ok() {}
        // Harmless where the read is over.
        cancel.cancel();
    });
    source.read(&call, range, sink.clone()).map_err(|error| described(&error))?;
    let collected = std::mem::take(&mut *sink.lock().unwrap_or_else(PoisonError::into_inner));
    let (count, digest) = collected.counted();
    Ok(Whole { kept: collected.kept, count, digest })
}

/// A read that is cancelled ends within the grace period, whatever it says.
fn cancelled(source: &dyn OpenedSource, target: Option<&Target>) -> Outcome {
    let call = match moving(target) {
        Ok(call) => call,
        Err(error) => return Outcome::failed(described(&error)),
    };
    let sink = Collected { cancel: Some(call.cancel.clone()), ..Collected::default() };
    let (began, end) = (Instant::now(), source.info().size.unwrap_or(u64::MAX));
    let outcome = source.read(&call, 0..end, Arc::new(Mutex::new(sink)));
    let seconds = began.elapsed().as_secs_f32();
    match outcome {
        Err(error) if error.message().contains(GIVEN_UP) => Outcome::failed(described(&error)),
        Ok(()) => Outcome::ok("it was over before it could stop"),
        Err(_) => Outcome::ok(format!("it stopped within {seconds:.1} s")),
    }
}

fn compare_descriptor(descriptor: std::os::fd::BorrowedFd<'_>, whole: &Whole) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("read the descriptor: {error}");
    let file = File::from(descriptor.try_clone_to_owned().map_err(failed)?);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() != whole.count {
        return Err(format!("it is no regular file of {} bytes", whole.count));
    }
    let mut bytes = vec![0; whole.kept.len()];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    if bytes == whole.kept {
        Ok("a regular file with the same bytes".to_owned())
    } else {
        Err("its bytes are not those that are read".to_owned())
    }
}
