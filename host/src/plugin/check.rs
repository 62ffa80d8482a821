//! What `landfall handlers check` runs: the promises that every plugin makes, tried out on one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, HandlerKind, Location, Request, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::backend::{ByteSink, CallContext, Handler, OpenedSource, PluginIdentity};
use super::inline::{InlineHandler, destroy_nothing};
use super::load::{Loaded, load};
use super::refusal::Refusal;
use super::scan::{NoCache, scan};
use super::{SCAN_LIMIT, SETUP_LIMIT, open_alone};
use crate::cancel::Cancel;

/// For one operation of a handler that may speak to a network.
const OPERATION_LIMIT: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(2);
/// A source is read up to here.
const READ_MAX: u64 = 1 << 20;

/// One promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was tried, kebab-case.
    pub(crate) check: &'static str,
    /// The handler, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// Whether the promise was kept.
    pub(crate) passed: bool,
    /// What came of it, for people.
    pub(crate) detail: String,
}

/// Runs every check on `file`. Once it survived a scan, the plugin runs in this process.
pub(crate) fn check(file: &Path, agent: &Path) -> Vec<Finding> {
    let mut findings = Findings::default();
    let loaded = match handshake(file, agent) {
        Ok(loaded) => loaded,
        Err(refusal) => {
            findings.add("handshake", Err(refusal.to_string()));
            return findings.all;
        }
    };
    findings.add("handshake", Ok(format!("{} {}", loaded.shape.name, loaded.shape.version)));
    let before = Surroundings::look();
    let path = file.to_owned();
    let plugin = PluginIdentity { name: loaded.shape.name.clone(), version: loaded.shape.version.clone(), path };
    let mut ids = BTreeSet::new();
    for (shape, table) in loaded.shape.handlers.iter().zip(&loaded.tables) {
        let id = &shape.info.id;
        findings.handler = Some(id.clone());
        findings.keeps("unique-id", ids.insert(id), "no other handler of this plugin has this id");
        let create = |config: Value| {
            InlineHandler::create(shape.info.clone(), plugin.clone(), *table, &config, SETUP_LIMIT, GRACE)
        };
        let odd = create(json!({"no-handler-has-this-key": true}));
        findings.keeps("bad-config-refused", odd.is_err(), "a configuration key that nobody knows is refused");
        drop(odd);
        match create(json!({})) {
            Err(error) if error.kind() == ErrorKind::Invalid => {
                findings.add("create", Ok(format!("needs configuration, so that the rest is not tried: {error}")));
            }
            Err(error) => findings.add("create", Err(error.to_string())),
            Ok(handler) => {
                findings.add("create", Ok("made without configuration".to_owned()));
                try_handler(&mut findings, &handler);
            }
        }
        findings.keeps("destroy-null", destroy_nothing(table, GRACE), "destroy tolerates NULL");
    }
    findings.handler = None;
    findings.add("conduct", before.compare());
    findings.all
}

fn handshake(file: &Path, agent: &Path) -> Result<Loaded, Refusal> {
    let opened = open_alone(file, None)?;
    scan(&opened, file, agent, SCAN_LIMIT, &NoCache)?;
    load(opened)
}

fn try_handler(findings: &mut Findings, handler: &InlineHandler) {
    let probe = |url: &str| within(|call| handler.probe(call, &request(url))).map(|probe| probe.accepts);
    findings.answers("probe-foreign", probe("no-such-scheme:// \u{1}\u{202e}"));
    for scheme in &handler.info().schemes {
        findings.answers("probe", probe(&format!("{scheme}://landfall.invalid/none")));
        if handler.info().kinds.contains(&HandlerKind::Source) {
            let url = format!("{scheme}://landfall.invalid/none");
            match within(|call| handler.open(call, &request(&url))) {
                Ok(source) => findings.add("read", read(source.as_ref())),
                Err(error) => findings.answers("open", Err::<(), _>(error)),
            }
        }
    }
    match within(|call| handler.status(call)) {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            findings.add("status", Ok("not offered".to_owned()));
        }
        status => findings.answers("status", status.map(|status| status.ready)),
    }
}

/// The same bytes twice, as many as the source said, and a part that is the part.
fn read(source: &dyn OpenedSource) -> Result<String, String> {
    let whole = |end| take(source, 0, end).map_err(|error| error.to_string());
    let size = source.info().size;
    let end = size.unwrap_or(READ_MAX).min(READ_MAX);
    let first = whole(end)?;
    if size.is_some() && first.len() as u64 != end {
        return Err(format!("the source gave {} of {end} bytes without an error", first.len()));
    }
    if source.info().ranged {
        let middle = first.len() / 2;
        let second = take(source, middle as u64, first.len() as u64).map_err(|error| error.to_string())?;
        if first.get(middle..) != Some(second.as_slice()) {
            return Err("the second half read alone is not the second half".to_owned());
        }
    }
    Ok(format!("{} bytes", first.len()))
}

fn take(source: &dyn OpenedSource, start: u64, end: u64) -> Result<Vec<u8>> {
    let sink = Arc::new(Mutex::new(Collected::default()));
    within(|call| source.read(call, start..end, sink.clone()))?;
    Ok(std::mem::take(&mut sink.lock().unwrap_or_else(PoisonError::into_inner).bytes))
}

/// Keeps what it is given.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    room: Vec<u8>,
}

impl ByteSink for Collected {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        self.room.resize(want.min(64 * 1024), 0);
        Ok(&mut self.room)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.bytes.extend(self.room.iter().take(filled));
        Ok(())
    }
}

fn within<T>(operation: impl FnOnce(&CallContext) -> Result<T>) -> Result<T> {
    let cancel = Cancel::new()?.with_deadline(Some(Instant::now() + OPERATION_LIMIT));
    operation(&CallContext::quiet(cancel))
}

fn request(url: &str) -> Request {
    let mut request = Request::default();
    request.location = Some(Location::from_url(url));
    request
}

#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    handler: Option<String>,
}

impl Findings {
    fn add(&mut self, check: &'static str, outcome: Result<String, String>) {
        let passed = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|detail| detail);
        self.all.push(Finding { check, handler: self.handler.clone(), passed, detail });
    }

    fn keeps(&mut self, check: &'static str, kept: bool, promise: &str) {
        self.add(check, if kept { Ok(promise.to_owned()) } else { Err(format!("not kept: {promise}")) });
    }

    /// Any answer will do, and any error but those that tell of a bug.
    fn answers<T: std::fmt::Debug>(&mut self, check: &'static str, answer: Result<T, Error>) {
        self.add(
            check,
            match answer {
                Ok(answer) => Ok(format!("{answer:?}")),
                Err(error) => {
                    let text = format!("{} [{}/{}]", error.message(), error.kind(), error.code());
                    let bug = matches!(error.kind(), ErrorKind::Crashed | ErrorKind::Internal | ErrorKind::Cancelled);
                    if bug { Err(text) } else { Ok(text) }
                }
            },
        );
    }
}

/// What a plugin must leave as it is.
struct Surroundings {
    state: Vec<(&'static str, String)>,
    descriptors: usize,
}

impl Surroundings {
    fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let directory = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
        let environment: BTreeSet<_> = std::env::vars_os().collect();
        let state = vec![
            ("umask", line("Umask:")),
            ("signal handlers", line("SigCgt:")),
            ("ignored signals", line("SigIgn:")),
            ("working directory", directory),
            ("environment", format!("{environment:?}")),
        ];
        Self { state, descriptors: std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or_default() }
    }

    fn compare(&self) -> Result<String, String> {
        let mut after = Self::look();
        // A thread that was lent closes its own descriptors a moment after it gave its answer.
        for _ in 0..20 {
            if after.descriptors <= self.descriptors {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            after = Self::look();
        }
        let mut changed: Vec<&str> = self
            .state
            .iter()
            .zip(&after.state)
            .filter(|(before, after)| before != after)
            .map(|((name, _), _)| *name)
            .collect();
        if after.descriptors > self.descriptors {
            changed.push("more open descriptors");
        }
        if changed.is_empty() {
            Ok("umask, signals, working directory, environment and descriptors are as before".to_owned())
        } else {
            Err(format!("changed: {}", changed.join(", ")))
        }
    }
}
