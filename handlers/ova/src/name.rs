//! Names of files in a package.

/// Bytes of a name: as many as file systems take. A tar header alone has room for 100.
const NAME_MAX: usize = 255;

/// The name that `bytes` are, if they are a single plain component. A leading `./`, which `tar c .` writes, is left
/// out.
///
/// A backslash separates components for some readers, so it is refused as `/` is.
pub(crate) fn plain(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.strip_prefix(b"./").unwrap_or(bytes);
    let name = std::str::from_utf8(bytes).ok()?;
    let fine = !name.is_empty() && name.len() <= NAME_MAX && !matches!(name, "." | "..");
    let separates = |character: char| matches!(character, '/' | '\\') || character.is_control();
    (fine && !name.contains(separates)).then_some(name)
}

/// What two names may not have in common: there are file systems and readers that ignore the case of ASCII letters.
pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_component() {
        let longest = "n".repeat(NAME_MAX);
        for (name, expected) in [
            ("disk.vmdk", Some("disk.vmdk")),
            ("./disk.vmdk", Some("disk.vmdk")),
            ("Scheibe ä.vmdk", Some("Scheibe ä.vmdk")),
            ("...", Some("...")),
            (longest.as_str(), Some(longest.as_str())),
        ] {
            assert_eq!(plain(name.as_bytes()), expected, "{name}");
        }
        let long = "n".repeat(NAME_MAX + 1);
        for name in [
            "", ".", "..", "./", "./.", "./..", "././a", "a/b", "/a", "a/", "../a", "a\\b", "a\nb", "a\0b", "\u{9b}",
            &long,
        ] {
            assert_eq!(plain(name.as_bytes()), None, "{name:?}");
        }
        assert_eq!(plain(b"\xff.vmdk"), None);
    }
}
