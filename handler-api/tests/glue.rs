//! What `export!` makes of a handler, called as a host would: through the C table alone.

#![allow(clippy::unwrap_used, unsafe_code)]

mod host;

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use landfall_handler_api::abi::*;
use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, HandlerStatus, ImageHandler, Input, Level, OutputMeta,
    PlacementEvent, Probe, Ranked, Request, Result, Scope, SelectRequest, Sink, Source, async_trait,
};
use serde::Deserialize;

use host::{Instance, MemoryCall, lines_with};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    greeting: Option<String>,
}

/// Does what the location's URL says.
struct Obedient {
    greeting: String,
    calls: AtomicUsize,
}

static MADE: AtomicUsize = AtomicUsize::new(0);
/// Calls that were kept beyond the end of their operation.
static KEPT: Mutex<Vec<Call>> = Mutex::new(Vec::new());
/// Where three reads of one source wait for each other.
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(3));
/// A thread that outlives its operation, and what it waits for.
static STRAY: Mutex<Option<(Arc<Barrier>, JoinHandle<()>)>> = Mutex::new(None);

/// The order in a request: its location's URL.
fn order(request: &Request) -> &str {
    request.location.as_ref().map_or("", |location| location.url.as_str())
}

#[async_trait]
impl ImageHandler for Obedient {
    type Config = Config;

    fn info() -> HandlerInfo {
        use HandlerKind::{Filter, Select, Source, Transfer, Unpack};
        HandlerInfo::new("obedient").kinds(&[Transfer, Source, Filter, Unpack, Select]).schemes(&["obey"])
    }

    fn new(config: Config) -> Result<Self> {
        MADE.fetch_add(1, Ordering::SeqCst);
        tracing::info!("made");
        Ok(Self { greeting: config.greeting.unwrap_or_else(|| "hello".to_owned()), calls: AtomicUsize::new(0) })
    }

    fn probe(&self, request: &Request) -> Probe {
        if order(request) == "no" { Probe::no("as told") } else { Probe::yes() }
    }

    async fn transfer(&self, call: &Call, request: &Request) -> Result<()> {
        match order(request) {
            "panic" => panic!("as told"),
            "calls" => {
                Err(Error::new(ErrorKind::Limit, "calls", self.calls.fetch_add(1, Ordering::SeqCst).to_string()))
            }
            "wait" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(())
            }
            "nap" => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                tokio::spawn(async { tokio::time::sleep(Duration::from_millis(5)).await })
                    .await
                    .map_err(|error| Error::new(ErrorKind::Internal, "spawn", error.to_string()))
            }
            "keep" => {
                KEPT.lock().unwrap().push(call.clone());
                Ok(())
            }
            "log" => {
                tracing::trace!("not wanted");
                tracing::debug!(target: "deep", bytes = 7, name = "a b", path = %"/x", r#in = ?Some(1), "half {}", 1);
                let span = tracing::info_span!("span", field = 1).entered();
                tracing::error!(only = true);
                drop(span);
                tokio::time::sleep(Duration::from_millis(1)).await;
                tracing::warn!("{}", "ä".repeat(1500));
                Ok(())
            }
            "log-elsewhere" => {
                tokio::spawn(async { tracing::info!("in a task") }).await.unwrap();
                thread::spawn(|| tracing::info!("in a thread")).join().unwrap();
                let gate = Arc::new(Barrier::new(2));
                let theirs = Arc::clone(&gate);
                let stray = thread::spawn(move || {
                    theirs.wait();
                    tracing::info!("after the end");
                });
                *STRAY.lock().unwrap() = Some((gate, stray));
                call.log(Level::Info, Nosy(call));
                Ok(())
            }
            "secret" => {
                let secret = call.secret("token")?;
                assert_eq!(secret.bytes().len(), 5000);
                assert!(secret.bytes().iter().all(|&byte| byte == b's'));
                call.secret("none").map(|_| ())
            }
            _ => {
                let output = call.output(0, 4, &OutputMeta::default())?;
                output.write_at(self.greeting.as_bytes(), 0)?;
                output.zero(0, 1)?;
                output.set_size(8)?;
                let null = std::fs::File::open("/dev/null").unwrap();
                output.adopt(&null, 1, 2, 3)?;
                call.progress(4, Some(8));
                output.finish()
            }
        }
    }

    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        match order(request) {
            "fail" => Err(Error::new(ErrorKind::Denied, "not-you", "as told").scoped(Scope::Image).with_errno(13)),
            text => Ok(Box::new(Text { text: text.to_owned(), call: call.clone() })),
        }
    }

    async fn filter(&self, call: &Call, _: &Request, input: Input) -> Result<Box<dyn Source>> {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut input.reader(), &mut text)
            .map_err(|error| Error::new(ErrorKind::Corrupt, "not-text", error.to_string()))?;
        Ok(Box::new(Text { text: text.to_uppercase(), call: call.clone() }))
    }

    async fn unpack(&self, call: &Call, _: &Request, input: Input) -> Result<()> {
        assert_eq!((input.size(), input.ranged(), input.descriptor()?.is_some()), (Some(3), true, false));
        let mut bytes = [0; 3];
        input.read_exact_at(&mut bytes, 0)?;
        call.output(0, 3, &OutputMeta::default())?.write_at(&bytes, 0)?;
        input.read_exact_at(&mut bytes, 1)
    }

    async fn select(&self, _: &Call, request: &SelectRequest) -> Result<Vec<Ranked>> {
        Ok(vec![Ranked::keep(0, Some(1.5), request.node.clone())])
    }

    async fn status(&self, _: &Call) -> Result<HandlerStatus> {
        Ok(HandlerStatus::default())
    }

    async fn placement_removed(&self, _: &Call, event: &PlacementEvent) -> Result<()> {
        Err(Error::new(ErrorKind::NotFound, "never-heard-of", event.placement.to_string()))
    }
}

/// Uses the call that it is logged with.
struct Nosy<'a>(&'a Call);

impl std::fmt::Display for Nosy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("while formatting");
        write!(f, "cancelled: {}", self.0.is_cancelled())
    }
}

struct Text {
    text: String,
    call: Call,
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.text == "say when" {
            tracing::info!("closed");
        }
    }
}

#[async_trait]
impl Source for Text {
    fn size(&self) -> Option<u64> {
        Some(self.text.len() as u64)
    }

    fn validator(&self) -> Option<String> {
        Some(format!("v-{}", self.text))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    async fn read(&self, _: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        tracing::info!(?range, "reading");
        assert!(!self.call.is_cancelled(), "the call of open must live as long as its source");
        match self.text.as_str() {
            "panic" => panic!("while reading"),
            "meet" => {
                MEETING.wait();
            }
            _ => {}
        }
        sink.write_all(&self.text.as_bytes()[range.start as usize..range.end as usize])
    }
}

landfall_handler_api::export! { name: "test", handlers: [Obedient], worker_only: true }

fn instance() -> Instance {
    Instance::create(imgh_plugin_v0(), "{}").unwrap()
}

fn request(order: &str) -> String {
    serde_json::json!({"location": {"url": order}}).to_string()
}

#[test]
fn the_table_says_what_the_crate_is() {
    // SAFETY: a static table.
    let plugin = unsafe { &*imgh_plugin_v0() };
    assert_eq!((plugin.magic, plugin.abi_major, plugin.abi_minor), (IMGH_MAGIC, IMGH_ABI_MAJOR, IMGH_ABI_MINOR));
    assert_eq!((plugin.flags, plugin.handler_count), (IMGH_PLUGIN_WORKER_ONLY, 1));
    assert_eq!(imgh_plugin_v0(), imgh_plugin_v0());
    let info: HandlerInfo = serde_json::from_str(instance().info()).unwrap();
    assert_eq!(info, Obedient::info());
}

#[test]
fn configuration_is_checked() {
    let refused = Instance::create(imgh_plugin_v0(), r#"{"greting": "hi"}"#).err().unwrap();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "bad-config"));
    assert!(refused.message().contains("greting"), "{refused}");
    let polite = Instance::create(imgh_plugin_v0(), r#"{"greeting": "good day"}"#).unwrap();
    let call = MemoryCall::new();
    polite.transfer(&call, &request("write")).unwrap();
    assert_eq!(call.log()[1], "write good day at 0");
}

#[test]
fn answers_cross_as_json() {
    let instance = instance();
    let call = MemoryCall::new();
    instance.probe(&call, &request("no")).unwrap();
    assert_eq!(call.answer(), r#"{"accepts":false,"reason":"as told"}"#);
    instance.select(&call, r#"{"node":"n1"}"#).unwrap();
    assert_eq!(call.answer(), r#"[{"index":0,"key":1.5,"keep":true,"reason":"n1"}]"#);
    instance.status(&call).unwrap();
    assert_eq!(call.answer(), r#"{"ready":false}"#);
    let error = instance.placement_removed(&call, r#"{"placement":7}"#).unwrap_err();
    assert_eq!((error.code(), error.message()), ("never-heard-of", "7"));
    assert_eq!(instance.delete_stored(&call, "{}").unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn nonsense_from_the_host_is_an_error() {
    let instance = instance();
    let call = MemoryCall::new();
    for json in ["", "{", "7", r#"{"location":7}"#] {
        let error = instance.transfer(&call, json).unwrap_err();
        assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Invalid, "bad-request", Scope::Request));
    }
    assert_eq!(instance.transfer_raw(std::ptr::null_mut()).unwrap_err().code(), "null-call");
    assert_eq!(Instance::null(imgh_plugin_v0()).transfer(&call, "{}").unwrap_err().code(), "null-argument");
}

#[test]
fn outputs_are_the_hosts() {
    let call = MemoryCall::new();
    instance().transfer(&call, &request("write")).unwrap();
    let expected = [
        "open 0 of 4: {}",
        "write hello at 0",
        "zero 1 at 0",
        "size 8",
        "adopt 3 from 1 at 2",
        "progress 4 8",
        "finish",
    ];
    assert_eq!(call.log(), expected);
}

#[test]
fn errors_cross_whole() {
    let error = instance().open(&MemoryCall::new(), &request("fail")).err().unwrap();
    assert_eq!(error, Error::new(ErrorKind::Denied, "not-you", "as told").scoped(Scope::Image).with_errno(13));
}

#[test]
fn sources_stream_into_the_hosts_buffers() {
    let instance = instance();
    let call = MemoryCall::new();
    let source = instance.open(&call, &request("0123456789")).unwrap();
    assert_eq!((source.table().size, source.table().flags, source.table().fd), (10, 0, -1));
    assert_eq!(source.validator(), "v-0123456789");
    assert_eq!(source.read(2..7).unwrap(), "23456");
    assert_eq!(source.read(0..11).unwrap_err().code(), "panic");
    assert_eq!(source.read(0..1).unwrap_err().code(), "poisoned");
}

#[test]
fn a_filter_reads_what_the_host_gives_and_an_unpacker_too() {
    let instance = instance();
    let call = MemoryCall::new();
    assert_eq!(instance.filter(&call, "abc").unwrap().read(0..3).unwrap(), "ABC");
    let error = instance.unpack(&call, "abc").unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "unexpected-end"));
    assert_eq!(call.log(), ["open 0 of 3: {}", "write abc at 0"]);
}

#[test]
fn a_panic_is_an_error_and_the_next_call_has_a_new_handler() {
    let instance = instance();
    let call = MemoryCall::new();
    let calls = || instance.transfer(&call, &request("calls")).unwrap_err().message().to_owned();
    assert_eq!((calls(), calls()), ("0".to_owned(), "1".to_owned()));
    let error = instance.transfer(&call, &request("panic")).unwrap_err();
    assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Crashed, "panic", Scope::Handler));
    assert!(error.message().contains("as told") && error.message().contains("glue.rs"), "{error}");
    assert_eq!(calls(), "0");
}

#[test]
fn a_method_that_waits_is_dropped_when_it_is_cancelled() {
    let instance = instance();
    let call = MemoryCall::new();
    instance.transfer(&call, &request("nap")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            call.cancel();
        });
        let begun = Instant::now();
        let error = instance.transfer(&call, &request("wait")).unwrap_err();
        assert_eq!((error.kind(), begun.elapsed() < Duration::from_secs(5)), (ErrorKind::Cancelled, true));
    });
}

#[test]
fn a_call_that_is_kept_beyond_its_operation_does_nothing() {
    let call = MemoryCall::new();
    instance().transfer(&call, &request("keep")).unwrap();
    drop(call);
    let kept = KEPT.lock().unwrap().pop().unwrap();
    assert!(kept.is_cancelled());
    kept.progress(1, None);
    assert_eq!(kept.output(0, 1, &OutputMeta::default()).err().unwrap().code(), "operation-over");
}

#[test]
fn a_secret_of_any_length_is_fetched() {
    let error = instance().transfer(&MemoryCall::new(), &request("secret")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no-such-secret"));
}

#[test]
fn events_reach_the_log_of_their_operation() {
    let call = MemoryCall::new();
    instance().transfer(&call, &request("log")).unwrap();
    let expected = [
        r#"log 4 deep: half 1 bytes=7 name="a b" path=/x in=Some(1)"#.to_owned(),
        "log 1 glue: only=true".to_owned(),
        format!("log 2 glue: {}", "ä".repeat(1000)),
    ];
    assert_eq!(call.log(), expected);
    assert!(lines_with("made").iter().all(|line| line == "log 3 glue: made") && !lines_with("made").is_empty());
}

#[test]
fn events_of_other_threads_belong_to_no_operation() {
    let call = MemoryCall::new();
    instance().transfer(&call, &request("log-elsewhere")).unwrap();
    assert_eq!(call.log(), ["log 3 glue: while formatting", "log 3 : cancelled: false"]);
    drop(call);
    let (gate, stray) = STRAY.lock().unwrap().take().unwrap();
    gate.wait();
    stray.join().unwrap();
    for text in ["in a task", "in a thread", "after the end"] {
        assert_eq!(lines_with(text), [format!("log 3 glue: {text}")]);
    }
    tracing::info!("on the lent thread, later");
    assert_eq!(lines_with("on the lent thread").len(), 1);
}

#[test]
fn events_of_a_source_belong_to_the_read_and_to_open() {
    let instance = instance();
    let (opened, read) = (MemoryCall::new(), MemoryCall::new());
    let source = instance.open(&opened, &request("say when")).unwrap();
    assert_eq!(source.read_on(&read, 4..8).unwrap(), "when");
    drop(source);
    assert_eq!(read.log(), ["log 3 glue: reading range=4..8"]);
    assert_eq!(opened.log(), ["log 3 glue: closed"]);
}

#[test]
fn several_reads_of_one_source_run_at_once() {
    let instance = instance();
    let call = MemoryCall::new();
    let source = instance.open(&call, &request("meet")).unwrap();
    thread::scope(|scope| {
        let reads = [0..1, 1..2, 2..4].map(|range| scope.spawn(|| source.read(range).unwrap()));
        assert_eq!(reads.map(|read| read.join().unwrap()).concat(), "meet");
    });
}
