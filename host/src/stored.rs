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
    /// An object that is named by its whole URL.
    Url {
        /// Host, with a port that is not the usual one.
        host: String,
        /// From the host on, without what follows a question mark.
        path: String,
    },
    /// An object of an account that a login leads to: container and name.
    Account {
        /// The last two parts of the path.
        object: String,
    },
}

impl Stored {
    /// What a location names.
    pub(crate) fn of(location: &Location, config: &Config) -> Self {
        if let Some(path) = file_path(&location.url) {
            let belonging = belonging(&config.stores, location, &Origin::Catalog);
            let place = belonging.store.as_ref().and_then(|store| {
                let rest = Path::new(path).strip_prefix(&store.root).ok()?;
                Some(Path::new(&store.mountpoint).join(rest))
            });
            let path: PathBuf = place.as_deref().unwrap_or(Path::new(path)).components().collect();
            let inode = rustix::fs::statat(rustix::fs::CWD, &path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .map(|stat| (stat.st_dev, stat.st_ino));
            return Self::File { path, inode };
        }
        let rest = location.url.split_once("://").map_or(location.url.as_str(), |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_http = ["http://", "https://"]
            .iter()
            .any(|scheme| location.url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        // Which account a login leads to is not known here, nor what an object of a store is called over HTTP.
        if is_http && !authority.contains('@') {
            let host = authority.to_ascii_lowercase();
            let host = host.strip_suffix(":443").or(host.strip_suffix(":80")).unwrap_or(&host).to_owned();
            return Self::Url { host, path: path.to_owned() };
        }
        Self::Account { object: last_two(path) }
    }

    /// Whether both may be the same bytes of one store, so that deleting the one deletes the other. Where it cannot be told, they may.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path, inode }, Self::File { path: other, inode: its }) => {
                path == other || inode.is_some() && inode == its
            }
            (Self::Url { host, path }, Self::Url { host: other, path: its }) => host == other && path == its,
            (Self::Account { object }, Self::Account { object: other }) => object == other,
            (Self::Account { object }, Self::Url { path, .. }) | (Self::Url { path, .. }, Self::Account { object }) => {
                *object == last_two(path)
            }
            (Self::File { .. }, _) | (_, Self::File { .. }) => false,
        }
    }
}

fn last_two(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join("/")
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
        assert_eq!(of(one).may_be(&of(other)), of(other).may_be(&of(one)), "{one} and {other}");
        of(one).may_be(&of(other))
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
        ] {
            assert!(may_be(one, other), "{one} and {other}");
        }
        for (one, other) in [
            ("file:///srv/a/x", "file:///srv/a/y"),
            ("file:///srv/a/x", "http://host/srv/a/x"),
            ("http://host/c/o", "http://other/c/o"),
            ("http://host/c/o", "http://host/c/p"),
            ("swift+https://user:key@auth/v3/c/o", "swift+https://user:key@auth/v3/c/p"),
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
