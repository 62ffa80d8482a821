//! The parsers of the agent itself.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use landfall_handler_api::{Cloud, Error, ErrorKind, ImageRecord, Result};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::config::{CloudSource, Config};
use crate::engine::Journal;
use crate::{catalog, cloud, redact, worker};

/// An image record, as files and catalogs have it.
pub fn record(bytes: &[u8]) -> Result<ImageRecord> {
    static DEFAULTS: OnceLock<Config> = OnceLock::new();
    let defaults = || Config::from_toml("", Path::new("fuzzing.toml"));
    let config = match DEFAULTS.get() {
        Some(config) => config,
        None => {
            let config = defaults().map_err(Error::from)?;
            DEFAULTS.get_or_init(|| config)
        }
    };
    catalog::parse(bytes, "the record", config)
}

/// A URL as it is shown.
pub fn redacted(url: &str) -> String {
    redact::url(url)
}

/// What a journal of these bytes holds: its last checkpoint as JSON, and whether a slot is damaged. A checkpoint is
/// written once more, and must be what is then read.
pub fn journal(bytes: &[u8]) -> Result<(Option<String>, bool)> {
    let io = |error: std::io::Error| Error::os(&error, "make a memory file");
    let mut file = File::from(memfd_create("journal", MemfdFlags::CLOEXEC).map_err(|errno| io(errno.into()))?);
    file.write_all(bytes).map_err(io)?;
    let again = file.try_clone().map_err(io)?;
    let (mut journal, newest, damaged) = Journal::open(file)?;
    let Some(newest) = newest else { return Ok((None, damaged)) };
    journal.write(&newest)?;
    let (_, written, _) = Journal::open(again)?;
    if written.as_ref() != Some(&newest) {
        return Err(Error::new(ErrorKind::Internal, "journal-lost", "a checkpoint is not what was written"));
    }
    let json =
        serde_json::to_string(&newest).map_err(|error| Error::new(ErrorKind::Internal, "json", error.to_string()));
    json.map(|json| (Some(json), damaged))
}

/// The login of the cloud `name` in the file at `path`, a `clouds.yaml`.
pub fn cloud(path: &Path, name: &str) -> Result<Cloud> {
    let source = CloudSource::File { path: Some(path.to_owned()), entry: name.to_owned() };
    cloud::resolve(name, &source)
}

/// The login in the environment that `variables` tells.
pub fn environment(variables: &dyn Fn(&str) -> Option<String>) -> Result<Cloud> {
    cloud::resolve_variables(variables)
}

/// What the agent makes of a packet of a worker: the message as JSON, and the error that it carries. With a document,
/// that comes in the first descriptor, sealed or not.
pub fn report(packet: &[u8], document: Option<(&[u8], bool)>) -> Result<Option<(String, Option<Error>)>> {
    worker::receive_report(packet, document)
}
