//! What an object is called within its account.

use landfall_handler_http::Url;

/// Bytes of a container's name and of an object's; Swift's constraints `max_container_name_length` and
/// `max_object_name_length`.
const CONTAINER_MAX: usize = 256;
const OBJECT_MAX: usize = 1024;

/// A container and an object in it, as Swift stores them: not percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    container: String,
    object: String,
}

impl ObjectName {
    /// `None` for what cannot be asked for, or would be another object's name once it stands in a URL.
    pub(crate) fn new(container: &str, object: &str) -> Option<Self> {
        let clean =
            |name: &str| !name.contains(char::is_control) && !name.split('/').any(|part| part == "." || part == "..");
        let good = is_container(container) && (1..=OBJECT_MAX).contains(&object.len()) && clean(object);
        good.then(|| Self { container: container.to_owned(), object: object.to_owned() })
    }

    /// Of `/CONTAINER/OBJECT`, as an SLO manifest writes it.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (container, object) = path.strip_prefix('/')?.split_once('/')?;
        Self::new(container, object)
    }

    /// The container's name.
    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    /// The object's name, which may have slashes in it.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Where the object is, in the account that has this storage URL.
    pub(crate) fn within(&self, account: &Url) -> Url {
        let mut url = container_url(account, &self.container);
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(self.object.split('/'));
        }
        url
    }
}

/// Whether a container can have this name.
pub(crate) fn is_container(name: &str) -> bool {
    (1..=CONTAINER_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c.is_control())
}

/// Where a container is.
pub(crate) fn container_url(account: &Url, container: &str) -> Url {
    let mut url = account.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().push(container);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_url_can_say() {
        let long = "x".repeat(OBJECT_MAX);
        for (path, expected) in [
            ("/c/o", Some(("c", "o"))),
            ("/c/a/b", Some(("c", "a/b"))),
            ("/c//a//", Some(("c", "/a//"))),
            ("/c d/%2e%2e", Some(("c d", "%2e%2e"))),
            ("/c/...", Some(("c", "..."))),
            (&format!("/c/{long}"), Some(("c", &long))),
            (&format!("/c/{long}x"), None),
            (&format!("/{}/o", "c".repeat(257)), None),
            ("c/o", None),
            ("/c", None),
            ("/c/", None),
            ("//o", None),
            ("/c/..", None),
            ("/c/a/../b", None),
            ("/c/./b", None),
            ("/../o", None),
            ("/./o", None),
            ("/c/a\0b", None),
            ("/c/a\nb", None),
            ("/c\r/a", None),
            ("", None),
            ("/", None),
        ] {
            let name = ObjectName::parse(path);
            assert_eq!(name.as_ref().map(|name| (name.container(), name.object())), expected, "{path:?}");
        }
    }

    #[test]
    fn each_part_is_encoded_by_itself() {
        let account = Url::parse("https://host/v1/AUTH_x").unwrap();
        for (path, expected) in [
            ("/c/o", "/v1/AUTH_x/c/o"),
            ("/c/a/b", "/v1/AUTH_x/c/a/b"),
            ("/c//a//", "/v1/AUTH_x/c//a//"),
            ("/c d/100%?#", "/v1/AUTH_x/c%20d/100%25%3F%23"),
            ("/c/%2e%2e/%2f", "/v1/AUTH_x/c/%252e%252e/%252f"),
            ("/c/ü\\", "/v1/AUTH_x/c/%C3%BC%5C"),
        ] {
            let url = ObjectName::parse(path).unwrap().within(&account);
            assert_eq!((url.path(), url.query()), (expected, None), "{path:?}");
        }
        let slash = Url::parse("https://host/v1/AUTH_x/").unwrap();
        assert_eq!(ObjectName::parse("/c/o").unwrap().within(&slash).path(), "/v1/AUTH_x/c/o");
    }
}
