//! Zstandard, RFC 8878.

use std::io::{self, Read};

use zstd::stream::read::Decoder;

use crate::codec::{Codec, Fault, Padding, Streams};
use crate::front::Front;

/// Zstandard.
#[derive(Debug, Clone, Copy)]
pub struct Zstd;

impl Codec for Zstd {
    const NAME: &'static str = "zstd";
    const DESCRIPTION: &'static str = "inflates Zstandard on the way";
}

impl Streams for Zstd {
    const PADDING: Padding = Padding::None;
    const MAGIC_BYTES: usize = 4;

    type Stream<R: Read + Send> = Decoder<'static, Front<R>>;

    fn begins(head: &[u8]) -> bool {
        // A frame, or one of the sixteen kinds of skippable frames (section 3.1.2).
        matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
    }

    fn begin<R: Read + Send>(front: Front<R>, window_bytes: u64) -> io::Result<Self::Stream<R>> {
        let mut decoder = Decoder::with_buffer(front)?.single_frame();
        decoder.window_log_max(window_bytes.checked_ilog2().unwrap_or(0))?;
        Ok(decoder)
    }

    fn end<R: Read + Send>(stream: Self::Stream<R>) -> Front<R> {
        stream.finish()
    }

    fn fault(error: &io::Error) -> Fault {
        // ZSTD_error_frameParameter_windowTooLarge, which the crate tells by its text alone.
        if error.to_string().contains("too much memory") { Fault::Window } else { Fault::Stream }
    }
}
