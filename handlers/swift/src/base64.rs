//! Base64 (RFC 4648, 4), in which an SLO manifest has the bytes of segments that it holds itself.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes; `None` unless the text is padded and its unused bits are 0.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let mut groups = text.chunks(4).peekable();
    while let Some(group) = groups.next() {
        let &[first, second, third, fourth] = group else { return None };
        let last = groups.peek().is_none();
        let (first, second) = (value(first)?, value(second)?);
        decoded.push(first << 2 | second >> 4);
        if last && third == b'=' && fourth == b'=' {
            return (second & 0x0f == 0).then_some(decoded);
        }
        let third = value(third)?;
        decoded.push(second << 4 | third >> 2);
        if last && fourth == b'=' {
            return (third & 0x03 == 0).then_some(decoded);
        }
        decoded.push(third << 6 | value(fourth)?);
    }
    Some(decoded)
}

fn value(byte: u8) -> Option<u8> {
    ALPHABET.iter().position(|&known| known == byte).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(bytes: &[u8]) -> String {
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
            for at in 0..4 {
                let digit = (bits >> (18 - 6 * at)) as usize & 63;
                text.push(if at > group.len() { '=' } else { ALPHABET[digit] as char });
            }
        }
        text
    }

    #[test]
    fn only_one_text_stands_for_bytes() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg==", Some(b"foob")),
            ("Zh==", None),
            ("Zm9=", None),
            ("Zg=", None),
            ("Zg", None),
            ("Zg==Zg==", None),
            ("Zm=v", None),
            ("Zm9v\n", None),
            ("Zm-_", None),
            ("====", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_decoded_or_refused(text: String) {
            let _ = decode(&text);
        }
    }
}
