//! The image record, as Glance's v2 API shows it, and its locations.
//!
//! Members that are not named here are kept: an image's properties stand at the top level of its record.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// An image record (Image API v2, `GET /v2/images/{id}`). Absent and null mean the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ImageRecord {
    /// The image's id, a UUID in Glance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The image's own status (`active`, `queued`, ...), not that of a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who may see it: `public`, `private`, `shared`, `community`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// `killed` or `deactivated`: what the image is, whatever its locations say. Landfall's own member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_overlay: Option<Value>,
    /// Whether it is protected from deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Whether it is hidden from listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_hidden: Option<bool>,
    /// MD5 of the stored bytes, lower-case hex. Counts only where `legacy_md5` is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The algorithm of `os_hash_value`: `sha512`, `sha256`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// The digest of the stored bytes, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// The number of stored bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The number of bytes of the disk once unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
    /// `raw`, `qcow2`, `vmdk`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<String>,
    /// `bare`, `ova`, `compressed`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_format: Option<String>,
    /// How the container, or the disk in the container `compressed`, is compressed as a whole: `gzip`, `zstd`, `xz`, `bzip2`,
    /// or `none`. Landfall's own member; absent, it is none, and gzip in the container `compressed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// MiB of memory that an instance must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ram: Option<u64>,
    /// GiB of disk that an instance must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_disk: Option<u64>,
    /// The owning project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Free tags.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Path of this record in the API.
    #[serde(rename = "self", skip_serializing_if = "Option::is_none")]
    pub self_link: Option<String>,
    /// Path of the image's bytes in the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Path of the record's schema in the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The first location's URL, where Glance shows it. May hold a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_url: Option<String>,
    /// Comma-separated ids of the stores that hold the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stores: Option<String>,
    /// Where the stored bytes are.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// Every other member: the image's properties (`hw_*`, `os_*`, `img_*`, ...).
    #[serde(flatten)]
    pub properties: Map<String, Value>,
}

/// One place where stored bytes of an image are.
///
/// `url` and `metadata` are Glance's. The other named members are Landfall's, from the 2013 design: a location may have a
/// status and metrics of its own, and hold the image in another form, which then has its own size and digest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Location {
    /// The direct URL as glance_store writes it. In a catalog's record it may hold a secret; in a handler's request it
    /// is redacted.
    pub url: String,
    /// The store's metadata, for instance `store`, `id` and `mountpoint`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Static metrics for selection: `weight`, `node-weights`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Value>,
    /// `active` (also when absent), `pending`, `pending_delete`, `deleted`; anything else excludes the location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
    /// When it got that status, RFC 3339; the scrubber's delay counts from then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_since: Option<String>,
    /// When somebody began to delete its bytes, RFC 3339: it cannot be restored any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_began: Option<String>,
    /// This location's disk format, where it differs from the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<String>,
    /// This location's container format, where it differs from the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_format: Option<String>,
    /// This location's compression, where it differs from the image's. With a disk or container format of its own, a location
    /// has none unless it says so here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// The number of bytes stored here, where it differs from the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The algorithm of this location's own digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// The digest of the bytes stored here, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// MD5 of the bytes stored here, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Every other member.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Location {
    /// A location that is only a URL.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The URL's scheme in lower case; a plain path is `file`. Empty where something else is in front of the first `://`,
    /// which then is no URL and may hold a secret.
    pub fn scheme(&self) -> String {
        match self.url.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => scheme.to_ascii_lowercase(),
            Some(_) if !self.url.starts_with('/') => String::new(),
            _ => "file".to_owned(),
        }
    }

    /// What follows the scheme and its `://`, in whatever case somebody wrote the scheme; anything else as it is.
    pub fn after_scheme(&self) -> &str {
        let url = self.url.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        url.map_or(self.url.as_str(), |(_, rest)| rest)
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Glance shows absent lists and objects as null at times.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_kept() {
        let text = r#"{"id":"x","hw_disk_bus":"virtio","locations":[{"url":"file:///a","metadata":null,"odd":1}],"tags":null}"#;
        let record: ImageRecord = serde_json::from_str(text).unwrap();
        assert_eq!(record.properties["hw_disk_bus"], "virtio");
        assert_eq!(record.locations[0].extra["odd"], 1);
        let back: ImageRecord = serde_json::from_value(serde_json::to_value(&record).unwrap()).unwrap();
        assert_eq!(back, record);
    }

    #[test]
    fn a_plain_path_is_a_file() {
        assert_eq!(Location::from_url("/srv/a.img").scheme(), "file");
        let swift = Location::from_url("Swift+HTTPS://h/c/o");
        assert_eq!((swift.scheme().as_str(), swift.after_scheme()), ("swift+https", "h/c/o"));
        for path in ["/srv/a.img", "/srv/a://b"] {
            let location = Location::from_url(path);
            assert_eq!((location.scheme().as_str(), location.after_scheme()), ("file", path));
        }
    }

    #[test]
    fn what_may_be_a_secret_is_no_scheme() {
        for url in ["http:u:password@host/x?next=http://host", "://host", "u:p@h://x", "1a://x", "a b://c"] {
            let location = Location::from_url(url);
            assert_eq!((location.scheme().as_str(), location.after_scheme()), ("", url));
        }
    }
}
