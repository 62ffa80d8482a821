//! What holds for every answer that has bytes of the image: they are as they are stored, and it is plain how many.

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};

use crate::content_range::{SIZE_MAX, digits};

/// The number of bytes that follow, where the answer says so.
pub(crate) fn length_of(headers: &HeaderMap) -> Result<Option<u64>> {
    let coded = headers.get_all(CONTENT_ENCODING).iter().any(|coding| !is(coding.as_bytes(), "identity"));
    let transfer: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    if coded || transfer.iter().any(|coding| !is(coding.as_bytes(), "chunked")) {
        let message = "the server encoded the bytes, although it was asked for them as they are";
        return Err(Error::new(ErrorKind::Corrupt, "unexpected-encoding", message));
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let read = digits(value.as_bytes()).filter(|&read| read <= SIZE_MAX);
        let read = read.ok_or_else(|| bad_framing("with a Content-Length that is no length"))?;
        if length.replace(read).is_some_and(|other| other != read) {
            return Err(bad_framing("with several lengths"));
        }
    }
    if transfer.len() > 1 || (length.is_some() && !transfer.is_empty()) {
        return Err(bad_framing("with a length and in chunks, which is two ways to say where it ends"));
    }
    Ok(length)
}

/// "It cannot be told where the answer ends."
pub(crate) fn bad_framing(how: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "bad-framing", format!("the server answered {how}"))
}

fn is(value: &[u8], word: &str) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn an_answer_has_one_length_or_none() {
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&[("content-length", "7")], Ok(Some(7))),
            (&[("content-length", "7"), ("content-length", "7")], Ok(Some(7))),
            (&[("transfer-encoding", "Chunked")], Ok(None)),
            (&[("content-encoding", "identity"), ("content-length", "7")], Ok(Some(7))),
            (&[("content-length", "7"), ("content-length", "8")], Err("bad-framing")),
            (&[("content-length", "-7")], Err("bad-framing")),
            (&[("content-length", "")], Err("bad-framing")),
            (&[("content-length", "9223372036854775808")], Err("bad-framing")),
            (&[("content-length", "7"), ("transfer-encoding", "chunked")], Err("bad-framing")),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], Err("bad-framing")),
            (&[("transfer-encoding", "gzip, chunked")], Err("unexpected-encoding")),
            (&[("content-encoding", "gzip")], Err("unexpected-encoding")),
            (&[("content-encoding", "identity"), ("content-encoding", "br")], Err("unexpected-encoding")),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let found = length_of(&headers);
            assert_eq!(
                found.as_ref().map_err(|error| error.code()),
                expected.as_ref().map_err(|&code| code),
                "{lines:?}"
            );
            assert!(found.err().is_none_or(|error| error.kind() == ErrorKind::Corrupt));
        }
    }
}
