//! Which way bytes took: from which store and host, through which handlers.

use landfall_select::StoreType;
use serde::{Deserialize, Serialize};

use crate::route::Attempt;

/// Characters of each part that are kept.
const PART_MAX: usize = 200;
/// What stands for a part that there is not.
const NONE: &str = "-";

/// A way from stored bytes to a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Way {
    /// Where from: the store's id and the host, with `-` for what there is not.
    pub(crate) place: String,
    /// The handlers, in the order of the chain; empty for any.
    pub(crate) chain: String,
}

impl Way {
    /// That of an attempt at the location of this URL.
    pub(crate) fn of(attempt: &Attempt, url: Option<&str>) -> Self {
        let store = attempt.belonging.store.as_ref().map(|store| store.id.as_str());
        Self { place: place(store, url), chain: part(&attempt.handlers().join(" -> ")) }
    }
}

/// The place of a store and a URL. What handlers read without a location, such as an image by its id, has neither.
pub(crate) fn place(store: Option<&str>, url: Option<&str>) -> String {
    let store = store.filter(|id| !id.is_empty()).map(part);
    let host = url.and_then(authority).map(|host| part(&host));
    format!("{} {}", store.as_deref().unwrap_or(NONE), host.as_deref().unwrap_or(NONE))
}

/// Whether what a URL names is a file of this node, or of a file server that it has mounted.
pub(crate) fn is_file(url: Option<&str>) -> bool {
    url.is_some_and(|url| StoreType::of_url(url) == Some(StoreType::File))
}

fn part(text: &str) -> String {
    crate::redact::printable(text).replace(' ', "_").chars().take(PART_MAX).collect()
}

/// What connections to a URL are counted by: scheme, host and port, however they are written. None for URLs without a host.
pub(crate) fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let scheme = scheme.to_ascii_lowercase();
    let usual = if scheme.ends_with("https") { ":443" } else { ":80" };
    let host = host.strip_suffix(usual).unwrap_or(&host).trim_end_matches('.');
    (!host.is_empty()).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_one_however_it_is_written() {
        for url in [
            "http://host/a",
            "HTTP://HOST:80/b",
            "http://u:p@host/x",
            "http://host./",
            "http://host?a@b",
            "http://host/@other/",
        ] {
            assert_eq!(authority(url).as_deref(), Some("http://host"), "{url}");
        }
        assert_eq!(authority("https://host:443/").as_deref(), Some("https://host"));
        assert_eq!(authority("http://host:81/").as_deref(), Some("http://host:81"));
        assert_eq!((authority("file:///a/b"), authority("/a/b")), (None, None));
    }

    #[test]
    fn a_place_has_two_words_and_no_secret() {
        assert_eq!(place(Some("near"), Some("https://u:SECRET@h/c?k=SECRET")), "near https://h");
        assert_eq!(place(None, Some("file:///srv/a")), "- -");
        assert_eq!(place(Some("a b"), None), "a_b -");
        let long = place(Some(&"x".repeat(5000)), Some(&format!("http://{}/", "y".repeat(5000))));
        assert!(long.len() <= 2 * PART_MAX + 1);
    }
}
