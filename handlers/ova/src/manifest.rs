//! The manifest: a digest for each file of the package.
//!
//! Its form: DMTF DSP0243, "OVF package structure", `ALGORITHM(NAME)= DIGEST`. SHA512 is what VMware's ovftool offers
//! beyond that; spaces around the parentheses, and other ends of lines, are what other tools write.

use std::collections::BTreeMap;

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::digest::Algorithm;
use crate::name;

/// Bytes of a manifest: more than a line for each member can have.
pub(crate) const MANIFEST_MAX: u64 = 1 << 20;

/// The digest that a member must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) algorithm: Algorithm,
    pub(crate) digest: Vec<u8>,
}

/// The lines of a manifest, by the names of members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    lines: BTreeMap<String, Line>,
}

impl Manifest {
    /// Parses a manifest. Every line counts: one that cannot be read would leave a file unprotected.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut lines = BTreeMap::new();
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))?;
        for line in text.split_terminator('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let (name, line) = parse_line(line).ok_or_else(|| invalid("has a line that cannot be read"))?;
            if lines.insert(name.to_owned(), line).is_some() {
                return Err(invalid("has two lines for one file"));
            }
        }
        Ok(Self { lines })
    }

    /// What is listed for the member `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Line> {
        self.lines.get(name)
    }

    /// The names that are listed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.keys().map(String::as_str)
    }
}

fn parse_line(line: &str) -> Option<(&str, Line)> {
    let (algorithm, rest) = line.split_once('(')?;
    let algorithm = Algorithm::named(algorithm.strip_suffix(' ').unwrap_or(algorithm))?;
    // A name may have parentheses; a digest has none.
    let (name, rest) = rest.rsplit_once(')')?;
    let name = name::plain(name.as_bytes())?;
    let digest = rest.trim_start_matches(' ').strip_prefix('=')?.trim_matches(' ');
    let digest = unhex(digest).filter(|digest| digest.len() == algorithm.bytes())?;
    Some((name, Line { algorithm, digest }))
}

/// The bytes of hexadecimal digits, of either case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

/// The error of a manifest that cannot be right.
pub(crate) fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "manifest-invalid", format!("the manifest {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_line_is_algorithm_name_and_digest() {
        let sha512 = "00".repeat(64);
        for (line, name, algorithm) in [
            (format!("SHA1(a.ovf)= {SHA1}"), "a.ovf", Algorithm::Sha1),
            (format!("SHA1 (a.ovf) = {SHA1}"), "a.ovf", Algorithm::Sha1),
            (format!("SHA1(a.ovf)={}", SHA1.to_uppercase()), "a.ovf", Algorithm::Sha1),
            (format!("SHA256(./a (1).vmdk)= {SHA256}"), "a (1).vmdk", Algorithm::Sha256),
            (format!("SHA256(a)b)= {SHA256} \r"), "a)b", Algorithm::Sha256),
            (format!("SHA512(a)= {sha512}"), "a", Algorithm::Sha512),
        ] {
            let manifest = Manifest::parse(format!("{line}\n").as_bytes()).unwrap();
            assert_eq!(manifest.names().collect::<Vec<_>>(), [name], "{line}");
            assert_eq!(manifest.get(name).unwrap().algorithm, algorithm, "{line}");
            assert_eq!(Manifest::parse(line.as_bytes()).unwrap(), manifest, "{line} without its end");
        }
        assert_eq!(Manifest::parse(b"").unwrap(), Manifest::default());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error() {
        let line = format!("SHA1(a.ovf)= {SHA1}\n");
        for bad in [
            format!("{line}\n"),
            format!("{line}{line}"),
            format!("{line}SHA1(./a.ovf)= {SHA1}\n"),
            format!("#comment\n{line}"),
            format!("\u{feff}{line}"),
            format!(" {line}"),
            format!("sha1(a.ovf)= {SHA1}\n"),
            format!("MD5(a.ovf)= {}\n", &SHA1[..32]),
            format!("SHA1(a.ovf) {SHA1}\n"),
            format!("SHA1 a.ovf= {SHA1}\n"),
            format!("SHA1(a.ovf= {SHA1}\n"),
            format!("SHA1()= {SHA1}\n"),
            format!("SHA1(../a.ovf)= {SHA1}\n"),
            format!("SHA1(a.ovf)= {SHA256}\n"),
            format!("SHA256(a.ovf)= {SHA1}\n"),
            format!("SHA1(a.ovf)= {}\n", &SHA1[1..]),
            format!("SHA1(a.ovf)= {}g\n", &SHA1[1..]),
            format!("SHA1(a.ovf)= +{}\n", &SHA1[1..]),
            format!("SHA1(a.ovf)=\t{SHA1}\n"),
            format!("SHA1(a.ovf)= {SHA1}\r\r\n"),
            format!("SHA1(a.ovf)= {SHA1}\0"),
        ] {
            let error = Manifest::parse(bad.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "manifest-invalid"), "{bad:?}");
        }
        assert_eq!(Manifest::parse(b"SHA1(\xff)= 00").unwrap_err().code(), "manifest-invalid");
    }
}
