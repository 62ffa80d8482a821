//! gzip, RFC 1952.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::codec::{Codec, Fault, Padding, Streams};
use crate::front::Front;

/// gzip.
#[derive(Debug, Clone, Copy)]
pub struct Gzip;

impl Codec for Gzip {
    const NAME: &'static str = "gzip";
    const DESCRIPTION: &'static str = "inflates gzip on the way";
}

impl Streams for Gzip {
    /// As `gzip -d` takes them: tapes and block devices leave them.
    const PADDING: Padding = Padding::Zeros(1);
    const MAGIC_BYTES: usize = 3;

    type Stream<R: Read + Send> = GzDecoder<Front<R>>;

    fn begins(head: &[u8]) -> bool {
        // Deflate is the only method that there is.
        head.starts_with(b"\x1f\x8b\x08")
    }

    fn begin<R: Read + Send>(front: Front<R>, _: u64) -> io::Result<Self::Stream<R>> {
        Ok(GzDecoder::new(front))
    }

    fn end<R: Read + Send>(stream: Self::Stream<R>) -> Front<R> {
        stream.into_inner()
    }

    fn fault(_: &io::Error) -> Fault {
        Fault::Stream
    }
}
