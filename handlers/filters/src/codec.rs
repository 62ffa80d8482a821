//! What the compressions differ in.

use std::io::{self, Read};

use crate::front::Front;

/// What a compression allows between and after its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Nothing.
    None,
    /// Zeros, a multiple of so many.
    Zeros(u64),
}

/// What went wrong in a stream, where its library tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It wants more memory than it may have.
    Window,
    /// It contradicts itself.
    Stream,
}

/// One compression.
pub trait Codec: Send + Sync + 'static {
    /// Its name, which is the handler's id and format.
    const NAME: &'static str;
    /// What people are told of it.
    const DESCRIPTION: &'static str;
}

/// How one compression is read. A stream is a gzip member, a zstd frame, an xz or a bzip2 stream.
pub(crate) trait Streams: Codec {
    const PADDING: Padding;
    /// Bytes that tell whether a stream begins.
    const MAGIC_BYTES: usize;

    /// A stream that is being inflated.
    type Stream<R: Read + Send>: Read + Send;

    /// Whether a stream begins with these bytes.
    fn begins(head: &[u8]) -> bool;
    /// Begins a stream that may use so much memory for its window.
    fn begin<R: Read + Send>(front: Front<R>, window_bytes: u64) -> io::Result<Self::Stream<R>>;
    /// Ends a stream that gave its last byte. What follows it was not read.
    fn end<R: Read + Send>(stream: Self::Stream<R>) -> Front<R>;
    /// What an error of the library means that is not an early end.
    fn fault(error: &io::Error) -> Fault;
}
