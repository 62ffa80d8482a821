//! `Retry-After` (RFC 9110, 10.2.3): when a server wants to be asked again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::content_range::digits;

/// A server may not put a placement to sleep for longer.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// The pause that an answer asks for, if it does in a way that can be read.
pub(crate) fn pause(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get(RETRY_AFTER)?.as_bytes(), SystemTime::now())
}

fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let pause = if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        // Digits that are no number are too many.
        digits(value).map_or(PAUSE_MAX, Duration::from_secs)
    } else {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(date(value)?))?;
        at.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(pause.min(PAUSE_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970. The two older forms are for servers that no longer exist.
fn date(text: &[u8]) -> Option<u64> {
    let [d0, d1, d2, b',', b' ', day @ .., b' ', b'G', b'M', b'T'] = text else { return None };
    if !DAYS.contains(&&[*d0, *d1, *d2]) {
        return None;
    }
    let [t0, t1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', h0, h1, b':', n0, n1, b':', s0, s1] = day else {
        return None;
    };
    let month = MONTHS.iter().position(|month| **month == [*m0, *m1, *m2])?;
    let (day, year) = (digits(&[*t0, *t1])?, digits(&[*y0, *y1, *y2, *y3])?);
    let (hour, minute, second) = (digits(&[*h0, *h1])?, digits(&[*n0, *n1])?, digits(&[*s0, *s1])?);
    if year < 1970 || day == 0 || day > days_of(month, year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (0..month).map(|month| days_of(month, year)).sum();
    let days = years.checked_add(months)?.checked_add(day)?.checked_sub(1)?;
    let minutes = days.checked_mul(24)?.checked_add(hour)?.checked_mul(60)?.checked_add(minute)?;
    minutes.checked_mul(60)?.checked_add(second)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of a month, counted from 0.
fn days_of(month: usize, year: u64) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(value: &str) -> Option<u64> {
        // 2024-02-29 12:00:00.
        let now = UNIX_EPOCH + Duration::from_secs(1_709_208_000);
        parse(value.as_bytes(), now).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        for (value, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Thu, 29 Feb 2024 12:00:30 GMT", Some(30)),
            ("Thu, 29 Feb 2024 11:00:00 GMT", Some(0)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(3600)),
            ("Fri, 01 Mar 9999 00:00:00 GMT", Some(3600)),
            ("Thu, 29 Feb 2023 12:00:30 GMT", None),
            ("Thu, 31 Apr 2024 12:00:30 GMT", None),
            ("Thu, 00 Mar 2024 12:00:30 GMT", None),
            ("Thu, 29 Feb 2024 24:00:30 GMT", None),
            ("Thu, 29 feb 2024 12:00:30 GMT", None),
            ("Xyz, 29 Feb 2024 12:00:30 GMT", None),
            ("Thu, 29 Feb 1969 12:00:30 GMT", None),
            ("Thu, 29 Feb 2024 12:00:30 UTC", None),
            ("Thu Feb 29 12:00:30 2024", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            (" 1", None),
            ("", None),
        ] {
            assert_eq!(seconds(value), expected, "{value:?}");
        }
    }

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(date(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date(b"Sat, 01 Jan 2000 00:00:00 GMT"), Some(946_684_800));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_ignored(value: Vec<u8>) {
            if let Some(pause) = parse(&value, UNIX_EPOCH) {
                prop_assert!(pause <= PAUSE_MAX);
            }
        }

        #[test]
        fn anything_like_a_date_is_read_or_ignored(value in "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT") {
            let _ = parse(value.as_bytes(), UNIX_EPOCH);
        }
    }
}
