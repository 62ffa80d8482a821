//! A few bytes that may be spread over several chunks.

/// At most `N` bytes, collected from the input.
#[derive(Debug)]
pub(crate) struct Prefix<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Prefix<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds a byte; one that has no place is dropped.
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Adds as many bytes of `input` as there is place for, and says how many.
    pub(crate) fn fill(&mut self, input: &[u8]) -> usize {
        let before = self.len;
        for &byte in input.iter().take(N.saturating_sub(before)) {
            self.push(byte);
        }
        self.len.saturating_sub(before)
    }

    /// All `N` bytes, once they are there.
    pub(crate) fn whole(&self) -> Option<&[u8; N]> {
        (self.len == N).then_some(&self.bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}
