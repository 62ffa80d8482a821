//! Who does not get an image, and which images nobody gets.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::openstack::request;
use crate::support::world::World;

use super::site::Site;

/// Longer than a short token lives on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) fn who_may_not(world: &World) {
    let site = Site::new(world);
    let id = site.private_image("demo");
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");
    // Glance tells strangers that there is no such image; a service's login beside it changes nothing.
    site.place(&id, "other", "disk").run().failure("not-found", "image", "request");
    let both = site.cloud("caller", "other", "") + &site.cloud("node", "nova", "");
    let catalog = "[catalog.images]\ntype = \"glance\"\ncloud = \"caller\"\nservice_cloud = \"node\"\n";
    site.configure("", &format!("{both}{catalog}"));
    site.sandbox.place(&id, "disk").run().failure("not-found", "image", "request");
    // The service's own login sees it.
    site.configure("", &format!("{both}{}", catalog.replace("\"caller\"", "\"node\"")));
    site.placed(&site.sandbox.place(&id, "disk").run(), "disk", "swift");

    site.configure("", "");
    let unknown = "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10";
    site.place(unknown, "demo", "disk").run().failure("not-found", "image", "request");
    site.place(&id, "demo", "disk").env("OS_PASSWORD", "wrong").run().failure("denied", "keystone-denied", "request");

    let token = site.services.token("demo");
    let ready = |token: &str| {
        let variables = [
            ("OS_AUTH_TYPE", "admin_token".to_owned()),
            ("OS_TOKEN", token.to_owned()),
            ("OS_IMAGE_ENDPOINT_OVERRIDE", site.services.endpoint("demo", "image")),
        ];
        site.with(site.sandbox.place(&id, "disk"), &variables).run()
    };
    site.placed(&ready(&token), "disk", "swift");
    site.services.revoke(&token);
    ready(&token).failure("denied", "token-expired", "request");
    site.sandbox.only(&[]);
}

/// A token that is good, until it is not: shown as it is, and to Keystone for another one.
pub(crate) fn expired(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let (image, demo) = (site.services.endpoint("demo", "image"), site.services.person("demo"));
    let token = site.services.short_token("demo");
    let ways = [
        vec![("OS_AUTH_TYPE", "admin_token".to_owned()), ("OS_IMAGE_ENDPOINT_OVERRIDE", image)],
        vec![("OS_AUTH_URL", site.services.auth_url()), ("OS_PROJECT_ID", demo.project_id)],
    ];
    let asked = |way: &[(&'static str, String)], token: &str| {
        site.with(site.sandbox.place(&id, "disk"), way).env("OS_TOKEN", token).run()
    };
    let end = Instant::now() + BOUND;
    while keystone_knows(&site, &token) {
        assert!(Instant::now() < end, "the token does not expire");
        thread::sleep(Duration::from_millis(50));
    }
    for way in &ways {
        asked(way, &token).failure("denied", "token-expired", "request");
        site.placed(&asked(way, &site.services.token("demo")), "disk", "swift");
    }
    site.sandbox.only(&[]);
}

fn keystone_knows(site: &Site<'_>, token: &str) -> bool {
    let headers = [("X-Auth-Token", token), ("X-Subject-Token", token)];
    request("GET", &format!("{}/auth/tokens", site.services.auth_url()), &headers, b"").status == 200
}

pub(crate) fn not_active(world: &World) {
    let site = Site::new(world);
    let queued = site.admin.create("queued");
    site.place(&queued, "demo", "disk").run().failure("unavailable", "image-status", "image");
    let id = site.image("sw");
    site.act(&id, "deactivate");
    site.place(&id, "demo", "disk").run().failure("denied", "image-deactivated", "image");
    site.act(&id, "reactivate");
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");
}

pub(crate) fn tampered(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    let path = site.file_store(&id).join(&id);
    // Only Glance itself reads it for this node.
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "glance");
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(1_000_000)).unwrap();
    file.write_all(b"other bytes").unwrap();
    site.place(&id, "demo", "disk").run().failure("corrupt", "digest-mismatch", "location");
    // The same bytes, read straight from the store.
    site.configure("", &site.file_store_table(&id));
    site.place(&id, "demo", "disk").run().failure("corrupt", "digest-mismatch", "location");
    site.sandbox.only(&[]);
}

/// Glance has the record, and its store no longer has the bytes.
pub(crate) fn gone(world: &World) {
    let site = Site::new(world);
    let (id, other) = (site.image("fs"), site.image("fs"));
    let table = site.file_store_table(&id);
    fs::remove_file(site.file_store(&id).join(&id)).unwrap();
    site.place(&id, "demo", "disk").run().failure("not-found", "image-data", "location");
    site.configure("", &table);
    site.place(&id, "demo", "disk").run().failure("not-found", "image-data", "location");
    site.placed(&site.place(&other, "demo", "disk").run(), "disk", "file");
    site.sandbox.only(&[]);
}

pub(crate) fn clouds(world: &World) {
    let site = Site::new(world);
    let catalog = "[catalog.images]\ntype = \"glance\"\n";
    let id = "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10";
    for (text, code) in [
        (
            "clouds: {x: {verify: false, auth: {auth_url: 'http://127.0.0.1:9', token: c4n4ry-S3cret}}}",
            "cloud-insecure",
        ),
        ("clouds: {x: {auth: {auth_url: 'http://127.0.0.1:9', password: c4n4ry-S3cret}}}", "cloud-login"),
        ("clouds: {x: {auth: [c4n4ry-S3cret]}}", "clouds-yaml"),
        ("clouds: {y: {auth: {password: c4n4ry-S3cret}}}", "clouds-yaml"),
    ] {
        let file = site.secret("clouds.yaml", text);
        site.configure("", &format!("{catalog}[cloud.node]\nentry = \"x\"\nclouds_file = {file:?}\n"));
        let answer = site.sandbox.place(id, "disk").run();
        assert_eq!(answer.document()["error"]["code"], code, "{answer:#?}");
        assert!(site.sandbox.landfall("config").arg("check").run().stderr.contains("cloud node"), "{code}");
    }
    site.configure("", "");
    let insecure = site.place(id, "demo", "disk").env("OS_INSECURE", "true").run();
    insecure.failure("invalid", "cloud-insecure", "request");
    let file = site.sandbox.home("clouds.yaml");
    site.configure("", &format!("{catalog}[cloud.node]\nentry = \"x\"\nclouds_file = {file:?}\n"));
    let open = site.secret("clouds.yaml", "clouds: {}");
    let mut permissions = fs::metadata(&open).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o666);
    fs::set_permissions(&open, permissions).unwrap();
    site.sandbox.place(id, "disk").run().failure("denied", "cloud-file", "request");
}
