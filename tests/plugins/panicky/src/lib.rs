//! Handlers that panic: `panicky://PLACE` in PLACE (`probe`, `open`, `size`, `read` or `drop`), `panicky-transfer://` in
//! `transfer`, and `panicky-unpack`, for the format `panicked`, in `unpack`.

use std::ops::Range;

use landfall_handler_api::{
    Call, HandlerInfo, HandlerKind, ImageHandler, Input, NoConfig, Probe, Request, Result, Sink, Source, async_trait,
    export,
};

/// The panic of a place.
fn panic_in(place: &str) -> ! {
    panic!("planted in {place}")
}

fn place_of(request: &Request) -> &str {
    request.location.as_ref().map_or("", |location| location.after_scheme())
}

struct Panicky;

#[async_trait]
impl ImageHandler for Panicky {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        HandlerInfo::new("panicky").kinds(&[HandlerKind::Source]).schemes(&["panicky"])
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn probe(&self, request: &Request) -> Probe {
        if place_of(request) == "probe" {
            panic_in("probe");
        }
        Probe::yes()
    }

    async fn open(&self, _: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let place = place_of(request).to_owned();
        if place == "open" {
            panic_in("open");
        }
        Ok(Box::new(Opened(place)))
    }
}

struct Opened(String);

#[async_trait]
impl Source for Opened {
    fn size(&self) -> Option<u64> {
        if self.0 == "size" {
            panic_in("size");
        }
        Some(5)
    }

    async fn read(&self, _: &Call, _: Range<u64>, sink: &mut Sink) -> Result<()> {
        if self.0 == "read" {
            panic_in("read");
        }
        sink.write_all(b"xxxxx")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.0 == "drop" {
            panic_in("drop");
        }
    }
}

struct PanickyTransfer;

#[async_trait]
impl ImageHandler for PanickyTransfer {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        HandlerInfo::new("panicky-transfer").kinds(&[HandlerKind::Transfer]).schemes(&["panicky-transfer"])
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    async fn transfer(&self, _: &Call, _: &Request) -> Result<()> {
        panic_in("transfer")
    }
}

struct PanickyUnpack;

#[async_trait]
impl ImageHandler for PanickyUnpack {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        HandlerInfo::new("panicky-unpack").kinds(&[HandlerKind::Unpack]).formats(&["panicked"])
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    async fn unpack(&self, _: &Call, _: &Request, _: Input) -> Result<()> {
        panic_in("unpack")
    }
}

export! { name: "panicky", handlers: [Panicky, PanickyTransfer, PanickyUnpack] }
