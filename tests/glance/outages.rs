//! Services that are down.

use serde_json::json;

use super::site::{IMAGE, Site};
use crate::support::record::record_of;
use crate::support::world::World;

pub(crate) fn one_by_one(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    site.admin.copy(&id, "sw");
    let only_swift = site.image("sw");
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");

    // Swift is down: Glance itself has the bytes of the one in another store too.
    site.services.kill("swift-proxy-keystone");
    let answer = site.place(&id, "demo", "disk").run();
    assert_eq!(answer.success()["attempts"][0]["kind"], "unavailable", "{answer:#?}");
    site.placed(&answer, "disk", "glance");
    let lost = site.place(&only_swift, "demo", "disk").run();
    assert_eq!((lost.status, &lost.document()["error"]["kind"]), (14, &json!("unavailable")), "{lost:#?}");

    // And Glance.
    site.services.kill("glance");
    site.place(&id, "demo", "disk").run().failure("unavailable", "connect-refused", "request");
    site.services.start("swift-proxy-keystone");
    site.place(&id, "demo", "disk").run().failure("unavailable", "connect-refused", "request");

    // And Keystone, of which the message speaks.
    site.services.start("glance");
    site.services.kill("keystone");
    let answer = site.place(&id, "demo", "disk").run();
    let message = answer.failure("unavailable", "connect-refused", "request")["error"]["message"].as_str().unwrap();
    assert!(message.contains("Keystone"), "{message}");
    site.sandbox.only(&[]);

    site.services.start("keystone");
    site.placed(&site.place(&only_swift, "demo", "disk").run(), "disk", "swift");
}

/// A Glance that is down hides no other catalog, and one that knows nothing of an image does not either.
pub(crate) fn another_catalog(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let records = site.sandbox.home("records");
    std::fs::create_dir(&records).unwrap();
    let file = site.sandbox.store("own.raw");
    std::fs::write(&file, IMAGE.bytes()).unwrap();
    let mut own = record_of(&file);
    own["id"] = json!("own");
    std::fs::write(records.join("own.json"), own.to_string()).unwrap();
    let cloud = site.cloud("node", "demo", "");
    for name in ["before", "zuletzt"] {
        let tables = format!(
            "{cloud}[catalog.images]\ntype = \"glance\"\n[catalog.{name}]\ntype = \"directory\"\npath = {records:?}\n"
        );
        site.configure("", &tables);
        site.placed(&site.sandbox.place("own", "disk").run(), "disk", "file");
        site.placed(&site.sandbox.place(&id, "disk").run(), "disk", "swift");
        site.services.kill("glance");
        site.placed(&site.sandbox.place("own", "disk").run(), "disk", "file");
        site.sandbox.place(&id, "disk").run().failure("unavailable", "connect-refused", "request");
        site.services.start("glance");
    }
}
