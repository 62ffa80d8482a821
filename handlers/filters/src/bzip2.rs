//! bzip2. Its blocks have at most 900 kB, whatever a stream says.

use std::io::{self, Read};

use bzip2::bufread::BzDecoder;

use crate::codec::{Codec, Fault, Padding, Streams};
use crate::front::Front;

/// bzip2.
#[derive(Debug, Clone, Copy)]
pub struct Bzip2;

impl Codec for Bzip2 {
    const NAME: &'static str = "bzip2";
    const DESCRIPTION: &'static str = "inflates bzip2 on the way";
}

impl Streams for Bzip2 {
    const PADDING: Padding = Padding::None;
    const MAGIC_BYTES: usize = 4;

    type Stream<R: Read + Send> = BzDecoder<Front<R>>;

    fn begins(head: &[u8]) -> bool {
        matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', ..])
    }

    fn begin<R: Read + Send>(front: Front<R>, _: u64) -> io::Result<Self::Stream<R>> {
        Ok(BzDecoder::new(front))
    }

    fn end<R: Read + Send>(stream: Self::Stream<R>) -> Front<R> {
        stream.into_inner()
    }

    fn fault(_: &io::Error) -> Fault {
        Fault::Stream
    }
}
