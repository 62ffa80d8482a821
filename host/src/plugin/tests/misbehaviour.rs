//! Handlers that hang, and tables that are wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use landfall_handler_api::{ErrorKind, OutputMeta};

use super::super::backend::{Output, Outputs};
use super::*;

const SHORT_GRACE: Duration = Duration::from_millis(100);

fn soon() -> CallContext {
    let deadline = Instant::now() + Duration::from_millis(100);
    CallContext::quiet(Cancel::new().unwrap().with_deadline(Some(deadline)), Duration::from_secs(60))
}

#[test]
fn a_call_that_hangs_is_given_up_and_the_handler_with_it() {
    let faults = Faults::new(SHORT_GRACE);
    let open = || faults.source.open(&soon(), &request("fault-source://wedge")).err().unwrap();
    let begun = Instant::now();
    assert_eq!((open().kind(), begun.elapsed() < Duration::from_secs(3)), (ErrorKind::Cancelled, true));
    let next = faults.open_error("text/x");
    assert_eq!((next.kind(), next.code()), (ErrorKind::Crashed, "handler-wedged"));
    assert_eq!(faults.source.probe_one(&quiet(), &request("")).map(|probe| probe.accepts), Ok(true));
}

#[test]
fn a_read_that_hangs_keeps_its_sink_for_ever() {
    let faults = Faults::new(Duration::from_secs(1));
    let source = faults.open("read-wedge/x").unwrap();
    let other = faults.open("text/x").unwrap();
    let sink = Arc::new(Mutex::new(Bytes::default()));
    let error = source.read(&soon(), 0..1, sink.clone()).unwrap_err();
    assert_eq!(error.code(), "deadline");
    assert!(error.message().contains("is not used any more"), "{error}");
    assert_eq!(Arc::strong_count(&sink), 2);
    assert_eq!(read(other.as_ref(), 0..1).unwrap_err().code(), "handler-wedged");
    let begun = Instant::now();
    drop((source, other));
    assert!(begun.elapsed() < Duration::from_millis(900), "closing a wedged handler's source waits");
}

#[test]
fn a_close_that_hangs_is_given_up() {
    let faults = Faults::new(SHORT_GRACE);
    drop(faults.open("close-wedge/x").unwrap());
    assert_eq!(faults.open_error("text/x").code(), "handler-wedged");
}

#[test]
fn a_handler_that_obeys_has_its_grace() {
    let faults = Faults::new(Duration::from_secs(5));
    let error = faults.source.open(&soon(), &request("fault-source://slow")).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Cancelled, "deadline"));
    assert!(faults.open("text/x").is_ok());
}

/// Counts the writes that reach it.
#[derive(Default)]
struct Counted(AtomicUsize);

struct Shared(Arc<Counted>);

impl Outputs for Shared {
    fn open(&self, _: u32, _: u64, _: OutputMeta) -> Result<Arc<dyn Output>> {
        Ok(Arc::new(Self(self.0.clone())))
    }
}

impl Output for Shared {
    fn write_at(&self, _: &[u8], _: u64) -> Result<()> {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn zero(&self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn adopt(&self, _: std::os::fd::OwnedFd, _: u64, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn set_size(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_transfer_that_was_given_up_never_writes_again() {
    let faults = Faults::new(SHORT_GRACE);
    let counted = Arc::new(Counted::default());
    let late = request("fault-transfer://late/200000/1");
    let error = faults.transfer.transfer(&soon(), &late, Arc::new(Shared(counted.clone()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let before = counted.0.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(counted.0.load(Ordering::SeqCst), before);
}

#[test]
fn a_serial_handler_has_one_call_at_a_time() {
    let faults = Faults::with(Duration::from_secs(5), &["-DSERIAL"]);
    let first = Cancel::new().unwrap();
    thread::scope(|scope| {
        let slow = CallContext::quiet(first.clone(), Duration::from_secs(60));
        let running = scope.spawn({
            let faults = &faults;
            move || faults.source.open(&slow, &request("fault-source://slow")).err().unwrap()
        });
        thread::sleep(Duration::from_millis(500));
        let waited = faults.source.open(&soon(), &request("fault-source://text/x")).err().unwrap();
        assert_eq!(waited.code(), "deadline");
        first.cancel();
        assert_eq!(running.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert!(faults.open("text/x").is_ok());
}

#[test]
fn longer_and_shorter_tables_are_read_as_far_as_they_go() {
    for case in ["PLAIN", "SHORT", "LONG", "GUARD_PAGE", "LOW_FLAG"] {
        let loaded = load_case(&[&format!("-DCASE={case}")]).unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
        assert!(loaded.tables[0].filter.is_none() && loaded.tables[0].placement_moved.is_none(), "{case}");
        let handler = create(&loaded, 0, SHORT_GRACE).unwrap();
        let source = handler.open(&quiet(), &request("table://")).unwrap();
        assert_eq!(read(source.as_ref(), 0..5).unwrap(), "table", "{case}");
    }
}

#[test]
fn wrong_tables_are_refused_by_name() {
    for (case, code) in [
        ("TOO_SHORT", "struct-too-short"),
        ("ODD_SIZE", "struct-too-short"),
        ("OTHER_MINOR", "abi-minor"),
        ("OTHER_MAJOR", "abi-major"),
        ("BAD_MAGIC", "bad-magic"),
        ("HIGH_FLAG", "unknown-flags"),
        ("NULL_TABLE", "no-table"),
        ("NULL_HANDLERS", "bad-handlers"),
        ("MANY_HANDLERS", "bad-handlers"),
        ("NULL_HANDLER", "null-struct"),
        ("NULL_INFO", "null-text"),
        ("INFO_NOT_JSON", "bad-info"),
        ("INFO_NOT_UTF8", "not-utf8"),
        ("BAD_ID", "bad-info"),
        ("NO_FUNCTION", "bad-info"),
        ("BAD_NAME", "bad-name"),
        ("BAD_THREADS", "bad-thread-model"),
    ] {
        assert_eq!(load_case(&[&format!("-DCASE={case}")]).err().map(|refusal| refusal.code).as_deref(), Some(code));
    }
    assert_eq!(load_case(&["-DWITHOUT_ENTRY"]).err().unwrap().code, "no-entry-symbol");
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    assert_eq!(load(File::open(&text).unwrap()).err().unwrap().code, "not-elf");
    std::fs::write(&text, "\x7fELF but no further").unwrap();
    assert_eq!(load(File::open(&text).unwrap()).err().unwrap().code, "dlopen-failed");
}

#[test]
fn a_handler_that_cannot_be_made_is_refused_by_name() {
    let made = |case: &str| create(&load_case(&[case]).unwrap(), 0, SHORT_GRACE).err().unwrap();
    assert_eq!(made("-DCASE=CREATE_FAILS").code(), "bad-config");
    assert_eq!(made("-DCASE=CREATE_LIES").code(), "no-instance");
}
