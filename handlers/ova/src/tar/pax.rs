//! The records of a PAX header: what they may say.
//!
//! Their form: POSIX.1-2017, `pax`, "pax Extended Header". A record that changes a member's name, size or type is read
//! by some readers and not by others (CVE-2025-62518), so none is taken.

use landfall_handler_api::{Error, ErrorKind, Result};

/// Bytes of the records before one member.
pub(crate) const PAX_MAX: u64 = 64 << 10;

/// Keywords that say nothing about names, sizes and types.
const HARMLESS: [&str; 13] = [
    "atime",
    "comment",
    "ctime",
    "gid",
    "gname",
    "mtime",
    "uid",
    "uname",
    "LIBARCHIVE.creationtime",
    "SCHILY.dev",
    "SCHILY.fflags",
    "SCHILY.ino",
    "SCHILY.nlink",
];
const HARMLESS_GROUPS: [&str; 4] = ["LIBARCHIVE.xattr.", "SCHILY.acl.", "SCHILY.xattr.", "RHT.security."];

/// Checks that `records` are well-formed and harmless.
pub(crate) fn check(records: &[u8]) -> Result<()> {
    let mut rest = records;
    while !rest.is_empty() {
        let (keyword, after) = record(rest).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "tar-pax-malformed", "a PAX header has a malformed record")
        })?;
        if !HARMLESS.contains(&keyword) && !HARMLESS_GROUPS.iter().any(|group| keyword.starts_with(group)) {
            let message = "a PAX header has a record that may change what is read: a size, a name, or an unknown one";
            return Err(Error::new(ErrorKind::Unsupported, "tar-pax-record", message));
        }
        rest = after;
    }
    Ok(())
}

/// The keyword of the first record, and what follows the record: `LENGTH KEYWORD=VALUE\n`, the length that of all of
/// it.
fn record(records: &[u8]) -> Option<(&str, &[u8])> {
    let digits = records.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(records.get(..digits)?).ok()?;
    if length.is_empty() || length.starts_with('0') || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (record, after) = records.split_at_checked(length.parse().ok()?)?;
    let text = record.get(digits..)?.strip_prefix(b" ")?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let keyword = std::str::from_utf8(text.get(..equals)?).ok()?;
    let plain = !keyword.is_empty() && keyword.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some((keyword, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_records_pass_and_others_are_refused() {
        for (records, code) in [
            ("", ""),
            ("20 mtime=1700000000\n", ""),
            ("20 mtime=1700000000\n13 uid=70000\n", ""),
            ("26 SCHILY.xattr.user.a=b\0\n", ""),
            ("10 comment\n", "tar-pax-malformed"),
            ("12 comment=\n", ""),
            ("10 size=1\n", "tar-pax-record"),
            ("10 path=a\n", "tar-pax-record"),
            ("14 linkpath=a\n", "tar-pax-record"),
            ("22 GNU.sparse.major=1\n", "tar-pax-record"),
            ("21 SCHILY.realsize=1\n", "tar-pax-record"),
            ("20 hdrcharset=BINARY", "tar-pax-malformed"),
            ("21 hdrcharset=BINARY\n", "tar-pax-record"),
            ("11 mtime=1\n", ""),
            ("10 mtime=1\n", "tar-pax-malformed"),
            ("011 mtime=1\n", "tar-pax-malformed"),
            ("+10 mtime=1\n", "tar-pax-malformed"),
            ("12 mtime=1\n", "tar-pax-malformed"),
            ("99999999999999999999999 mtime=1\n", "tar-pax-malformed"),
            ("9 size\0=1\n", "tar-pax-malformed"),
            ("5 =1\n", "tar-pax-malformed"),
            ("1 \n", "tar-pax-malformed"),
            (" mtime=1\n", "tar-pax-malformed"),
            ("10 mtime=1", "tar-pax-malformed"),
        ] {
            let found = check(records.as_bytes()).err();
            assert_eq!(found.as_ref().map_or("", Error::code), code, "{records:?}");
        }
    }
}
