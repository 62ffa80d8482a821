//! The first bytes of an input say how the target treats the rest.

/// Takes the first byte, 0 where there is none.
pub(crate) fn byte<'a>(data: &mut &'a [u8]) -> u8 {
    let (first, rest): (&[u8], &'a [u8]) = data.split_at(data.len().min(1));
    *data = rest;
    first.first().copied().unwrap_or(0)
}

/// Takes a number of two bytes, and as many bytes as it says, or all that are left.
pub(crate) fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let len = usize::from(u16::from_le_bytes([byte(data), byte(data)]));
    let (part, rest) = data.split_at(len.min(data.len()));
    *data = rest;
    part
}
