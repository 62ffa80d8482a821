//! Percent-decoding, as Python's `urllib.parse.unquote` does it, which Glance and Swift read with.

/// The bytes that a text stands for. What is no `%` with two hexadecimal digits after it stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_escapes_are_decoded() {
        for (text, expected) in [
            ("", &b""[..]),
            ("plain", b"plain"),
            ("%41%4a%4A", b"AJJ"),
            ("a%", b"a%"),
            ("a%4", b"a%4"),
            ("%zz%41", b"%zzA"),
            ("%%41", b"%A"),
            ("%2541", b"%41"),
            ("%ff%00", b"\xff\0"),
            ("+ +", b"+ +"),
        ] {
            assert_eq!(decode(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            let text: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(&text), bytes);
        }

        #[test]
        fn any_text_is_decoded(text: String) {
            prop_assert!(decode(&text).len() <= text.len());
        }
    }
}
