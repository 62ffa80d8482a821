//! Whether bytes are all zero.

/// Bytes that are looked at before it is decided whether to go on: enough for wide registers to pay.
const STRIDE: usize = 1024;
const WORD: usize = size_of::<u64>();

/// Whether all of `bytes` are zero; at the speed of memory, since a byte at a time costs as much as inflating.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(STRIDE).all(|stride| {
        let (words, rest) = stride.as_chunks::<WORD>();
        let any = words.iter().fold(0, |any, word| any | u64::from_ne_bytes(*word));
        any == 0 && rest.iter().all(|byte| *byte == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_anywhere_counts() {
        for len in [0, 1, 7, 8, 9, 1023, 1024, 1025, 4096 + 5] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            for at in 0..len {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }
}
