//! What a location names in a store, and whether two of them may be the same.

use std::path::{Path, PathBuf};

use landfall_handler_api::Location;

use crate::catalog::Origin;
use crate::config::Config;
use crate::store::{belonging, file_path};

/// What is stored, as far as a URL tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A file: its path on this node, and its inode, where it is there.
    File {
        /// Without what means nothing in a path.
        path: PathBuf,
        /// Device and inode.
        inode: Option<(u64, u64)>,
    },
    /// Whatever is named by other URLs.
    Object {
        /// What kind of store says it so.
        family: Family,
        /// Its name, in each way in which the URL can be read.
        names: Vec<Name>,
    },
}

/// Stores of one kind, whose names mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Family {
    /// Over HTTP, by this host, where no login stands before it. That may be an object of any other kind of store.
    Http(Option<String>),
    /// Swift.
    Swift,
    /// S3.
    S3,
    /// That of a plugin's scheme.
    Scheme(String),
}

/// The last parts of a path, without what uploaders put behind the names of segments: container and object, where there are
/// two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    before: Option<String>,
    last: String,
}

/// What two locations that may be the same have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A file's path.
    Path(PathBuf),
    /// A file's device and inode.
    Inode(u64, u64),
    /// The last part of an object's name.
    Last(String),
}

impl Stored {
    /// What a location names.
    pub(crate) fn of(location: &Location, config: &Config) -> Self {
        match file_path(&location.url) {
            Some(path) => Self::file(Path::new(path), location, config),
            None => Self::object(&location.url),
        }
    }

    fn file(path: &Path, location: &Location, config: &Config) -> Self {
        let belonging = belonging(&config.stores, location, &Origin::Catalog);
        let place = belonging.store.as_ref().and_then(|store| {
            let rest = path.strip_prefix(&store.root).ok()?;
            Some(Path::new(&store.mountpoint).join(rest))
        });
        let path: PathBuf = place.as_deref().unwrap_or(path).components().collect();
        let inode = rustix::fs::statat(rustix::fs::CWD, &path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .map(|stat| (stat.st_dev, stat.st_ino));
        Self::File { path, inode }
    }

    fn object(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let scheme = scheme.to_ascii_lowercase();
        let family = match scheme.as_str() {
            "http" | "https" => Family::Http(host(rest)),
            "swift" | "swift+http" | "swift+https" | "swift+config" => Family::Swift,
            "s3" | "s3+http" | "s3+https" => Family::S3,
            _ => Family::Scheme(scheme),
        };
        // A secret before the `@` may have a question mark, and a signature behind the question mark an `@`.
        let mut names = vec![Name::of(before_query(after_login(rest))), Name::of(after_login(before_query(rest)))];
        names.dedup();
        Self::Object { family, names }
    }

    /// Whether both may be the same bytes of one store, so that deleting the one deletes the other. Where it cannot be told, they may.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path, inode }, Self::File { path: other, inode: its }) => {
                path == other || inode.is_some() && inode == its
            }
            (Self::Object { family, names }, Self::Object { family: other, names: theirs }) => {
                family.may_be(other) && names.iter().any(|name| theirs.iter().any(|other| name.may_be(other)))
            }
            (Self::File { .. }, Self::Object { .. }) | (Self::Object { .. }, Self::File { .. }) => false,
        }
    }

    /// Two that may be the same have one of these in common.
    pub(crate) fn keys(&self) -> Vec<Key> {
        match self {
            Self::File { path, inode } => {
                let inode = inode.map(|(device, inode)| Key::Inode(device, inode));
                inode.into_iter().chain([Key::Path(path.clone())]).collect()
            }
            Self::Object { names, .. } => names.iter().map(|name| Key::Last(name.last.clone())).collect(),
        }
    }
}

impl Family {
    fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(Some(host)), Self::Http(Some(other))) => host == other,
            (Self::Http(_), _) | (_, Self::Http(_)) => true,
            _ => self == other,
        }
    }
}

impl Name {
    /// From the host on: decoded, as a server that decodes reads it, since one that does not has but one spelling.
    fn of(rest: &str) -> Self {
        let decoded = percent_encoding::percent_decode_str(rest).decode_utf8_lossy();
        let mut parts: Vec<&str> = Vec::new();
        for part in before_query(after_login(&decoded)).split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let last = parts.pop().unwrap_or_default();
        Self { before: parts.pop().map(str::to_owned), last: whole(last).to_owned() }
    }

    /// A host's name may stand for a bucket, and a store's name may be left out.
    fn may_be(&self, other: &Self) -> bool {
        self.last == other.last
            && match (&self.before, &other.before) {
                (Some(before), Some(other)) => before == other || is_bucket_host(before, other),
                _ => true,
            }
    }
}

/// `bucket.host` for `bucket`, on either side.
fn is_bucket_host(one: &str, other: &str) -> bool {
    let begins = |host: &str, bucket: &str| host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.'));
    begins(one, other) || begins(other, one)
}

/// The object that a segment is called after, by glance_store's way to call them (`NAME-00001`).
fn whole(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((object, number)) if number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()) => object,
        _ => name,
    }
}

fn after_login(rest: &str) -> &str {
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}

fn before_query(rest: &str) -> &str {
    rest.split(['?', '#']).next().unwrap_or_default()
}

/// In small letters and without the usual ports; none where a login stands before it.
fn host(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return None;
    }
    let host = authority.to_ascii_lowercase();
    let host = host.strip_suffix(":443").or(host.strip_suffix(":80")).unwrap_or(&host);
    Some(host.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be(one: &str, other: &str) -> bool {
        let config = Config::from_toml(
            "state_dir = '/s'\n[[store]]\nid = 'a'\ntype = 'file'\nroot = '/srv/a'\nmountpoint = '/mnt/a'",
            Path::new("test.toml"),
        )
        .unwrap();
        let of = |url: &str| Stored::of(&Location::from_url(url), &config);
        let (one, other) = (of(one), of(other));
        let may_be = one.may_be(&other);
        assert_eq!(may_be, other.may_be(&one), "{one:?} and {other:?}");
        // What is found by its keys is found.
        assert!(!may_be || one.keys().iter().any(|key| other.keys().contains(key)), "{one:?} and {other:?}");
        may_be
    }

    #[test]
    fn what_may_be_the_same_is_not_told_apart() {
        for (one, other) in [
            ("file:///srv/a/x", "file:///srv/a//x"),
            ("filesystem:///srv/a/x", "/srv/a/x"),
            ("http://host/c/o", "HTTPS://Host:443/c/o?temp_url_sig=1"),
            ("swift+https://user:key@auth/v3/c/o", "swift+http://other:key@elsewhere/v1/c/o"),
            ("swift+config://ref/c/o", "https://storage/v1/AUTH_a/c/o"),
            ("s3://key:secret@host/bucket/o", "s3://host/bucket/o"),
            ("s3://key:se?c/r#et@host/bucket/o", "s3://host/bucket/o"),
            ("s3://host/bucket/o", "https://bucket.host/o"),
            ("s3://host/bucket/o", "https://host/bucket/%6f?X-Amz-Signature=a@b/c"),
            ("swift+config://ref/c/a%2Fb", "https://storage/v1/AUTH_a/c/a/b"),
            ("swift+config://ref/c/o@x", "https://storage/v1/AUTH_a/c/o%40x"),
            ("swift+config://ref/c/o?x", "https://storage/v1/AUTH_a/c/o%3Fx"),
            ("swift+config://ref/c/./o", "swift+config://ref//c/d/../o"),
            ("swift+config://ref/c/o-00001", "swift+config://ref/c/o"),
            ("http://host./c/o", "http://host:80/c/%6F"),
            ("cinder://store/1111", "cinder://1111"),
            ("rbd://one", "RBD:///pool/one"),
            ("blob://a/x/../two", "blob://a/%74wo"),
        ] {
            assert!(may_be(one, other), "{one} and {other}");
        }
        for (one, other) in [
            ("file:///srv/a/x", "file:///srv/a/y"),
            ("file:///srv/a/x", "http://host/srv/a/x"),
            ("http://host/c/o", "http://other/c/o"),
            ("http://host/c/o", "http://host/c/p"),
            ("swift+https://user:key@auth/v3/c/o", "swift+https://user:key@auth/v3/c/p"),
            ("swift+config://ref/c/o", "swift+config://ref/d/o"),
            ("swift+config://ref/c/fedora-40", "swift+config://ref/c/fedora-41"),
            ("swift+config://ref/glance/o", "s3://host/glance/o"),
            ("cinder://1111", "cinder://2222"),
            ("blob://a/two", "blob://b/two"),
        ] {
            assert!(!may_be(one, other), "{one} and {other}");
        }
    }

    #[test]
    fn two_names_of_one_file_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("a"), "bytes").unwrap();
        std::fs::hard_link(path("a"), path("b")).unwrap();
        std::fs::write(path("c"), "bytes").unwrap();
        assert!(may_be(&path("a"), &path("b")));
        assert!(!may_be(&path("a"), &path("c")));
        assert!(!may_be(&path("gone"), &path("lost")));
    }
}
