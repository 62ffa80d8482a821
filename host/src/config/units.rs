//! Sizes and times as operators write them.

use std::fmt;
use std::time::Duration;

/// A regular expression of what [`Size`] reads, for the schema.
pub(super) const SIZE_PATTERN: &str = "^[0-9]+ ?(B|[KMGTP]iB|[kMGTP]B)?$";

/// A regular expression of what [`duration`] reads, for the schema.
pub(super) const DURATION_PATTERN: &str = "^([0-9]+ ?(ms|s|m|h|d|w) ?)+$";

/// No file can be larger: offsets are signed.
const SIZE_MAX: u64 = i64::MAX as u64;

/// Far from where adding to a clock's reading overflows.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The largest unit that divides a size is the one it is shown in, so the powers of 1024 come first.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Milliseconds of each unit of time.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a size or a time cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitError {
    /// What is wrong.
    pub(super) label: &'static str,
    /// What to write instead.
    pub(super) help: &'static str,
}

/// A number of bytes, from 1 to the largest that a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Size {
    /// Reads `16TiB`, `500 GB` or `4096`.
    pub(super) fn parse(text: &str) -> Result<Self, UnitError> {
        const HELP: &str = "write a whole number and a unit: B, KiB, MiB, GiB, TiB, PiB (powers of 1024), kB, MB, GB, TB, PB (powers of 1000)";
        let (number, unit) = split_number(text).ok_or(UnitError { label: "not a size", help: HELP })?;
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let factor = match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => return Err(UnitError { label: "not a unit of size", help: HELP }),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map_or(Err(Self::TOO_LARGE), Self::new)
    }

    /// Takes a bare number of bytes.
    pub(super) fn of(bytes: i64) -> Result<Self, UnitError> {
        u64::try_from(bytes).map_or(Err(Self::NOT_POSITIVE), Self::new)
    }

    const TOO_LARGE: UnitError =
        UnitError { label: "too large", help: "no file can have more than 9223372036854775807 bytes" };
    const NOT_POSITIVE: UnitError = UnitError { label: "less than 1", help: "the least is 1 byte" };

    fn new(bytes: u64) -> Result<Self, UnitError> {
        match bytes {
            0 => Err(Self::NOT_POSITIVE),
            1..=SIZE_MAX => Ok(Self(bytes)),
            _ => Err(Self::TOO_LARGE),
        }
    }
}

/// With the largest power of 1024 that divides it: `16TiB`, `1000B`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor);
        let (unit, factor) = SIZE_UNITS.iter().find(fits).expect("one byte divides every size");
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Reads `24h`, `1h 30m` or `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, UnitError> {
    const HELP: &str = "write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`";
    const NOT_A_TIME: UnitError = UnitError { label: "not a time", help: HELP };
    const TOO_LONG: UnitError = UnitError { label: "too long", help: "at most 3650d" };

    let mut milliseconds: u64 = 0;
    let mut rest = text;
    loop {
        let (number, after) = split_number(rest).ok_or(NOT_A_TIME)?;
        let after = after.strip_prefix(' ').unwrap_or(after);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            let label = if unit.is_empty() { "no unit of time" } else { "not a unit of time" };
            return Err(UnitError { label, help: HELP });
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        milliseconds = part.and_then(|part| milliseconds.checked_add(part)).ok_or(TOO_LONG)?;
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    let duration = Duration::from_millis(milliseconds);
    if duration > DURATION_MAX { Err(TOO_LONG) } else { Ok(duration) }
}

/// The form that [`duration`] reads: `1d`, `1h 30m`. Less than a millisecond is cut off.
pub(super) fn written_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, factor) in DURATION_UNITS {
        if rest >= factor {
            parts.push(format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// The digits that `text` begins with, and the rest.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("1", Ok(1)),
            ("4096B", Ok(4096)),
            ("16 TiB", Ok(16 << 40)),
            ("16TiB", Ok(16 << 40)),
            ("500GB", Ok(500_000_000_000)),
            ("9223372036854775807", Ok(u64::MAX >> 1)),
            ("9223372036854775808", Err("too large")),
            ("8192PiB", Err("too large")),
            ("99999999999999999999", Err("too large")),
            ("99999999999PiB", Err("too large")),
            ("0", Err("less than 1")),
            ("0GiB", Err("less than 1")),
            ("", Err("not a size")),
            ("-1", Err("not a size")),
            ("GiB", Err("not a size")),
            ("1.5GiB", Err("not a unit of size")),
            ("16T", Err("not a unit of size")),
            ("16tib", Err("not a unit of size")),
            ("16  TiB", Err("not a unit of size")),
            ("16 ", Ok(16)),
            ("١", Err("not a size")),
        ];
        for (text, expected) in table {
            assert_eq!(Size::parse(text).map(|size| size.0).map_err(|error| error.label), expected, "{text:?}");
        }
        assert_eq!(Size::of(-1).map_err(|error| error.label), Err("less than 1"));
    }

    #[test]
    fn times() {
        let table = [
            ("24h", Ok(86_400_000)),
            ("1h 30m", Ok(5_400_000)),
            ("1h30m", Ok(5_400_000)),
            ("90 s", Ok(90_000)),
            ("500ms", Ok(500)),
            ("0s", Ok(0)),
            ("3650d", Ok(315_360_000_000)),
            ("3651d", Err("too long")),
            ("99999999999999999999w", Err("too long")),
            ("99999999999999999w", Err("too long")),
            ("", Err("not a time")),
            ("h", Err("not a time")),
            ("1h ", Err("not a time")),
            ("-5s", Err("not a time")),
            ("86400", Err("no unit of time")),
            ("1.5h", Err("no unit of time")),
            ("5min", Err("not a unit of time")),
            ("1h  30m", Err("not a time")),
        ];
        for (text, expected) in table {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(duration(text).map_err(|error| error.label), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(bytes in 1..=SIZE_MAX, milliseconds in 0..315_360_000_000_u64) {
            prop_assert_eq!(Size::parse(&Size(bytes).to_string()), Ok(Size(bytes)));
            let time = Duration::from_millis(milliseconds);
            prop_assert_eq!(duration(&written_duration(time)), Ok(time));
        }
    }
}
