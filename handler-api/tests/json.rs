//! The JSON of the ABI: a schema and a full example of each document, committed, so that a change shows in a review and an
//! author in another language has something to hold on to.
//!
//! `UPDATE_GOLDEN=1` rewrites both.

#![cfg(feature = "schema")]
#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::path::Path;

use landfall_handler_api::{
    Cloud, HandlerInfo, HandlerStatus, ImageRecord, Location, OutputMeta, PlacementEvent, Probe, Ranked, Request,
    SelectRequest,
};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// Compares with the committed file, or rewrites it.
fn is_committed(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, text, "UPDATE_GOLDEN=1 rewrites {}", path.display());
}

/// Schema and example of `T`; the example must mean the same after it was read and written again.
fn document<T: JsonSchema + Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, example: Value) {
    is_committed(&format!("schemas/{name}.json"), &pretty(&schema_for!(T)));
    is_committed(&format!("golden/{name}.json"), &pretty(&example));
    let read: T = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), example, "{name} does not survive being read");
    assert_eq!(serde_json::from_str::<T>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
}

fn location() -> Value {
    json!({
        "url": "file:///var/lib/glance/images/9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10",
        "metadata": {"store": "fast", "id": "nfs-a", "mountpoint": "/var/lib/glance/images"},
        "metrics": {"weight": 100, "node-weights": {"compute-17": 250}},
        "status": "active",
        "disk_format": "raw",
        "container_format": "bare",
        "size": 2_361_393_152_u64,
        "os_hash_algo": "sha512",
        "os_hash_value": "ab".repeat(64),
        "checksum": "cd".repeat(16)
    })
}

fn image() -> Value {
    json!({
        "id": "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10",
        "name": "debian-12-genericcloud-amd64",
        "status": "active",
        "visibility": "public",
        "protected": false,
        "os_hidden": false,
        "checksum": "cd".repeat(16),
        "os_hash_algo": "sha512",
        "os_hash_value": "ab".repeat(64),
        "size": 2_361_393_152_u64,
        "virtual_size": 2_361_393_152_u64,
        "disk_format": "raw",
        "container_format": "bare",
        "min_ram": 512,
        "min_disk": 3,
        "owner": "3f2b1f7cbb6e4f83a5a9d2f2b7a1c0de",
        "created_at": "2026-02-03T04:05:06Z",
        "updated_at": "2026-02-03T04:09:10Z",
        "tags": ["cloud", "lts"],
        "self": "/v2/images/9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10",
        "file": "/v2/images/9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10/file",
        "schema": "/v2/schemas/image",
        "stores": "fast,archive",
        "hw_disk_bus": "virtio",
        "hw_qemu_guest_agent": "yes",
        "os_distro": "debian",
        "os_version": "12"
    })
}

fn with(mut value: Value, key: &str, member: Value) -> Value {
    value[key] = member;
    value
}

#[test]
fn image_record() {
    let locations =
        json!([location(), {"url": "swift+config://ref1/glance/9f8b7c0e", "metadata": {"store": "archive"}}]);
    let direct = "file:///var/lib/glance/images/9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10";
    let example = with(with(image(), "locations", locations), "direct_url", json!(direct));
    document::<ImageRecord>("image-record", example);
}

#[test]
fn location_of_an_image() {
    document::<Location>("location", location());
}

#[test]
fn handler_info() {
    let example = json!({
        "id": "swift",
        "description": "objects of a Swift store, plain and segmented",
        "kinds": ["source"],
        "schemes": ["swift", "swift+http", "swift+https", "swift+config"],
        "formats": [],
        "needs_network": true,
        "deletes": true,
        "ranged_input": false,
        "file_settings": ["ca"],
        "logins": ["cloud"]
    });
    document::<HandlerInfo>("handler-info", example);
}

#[test]
fn request() {
    let example = json!({
        "image": image(),
        "location": location(),
        "named_by_caller": false,
        "store": {
            "id": "fast",
            "type": "file",
            "root": "/var/lib/glance/images",
            "mountpoint": "/mnt/images"
        },
        "secrets": ["location.url", "cloud"],
        "limits": {"disk_bytes": 17_592_186_044_416_u64, "disks": 64}
    });
    document::<Request>("request", example);
}

#[test]
fn probe() {
    document::<Probe>("probe", json!({"accepts": false, "reason": "the object's container is not public"}));
}

#[test]
fn select_request() {
    let example = json!({"node": "compute-17", "image": with(image(), "locations", json!([location()]))});
    document::<SelectRequest>("select-request", example);
}

#[test]
fn ranked() {
    let example = json!([
        {"index": 0, "key": 1.5, "keep": true, "reason": "same rack"},
        {"index": 1, "key": null, "keep": true, "reason": "nothing known"},
        {"index": 2, "key": null, "keep": false, "reason": "its site is drained"}
    ]);
    document::<Vec<Ranked>>("ranked", example);
}

#[test]
fn output_meta() {
    document::<OutputMeta>("output-meta", json!({"name": "disk-0", "controller": "scsi"}));
}

#[test]
fn placement_event() {
    document::<PlacementEvent>(
        "placement-event",
        json!({"placement": 4711, "image": "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10"}),
    );
}

#[test]
fn handler_status() {
    document::<HandlerStatus>(
        "handler-status",
        json!({"ready": false, "detail": "the token endpoint does not answer"}),
    );
}

#[test]
fn cloud() {
    let example = json!({
        "name": "site-a",
        "auth_url": "https://keystone.site-a.example/v3",
        "login": {
            "type": "password",
            "username": "landfall",
            "user_domain_name": "Default",
            "password": "not a password"
        },
        "scope": {"project_name": "service", "project_domain_name": "Default", "system": false},
        "region": "RegionOne",
        "interface": "internal",
        "endpoints": {"image": "https://glance.site-a.example:9292"},
        "ca": "-----BEGIN CERTIFICATE-----"
    });
    document::<Cloud>("cloud", example);
}
