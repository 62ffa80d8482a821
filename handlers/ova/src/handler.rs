//! The handler, and the host as the operation that a package is unpacked in.

use async_trait::async_trait;
use landfall_handler_api::{Call, HandlerInfo, HandlerKind, ImageHandler, Input, Level, Output, OutputMeta};
use landfall_handler_api::{Request, Result};
use landfall_handler_vmdk::Means;
use landfall_unpack::Stored;
use serde_json::{Map, Value};

use crate::config::{Config, ManifestPolicy};
use crate::operation::{Operation, Terms};
use crate::unpack::unpack;

/// Unpacks the disks of OVA archives.
#[derive(Debug)]
pub struct OvaHandler {
    threads: usize,
    manifest: ManifestPolicy,
}

#[async_trait]
impl ImageHandler for OvaHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("ova")
            .description("disks of OVA archives, unpacked while the archive is read")
            .kinds(&[HandlerKind::Unpack])
            .formats(&["ova"])
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self { threads: config.threads()?, manifest: config.manifest })
    }

    async fn unpack(&self, call: &Call, request: &Request, input: Input) -> Result<()> {
        let means = Means { threads: self.threads, disk_bytes: request.limits.disk_bytes };
        let terms = Terms { means, disks: request.limits.disks, manifest: self.manifest, ranged: input.ranged() };
        unpack(&input, &terms, &Host { call, total: input.size() })
    }
}

struct Host<'a> {
    call: &'a Call,
    total: Option<u64>,
}

impl Operation for Host<'_> {
    type Disk = Output;

    fn pulse(&self, done: u64) -> Result<()> {
        self.call.progress(done, self.total);
        self.call.check()
    }

    fn note(&self, line: &str) {
        self.call.log(Level::Info, line);
    }

    fn describe(&self, machine: &Map<String, Value>) -> Result<()> {
        self.call.describe(machine)
    }

    fn open(&self, number: u32, size: u64, meta: &OutputMeta) -> Result<Output> {
        self.call.output(number, size, meta)
    }

    fn finish(&self, disk: Output) -> Result<()> {
        disk.finish()
    }

    fn vmdk(&self, stored: &dyn Stored, means: &Means, open: &mut dyn FnMut(u64) -> Result<Output>) -> Result<Output> {
        landfall_handler_vmdk::unpack(stored, means, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_unpacks_ova() {
        let info = OvaHandler::info();
        assert_eq!((info.id.as_str(), info.formats, info.ranged_input), ("ova", vec!["ova".to_owned()], false));
        assert_eq!(info.kinds, [HandlerKind::Unpack]);
    }

    #[test]
    fn it_is_made_of_its_configuration() {
        assert!(OvaHandler::new(Config::default()).is_ok());
        let config = Config { threads: Some(65), ..Config::default() };
        assert_eq!(OvaHandler::new(config).unwrap_err().code(), "bad-threads");
    }
}
