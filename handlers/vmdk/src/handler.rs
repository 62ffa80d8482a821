//! The handler.

use landfall_handler_api::{
    Call, HandlerInfo, HandlerKind, ImageHandler, Input, OutputMeta, Request, Result, async_trait,
};

use crate::config::Config;
use crate::unpack::{Means, unpack};

/// Unpacks VMDKs.
#[derive(Debug)]
pub struct VmdkHandler {
    threads: usize,
}

#[async_trait]
impl ImageHandler for VmdkHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("vmdk")
            .description("VMware's virtual disks in one file, unpacked while they arrive")
            .kinds(&[HandlerKind::Unpack])
            .formats(&["vmdk"])
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self { threads: config.threads()? })
    }

    async fn unpack(&self, call: &Call, request: &Request, input: Input) -> Result<()> {
        let means = Means { threads: self.threads, disk_bytes: request.limits.disk_bytes };
        let disk = unpack(&input, &means, |bytes| call.output(0, bytes, &OutputMeta::default()))?;
        disk.finish()
    }
}
