//! A secret in the plugin's memory.

use std::fmt;

/// A credential, fetched by name with [`Call::secret`](crate::Call::secret). Never shown, and wiped when it is dropped.
pub struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// All of the room that it was made with, to be filled in.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Keeps the first `len` bytes; the rest of the room holds zeros.
    pub(crate) fn keep(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The bytes themselves. Whoever copies them wipes the copy.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, when they are that.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from dropping the wipe of memory that nobody reads again.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(secret.text(), Some("hunter2"));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
