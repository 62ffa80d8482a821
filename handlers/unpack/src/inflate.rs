//! Inflating with libdeflate, which takes a whole stream and a whole buffer, and is the fastest there is.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use landfall_handler_api::{Error, ErrorKind, Result};
use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE as INSUFFICIENT_SPACE,
    libdeflate_result_LIBDEFLATE_SUCCESS as SUCCESS, libdeflate_zlib_decompress_ex,
};

/// A decompressor of libdeflate's; each thread has its own.
pub(crate) struct Inflater {
    raw: NonNull<libdeflate_decompressor>,
}

// SAFETY: it is memory that belongs to whoever holds the pointer, and nothing of it is tied to a thread.
unsafe impl Send for Inflater {}

impl Inflater {
    /// Fails where there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: no arguments.
        let raw = unsafe { libdeflate_alloc_decompressor() };
        let raw = NonNull::new(raw);
        let no_memory = || Error::new(ErrorKind::Limit, "out-of-memory", "no memory for a decompressor");
        Ok(Self { raw: raw.ok_or_else(no_memory)? })
    }

    /// Inflates `stored`, which is one zlib stream (RFC 1950) and nothing behind it, into `room`; how many bytes that
    /// gave. All else is `corrupt`: `inflate-failed` for no valid stream, `inflates-past` for one that has more bytes
    /// than `room`, `inflate-trailing` for bytes behind its end.
    pub(crate) fn zlib(&mut self, stored: &[u8], room: &mut [u8]) -> Result<usize> {
        let (mut consumed, mut written) = (0, 0);
        // SAFETY: the decompressor is alive and ours alone; both slices are as long as is said, one readable and one
        // writable, and the two numbers outlive the call.
        let result = unsafe {
            libdeflate_zlib_decompress_ex(
                self.raw.as_ptr(),
                stored.as_ptr().cast(),
                stored.len(),
                room.as_mut_ptr().cast(),
                room.len(),
                &raw mut consumed,
                &raw mut written,
            )
        };
        let corrupt = |code, message: String| Err(Error::new(ErrorKind::Corrupt, code, message));
        match result {
            SUCCESS if consumed == stored.len() => Ok(written),
            SUCCESS => {
                let message = format!("a zlib stream ends after {consumed} of {} bytes", stored.len());
                corrupt("inflate-trailing", message)
            }
            INSUFFICIENT_SPACE => corrupt("inflates-past", format!("a zlib stream has more than {} bytes", room.len())),
            _ => corrupt("inflate-failed", format!("{} bytes are no valid zlib stream", stored.len())),
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: it came from libdeflate's allocation and is used no more.
        unsafe { libdeflate_free_decompressor(self.raw.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "landfall" as a stored block, and its Adler-32.
    const STREAM: &[u8] = b"\x78\x01\x01\x08\x00\xf7\xfflandfall\x0e\x96\x03\x3f";

    #[test]
    fn exactly_one_stream_that_fits() {
        let mut inflater = Inflater::new().unwrap();
        let mut room = [0xff; 12];
        assert_eq!(inflater.zlib(STREAM, &mut room).unwrap(), 8);
        assert_eq!(&room[..8], b"landfall");
        assert_eq!(inflater.zlib(STREAM, &mut room[..8]).unwrap(), 8);

        let mut code =
            |stored: &[u8], room: usize| inflater.zlib(stored, &mut vec![0; room]).unwrap_err().code().to_owned();
        assert_eq!(code(STREAM, 7), "inflates-past");
        assert_eq!(code(STREAM, 0), "inflates-past");
        assert_eq!(code(&[STREAM, b"\0"].concat(), 8), "inflate-trailing");
        for len in 0..STREAM.len() {
            assert_eq!(code(&STREAM[..len], 8), "inflate-failed", "cut to {len}");
        }
        for at in [0, 2, 5, 8, STREAM.len() - 1] {
            let mut poked = STREAM.to_vec();
            poked[at] ^= 0x06;
            assert_eq!(code(&poked, 8), "inflate-failed", "byte {at}");
        }
    }
}
