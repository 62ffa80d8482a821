//! Dynamic large objects: all objects of a container whose names begin alike, in the order of their names (Swift's
//! middleware `dlo`). Which these are is known by listing them, and may change at any time.
//!
//! The object's ETag is the MD5 of the segments' hashes, so that a listing is known to be that of the version that was
//! opened.

use landfall_handler_api::Result;
use landfall_handler_http::{Method, StatusCode, SystemTrust, Url, refused};
use serde::Deserialize;

use crate::account::Account;
use crate::entries::Entries;
use crate::name::{ObjectName, container_url, is_container};
use crate::percent;
use crate::segment::{EtagDigest, Layout, Piece, SEGMENTS_MAX, Segment, bad_manifest, changed, is_md5};

/// Names that are asked for at once, and bytes of the answer, which has up to 4 KB for each.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 4 << 20;
/// Pages of one listing. A server may give fewer names at once than it is asked for.
const PAGES_MAX: usize = 1000;
/// Bytes that the names begin with; those of a name.
const PREFIX_MAX: usize = 1024;

/// Where the segments are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    container: String,
    prefix: String,
}

impl Prefix {
    /// Of `X-Object-Manifest`: `CONTAINER/PREFIX`, percent-encoded.
    pub(crate) fn parse(header: &[u8]) -> Result<Self> {
        let bad = || bad_manifest("its X-Object-Manifest names no objects of its account");
        let text = std::str::from_utf8(header).map_err(|_| bad())?;
        let text = String::from_utf8(percent::decode(text)).map_err(|_| bad())?;
        let (container, prefix) = text.split_once('/').ok_or_else(bad)?;
        let good = is_container(container)
            && (1..=PREFIX_MAX).contains(&prefix.len())
            && !prefix.starts_with('/')
            && !prefix.contains(char::is_control);
        if good { Ok(Self { container: container.to_owned(), prefix: prefix.to_owned() }) } else { Err(bad()) }
    }
}

impl Prefix {
    /// The container that they are in.
    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    /// What their names begin with.
    pub(crate) fn begins(&self) -> &str {
        &self.prefix
    }
}

/// One object of a listing.
#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    bytes: Option<u64>,
    hash: Option<String>,
    /// There where the object is a static large object. Its `hash` is then that of its manifest.
    slo_etag: Option<String>,
}

/// The segments of an object of `size` bytes; `None` where they cannot be known or not be read one by one: the
/// container may not be listed, or has others than the object's ETag is made of. Which of the two has changed then is told
/// by the proxy, which is asked for the version that was opened. Where one is a static large object the proxy itself would
/// give its manifest for its bytes: that is refused.
pub(crate) async fn layout(
    account: &Account,
    prefix: &Prefix,
    etag: Option<&str>,
    size: u64,
    system: &dyn SystemTrust,
) -> Result<Option<Layout>> {
    let mut listing = Listing::new(prefix, size);
    for _ in 0..PAGES_MAX {
        let url = page_url(account, prefix, listing.last.as_deref());
        let reply = account.ask(Method::GET, &url, PAGE_BYTES, system).await?;
        let done = match reply.status {
            StatusCode::OK => listing.add(&reply.body)?,
            // An empty container, as text.
            StatusCode::NO_CONTENT => true,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            StatusCode::NOT_FOUND => return Err(changed("its segments' container is not there")),
            status => return Err(refused(status, &reply.headers)),
        };
        if done {
            return listing.finish(etag);
        }
    }
    Err(bad_manifest("the listing of its segments has no end"))
}

/// The names of the segments, for whoever deletes them. One that is a large object itself is refused: what that is made of is its
/// own affair.
pub(crate) async fn segments(account: &Account, prefix: &Prefix, system: &dyn SystemTrust) -> Result<Vec<ObjectName>> {
    let mut names: Vec<ObjectName> = Vec::new();
    for _ in 0..PAGES_MAX {
        let url = page_url(account, prefix, names.last().map(ObjectName::object));
        let reply = account.ask(Method::GET, &url, PAGE_BYTES, system).await?;
        let entries = match reply.status {
            StatusCode::OK => {
                let unreadable = |_| bad_manifest("the listing of its segments cannot be read");
                let Entries(entries) = serde_json::from_slice::<Entries<Entry>>(&reply.body).map_err(unreadable)?;
                entries
            }
            // An empty container, or none.
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Vec::new(),
            status => return Err(account.explain(refused(status, &reply.headers))),
        };
        if entries.is_empty() {
            return Ok(names);
        }
        if names.len().saturating_add(entries.len()) > SEGMENTS_MAX {
            return Err(bad_manifest("the listing has more segments than may be"));
        }
        for entry in entries {
            let odd = || bad_manifest("the listing of its segments is out of order, or has what can be none");
            let name = entry.name.filter(|name| name.starts_with(&prefix.prefix)).ok_or_else(odd)?;
            let follows = names.last().is_none_or(|last| last.object() < name.as_str());
            let object = ObjectName::new(&prefix.container, &name).filter(|_| follows && entry.slo_etag.is_none());
            names.push(object.ok_or_else(odd)?);
        }
    }
    Err(bad_manifest("the listing of its segments has no end"))
}

/// The URL of a page of the listing, behind the name `last`.
fn page_url(account: &Account, prefix: &Prefix, last: Option<&str>) -> Url {
    let mut url = container_url(&account.url, &prefix.container);
    url.query_pairs_mut()
        .append_pair("format", "json")
        .append_pair("prefix", &prefix.prefix)
        .append_pair("limit", &PAGE.to_string());
    if let Some(last) = last {
        url.query_pairs_mut().append_pair("marker", last);
    }
    url
}

/// What a listing of one page comes to.
#[cfg(feature = "fuzzing")]
pub(crate) fn read(prefix: &Prefix, page: &[u8], size: u64) -> Result<Option<Layout>> {
    let mut listing = Listing::new(prefix, size);
    listing.add(page)?;
    listing.finish(None)
}

/// What was listed so far.
struct Listing<'a> {
    prefix: &'a Prefix,
    size: u64,
    segments: Vec<Segment>,
    sum: u64,
    digest: EtagDigest,
    last: Option<String>,
}

impl<'a> Listing<'a> {
    fn new(prefix: &'a Prefix, size: u64) -> Self {
        let digest = EtagDigest::default();
        Self { prefix, size, segments: Vec::new(), sum: 0, digest, last: None }
    }

    /// Takes a page; whether it was the last.
    fn add(&mut self, page: &[u8]) -> Result<bool> {
        let unreadable = |_| bad_manifest("the listing of its segments cannot be read");
        let Entries(entries) = serde_json::from_slice::<Entries<Entry>>(page).map_err(unreadable)?;
        let count = entries.len();
        if count > PAGE || self.segments.len().saturating_add(count) > SEGMENTS_MAX {
            return Err(bad_manifest("the listing has more segments than may be"));
        }
        for entry in entries {
            self.push(entry)?;
        }
        // A short page may be all that the server gives at once; with all bytes in hand it is not asked for more.
        Ok(count == 0 || (count < PAGE && self.sum == self.size))
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        let odd = || bad_manifest("the listing has what is no segment of the object, or says what cannot be of it");
        let name = entry.name.ok_or_else(odd)?;
        let follows = self.last.as_ref().is_none_or(|last| *last < name);
        if !follows || !name.starts_with(&self.prefix.prefix) {
            return Err(bad_manifest("the listing of its segments is out of order, or of other objects"));
        }
        let object = ObjectName::new(&self.prefix.container, &name).ok_or_else(odd)?;
        let (size, hash) = entry.bytes.zip(entry.hash.filter(|hash| is_md5(hash))).ok_or_else(odd)?;
        self.sum = self.sum.checked_add(size).filter(|&sum| sum <= self.size).ok_or_else(other_size)?;
        if entry.slo_etag.is_some() {
            return Err(bad_manifest(
                "one of its segments is a static large object, which Swift does not put together here",
            ));
        }
        self.digest.update(&hash);
        self.last = Some(name);
        self.segments.push(Segment { length: size, piece: Piece::Object { name: object, hash, size, start: 0 } });
        Ok(())
    }

    fn finish(self, etag: Option<&str>) -> Result<Option<Layout>> {
        if self.sum != self.size {
            return Err(other_size());
        }
        let same = etag.is_none_or(|etag| etag == self.digest.finish());
        if !same {
            return Ok(None);
        }
        Layout::new(self.segments, self.size).map(Some)
    }
}

fn other_size() -> landfall_handler_api::Error {
    changed("its segments have another size together than when it was opened")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::segment::md5_of;

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[test]
    fn the_header_names_objects_of_its_account() {
        let prefix = |container: &str, prefix: &str| Ok((container.to_owned(), prefix.to_owned()));
        let bad = || Err("bad-manifest".to_owned());
        for (header, expected) in [
            (&b"segs/img/1/"[..], prefix("segs", "img/1/")),
            (b"glance/id-", prefix("glance", "id-")),
            (b"a%20b/%C3%BC", prefix("a b", "ü")),
            (b"segs/..", prefix("segs", "..")),
            (b"segs/%2e%2e/x", prefix("segs", "../x")),
            (b"%2e%2e/AUTH_other/segs/x", bad()),
            (b"../AUTH_other/segs/x", bad()),
            (b"./x", bad()),
            (b"/AUTH_other/segs", bad()),
            (b"segs", bad()),
            (b"segs/", bad()),
            (b"segs//x", bad()),
            (b"segs%2F/x", bad()),
            (b"segs/%0d%0a", bad()),
            (b"segs/%00", bad()),
            (b"segs/%ff", bad()),
            (b"segs/\xff", bad()),
            (b"", bad()),
        ] {
            let found = Prefix::parse(header);
            let found = found.map(|found| (found.container, found.prefix)).map_err(|error| error.code().to_owned());
            assert_eq!(found, expected, "{:?}", header.escape_ascii().to_string());
        }
        assert!(Prefix::parse(format!("c/{}", "x".repeat(1025)).as_bytes()).is_err());
        assert!(Prefix::parse(format!("{}/x", "c".repeat(257)).as_bytes()).is_err());
    }

    fn listed(pages: &[Value], etag: Option<&str>, size: u64) -> std::result::Result<bool, String> {
        let prefix = Prefix::parse(b"c/img-").unwrap();
        let mut listing = Listing::new(&prefix, size);
        let read = || {
            for page in pages {
                listing.add(page.to_string().as_bytes())?;
            }
            listing.finish(etag).map(|layout| layout.is_some())
        };
        read().map_err(|error| error.code().to_owned())
    }

    fn entry(name: &str, bytes: u64) -> Value {
        json!({"name": name, "bytes": bytes, "hash": A, "content_type": "x/y", "last_modified": "2026"})
    }

    #[test]
    fn listings_are_held_to_what_they_must_be() {
        let good = [json!([entry("img-1", 5), entry("img-2", 0)]), json!([entry("img-3", 2)]), json!([])];
        let etag = md5_of(A.repeat(3).as_bytes());
        assert_eq!(listed(&good, Some(&etag), 7), Ok(true));
        assert_eq!(listed(&good, None, 7), Ok(true));
        let mut nested = good.clone();
        nested[0][0]["slo_etag"] = json!("\"x\"");
        assert_eq!(listed(&nested, Some(&etag), 7), Err("bad-manifest".to_owned()));
        assert_eq!(listed(&good, Some(A), 7), Ok(false));
        let changed = Err("source-changed".to_owned());
        assert_eq!(listed(&good, None, 8), changed);
        assert_eq!(listed(&good, None, 6), changed);
        assert_eq!(listed(&[json!([entry("img-1", 5), entry("img-2", u64::MAX)])], None, 7), changed);
        for pages in [
            vec![json!({})],
            vec![json!([{"subdir": "img-1/"}])],
            vec![json!([entry("img-2", 1), entry("img-1", 1)])],
            vec![json!([entry("img-1", 1), entry("img-1", 1)])],
            vec![json!([entry("img-1", 1)]), json!([entry("img-1", 1)])],
            vec![json!([entry("img-2", 1)]), json!([entry("img-1", 1)])],
            vec![json!([entry("imh-1", 1)])],
            vec![json!([entry("img-/../../x", 1)])],
            vec![json!([entry("img-\n", 1)])],
            vec![json!([entry(&format!("img-{}", "x".repeat(1021)), 1)])],
            vec![json!([{"name": "img-1", "bytes": 1}])],
            vec![json!([{"name": "img-1", "bytes": 1, "hash": "x"}])],
            vec![json!([{"name": "img-1", "bytes": -1, "hash": A}])],
            vec![json!([{"name": "img-1", "hash": A}])],
            vec![Value::Array((0..1001).map(|at| entry(&format!("img-{at:04}"), 0)).collect())],
            (0..101).map(|page| (0..1000).map(|at| entry(&format!("img-{page:04}{at:04}"), 0)).collect()).collect(),
        ] {
            assert_eq!(listed(&pages, None, 7), Err("bad-manifest".to_owned()), "{}", pages[0]);
        }
    }

    #[test]
    fn a_short_page_is_the_last_where_all_bytes_are_there() {
        let prefix = Prefix::parse(b"c/img-").unwrap();
        let mut listing = Listing::new(&prefix, 7);
        let mut add = |page: Value| listing.add(page.to_string().as_bytes()).unwrap();
        assert!(!add(json!([entry("img-1", 5)])));
        assert!(add(json!([entry("img-2", 2)])));
        assert!(add(json!([])));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header: Vec<u8>) {
            let _ = Prefix::parse(&header);
        }

        #[test]
        fn any_page_is_read_or_refused(page in ".{0,200}", size: u64) {
            let prefix = Prefix::parse(b"c/img-").unwrap();
            let _ = Listing::new(&prefix, size).add(page.as_bytes());
        }
    }
}
