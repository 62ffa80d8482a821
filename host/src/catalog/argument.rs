//! What the word `IMAGE` on the command line means.

use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use crate::redact;

/// An image as the calling person named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageArgument {
    /// `-`: a record on standard input.
    Standard,
    /// A record file.
    Record(PathBuf),
    /// Stored bytes without a record.
    Bare(BareImage),
    /// An id in a catalog.
    Id(String),
}

/// A location without a record, and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BareImage {
    /// Its URL, without secrets.
    pub(crate) url: String,
    /// What was said about its bytes.
    pub(crate) said: Said,
}

/// What the caller says about stored bytes that have no record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// `ALGORITHM:HEX`.
    pub(crate) hash: Option<String>,
    /// The disk format of the bytes; `raw` where nothing is said.
    pub(crate) disk_format: Option<String>,
    /// Their container format; `bare` where nothing is said.
    pub(crate) container_format: Option<String>,
    /// How they are compressed.
    pub(crate) compression: Option<String>,
}

impl ImageArgument {
    /// Reads the argument. A URL is a bare location; a path is a record file, unless the options say what its bytes are. A
    /// word without `/` and `.json` is an id where there are catalogs, whatever files the working directory has; elsewhere
    /// it may be a file.
    pub(crate) fn read(text: &str, said: &Said, has_catalogs: bool) -> Result<Self> {
        let refuse = |code: &'static str, message: String| {
            Err(Error::new(ErrorKind::Invalid, code, message).scoped(Scope::Request))
        };
        let described = *said != Said::default();
        let bare = |url: String| Self::Bare(BareImage { url, said: said.clone() });
        if text.contains("://") {
            if redact::has_secret(text) {
                let message = format!(
                    "{} holds credentials or a signature, which every process here can read in an argument list: put it \
                     into a record file, or into a record on standard input (-)",
                    redact::url(text)
                );
                return refuse("secret-in-argument", message);
            }
            return Ok(bare(text.to_owned()));
        }
        if described {
            if text == "-" {
                return refuse(
                    "argument",
                    "--hash, the formats and --compression describe a URL or a file, not a record".to_owned(),
                );
            }
            if has_catalogs && !text.contains('/') && !Path::new(text).exists() {
                return refuse(
                    "argument",
                    format!(
                        "{} is no file here; of an image in a catalog its record says what --hash, the formats and \
                         --compression say of a URL or a file",
                        redact::printable(text)
                    ),
                );
            }
            let path = std::path::absolute(text).map_err(|error| {
                Error::os(&error, format_args!("resolve {}", redact::printable(text))).scoped(Scope::Request)
            })?;
            return match path.to_str() {
                Some(path) => Ok(bare(format!("file://{path}"))),
                None => refuse("argument", "a path to stored bytes must be UTF-8".to_owned()),
            };
        }
        if text == "-" {
            return Ok(Self::Standard);
        }
        let path = Path::new(text);
        if text.contains('/') || text.ends_with(".json") || (!has_catalogs && path.exists()) {
            return Ok(Self::Record(path.to_owned()));
        }
        Ok(Self::Id(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_refused_and_not_repeated() {
        for url in ["http://user:CANARY@h/x", "https://h/x?sig=CANARY"] {
            let error = ImageArgument::read(url, &Said::default(), false).unwrap_err();
            assert_eq!(error.code(), "secret-in-argument");
            assert!(!error.message().contains("CANARY"));
        }
    }

    #[test]
    fn words_are_told_apart() {
        let read = |text, hash: Option<&str>| {
            let said = Said { hash: hash.map(Into::into), ..Said::default() };
            ImageArgument::read(text, &said, false).unwrap()
        };
        assert_eq!(read("-", None), ImageArgument::Standard);
        assert_eq!(read("no-such-thing", None), ImageArgument::Id("no-such-thing".into()));
        let id = ImageArgument::read("Cargo.toml", &Said::default(), true).unwrap();
        assert_eq!(id, ImageArgument::Id("Cargo.toml".into()), "no file shadows an id");
        assert_eq!(read("x.json", None), ImageArgument::Record("x.json".into()));
        // What only files and URLs can be told of is no reason to take an id for a file that is not there.
        let said = Said { hash: Some("sha256:00".into()), ..Said::default() };
        assert_eq!(ImageArgument::read("no-such-thing", &said, true).unwrap_err().code(), "argument");
        assert!(matches!(ImageArgument::read("Cargo.toml", &said, true), Ok(ImageArgument::Bare(_))));
        assert!(matches!(read("http://h/x", None), ImageArgument::Bare(bare) if bare.said == Said::default()));
        assert!(
            matches!(read("/srv/x.img", Some("sha256:00")), ImageArgument::Bare(bare) if bare.url == "file:///srv/x.img")
        );
    }
}
