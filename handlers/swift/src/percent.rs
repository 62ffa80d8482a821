//! Percent-decoding, as Python's `urllib.parse.unquote` does it, which Glance and Swift read with.

/// The bytes that a text stands for. What is no `%` with two hexadecimal digits after it stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match after {
            [high, low, ..] if first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match byte {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => decoded.push(first),
        }
    }
    decoded
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a')?.checked_add(10),
        b'A'..=b'F' => byte.checked_sub(b'A')?.checked_add(10),
        _ => None,
    }
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
