//! What these tests have in common: a node that may read from the loopback, and a bucket of the test's own in Swift's
//! S3 layer, with objects that boto3 puts there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::command::{Landfall, Running};
use crate::support::mounts::Fs;
use crate::support::openstack::{Group, OpenStack, unique};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::boto::Boto;

pub(super) const MIB: u64 = 1 << 20;
/// Not a multiple of anything; of more than one part.
pub(super) const IMAGE: Content = Content::new(8 * MIB + 4321, 81);
/// The least that S3 takes for a part.
pub(super) const PART: u64 = 5 * MIB;
/// What a server may have sent that nobody took, of one request: what the buffers of both ends hold.
pub(super) const ON_THE_WAY: u64 = 1 << 20;
/// Who owns the account that has the bucket: one of Swift's own people.
pub(super) const ACCESS: &str = "vault:keeper";
/// One request after the other, so that what comes last is not there before a change.
pub(super) const ONE: &str = "[limits]\nconnections_per_origin = 1\n";

/// How an object is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    InParts,
}

impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Whole, Self::InParts];
}

pub(super) struct Bucket<'w> {
    pub(super) services: OpenStack,
    pub(super) sandbox: Sandbox<'w>,
    pub(super) name: String,
    pub(super) secret: String,
    boto: Mutex<Boto>,
}

impl<'w> Bucket<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        let services = OpenStack::shared(world, Group::Swift);
        let secret = services.swift_password(ACCESS);
        let name = unique("images");
        let mut boto = Boto::start(&world.install.source, &services.s3_url(), ACCESS);
        boto.ask(&["make", &secret, &name]);
        let bucket = Self { services, sandbox: Sandbox::on(world, Fs::Temp), name, secret, boto: Mutex::new(boto) };
        bucket.configure("", "");
        bucket
    }

    /// Lets records name the loopback, with more lines of the handler's section and more tables.
    pub(super) fn configure(&self, handler: &str, tables: &str) {
        let loopback = "allow_addresses = [\"loopback\"]";
        let others = format!("[handler.http]\n{loopback}\n[handler.swift]\n{loopback}\n");
        let sections = format!("{others}[handler.s3]\n{loopback}\n{handler}\n{tables}\n");
        self.sandbox.configure("route = \"location-first\"\n", &sections);
    }

    /// `HOST:PORT` of the store.
    pub(super) fn authority(&self) -> String {
        self.services.s3_url().trim_start_matches("http://").to_owned()
    }

    /// Uploads an object.
    #[track_caller]
    pub(super) fn put(&self, key: &str, content: Content, form: Form) {
        let file = self.sandbox.home(&format!("{key}.upload"));
        fs::write(&file, content.bytes()).unwrap();
        let part = PART.to_string();
        let words = ["put", &self.secret, &self.name, key, file.to_str().unwrap(), &part];
        let etag = self.boto.lock().unwrap().ask(&words[..words.len() - usize::from(form == Form::Whole)]);
        fs::remove_file(file).unwrap();
        let parts = etag.trim_matches('"').split_once('-').map(|(_, parts)| parts.to_owned());
        let expected = (form == Form::InParts).then(|| content.size.div_ceil(PART).to_string());
        assert_eq!(parts, expected, "the parts that {etag} tells of");
    }

    /// The status of a request that boto3 makes with these keys.
    pub(super) fn status(&self, secret: &str, bucket: &str, key: &str) -> String {
        self.boto.lock().unwrap().ask(&["status", secret, bucket, key])
    }

    /// The object's URL with the keys in it.
    pub(super) fn url(&self, key: &str) -> String {
        self.url_with(&self.secret, key)
    }

    pub(super) fn url_with(&self, secret: &str, key: &str) -> String {
        format!("s3+http://{ACCESS}:{secret}@{}/{}/{key}", self.authority(), self.name)
    }

    /// The URL without keys.
    pub(super) fn bare_url(&self, key: &str) -> String {
        format!("s3+http://{}/{}/{key}", self.authority(), self.name)
    }

    /// The lines of the operator's keys, for this server and these buckets.
    pub(super) fn keys(&self, secret: &str, host: &str, buckets: &str) -> String {
        let file = self.secret_file("keys", secret);
        format!("access_key = {ACCESS:?}\nsecret_key_file = {file:?}\nhosts = [{host:?}]\nbuckets = [{buckets:?}]")
    }

    /// A file of this text that only its owner can read.
    fn secret_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.sandbox.home(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        private(&path);
        path
    }

    pub(super) fn place(&self, record: &Value) -> Landfall {
        let path = self.sandbox.record("image.json", record);
        self.sandbox.place(path, "disk").args(["--progress", "json"])
    }

    /// Places the image from these locations; its bytes must be exact.
    #[track_caller]
    pub(super) fn exact(&self, content: Content, urls: &[String]) -> Answer {
        let answer = self.place(&content.record(urls)).run();
        self.arrived(content, &answer);
        answer
    }

    /// Fails unless the target has exactly the image's bytes and there is nothing else. Takes it away.
    #[track_caller]
    pub(super) fn arrived(&self, content: Content, answer: &Answer) {
        answer.success();
        let disk = self.sandbox.out("disk");
        content.assert_at(&disk);
        self.sandbox.only(&["disk"]);
        fs::remove_file(disk).unwrap();
    }

    /// Fails unless the image is refused with this error, and nothing is left of it.
    #[track_caller]
    pub(super) fn fails(&self, url: &str, kind: &str, code: &str) {
        self.failed(&self.place(&IMAGE.record(&[url.to_owned()])).run(), kind, code);
    }

    #[track_caller]
    pub(super) fn failed(&self, answer: &Answer, kind: &str, code: &str) {
        answer.failure(kind, code, "location");
        self.sandbox.only(&[]);
    }

    /// Starts a placement and waits until a part is there, but not all: gives how much of it.
    pub(super) fn midway(&self, command: Landfall, content: Content) -> (Running, u64) {
        let running = command.spawn();
        let line = running.line(|line| done(line).is_some_and(|done| done >= MIB)).expect("a part arrives");
        let done = done(&line).unwrap();
        assert!(done < content.size, "all of it is there: {done}");
        (running, done)
    }
}

/// How much is there, if the line of progress says so.
fn done(line: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "bytes").then(|| event["done"].as_u64()).flatten()
}

/// Lets nobody but the owner read the file.
pub(super) fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The codes of the attempts, in order.
pub(super) fn codes(answer: &Answer) -> Vec<Option<String>> {
    let attempts = answer.document()["attempts"].as_array().unwrap();
    attempts.iter().map(|tried| tried["code"].as_str().map(str::to_owned)).collect()
}

/// The same image without a digest.
pub(super) fn unhashed(content: Content, urls: &[String]) -> Value {
    let mut record = content.record(urls);
    for name in ["os_hash_algo", "os_hash_value"] {
        record[name] = Value::Null;
    }
    record
}
