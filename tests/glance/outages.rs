//! Services that are down.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::record::record_of;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::site::{IMAGE, Site};

/// More than what is on its way between Glance and a worker that does not read.
const LARGE: Content = Content::new((32 << 20) + 777, 13);

pub(crate) fn one_by_one(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    site.copy(&id, "sw");
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

/// Glance is killed while it gives the bytes itself, and is back, or is not.
pub(crate) fn midway(world: &World) {
    let site = Site::new(world);
    let id = site.image_of(LARGE, "fs");
    // What can only be read from its start is not kept, however large.
    site.configure("", "[limits]\nbandwidth = \"8MiB\"\nresume_bytes = \"1MiB\"\n");
    for is_back in [true, false] {
        let running = site.begun(site.place(&id, "demo", "disk"));
        // Nothing is decided before it is known whether Glance is back.
        running.signal(Signal::SIGSTOP);
        site.services.kill("glance");
        if is_back {
            site.services.start("glance");
        }
        running.signal(Signal::SIGCONT);
        let answer = running.finish();
        if is_back {
            site.placed_of(LARGE, &answer, "disk", "glance");
        } else {
            let error = &answer.document()["error"];
            assert_eq!((answer.status, &error["kind"]), (14, &json!("unavailable")), "{answer:#?}");
            let lost = ["connect-refused", "connection-lost", "short-body"];
            assert!(error["code"].as_str().is_some_and(|code| lost.contains(&code)), "{answer:#?}");
        }
        site.sandbox.only(&[]);
    }
}
