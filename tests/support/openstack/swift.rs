//! Containers and objects, and the ways to be allowed to read them.

use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::http::{Reply, request};
use super::{OpenStack, unique};
use crate::support::needs::find_program;

/// An account as one of its people has it.
pub(crate) struct Account {
    /// Beneath it are containers.
    pub(crate) url: String,
    pub(crate) token: String,
}

/// Of the signature of a temporary URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
}

impl OpenStack {
    /// Where Swift's own accounts log in: version 1.
    pub(crate) fn swift_auth_url(&self) -> String {
        self.text(&["swift", "auth_url"])
    }

    /// The same where tokens live for [`OpenStack::short_life`]. It is started with this. What it gives is for its own port.
    pub(crate) fn short_swift_auth_url(&self) -> String {
        self.start("swift-proxy-short");
        self.text(&["swift", "short_auth_url"])
    }

    /// The password of one of Swift's own people: `vault:keeper`, who owns the account; `vault:reader`, who may do what a
    /// container allows; `other:stranger`, who owns another account. It is the secret key of the access key of this name too.
    pub(crate) fn swift_password(&self, user: &str) -> String {
        self.text(&["swift", "users", user, "password"])
    }

    /// The account of one of Swift's own people, logged in.
    pub(crate) fn account(&self, user: &str) -> Account {
        self.log_in(&self.swift_auth_url(), user)
    }

    /// The same for seconds.
    pub(crate) fn short_account(&self, user: &str) -> Account {
        self.log_in(&self.short_swift_auth_url(), user)
    }

    /// The account of a person of Keystone, at the URL that the catalog says.
    pub(crate) fn keystone_account(&self, name: &str) -> Account {
        Account { url: self.endpoint(name, "object-store"), token: self.token(name) }
    }

    /// Where Swift speaks S3, in the region `us-east-1`.
    pub(crate) fn s3_url(&self) -> String {
        self.text(&["swift", "s3_url"])
    }

    fn log_in(&self, url: &str, user: &str) -> Account {
        let reply = request("GET", url, &[("X-Auth-User", user), ("X-Auth-Key", &self.swift_password(user))], b"").ok();
        Account { url: reply.header("X-Storage-Url").to_owned(), token: reply.header("X-Auth-Token").to_owned() }
    }
}

impl Account {
    /// Makes a container that only this test has.
    pub(crate) fn container(&self, name: &str) -> String {
        let name = unique(name);
        self.send("PUT", &name, &[], b"").ok();
        name
    }

    /// The URL of an object, `CONTAINER/NAME`.
    pub(crate) fn url_of(&self, object: &str) -> String {
        format!("{}/{object}", self.url)
    }

    /// Sends a request about an object or a container with this account's token.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, object: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let headers: Vec<_> = headers.iter().copied().chain([("X-Auth-Token", self.token.as_str())]).collect();
        request(method, &self.url_of(object), &headers, body)
    }

    /// Stores an object as it is.
    pub(crate) fn put(&self, object: &str, bytes: &[u8]) {
        self.send("PUT", object, &[], bytes).ok();
    }

    /// Stores a static large object of segments of this size, which lie in the same container.
    pub(crate) fn put_static(&self, object: &str, bytes: &[u8], segment: usize) {
        let parts = self.put_segments(object, bytes, segment);
        let manifest: Vec<Value> = parts
            .iter()
            .map(|(name, etag, size)| json!({ "path": format!("/{name}"), "etag": etag, "size_bytes": size }))
            .collect();
        let manifest = serde_json::to_vec(&manifest).unwrap();
        self.send("PUT", &format!("{object}?multipart-manifest=put"), &[], &manifest).ok();
    }

    /// Stores a dynamic large object of segments of this size, which lie in the same container.
    pub(crate) fn put_dynamic(&self, object: &str, bytes: &[u8], segment: usize) {
        self.put_segments(object, bytes, segment);
        self.send("PUT", object, &[("X-Object-Manifest", &segment_name(object, ""))], b"").ok();
    }

    /// Name, etag and size of each.
    fn put_segments(&self, object: &str, bytes: &[u8], segment: usize) -> Vec<(String, String, usize)> {
        let put = |(number, part): (usize, &[u8])| {
            let name = segment_name(object, &format!("{number:08}"));
            let etag = self.send("PUT", &name, &[], part).ok().header("Etag").to_owned();
            (name, etag, part.len())
        };
        bytes.chunks(segment).enumerate().map(put).collect()
    }

    /// Bytes of an object, both ends included.
    #[track_caller]
    pub(crate) fn range(&self, object: &str, first: usize, last: usize) -> Vec<u8> {
        let reply = self.send("GET", object, &[("Range", &format!("bytes={first}-{last}"))], b"");
        assert_eq!(reply.status, 206, "{reply:?}");
        reply.body
    }

    /// Sets who may read a container: `.r:*` is everybody, `vault:reader` that person.
    pub(crate) fn allow(&self, container: &str, readers: &str) {
        self.send("POST", container, &[("X-Container-Read", readers)], b"").ok();
    }

    /// Sets the key of a container's temporary URLs.
    pub(crate) fn set_key(&self, container: &str, key: &str) {
        self.send("POST", container, &[("X-Container-Meta-Temp-URL-Key", key)], b"").ok();
    }

    /// A URL that allows anybody to read an object for so long.
    pub(crate) fn temporary_url(&self, object: &str, key: &str, digest: Digest, life: Duration) -> String {
        let url = self.url_of(object);
        let path = url.splitn(4, '/').nth(3).expect("a path");
        let expires = (SystemTime::now() + life).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let signature = hmac(key, &format!("GET\n{expires}\n/{path}"), digest);
        format!("{url}?temp_url_sig={signature}&temp_url_expires={expires}")
    }
}

/// The name of a segment, or, without an end, what the names of all begin with.
fn segment_name(object: &str, end: &str) -> String {
    let (container, name) = object.split_once('/').expect("CONTAINER/NAME");
    format!("{container}/segments/{name}/{end}")
}

/// By somebody else's code.
fn hmac(key: &str, text: &str, digest: Digest) -> String {
    let digest = match digest {
        Digest::Sha1 => "sha1",
        Digest::Sha256 => "sha256",
    };
    let code = "import hmac, sys; print(hmac.new(*map(str.encode, sys.argv[1:3]), sys.argv[3]).hexdigest())";
    let program = find_program("python3").expect("python3 is installed");
    let output = Command::new(program).args(["-c", code, key, text, digest]).output().expect("run python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
