//! What these tests have in common: a node that may read from the loopback, real services, and images in them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::command::{Landfall, Running};
use crate::support::mounts::Fs;
use crate::support::openstack::{Account, Group, OpenStack};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

pub(super) const MIB: u64 = 1 << 20;
/// Not a multiple of anything.
pub(super) const IMAGE: Content = Content::new(8 * MIB + 4321, 61);
/// Large enough for segments to be read straight.
pub(super) const SEGMENT: u64 = 2 * MIB;
/// What a server may have sent that nobody took, of one request: what the buffers of both ends hold.
pub(super) const ON_THE_WAY: u64 = 1 << 20;
/// The account that has the images, with the right to do everything in it.
pub(super) const KEEPER: &str = "vault:keeper";

/// A sandbox, and the services.
pub(super) struct Depot<'w> {
    pub(super) sandbox: Sandbox<'w>,
    pub(super) services: OpenStack,
}

impl<'w> Depot<'w> {
    pub(super) fn new(world: &'w World, group: Group) -> Self {
        Self::with(world, OpenStack::shared(world, group))
    }

    pub(super) fn with(world: &'w World, services: OpenStack) -> Self {
        let depot = Self { sandbox: Sandbox::on(world, Fs::Temp), services };
        depot.configure("", "");
        depot
    }

    /// Lets records name the loopback, with more lines of the handler's section and more tables.
    pub(super) fn configure(&self, handler: &str, tables: &str) {
        let loopback = "allow_addresses = [\"loopback\"]";
        let sections = format!("[handler.http]\n{loopback}\n[handler.swift]\n{loopback}\n{handler}\n{tables}\n");
        self.sandbox.configure("", &sections);
    }

    /// The URL with credentials in it, at an authentication URL of Swift.
    pub(super) fn with_key(&self, auth_url: &str, user: &str, object: &str) -> String {
        let (scheme, rest) = auth_url.split_once("://").unwrap();
        format!("swift+{scheme}://{user}:{}@{rest}/{object}", self.services.swift_password(user))
    }

    /// A file of this text that only its owner can read.
    pub(super) fn secret_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.sandbox.home(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// A command that places the image from these locations.
    pub(super) fn place(&self, image: Content, urls: &[String]) -> Landfall {
        self.place_record(&image.record(urls))
    }

    pub(super) fn place_record(&self, record: &Value) -> Landfall {
        let path = self.sandbox.record("image.json", record);
        self.sandbox.place(path, "disk").args(["--progress", "json"])
    }

    /// Places the image, whose bytes must be exact.
    #[track_caller]
    pub(super) fn exact(&self, image: Content, url: &str) -> Answer {
        let answer = self.place(image, &[url.to_owned()]).run();
        self.arrived(image, &answer);
        answer
    }

    /// Fails unless the target has exactly the image's bytes and there is nothing else. Takes it away.
    #[track_caller]
    pub(super) fn arrived(&self, image: Content, answer: &Answer) {
        answer.success();
        let disk = self.sandbox.out("disk");
        image.assert_at(&disk);
        self.sandbox.only(&["disk"]);
        fs::remove_file(disk).unwrap();
    }

    /// Fails unless the image is refused with this error, and nothing is left of it.
    #[track_caller]
    pub(super) fn fails(&self, url: &str, kind: &str, code: &str) -> Answer {
        let answer = self.place(IMAGE, &[url.to_owned()]).run();
        self.failed(&answer, kind, code);
        answer
    }

    #[track_caller]
    pub(super) fn failed(&self, answer: &Answer, kind: &str, code: &str) {
        answer.failure(kind, code, "location");
        self.sandbox.only(&[]);
    }

    /// Starts a placement and waits until its first bytes are there.
    pub(super) fn begun(&self, command: Landfall) -> Running {
        self.until(command, 1).0
    }

    /// Starts a placement and waits until a part is there, but not all: gives how much of it.
    pub(super) fn midway(&self, command: Landfall, image: Content) -> (Running, u64) {
        let (running, done) = self.until(command, MIB);
        assert!(done < image.size, "all of it is there: {done}");
        (running, done)
    }

    fn until(&self, command: Landfall, least: u64) -> (Running, u64) {
        let running = command.spawn();
        let line = running.line(|line| done(line).is_some_and(|done| done >= least)).expect("a part arrives");
        (running, done(&line).unwrap())
    }
}

/// How much is there, if the line of progress says so.
fn done(line: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "bytes").then(|| event["done"].as_u64()).flatten()
}

/// The codes of the attempts that read a location of which this is shown.
pub(super) fn codes(answer: &Answer, shown: &str) -> Vec<Option<String>> {
    let attempts = answer.document()["attempts"].as_array().unwrap();
    let names = |tried: &&Value| tried["locations"].to_string().contains(shown);
    attempts.iter().filter(names).map(|tried| tried["code"].as_str().map(str::to_owned)).collect()
}

/// The same image without a digest.
pub(super) fn unhashed(image: Content, urls: &[String]) -> Value {
    let mut record = image.record(urls);
    for name in ["os_hash_algo", "os_hash_value"] {
        record[name] = Value::Null;
    }
    record
}

/// The location that is this storage URL with an object behind it.
pub(super) fn stored(account: &Account, object: &str) -> String {
    format!("swift+{}", account.url_of(object))
}

/// The container's name in one that the operator's credentials may read by default.
pub(super) fn container(account: &Account, name: &str) -> String {
    account.container(&format!("glance_{name}"))
}

/// A name as a request's path has it.
pub(super) fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

/// A stored segment.
pub(super) struct Segment {
    /// `CONTAINER/NAME`, not encoded.
    pub(super) path: String,
    pub(super) etag: String,
    pub(super) size: u64,
}

impl Segment {
    /// As a manifest names it.
    pub(super) fn entry(&self) -> Value {
        json!({ "path": format!("/{}", self.path), "etag": self.etag, "size_bytes": self.size })
    }
}

/// Stores one object; `path` is not encoded.
pub(super) fn put_segment(account: &Account, path: &str, bytes: &[u8]) -> Segment {
    let reply = account.send("PUT", &encoded(path), &[], bytes).ok();
    Segment { path: path.to_owned(), etag: reply.header("Etag").to_owned(), size: bytes.len() as u64 }
}

/// Stores the segments of an image, whose names begin with `prefix`, which is `CONTAINER/...`. A segment's size is a
/// multiple of 64 KiB, so that not all bytes are needed at once.
pub(super) fn put_segments(account: &Account, prefix: &str, image: Content, size: u64) -> Vec<Segment> {
    let starts = (0..image.size).step_by(usize::try_from(size).unwrap());
    let put = |start: u64| {
        let mut bytes = vec![0; usize::try_from(size.min(image.size - start)).unwrap()];
        image.fill(&mut bytes, start);
        put_segment(account, &format!("{prefix}{:08}", start / size), &bytes)
    };
    starts.map(put).collect()
}

/// Stores a static large object of these entries; `path` is not encoded.
pub(super) fn put_static(account: &Account, path: &str, entries: &[Value]) {
    let manifest = serde_json::to_vec(entries).unwrap();
    account.send("PUT", &format!("{}?multipart-manifest=put", encoded(path)), &[], &manifest).ok();
}

/// Stores a dynamic large object of the segments whose names begin so; nothing is encoded.
pub(super) fn put_dynamic(account: &Account, path: &str, prefix: &str) {
    account.send("PUT", &encoded(path), &[("X-Object-Manifest", &encoded(prefix))], b"").ok();
}

/// The image in this form, as `CONTAINER/disk`, with segments of [`SEGMENT`] bytes.
pub(super) fn put_as(account: &Account, container: &str, image: Content, form: Form) -> String {
    put_in(account, container, image, form, SEGMENT)
}

/// The same with segments of another size.
pub(super) fn put_in(account: &Account, container: &str, image: Content, form: Form, segment: u64) -> String {
    let object = format!("{container}/disk");
    if form == Form::Plain {
        account.put(&object, &image.bytes());
        return object;
    }
    let prefix = format!("{container}/segments/");
    let segments = put_segments(account, &prefix, image, segment);
    match form {
        Form::Static => {
            put_static(account, &object, &segments.iter().map(Segment::entry).collect::<Vec<_>>());
        }
        _ => put_dynamic(account, &object, &prefix),
    }
    object
}

/// How an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Static,
    Dynamic,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Static, Self::Dynamic];
}
