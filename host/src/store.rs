//! Which store a location belongs to on this node.

use std::path::{Path, PathBuf};

use landfall_handler_api::{Location, StoreRef};
use landfall_select::StoreType;

use crate::catalog::Origin;
use crate::config::{Store, VerifyPolicy};
use crate::engine::Memory;

/// A location's store and what it allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belonging {
    /// What the handler is told; `None` when the location belongs to no store.
    pub(crate) store: Option<StoreRef>,
    /// Whether the store's own file may become a target.
    pub(crate) hardlink: bool,
    /// When the digest is computed.
    pub(crate) verify: Option<VerifyPolicy>,
    /// Whether it may be read at the same time as others.
    pub(crate) combine: bool,
}

impl Belonging {
    /// For which sources a remembered digest counts.
    pub(crate) fn memory(&self) -> Memory {
        match self.verify {
            None => Memory::Local,
            Some(VerifyPolicy::Once) => Memory::Any,
            Some(VerifyPolicy::Always | VerifyPolicy::Never) => Memory::Off,
        }
    }

    /// Whether the operator wants no digest for this store.
    pub(crate) fn never_verifies(&self) -> bool {
        self.verify == Some(VerifyPolicy::Never)
    }
}

/// The store of `location`: by `metadata.store`, by `metadata.id`, else by its path beneath a store's root, the deepest
/// root first; else what the record's origin allows.
pub(crate) fn belonging(stores: &[Store], location: &Location, origin: &Origin) -> Belonging {
    let path = file_path(&location.url).map(Path::new);
    // What a record says of its store must not lend a URL the policy of a store of another kind, nor a path in a store
    // inside a store that of the outer one.
    let fits = |store: &&Store| match path {
        Some(_) => store.store_type == StoreType::File,
        None if store.store_type == StoreType::Other => store.schemes.contains(&location.scheme()),
        None => StoreType::of_url(&location.url) == Some(store.store_type),
    };
    let named = ["store", "id"]
        .into_iter()
        .find_map(|key| location.metadata.get(key)?.as_str())
        .and_then(|id| stores.iter().find(|store| store.id == id))
        .filter(fits);
    let beneath = || {
        let path = path?;
        stores
            .iter()
            .filter(|store| store.store_type == StoreType::File && path.starts_with(&store.root))
            .max_by_key(|store| store.root.components().count())
    };
    let deepest = beneath();
    let depth = |store: &Store| store.root.components().count();
    let named = named.filter(|named| deepest.is_none_or(|deepest| depth(deepest) <= depth(named)));
    if let Some(store) = named.or(deepest) {
        return Belonging {
            store: Some(store_ref(&store.id, store.store_type.name(), &store.root, &store.mountpoint)),
            hardlink: store.hardlink,
            // Nothing but a record's word ties a URL to a store.
            verify: store.verify.filter(|verify| path.is_some() || *verify != VerifyPolicy::Never),
            combine: store.combine,
        };
    }
    let implied = path.and_then(|path| implied_store(path, origin));
    Belonging { store: implied, ..Belonging::default() }
}

/// Without configuration: the path that the calling person gave, or one beneath the directory of the record file that they
/// gave. Nothing else of the kind.
fn implied_store(path: &Path, origin: &Origin) -> Option<StoreRef> {
    let (root, real) = match origin {
        Origin::Caller => {
            let parent = path.parent()?;
            (parent.to_owned(), std::fs::canonicalize(parent).ok()?)
        }
        Origin::RecordFile { directory } => {
            let real = std::fs::canonicalize(directory).ok()?;
            let given = std::path::absolute(directory).ok()?;
            let root = [real.clone(), given].into_iter().find(|root| path.starts_with(root))?;
            (root, real)
        }
        Origin::Stream | Origin::Catalog => return None,
    };
    Some(store_ref("", "file", &root, &real))
}

fn store_ref(id: &str, store_type: &str, root: &Path, mountpoint: &Path) -> StoreRef {
    let mut store = StoreRef::default();
    store.id = id.to_owned();
    store.store_type = store_type.to_owned();
    store.root = root.to_string_lossy().into_owned();
    store.mountpoint = mountpoint.to_string_lossy().into_owned();
    store
}

/// The path of a file location, as glance_store writes it: not percent-decoded.
pub(crate) fn file_path(url: &str) -> Option<&str> {
    match url.split_once("://") {
        None => url.starts_with('/').then_some(url),
        Some((scheme, path)) => {
            let is_file = scheme.eq_ignore_ascii_case("file") || scheme.eq_ignore_ascii_case("filesystem");
            is_file.then_some(path)
        }
    }
}

/// Magic numbers of file systems whose change times tell every change made on this node: the ext family, XFS, btrfs, tmpfs,
/// F2FS, bcachefs, ZFS (`statfs(2)`, `linux/magic.h`).
const LOCAL: [i64; 7] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0xca45_1a4e, 0x2fc1_2fc1];

/// Whether a file system is local, by its magic number. Unknown ones are not.
pub(crate) fn is_local_file_system(magic: i64) -> bool {
    LOCAL.contains(&magic)
}

/// The record's own directory, for paths beneath it.
pub(crate) fn directory_of(record: &Path) -> PathBuf {
    match record.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> Vec<Store> {
        let store = |id: &str, root: &str, mountpoint: &str| Store {
            id: id.into(),
            store_type: StoreType::File,
            schemes: Vec::new(),
            root: root.into(),
            mountpoint: mountpoint.into(),
            hardlink: false,
            verify: None,
            combine: false,
            delete: false,
        };
        vec![store("a", "/mnt/a", "/srv/a"), store("deep", "/mnt/a/deep", "/srv/deep")]
    }

    fn id(url: &str, metadata: serde_json::Value, origin: &Origin) -> Option<String> {
        let mut location = Location::from_url(url);
        location.metadata = metadata.as_object().cloned().unwrap_or_default();
        belonging(&stores(), &location, origin).store.map(|store| store.id)
    }

    #[test]
    fn names_come_before_paths_and_deeper_roots_before_others() {
        let none = serde_json::json!({});
        let origin = Origin::Stream;
        assert_eq!(id("file:///mnt/a/x", none.clone(), &origin).as_deref(), Some("a"));
        assert_eq!(id("file:///mnt/a/deep/x", none.clone(), &origin).as_deref(), Some("deep"));
        assert_eq!(id("file:///mnt/abc/x", none.clone(), &origin), None);
        assert_eq!(id("file:///elsewhere", serde_json::json!({"store": "deep"}), &origin).as_deref(), Some("deep"));
        assert_eq!(id("file:///elsewhere", serde_json::json!({"id": "a"}), &origin).as_deref(), Some("a"));
        assert_eq!(id("http://host/mnt/a/x", none, &origin), None);
    }

    #[test]
    fn without_stores_only_what_the_caller_named_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let inside = format!("file://{}/disk.img", directory.path().display());
        let record = Origin::RecordFile { directory: directory.path().to_owned() };
        let none = serde_json::json!({});
        assert_eq!(id(&inside, none.clone(), &record).as_deref(), Some(""));
        assert_eq!(id("file:///etc/passwd", none.clone(), &record), None);
        assert_eq!(id("file:///etc/passwd", none.clone(), &Origin::Stream), None);
        assert_eq!(id("file:///etc/passwd", none, &Origin::Caller).as_deref(), Some(""));
    }
}
