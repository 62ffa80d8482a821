//! Digests of stored bytes: which one a record gives, and how one is computed.

use std::fmt;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use md5::Md5;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::stored_form::StoredForm;

/// A digest algorithm, by the name that Python's hashlib and so Glance's `os_hash_algo` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// SHA-512, Glance's default.
    Sha512,
    /// SHA-384.
    Sha384,
    /// SHA-256.
    Sha256,
    /// SHA-224.
    Sha224,
    /// MD5: only where `legacy_md5` is configured.
    Md5,
}

impl Algorithm {
    /// Every algorithm.
    pub(crate) const ALL: [Self; 5] = [Self::Sha512, Self::Sha384, Self::Sha256, Self::Sha224, Self::Md5];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::Sha384 => "sha384",
            Self::Sha256 => "sha256",
            Self::Sha224 => "sha224",
            Self::Md5 => "md5",
        }
    }

    /// Bytes of a digest.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Sha512 => 64,
            Self::Sha384 => 48,
            Self::Sha256 => 32,
            Self::Sha224 => 28,
            Self::Md5 => 16,
        }
    }

    /// A computation that has seen no bytes yet.
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Sha512 => Hasher::Sha512(Sha512::default()),
            Self::Sha384 => Hasher::Sha384(Sha384::default()),
            Self::Sha256 => Hasher::Sha256(Sha256::default()),
            Self::Sha224 => Hasher::Sha224(Sha224::default()),
            Self::Md5 => Hasher::Md5(Md5::default()),
        }
    }
}

/// A running digest.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// Of [`Algorithm::Sha512`], and so on.
    Sha512(Sha512),
    Sha384(Sha384),
    Sha256(Sha256),
    Sha224(Sha224),
    Md5(Md5),
}

/// Does the same with whatever computation it is.
macro_rules! with {
    ($hasher:expr, $state:ident => $action:expr) => {
        match $hasher {
            Hasher::Sha512($state) => $action,
            Hasher::Sha384($state) => $action,
            Hasher::Sha256($state) => $action,
            Hasher::Sha224($state) => $action,
            Hasher::Md5($state) => $action,
        }
    };
}

impl Hasher {
    /// Goes on from a state that [`Hasher::state`] gave; `None` if it is none of this algorithm.
    pub(crate) fn resume(algorithm: Algorithm, state: &str) -> Option<Self> {
        let bytes = unhex(state)?;
        Some(match algorithm {
            Algorithm::Sha512 => Self::Sha512(restore(&bytes)?),
            Algorithm::Sha384 => Self::Sha384(restore(&bytes)?),
            Algorithm::Sha256 => Self::Sha256(restore(&bytes)?),
            Algorithm::Sha224 => Self::Sha224(restore(&bytes)?),
            Algorithm::Md5 => Self::Md5(restore(&bytes)?),
        })
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha512(_) => Algorithm::Sha512,
            Self::Sha384(_) => Algorithm::Sha384,
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha224(_) => Algorithm::Sha224,
            Self::Md5(_) => Algorithm::Md5,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        with!(self, state => state.update(bytes));
    }

    /// What it needs to go on in another process, in hex. It tells something of the bytes, and so is for nobody else.
    pub(crate) fn state(&self) -> String {
        with!(self, state => hex(&state.serialize()))
    }

    /// The digest of all bytes.
    pub(crate) fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        Digest { algorithm, value: with!(self, state => hex(&state.finalize())) }
    }
}

fn restore<T: SerializableState>(bytes: &[u8]) -> Option<T> {
    T::deserialize(bytes.try_into().ok()?).ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A digest of stored bytes. In JSON it is the string `ALGORITHM:HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    /// How it is computed.
    pub(crate) algorithm: Algorithm,
    /// Lower-case hex.
    pub(crate) value: String,
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_argument(&text, true).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.value)
    }
}

impl Digest {
    /// Reads an algorithm's name and a value in hex, of either case. `md5` is refused unless `legacy_md5`.
    pub(crate) fn parse(algorithm: &str, value: &str, legacy_md5: bool) -> Result<Self> {
        let name = algorithm.to_ascii_lowercase();
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
            let message = format!("digest algorithm {algorithm:?} is not known here");
            Error::new(ErrorKind::Unsupported, "digest-algorithm", message).scoped(Scope::Image)
        })?;
        if algorithm == Algorithm::Md5 && !legacy_md5 {
            let message = "an MD5 digest does not count unless legacy_md5 is configured";
            return Err(Error::new(ErrorKind::Unhashed, "md5-refused", message));
        }
        let value = value.trim().to_ascii_lowercase();
        if value.len() != algorithm.len().saturating_mul(2) || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("a {name} digest is {} hex digits", algorithm.len().saturating_mul(2));
            return Err(Error::new(ErrorKind::Invalid, "digest-value", message).scoped(Scope::Image));
        }
        Ok(Self { algorithm, value })
    }

    /// Reads `ALGORITHM:HEX`.
    pub(crate) fn parse_argument(text: &str, legacy_md5: bool) -> Result<Self> {
        let (algorithm, value) = text.split_once(':').ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "digest-value", "a digest is written ALGORITHM:HEX").scoped(Scope::Request)
        })?;
        Self::parse(algorithm, value, legacy_md5).map_err(|error| error.scoped(Scope::Request))
    }

    /// The digest that `record` gives for the bytes at `location`: the location's own, else the image's if the location
    /// holds the image in the image's own form. `None` when the record gives none that counts.
    pub(crate) fn of_location(record: &ImageRecord, location: &Location, legacy_md5: bool) -> Result<Option<Self>> {
        let own_form = StoredForm::is_other(record, location);
        let candidates = [
            (location.os_hash_algo.as_deref(), location.os_hash_value.as_deref(), false),
            (record.os_hash_algo.as_deref(), record.os_hash_value.as_deref(), own_form),
            (Some("md5"), location.checksum.as_deref(), false),
            (Some("md5"), record.checksum.as_deref(), own_form),
        ];
        for (algorithm, value, not_for_this_form) in candidates {
            if not_for_this_form {
                continue;
            }
            match (algorithm, value) {
                (None, Some(_)) => {
                    let message = "os_hash_value is given without os_hash_algo";
                    return Err(Error::new(ErrorKind::Invalid, "digest-value", message).scoped(Scope::Image));
                }
                // Glance names the algorithm while it still computes the value.
                (_, None) => {}
                (Some(algorithm), Some(value)) => match Self::parse(algorithm, value, legacy_md5) {
                    Err(error) if error.code() == "md5-refused" => {}
                    digest => return digest.map(Some),
                },
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_computes_what_its_length_says() {
        for algorithm in Algorithm::ALL {
            let mut hasher = algorithm.hasher();
            hasher.update(b"abc");
            let digest = hasher.finish();
            assert_eq!(digest.value.len(), algorithm.len() * 2);
            let upper = digest.value.to_uppercase();
            assert_eq!(Digest::parse(algorithm.name(), &upper, true).unwrap(), digest);
        }
        let mut hasher = Algorithm::Sha256.hasher();
        hasher.update(b"abc");
        // FIPS 180-4, example of SHA-256.
        assert!(hasher.finish().value.starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn md5_counts_only_when_allowed() {
        let mut record = ImageRecord::default();
        record.checksum = Some("d41d8cd98f00b204e9800998ecf8427e".into());
        let location = Location::from_url("file:///a");
        assert_eq!(Digest::of_location(&record, &location, false).unwrap(), None);
        let digest = Digest::of_location(&record, &location, true).unwrap().unwrap();
        assert_eq!(digest.algorithm, Algorithm::Md5);
    }

    #[test]
    fn another_form_needs_a_digest_of_its_own() {
        let mut record = ImageRecord::default();
        record.disk_format = Some("raw".into());
        record.os_hash_algo = Some("sha256".into());
        record.os_hash_value = Some("0".repeat(64));
        let mut location = Location::from_url("file:///a");
        assert!(Digest::of_location(&record, &location, false).unwrap().is_some());
        location.disk_format = Some("vmdk".into());
        assert_eq!(Digest::of_location(&record, &location, false).unwrap(), None);
        location.os_hash_algo = Some("sha256".into());
        location.os_hash_value = Some("1".repeat(64));
        assert_eq!(Digest::of_location(&record, &location, false).unwrap().unwrap().value, "1".repeat(64));
    }

    #[test]
    fn nonsense_is_named() {
        for (algorithm, value, code) in
            [("crc32", "00", "digest-algorithm"), ("sha256", "zz", "digest-value"), ("md5", "00", "md5-refused")]
        {
            assert_eq!(Digest::parse(algorithm, value, false).unwrap_err().code(), code);
        }
    }
}
