//! Plugins in C, compiled here, loaded into this process and called.

mod host_side;
mod misbehaviour;
mod scanning;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_handler_api::{Error, Location, Request, Result};
use tempfile::TempDir;

use super::backend::{ByteSink, CallContext, Handler, OpenedSource, PluginIdentity};
use super::inline::InlineHandler;
use super::load::{Loaded, load};
use super::refusal::Refusal;
use crate::cancel::Cancel;

/// Compiles one of `tests/plugins`.
fn compile(into: &TempDir, source: &str, switches: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = into.path().join(format!("{source}{}.so", switches.join("")));
    let status = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared"])
        .arg("-I")
        .arg(root.join("handler-api/include"))
        .args(switches)
        .arg("-o")
        .arg(&out)
        .arg(root.join("tests/plugins").join(source).with_extension("c"))
        .status()
        .expect("these tests need a C compiler called cc");
    assert!(status.success(), "cc failed on {source} {switches:?}");
    out
}

fn load_case(switches: &[&str]) -> Result<Loaded, Refusal> {
    let directory = tempfile::tempdir().unwrap();
    load(File::open(compile(&directory, "table", switches)).unwrap())
}

/// `faults.c`, loaded for one test: its handlers are the test's alone.
struct Faults {
    source: InlineHandler,
    transfer: InlineHandler,
}

impl Faults {
    fn new(grace: Duration) -> Self {
        Self::with(grace, &[])
    }

    fn with(grace: Duration, switches: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let loaded = load(File::open(compile(&directory, "faults", switches)).unwrap()).unwrap();
        let make = |number: usize| create(&loaded, number, grace).unwrap();
        Self { source: make(0), transfer: make(1) }
    }

    fn open(&self, order: &str) -> Result<Box<dyn OpenedSource>> {
        self.source.open(&quiet(), &request(&format!("fault-source://{order}")))
    }

    fn open_error(&self, order: &str) -> Error {
        self.open(order).err().expect("the open succeeded")
    }
}

fn create(loaded: &Loaded, number: usize, grace: Duration) -> Result<InlineHandler> {
    let plugin = PluginIdentity { name: "test".into(), version: "0".into(), path: "test.so".into() };
    let info = loaded.shape.handlers[number].info.clone();
    InlineHandler::create(info, plugin, loaded.tables[number], &serde_json::json!({}), Duration::from_secs(5), grace)
}

fn request(url: &str) -> Request {
    let mut request = Request::default();
    request.location = Some(Location::from_url(url));
    request
}

fn quiet() -> CallContext {
    CallContext::quiet(Cancel::new().unwrap(), Duration::from_secs(60))
}

/// Gives at most three bytes of room at a time.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    room: Vec<u8>,
}

impl ByteSink for Bytes {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        self.room = vec![0; want.min(3)];
        Ok(&mut self.room)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.bytes.extend_from_slice(&self.room[..filled]);
        Ok(())
    }
}

fn read(source: &dyn OpenedSource, range: Range<u64>) -> Result<String> {
    let sink = Arc::new(Mutex::new(Bytes::default()));
    source.read(&quiet(), range, sink.clone())?;
    let bytes = std::mem::take(&mut sink.lock().unwrap().bytes);
    Ok(String::from_utf8(bytes).unwrap())
}
