//! A placement that is held halfway through, by a source that waits for the test.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::c_plugin::PluginDir;
use super::command::{Landfall, Running};
use super::sandbox::Sandbox;

/// A location that gives half of its bytes, and the other half when it is told to.
pub(crate) struct Gate {
    fifo: PathBuf,
    record: PathBuf,
}

impl Gate {
    /// A gate for an image of `size` bytes of x; the sandbox's configuration is made to know its handler.
    pub(crate) fn new(sandbox: &Sandbox<'_>, size: u64) -> Self {
        let dir = PluginDir::new(sandbox, "edges");
        dir.add(sandbox.world, "edges.so", "tests/plugins/edges.c", &[]);
        sandbox.configure(&dir.line(), "[limits]\ngrace = \"2s\"\n");
        let fifo = sandbox.home("gate");
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        let url = format!("edges://gate/{size}{}", fifo.display());
        let record = sandbox.record("gate.json", &record_of_x(&url, size, true));
        Self { fifo, record }
    }

    /// The image's record file.
    pub(crate) fn record(&self) -> &Path {
        &self.record
    }

    /// Starts a placement of the image and waits until it is halfway through.
    pub(crate) fn hold(&self, command: Landfall) -> Running {
        let running = command.spawn();
        running.line(|line| line.contains("gate reached")).expect("the placement comes to the gate");
        running
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        OpenOptions::new().write(true).open(&self.fifo).and_then(|mut fifo| fifo.write_all(b"x")).unwrap();
    }
}

/// The record of an image of `size` bytes of x at `url`.
pub(crate) fn record_of_x(url: &str, size: u64, sized: bool) -> Value {
    let mut hash = Sha256::new();
    let block = [b'x'; 65536];
    let mut left = usize::try_from(size).unwrap();
    while left > 0 {
        let now = left.min(block.len());
        hash.update(&block[..now]);
        left -= now;
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "id": "gated", "disk_format": "raw", "container_format": "bare", "size": sized.then_some(size),
        "os_hash_algo": "sha256", "os_hash_value": hex, "locations": [{ "url": url }],
    })
}
