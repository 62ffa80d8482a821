//! What the host offers to handlers, and what it makes of what they say.

use landfall_handler_api::{ErrorKind, OutputMeta, Scope};

use super::super::backend::{Output, Outputs};
use super::*;

const GRACE: Duration = Duration::from_secs(5);

/// One output in memory.
#[derive(Default)]
struct Disk(Mutex<Vec<u8>>);

impl Disk {
    fn within(&self, offset: u64, len: u64, change: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut disk = self.0.lock().unwrap();
        match disk.get_mut(offset as usize..(offset + len) as usize) {
            Some(range) => {
                change(range);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::Limit, "output-bounds", "beyond the end")),
        }
    }
}

impl Output for Arc<Disk> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.within(offset, bytes.len() as u64, |range| range.copy_from_slice(bytes))
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.within(offset, len, |range| range.fill(0))
    }

    fn adopt(&self, descriptor: std::os::fd::OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        let mut bytes = vec![0; len as usize];
        std::os::unix::fs::FileExt::read_exact_at(&File::from(descriptor), &mut bytes, source_offset).unwrap();
        self.write_at(&bytes, offset)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.0.lock().unwrap().resize(size as usize, 0);
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

struct OneDisk(Arc<Disk>);

impl Outputs for OneDisk {
    fn open(&self, number: u32, size: u64, meta: OutputMeta) -> Result<Arc<dyn Output>> {
        assert_eq!((number, meta.name.as_deref()), (0, Some("disk")));
        self.0.set_size(size)?;
        Ok(Arc::new(Arc::clone(&self.0)))
    }
}

fn transfer(order: &str) -> (Result<()>, Vec<u8>) {
    let disk = Arc::new(Disk::default());
    let request = request(&format!("fault-transfer://{order}"));
    let outcome = Faults::new(GRACE).transfer.transfer(&quiet(), &request, Arc::new(OneDisk(disk.clone())));
    let bytes = disk.0.lock().unwrap().clone();
    (outcome, bytes)
}

/// What `faults.c` writes.
fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| if at / 65536 == 1 { 0 } else { b'a' + (at % 23) as u8 }).collect()
}

#[test]
fn a_transfer_has_every_way_to_write() {
    let (outcome, bytes) = transfer("whole/300000");
    assert_eq!(outcome, Ok(()));
    assert!(bytes == content(300_000));
    let (outcome, bytes) = transfer("beyond/200000");
    assert_eq!((outcome.unwrap_err().code().to_owned(), bytes.len()), ("output-bounds".to_owned(), 200_000));
}

#[test]
fn null_and_nonsense_are_refused_wherever_a_pointer_is_wanted() {
    let (outcome, _) = transfer("nulls");
    assert_eq!(outcome.unwrap_err().code(), "nulls-refused");
    let (outcome, _) = transfer("log");
    assert_eq!(outcome.unwrap_err().code(), "logged");
}

#[test]
fn errors_keep_kind_scope_and_code() {
    let faults = Faults::new(GRACE);
    let own = [ErrorKind::Cancelled, ErrorKind::Exists, ErrorKind::Unhashed];
    for kind in ErrorKind::ALL.into_iter().filter(|kind| !own.contains(kind)) {
        for scope in Scope::ALL {
            let error = faults.open_error(&format!("error/{}/{}/some-code", kind.number(), scope.number()));
            assert_eq!((error.kind(), error.scope(), error.code()), (kind, scope, "some-code"));
        }
        let error = faults.open_error(&format!("error/{}/0/some-code", kind.number()));
        assert_eq!(error.scope(), kind.default_scope());
    }
    assert_eq!(faults.open_error("output").code(), "no-outputs");
    let pretended = faults.open_error("error/12/4/cancelled");
    assert_eq!((pretended.kind(), pretended.code()), (ErrorKind::Internal, "not-cancelled"));
    for hosts_own in ["error/10/4/exists", "error/11/4/unhashed"] {
        let error = faults.open_error(hosts_own);
        assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Internal, "bad-error", Scope::Handler));
    }
    let unknown = faults.open_error("error/99/9/Some_Code");
    assert_eq!((unknown.kind(), unknown.code(), unknown.scope()), (ErrorKind::Internal, "bad-error", Scope::Handler));
    assert_eq!(faults.open_error("bare-error/5").code(), "unexplained");
    let unterminated = faults.open_error("unterminated/6");
    assert_eq!((unterminated.kind(), unterminated.code()), (ErrorKind::Corrupt, "x".repeat(47).as_str()));
    assert!(unterminated.message().len() <= Error::MESSAGE_MAX);
}

#[test]
fn sources_stream_the_range_that_was_asked_for() {
    let faults = Faults::new(GRACE);
    let text = faults.open("text/0123456789").unwrap();
    assert_eq!((text.info().size, text.info().ranged), (Some(10), true));
    assert_eq!(read(text.as_ref(), 0..10).unwrap(), "0123456789");
    assert_eq!(read(text.as_ref(), 3..7).unwrap(), "3456");
    assert_eq!(read(text.as_ref(), 8..u64::MAX).unwrap(), "89");
    assert_eq!(read(text.as_ref(), 20..30).unwrap(), "");
    let stream = faults.open("stream/abc").unwrap();
    assert_eq!((stream.info().size, stream.info().ranged), (None, false));
    assert_eq!(read(stream.as_ref(), 0..u64::MAX).unwrap(), "abc");
    assert!(stream.descriptor().is_none());
}

#[test]
fn a_descriptor_is_the_hosts_own_from_the_start() {
    let faults = Faults::new(GRACE);
    let source = faults.open("fd/abc").unwrap();
    let mut bytes = [0; 3];
    let file = File::from(source.descriptor().unwrap().try_clone_to_owned().unwrap());
    drop(source);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abc");
}

#[test]
fn what_a_source_says_is_not_believed() {
    let faults = Faults::new(GRACE);
    for (order, code) in [
        ("no-source", "null-struct"),
        ("short-source", "struct-too-short"),
        ("no-read", "bad-source"),
        ("bad-size", "bad-source"),
        ("bad-fd", "bad-source"),
        ("standard-fd/0", "bad-source"),
        ("standard-fd/2", "bad-source"),
        ("standard-fd/-1", "bad-source"),
        ("bad-validator", "not-utf8"),
    ] {
        assert_eq!(faults.open_error(order).code(), code, "{order}");
    }
    let reads = |order: &str| {
        let source = faults.open(order).unwrap();
        let end = source.info().size.unwrap();
        read(source.as_ref(), 0..end)
    };
    assert_eq!(reads("size/5/abc").unwrap(), "abc");
    assert_eq!(reads("size/2/abc").unwrap(), "ab");
    assert_eq!(reads("more/1/abc").unwrap_err().code(), "beyond-range");
    assert_eq!(reads("over-commit/abc").unwrap_err().code(), "bad-argument");
    assert_eq!(reads("read-error/3/0/gone").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_not_offered_is_said_so_or_taken_for_a_yes() {
    let faults = Faults::new(GRACE);
    let call = quiet();
    assert!(faults.source.probe_one(&call, &request("fault-source://x")).unwrap().accepts);
    assert_eq!(faults.source.status(&call).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(
        faults.source.delete_stored(&call, &request("fault-source://x")).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert_eq!(faults.source.placement_removed(&call, &Default::default()), Ok(()));
    assert_eq!(faults.transfer.open(&call, &request("")).err().unwrap().kind(), ErrorKind::Unsupported);
}
