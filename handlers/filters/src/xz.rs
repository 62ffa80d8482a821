//! xz: The .xz File Format, 2.1.1.

use std::io::{self, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{Error, Stream};

use crate::codec::{Codec, Fault, Padding, Streams};
use crate::front::Front;

/// Memory of the decoder itself, beside the dictionary.
const OWN_BYTES: u64 = 1 << 20;

/// xz.
#[derive(Debug, Clone, Copy)]
pub struct Xz;

impl Codec for Xz {
    const NAME: &'static str = "xz";
    const DESCRIPTION: &'static str = "inflates xz on the way";
}

impl Streams for Xz {
    /// Stream Padding, section 2.2 of the format.
    const PADDING: Padding = Padding::Zeros(4);
    const MAGIC_BYTES: usize = 6;

    type Stream<R: Read + Send> = XzDecoder<Front<R>>;

    fn begins(head: &[u8]) -> bool {
        head.starts_with(b"\xfd7zXZ\0")
    }

    fn begin<R: Read + Send>(front: Front<R>, window_bytes: u64) -> io::Result<Self::Stream<R>> {
        let decoder = Stream::new_stream_decoder(window_bytes.saturating_add(OWN_BYTES), 0)?;
        Ok(XzDecoder::new_stream(front, decoder))
    }

    fn end<R: Read + Send>(stream: Self::Stream<R>) -> Front<R> {
        stream.into_inner()
    }

    fn fault(error: &io::Error) -> Fault {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::MemLimit | Error::Mem) => Fault::Window,
            _ => Fault::Stream,
        }
    }
}
