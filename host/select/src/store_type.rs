use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::StrategyError;
use crate::location::Location;
use crate::ranking::Ranking;
use crate::reason;

/// A kind of store, by Glance's names. Written as its name: `"file"`, `"swift"`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum StoreType {
    /// `file`: schemes `file` and `filesystem`, and plain paths.
    File,
    /// `http`: schemes `http` and `https`.
    Http,
    /// `rbd`: scheme `rbd`.
    Rbd,
    /// `swift`: schemes `swift`, `swift+https`, `swift+http` and `swift+config`.
    Swift,
    /// `cinder`: scheme `cinder`.
    Cinder,
    /// `vmware`: scheme `vsphere`.
    Vmware,
    /// `s3`: schemes `s3`, `s3+http` and `s3+https`.
    S3,
    /// `other`: every other scheme.
    Other,
}

impl StoreType {
    /// Every store type.
    pub const ALL: &'static [Self] =
        &[Self::File, Self::Http, Self::Rbd, Self::Swift, Self::Cinder, Self::Vmware, Self::S3, Self::Other];

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "http",
            Self::Rbd => "rbd",
            Self::Swift => "swift",
            Self::Cinder => "cinder",
            Self::Vmware => "vmware",
            Self::S3 => "s3",
            Self::Other => "other",
        }
    }

    /// The URL schemes of its locations, in lower case. Those of `other` are all that no type has.
    #[must_use]
    pub const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::File => &["file", "filesystem"],
            Self::Http => &["http", "https"],
            Self::Rbd => &["rbd"],
            Self::Swift => &["swift", "swift+https", "swift+http", "swift+config"],
            Self::Cinder => &["cinder"],
            Self::Vmware => &["vsphere"],
            Self::S3 => &["s3", "s3+http", "s3+https"],
            Self::Other => &[],
        }
    }

    /// The store type of a location's URL, by its scheme in any case; none if what stands there is no scheme (RFC 3986, 3.1).
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let Some((scheme, _)) = url.split_once("://") else {
            return Some(Self::File);
        };
        let has_it = |store: &Self| store.schemes().iter().any(|known| known.eq_ignore_ascii_case(scheme));
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        Self::ALL.iter().copied().find(has_it).or(is_scheme.then_some(Self::Other))
    }
}

impl fmt::Display for StoreType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StoreType {
    type Err = StrategyError;

    fn from_str(name: &str) -> Result<Self, StrategyError> {
        Self::ALL
            .iter()
            .copied()
            .find(|store| store.name() == name)
            .ok_or_else(|| StrategyError::UnknownStoreType(name.to_owned()))
    }
}

impl TryFrom<String> for StoreType {
    type Error = StrategyError;

    fn try_from(name: String) -> Result<Self, StrategyError> {
        name.parse()
    }
}

impl From<StoreType> for &'static str {
    fn from(store: StoreType) -> Self {
        store.name()
    }
}

/// Ranks by place in `prefer`; what is not in it has no key, and so comes after all that is.
pub(crate) fn rank(locations: &[Location<'_>], prefer: &[StoreType]) -> Vec<Ranking> {
    let rank = |location: &Location<'_>| {
        // The scheme itself is not shown: it is a part of the URL.
        let Some(store) = StoreType::of_url(location.url) else {
            return (None, "store type unknown (not preferred)".to_owned());
        };
        match prefer.iter().position(|preferred| *preferred == store) {
            Some(at) => {
                let place = reason::ordinal(at);
                let count = prefer.len();
                let text = format!("store type {store} ({place} of {count} preferred)");
                (Some(at as f64), text)
            }
            None => (None, format!("store type {store} (not preferred)")),
        }
    };
    let ranked = locations.iter().map(rank).enumerate();
    ranked.map(|(index, (key, reason))| Ranking::keep(index, key, reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_its_store_type_in_any_case() {
        for &store in StoreType::ALL {
            assert_eq!(store.name().parse(), Ok(store));
            for scheme in store.schemes() {
                let url = format!("{}://x", scheme.to_uppercase());
                assert_eq!(StoreType::of_url(&url), Some(store));
            }
        }
        let table = [
            ("/srv/images/a", Some(StoreType::File)),
            ("file:/srv/a", Some(StoreType::File)),
            ("", Some(StoreType::File)),
            ("swift+config://ref/c/o", Some(StoreType::Swift)),
            ("ftp://h/a", Some(StoreType::Other)),
            ("://h/a", None),
            (" file:///a", None),
        ];
        for (url, expected) in table {
            assert_eq!(StoreType::of_url(url), expected, "{url}");
        }
    }

    #[test]
    fn listed_types_have_keys_in_order_of_preference() {
        let urls = ["rbd://a", "swift://a", "nfs://a", "/a"];
        let locations = urls.map(|url| Location { url, ..Location::default() });
        let ranked = rank(&locations, &[StoreType::File, StoreType::Swift]);
        let shown: Vec<_> = ranked.iter().map(|r| (r.key, r.reason.as_str())).collect();
        assert_eq!(
            shown,
            [
                (None, "store type rbd (not preferred)"),
                (Some(1.0), "store type swift (2nd of 2 preferred)"),
                (None, "store type other (not preferred)"),
                (Some(0.0), "store type file (1st of 2 preferred)"),
            ]
        );
    }
}
