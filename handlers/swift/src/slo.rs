//! Static large objects: a manifest names the segments, each with its size and hash (Swift's middleware `slo`).
//!
//! The object's ETag is the MD5 of what the manifest says of each segment, so that a manifest is known to be that of
//! the version that was opened. A segment that is a large object itself is read like any other: the proxy puts it
//! together, and answers with its size and ETag, which are what the manifest says.

use landfall_handler_api::Result;
use landfall_handler_http::{Method, StatusCode, SystemTrust, refused};
use serde::Deserialize;

use crate::account::Account;
use crate::base64;
use crate::entries::Entries;
use crate::name::ObjectName;
use crate::segment::{EtagDigest, Layout, Piece, Segment, bad_manifest, changed, is_md5, md5_of};

/// Bytes of a manifest.
const MANIFEST_MAX: usize = 64 << 20;

/// One segment, as `?multipart-manifest=get` shows it.
#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    /// Bytes of the whole object, also where a range of it is meant.
    bytes: Option<u64>,
    hash: Option<String>,
    /// `FIRST-LAST`.
    range: Option<String>,
    /// The segment's bytes in Base64, which is then in no object.
    data: Option<String>,
    /// Whether it is a static large object itself.
    #[serde(default)]
    sub_slo: bool,
}

/// The segments of an object of `size` bytes; `None` where they cannot be known: the manifest is not shown, or is not
/// what the object's ETag is made of.
pub(crate) async fn layout(
    account: &Account,
    name: &ObjectName,
    etag: Option<&str>,
    size: u64,
    system: &dyn SystemTrust,
) -> Result<Option<Layout>> {
    let mut url = name.within(&account.url);
    url.query_pairs_mut().append_pair("multipart-manifest", "get");
    let reply = account.ask(Method::GET, &url, MANIFEST_MAX, system).await?;
    match reply.status {
        StatusCode::OK => {
            let layout = read(&reply.body, etag, size)?;
            layout.iter().flat_map(Layout::containers).try_for_each(|container| account.admit(container))?;
            Ok(layout)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
        StatusCode::NOT_FOUND => Err(changed("it is no longer there")),
        status => Err(refused(status, &reply.headers)),
    }
}

/// The names of the segments, for whoever deletes them. One that is a large object itself is refused: what that is made of is
/// its own affair.
pub(crate) async fn segments(
    account: &Account,
    name: &ObjectName,
    system: &dyn SystemTrust,
) -> Result<Vec<ObjectName>> {
    let mut url = name.within(&account.url);
    url.query_pairs_mut().append_pair("multipart-manifest", "get");
    let reply = account.ask(Method::GET, &url, MANIFEST_MAX, system).await?;
    if reply.status != StatusCode::OK {
        return Err(account.explain(refused(reply.status, &reply.headers)));
    }
    let unreadable = |_| bad_manifest("the manifest cannot be read, or has too many segments");
    let Entries(entries) = serde_json::from_slice::<Entries<Entry>>(&reply.body).map_err(unreadable)?;
    let mut names: Vec<ObjectName> = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().filter(|entry| entry.data.is_none()) {
        let named = entry.name.as_deref().and_then(ObjectName::parse);
        let segment = named.filter(|_| !entry.sub_slo).ok_or_else(|| {
            bad_manifest(
                "the manifest names a segment that is a large object itself, or is in no object of its account",
            )
        })?;
        // Parts of one object stand one behind the other.
        if names.last() != Some(&segment) {
            names.push(segment);
        }
    }
    Ok(names)
}

pub(crate) fn read(manifest: &[u8], etag: Option<&str>, size: u64) -> Result<Option<Layout>> {
    // What the parser says quotes the manifest.
    let unreadable = |_| bad_manifest("the manifest cannot be read, or has too many segments");
    let Entries(entries) = serde_json::from_slice::<Entries<Entry>>(manifest).map_err(unreadable)?;
    let mut digest = EtagDigest::default();
    let segments = entries.into_iter().map(|entry| segment(entry, &mut digest));
    let segments: Option<Vec<_>> = segments.collect();
    let segments = segments.ok_or_else(|| {
        bad_manifest("the manifest names a segment that is in no object of its account, or says what cannot be of it")
    })?;
    let layout = Layout::new(segments, size)?;
    Ok((etag == Some(&digest.finish())).then_some(layout))
}

fn segment(entry: Entry, digest: &mut EtagDigest) -> Option<Segment> {
    if let Some(data) = entry.data {
        let bytes = base64::decode(&data)?;
        digest.update(&md5_of(&bytes));
        return Some(Segment { length: u64::try_from(bytes.len()).ok()?, piece: Piece::Held(bytes) });
    }
    let (name, size) = (ObjectName::parse(&entry.name?)?, entry.bytes?);
    let hash = entry.hash.filter(|hash| is_md5(hash))?;
    let (start, end) = match &entry.range {
        None => (0, size),
        Some(range) => part(range, size)?,
    };
    digest.update(&hash);
    if let Some(range) = &entry.range {
        digest.update(&format!(":{range};"));
    }
    Some(Segment { length: end.checked_sub(start)?, piece: Piece::Object { name, hash, size, start } })
}

/// Where `FIRST-LAST` begins and ends. Swift writes no other form into a manifest, whatever it was given.
fn part(range: &str, size: u64) -> Option<(u64, u64)> {
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (first, last) = range.split_once('-')?;
    let (first, last) = (digits(first)?, digits(last)?);
    (first <= last && last < size).then_some((first, last.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn entry(name: &str, bytes: u64) -> Value {
        json!({"name": name, "bytes": bytes, "hash": A, "content_type": "x/y", "last_modified": "2026-11-22"})
    }

    fn with(mut entry: Value, key: &str, value: Value) -> Value {
        entry[key] = value;
        entry
    }

    #[test]
    fn a_manifest_that_makes_the_etag_is_read() {
        let ranged = with(entry("/c/b", 9), "range", json!("2-4"));
        let nested = with(entry("/d/slo", 7), "sub_slo", json!(true));
        let manifest = json!([entry("/c/a", 5), ranged, nested, {"data": "Zm9v"}]).to_string();
        let etag = md5_of(format!("{A}{A}:2-4;{A}{}", md5_of(b"foo")).as_bytes());
        let layout = read(manifest.as_bytes(), Some(&etag), 18).unwrap().unwrap();
        let piece = |offset| layout.at(offset).unwrap();
        let (segment, range) = piece(6);
        assert_eq!(range, 5..8);
        let name = ObjectName::parse("/c/b").unwrap();
        assert_eq!(segment.piece, Piece::Object { name, hash: A.to_owned(), size: 9, start: 2 });
        assert_eq!((piece(8).1, piece(17).1), (8..15, 15..18));
        assert_eq!(piece(17).0.piece, Piece::Held(b"foo".to_vec()));
        // Of another version, or of a store that makes ETags otherwise.
        for other in [None, Some(A), Some("")] {
            assert!(read(manifest.as_bytes(), other, 18).unwrap().is_none());
        }
    }

    #[test]
    fn manifests_that_cannot_be_right() {
        let good = json!([entry("/c/a", 5)]);
        assert!(read(good.to_string().as_bytes(), None, 5).unwrap().is_none());
        for manifest in [
            json!([]),
            json!({}),
            json!([entry("/c/a", 4)]),
            json!([entry("/c/a", 6)]),
            json!([entry("/c/a", 5), entry("/c/a", u64::MAX)]),
            json!([entry("c/a", 5)]),
            json!([entry("/c", 5)]),
            json!([entry("/c/", 5)]),
            json!([entry("//a", 5)]),
            json!([entry("/../AUTH_victim/c/a", 5)]),
            json!([entry("/c/../../../AUTH_victim/c/a", 5)]),
            json!([entry("/c/./a", 5)]),
            json!([entry("/c/a\u{0}", 5)]),
            json!([entry("http://victim/c/a", 5)]),
            json!([with(entry("/c/a", 5), "hash", json!(null))]),
            json!([with(entry("/c/a", 5), "hash", json!("x"))]),
            json!([with(entry("/c/a", 5), "hash", json!("x".repeat(32)))]),
            json!([with(entry("/c/a", 5), "bytes", json!(null))]),
            json!([with(entry("/c/a", 5), "bytes", json!(-5))]),
            json!([with(entry("/c/a", 5), "bytes", json!(5.0))]),
            json!([with(entry("/c/a", 9), "range", json!("0-9"))]),
            json!([with(entry("/c/a", 9), "range", json!("5-4"))]),
            json!([with(entry("/c/a", 9), "range", json!("-5"))]),
            json!([with(entry("/c/a", 9), "range", json!("4-"))]),
            json!([with(entry("/c/a", 9), "range", json!("+0-4"))]),
            json!([with(entry("/c/a", 9), "range", json!("0-1,2-4"))]),
            json!([{"data": "!"}]),
            json!([{"data": "Zm9v"}]),
        ] {
            let error = read(manifest.to_string().as_bytes(), None, 5).err().unwrap_or_else(|| panic!("{manifest}"));
            assert_eq!(error.code(), "bad-manifest", "{manifest}");
            assert!(!error.message().contains("victim"), "{}", error.message());
        }
        assert_eq!(read(b"\xff", None, 5).unwrap_err().code(), "bad-manifest");
        let many = format!("[{}]", vec![entry("/c/a", 1).to_string(); 100_001].join(","));
        assert_eq!(read(many.as_bytes(), None, 100_001).unwrap_err().code(), "bad-manifest");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", size: u64) {
            let _ = read(text.as_bytes(), None, size);
        }

        #[test]
        fn any_range_is_read_or_refused(range in "[0-9+-]{0,12}", size: u64) {
            if let Some((start, end)) = part(&range, size) {
                prop_assert!(start < end && end <= size);
            }
        }
    }
}
