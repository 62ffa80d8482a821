//! The data of an image, as Glance itself gives them.

use std::ops::Range;

use landfall_handler_api::{Call, Result, Sink, Source, async_trait};
use landfall_handler_http::HttpSource;

use crate::refusal::Asked;

/// One stream: only some of Glance's stores give ranges, and none says which version they are of.
pub(crate) struct Data {
    source: HttpSource,
    /// The login's name.
    cloud: String,
}

impl Data {
    /// Of what was opened with this login.
    pub(crate) fn new(source: HttpSource, cloud: &str) -> Self {
        Self { source, cloud: cloud.to_owned() }
    }
}

#[async_trait]
impl Source for Data {
    fn size(&self) -> Option<u64> {
        self.source.size()
    }

    fn ranged(&self) -> bool {
        self.source.ranged()
    }

    fn validator(&self) -> Option<String> {
        self.source.validator()
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        self.source.read_into(range, sink, call).await.map_err(|error| Asked::Data.failed(error, &self.cloud))
    }
}
