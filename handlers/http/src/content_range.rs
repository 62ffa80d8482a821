//! `Content-Range` (RFC 9110, 14.4): what an answer says it has.

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, HeaderMap};

/// What fits an `i64`, as sizes that cross to the host do.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64;

/// The header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// `bytes FIRST-LAST/TOTAL`.
    Part { first: u64, last: u64, total: u64 },
    /// `bytes */TOTAL`, of an answer 416.
    Nothing { total: u64 },
}

impl ContentRange {
    /// The value of the one header; `None` where there is none, or several.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_RANGE).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// Only what says exactly which bytes these are. An unknown total is nothing to check by.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (unit, rest) = value.split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = rest.iter().position(|&byte| byte == b'/')?;
        let (range, total) = (rest.get(..slash)?, rest.get(slash.checked_add(1)?..)?);
        let total = digits(total).filter(|&total| total <= SIZE_MAX)?;
        if range == b"*" {
            return Some(Self::Nothing { total });
        }
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (digits(range.get(..dash)?)?, digits(range.get(dash.checked_add(1)?..)?)?);
        (first <= last && last < total).then_some(Self::Part { first, last, total })
    }
}

/// A number as headers write it: digits and nothing else.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// "These are other bytes than those that were asked for."
pub(crate) fn mismatch(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, "range-mismatch", format!("the server answered with {what}"))
}

/// Where the part ends that answers a request for `start..end`, and the total that it tells.
pub(crate) fn part_of(headers: &HeaderMap, start: u64, end: u64) -> Result<(u64, u64)> {
    let Some(ContentRange::Part { first, last, total }) = ContentRange::of(headers) else {
        return Err(mismatch("a part that does not say exactly which one it is"));
    };
    let right = first == start && last.checked_add(1) == Some(end.min(total));
    match last.checked_add(1) {
        Some(past) if right => Ok((past, total)),
        _ => {
            let message =
                format!("bytes {first}-{last} of {total}, where those from {start} up to {end} were asked for");
            Err(mismatch(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn exactly_one_part_is_read() {
        for (value, expected) in [
            ("bytes 0-9/10", Some(ContentRange::Part { first: 0, last: 9, total: 10 })),
            ("Bytes 5-5/10", Some(ContentRange::Part { first: 5, last: 5, total: 10 })),
            ("bytes */0", Some(ContentRange::Nothing { total: 0 })),
            ("bytes */10", Some(ContentRange::Nothing { total: 10 })),
            ("bytes 0-9/*", None),
            ("bytes */*", None),
            ("bytes 0-10/10", None),
            ("bytes 9-0/10", None),
            ("bytes 0-9", None),
            ("bytes=0-9/10", None),
            ("bytes  0-9/10", None),
            ("bytes 0 - 9/10", None),
            ("bytes 0-9/10 ", None),
            ("bytes 0-9/10/10", None),
            ("bytes 0-9-9/10", None),
            ("bytes +0-9/10", None),
            ("bytes -9/10", None),
            ("bytes 0-/10", None),
            ("bytes 0-9/", None),
            ("bytes 0-4,6-9/10", None),
            ("items 0-9/10", None),
            ("bytes 0-9/18446744073709551616", None),
            ("bytes 0-9/9223372036854775808", None),
            ("bytes", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(value.as_bytes()), expected, "{value:?}");
        }
    }

    fn answer(values: &[&'static str], start: u64, end: u64) -> Result<(u64, u64)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_RANGE, HeaderValue::from_static(value));
        }
        part_of(&headers, start, end)
    }

    #[test]
    fn a_part_is_the_one_that_was_asked_for() {
        assert_eq!(answer(&["bytes 0-9/100"], 0, 10).unwrap(), (10, 100));
        assert_eq!(answer(&["bytes 90-99/100"], 90, 200).unwrap(), (100, 100));
        for (values, start, end) in [
            (&[][..], 0, 10),
            (&["bytes 0-9/100", "bytes 0-9/100"], 0, 10),
            (&["bytes 0-9/100"], 1, 10),
            (&["bytes 0-8/100"], 0, 10),
            (&["bytes 0-10/100"], 0, 10),
            (&["bytes */100"], 0, 10),
            (&["bytes 0-9/*"], 0, 10),
        ] {
            let error = answer(values, start, end).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "range-mismatch"), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = ContentRange::parse(&value);
        }

        #[test]
        fn what_is_read_says_what_was_written(first: u64, last: u64, total: u64) {
            let text = format!("bytes {first}-{last}/{total}");
            match ContentRange::parse(text.as_bytes()) {
                Some(range) => prop_assert_eq!(range, ContentRange::Part { first, last, total }),
                None => prop_assert!(first > last || last >= total || total > SIZE_MAX),
            }
        }
    }
}
