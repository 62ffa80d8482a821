//! Images in Glance, and their locations.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Reply, one_chunk, request, request_json};
use super::{OpenStack, unique};

/// Longer than a copy between stores takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// How often a change is tried again that met another.
const TRIES: u32 = 5;

/// Glance as one person has it.
pub(crate) struct Glance {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl OpenStack {
    /// The Glance that shows locations to everybody. Its stores are `fs`, `sw` and `web`.
    pub(crate) fn glance(&self, name: &str) -> Glance {
        Glance { url: self.text(&["glance", "url"]), token: self.token(name) }
    }

    /// The same images where only services see locations, at `/v2/images/ID/locations`. It is started with this.
    pub(crate) fn hidden_glance(&self, name: &str) -> Glance {
        Glance { url: self.start("glance-hidden"), token: self.token(name) }
    }
}

impl Glance {
    /// Sends a request about an image; `path` is `ID` or `ID/...`.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, document: &Value) -> Reply {
        request_json(method, &self.url_of(path), &[("X-Auth-Token", &self.token)], document)
    }

    /// What Glance says of it.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        request("GET", &self.url_of(path), &[("X-Auth-Token", &self.token)], b"")
    }

    /// The URL of an image, `ID` or `ID/...`.
    pub(crate) fn url_of(&self, path: &str) -> String {
        let url = format!("{}/v2/images/{path}", self.url);
        url.trim_end_matches('/').to_owned()
    }

    /// A raw image without bytes, which everybody may read.
    pub(crate) fn create(&self, name: &str) -> String {
        let wanted = json!({
            "name": unique(name), "disk_format": "raw", "container_format": "bare", "visibility": "public",
        });
        self.send("POST", "", &wanted).ok().json()["id"].as_str().unwrap().to_owned()
    }

    /// Its bytes, into this store.
    pub(crate) fn upload(&self, id: &str, store: &str, bytes: &[u8]) {
        self.put_file(id, store, &[], bytes);
    }

    /// The same without saying how many they are: in Swift it becomes a dynamic large object.
    pub(crate) fn upload_chunked(&self, id: &str, store: &str, bytes: &[u8]) {
        self.put_file(id, store, &[("Transfer-Encoding", "chunked")], &one_chunk(bytes));
    }

    fn put_file(&self, id: &str, store: &str, more: &[(&str, &str)], body: &[u8]) {
        let own = [
            ("X-Auth-Token", self.token.as_str()),
            ("Content-Type", "application/octet-stream"),
            ("X-Image-Meta-Store", store),
        ];
        let headers: Vec<_> = own.iter().chain(more).copied().collect();
        request("PUT", &self.url_of(&format!("{id}/file")), &headers, body).ok();
    }

    /// Copies an image to this store, and waits for it.
    pub(crate) fn copy(&self, id: &str, store: &str) {
        let wanted = json!({ "method": { "name": "copy-image" }, "stores": [store] });
        self.send("POST", &format!("{id}/import"), &wanted).ok();
        self.until(id, |image| {
            image["stores"].as_str().is_some_and(|stores| stores.split(',').any(|its| its == store))
        });
    }

    /// Adds a location with this metadata, whose numbers must be strings. The store is chosen by the scheme.
    pub(crate) fn add_location(&self, id: &str, url: &str, metadata: &Value) {
        self.patch(
            id,
            &json!([{ "op": "add", "path": "/locations/-", "value": { "url": url, "metadata": metadata } }]),
        );
    }

    /// Replaces all locations, which are documents of `url` and `metadata`: how the metadata of a store's own is changed.
    pub(crate) fn set_locations(&self, id: &str, locations: &[Value]) {
        self.patch(id, &json!([{ "op": "replace", "path": "/locations", "value": locations }]));
    }

    fn patch(&self, id: &str, changes: &Value) {
        let headers =
            [("X-Auth-Token", self.token.as_str()), ("Content-Type", "application/openstack-images-v2.1-json-patch")];
        let body = serde_json::to_vec(changes).unwrap();
        // Its database is one file, which is locked at times when others write.
        let ask = || request("PATCH", &self.url_of(id), &headers, &body);
        let locked = |answer: &Reply| answer.status == 500;
        let mut answer = ask();
        for _ in 0..TRIES {
            if !locked(&answer) {
                break;
            }
            answer = ask();
        }
        answer.ok();
    }

    /// Adds the first location of an image, as services do it, and waits until Glance has computed its digest.
    pub(crate) fn register(&self, id: &str, url: &str) {
        self.send("POST", &format!("{id}/locations"), &json!({ "url": url })).ok();
        self.until(id, |image| image["os_hash_value"].is_string());
    }

    /// The image's locations as this person sees them.
    #[track_caller]
    pub(crate) fn locations(&self, id: &str) -> Vec<Value> {
        self.get(id).ok().json()["locations"].as_array().cloned().unwrap_or_default()
    }

    fn until(&self, id: &str, held: impl Fn(&Value) -> bool) {
        let end = Instant::now() + BOUND;
        loop {
            let image = self.get(id).ok().json();
            if held(&image) {
                return;
            }
            assert!(Instant::now() < end, "waited {} s: {image:#}", BOUND.as_secs());
            thread::sleep(Duration::from_millis(50));
        }
    }
}
