//! Image records about files that a test made.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

/// SHA-512 of a file, in lower-case hex.
pub(crate) fn sha512(file: &Path) -> String {
    digest::<Sha512>(file)
}

/// The digest of a file by this algorithm, in lower-case hex.
pub(crate) fn digest<D: Digest>(file: &Path) -> String {
    let mut source = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer).unwrap() {
            0 => break,
            filled => hash.update(&buffer[..filled]),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The true record of a raw image that is this file.
pub(crate) fn record_of(file: &Path) -> Value {
    json!({
        "id": "8bcd4b5a-6c5b-4c5f-9f3e-0e0d6c1a7a01",
        "name": file.file_name().unwrap().to_string_lossy(),
        "status": "active",
        "disk_format": "raw",
        "container_format": "bare",
        "size": file.metadata().unwrap().len(),
        "os_hash_algo": "sha512",
        "os_hash_value": sha512(file),
        "locations": [{ "url": format!("file://{}", file.display()), "metadata": {} }],
    })
}
