//! Which location is taken.

use serde_json::json;

use crate::support::mounts::{Fs, OwnMount};
use crate::support::record::record_of;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::site::{IMAGE, Site};

/// More than Glance puts into one segment.
const SEGMENTED: Content = Content::new((65 << 20) + 4321, 12);

pub(crate) fn from_swift_by_its_uuid(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let plan = site.plan(&id, "demo");
    assert_eq!(Site::order(&plan), [format!("swift+config://landfall/glance/{id}")]);
    assert_eq!(Site::attempts(&plan), ["swift", "glance"]);
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");
    site.sandbox.only(&[]);
}

pub(crate) fn from_the_file_store(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    site.copy(&id, "sw");
    // A node that does not see the store takes the other one.
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");
    site.configure("", &site.file_store_table(&id));
    let answer = site.place(&id, "demo", "disk").run();
    assert!(["reflink", "copy"].contains(&answer.success()["method"].as_str().unwrap()), "{answer:#?}");
    site.placed(&answer, "disk", "file");
}

/// Glance's file store is on the file system that disks are placed on.
pub(crate) fn zero_copy(world: &World) {
    let site = Site::on(world, Fs::Xfs);
    let images = site.file_store(&site.image("fs"));
    let here = site.sandbox.store("images");
    std::fs::create_dir(&here).unwrap();
    let _mount = OwnMount::bind(&here, &images);
    let id = site.image("fs");
    assert!(here.join(&id).exists(), "Glance has put it here");
    let table = site.file_store_table(&id);
    site.configure("", &format!("{table}mountpoint = {here:?}\n"));
    let answer = site.place(&id, "demo", "disk").run();
    assert_eq!(answer.success()["method"], "reflink", "{answer:#?}");
    site.placed(&answer, "disk", "file");
    // A node that does not see the store reads it through Glance.
    site.configure("", "");
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "glance");
}

pub(crate) fn segmented(world: &World) {
    let site = Site::new(world);
    let id = site.admin.create("segmented");
    site.admin.upload_chunked(&id, "sw", &SEGMENTED.bytes());
    site.placed_of(SEGMENTED, &site.place(&id, "demo", "disk").run(), "disk", "swift");
}

pub(crate) fn large_object(world: &World) {
    let site = Site::new(world);
    let id = site.admin.create("dynamic");
    site.admin.upload_chunked(&id, "sw", &IMAGE.bytes());
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "swift");
}

pub(crate) fn weights(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    site.copy(&id, "sw");
    let weighted = |url: &str, weight: &str, there: &str| {
        let metrics = json!({ "weight": weight, "node-weights": { "novahost2": there } });
        json!({ "url": url, "metadata": { "metrics": metrics } })
    };
    let mut locations = site.admin.locations(&id);
    locations.sort_by_key(|location| location["url"].as_str().unwrap().to_owned());
    let [file, swift] = [0, 1].map(|at| locations[at]["url"].as_str().unwrap().to_owned());
    site.admin.set_locations(&id, &[weighted(&file, "1", "9"), weighted(&swift, "5", "2")]);
    // A real Glance gives them back as they were.
    let back = site.admin.locations(&id);
    assert!(back.iter().all(|location| location["metadata"]["metrics"]["weight"].is_string()), "{back:#?}");

    let tables = site.file_store_table(&id);
    for (node, first) in [("novahost1", "swift"), ("novahost2", "file")] {
        site.configure(&format!("node = \"{node}\"\nroute = \"location-first\"\n"), &tables);
        let plan = site.plan(&id, "demo");
        assert!(Site::order(&plan)[0].starts_with(first), "{node}: {plan:#}");
        site.placed(&site.place(&id, "demo", "disk").run(), "disk", first);
    }
}

pub(crate) fn stores(world: &World) {
    let site = Site::new(world);
    let id = site.image("fs");
    site.copy(&id, "sw");
    let tables = site.file_store_table(&id);
    for (selection, first) in [
        (r#"{ store-type = ["swift", "file"] }"#, "swift"),
        (r#"{ store-type = ["file", "swift"] }"#, "file"),
        (r#"{ store = ["sw"] }"#, "swift"),
        (r#"{ store = ["fs", "sw"] }"#, "file"),
    ] {
        site.configure(&format!("selection = [{selection}]\nroute = \"location-first\"\n"), &tables);
        let plan = site.plan(&id, "demo");
        assert_eq!(Site::order(&plan).len(), 2, "each place stands once: {plan:#}");
        assert!(Site::order(&plan)[0].starts_with(first), "{selection}: {plan:#}");
        site.placed(&site.place(&id, "demo", "disk").run(), "disk", first);
    }
}

pub(crate) fn hidden(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let url = site.services.hidden_glance("nova").url;
    let endpoint = format!("endpoints = {{ image = {url:?} }}");
    let caller = site.cloud("caller", "demo", &endpoint);
    let node = site.cloud("node", "nova", &endpoint);
    let catalog = "[catalog.images]\ntype = \"glance\"\ncloud = \"caller\"\n";
    // What a member sees has no locations: Glance's own download is what is left.
    site.configure("", &format!("{caller}{catalog}"));
    let plan = site.sandbox.plan(&id, "planned").run();
    assert_eq!((Site::order(plan.success()).len(), Site::attempts(plan.success())), (0, vec!["glance".to_owned()]));
    site.placed(&site.sandbox.place(&id, "disk").run(), "disk", "glance");
    // A service's login without the role `service` is told of, and lists nothing either.
    let stranger = site.cloud("node", "other", &endpoint);
    site.configure("", &format!("{caller}{stranger}{catalog}service_cloud = \"node\"\n"));
    let answer = site.sandbox.place(&id, "disk").run();
    assert!(answer.stderr.contains("image-denied"), "{answer:#?}");
    site.placed(&answer, "disk", "glance");
    // The service's login lists them.
    site.configure("", &format!("{caller}{node}{catalog}service_cloud = \"node\"\n"));
    let plan = site.sandbox.plan(&id, "planned").run();
    assert_eq!(Site::attempts(plan.success()), ["swift", "glance"]);
    site.placed(&site.sandbox.place(&id, "disk").run(), "disk", "swift");
}

/// A site that must not touch the central store: what no location gives is not had at all, and Glance is not asked for bytes.
pub(crate) fn never_fallback(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let path =
        site.secret("swift-store.conf", "[landfall]\nauth_address = http://127.0.0.1:9/v3\nuser = a:b\nkey = c\n");
    let swift = format!("[handler.swift]\nstore_config_file = {path:?}\n");
    // Without it, Glance's own download would be the one that does it.
    site.sandbox.configure("", &swift);
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "glance");
    site.sandbox.configure("never_fallback = true\n", &swift);
    let plan = site.plan(&id, "demo");
    assert_eq!(Site::attempts(&plan), ["swift"], "{plan:#}");
    let excluded = plan["decision"]["excluded"].as_array().unwrap();
    let reason = "it needs no location, and never_fallback is set";
    assert!(excluded.iter().any(|one| one["handler"] == "glance" && one["reason"] == reason), "{plan:#}");
    let answer = site.place(&id, "demo", "disk").run();
    assert_ne!(answer.status, 0);
    let attempts = answer.document()["attempts"].as_array().unwrap();
    assert!(attempts.iter().all(|attempt| attempt["handlers"][0] == "swift"), "{answer:#?}");
    site.sandbox.only(&[]);
}

pub(crate) fn last_resort(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    // No direct location can be read: there is no store_config_file.
    site.sandbox.configure("route = \"location-first\"\n", "");
    let plan = site.plan(&id, "demo");
    assert_eq!(Site::attempts(&plan), ["glance"], "{plan:#}");
    let excluded = plan["decision"]["excluded"][0]["reason"].as_str().unwrap();
    assert!(excluded.contains("store_config_file"), "{plan:#}");
    site.placed(&site.place(&id, "demo", "disk").run(), "disk", "glance");
    // One that fails is followed by it, in the same command.
    let path =
        site.secret("swift-store.conf", "[landfall]\nauth_address = http://127.0.0.1:9/v3\nuser = a:b\nkey = c\n");
    site.sandbox.configure("", &format!("[handler.swift]\nstore_config_file = {path:?}\n"));
    let answer = site.place(&id, "demo", "disk").run();
    let attempts = answer.success()["attempts"].as_array().unwrap();
    let told: Vec<_> =
        attempts.iter().map(|attempt| (attempt["handlers"][0].as_str(), attempt["kind"].as_str())).collect();
    assert_eq!(told, [(Some("swift"), Some("unavailable")), (Some("glance"), None)]);
    site.placed(&answer, "disk", "glance");
    // A record of one's own has nothing to do with Glance, whatever login there is.
    let file = site.sandbox.store("own.raw");
    std::fs::write(&file, IMAGE.bytes()).unwrap();
    let mut record = record_of(&file);
    record["id"] = json!(id);
    record["locations"] = json!([{ "url": format!("glance://x/{id}") }]);
    let path = site.sandbox.record("own.json", &record);
    let answer = site.with(site.sandbox.place(path, "disk"), &site.openrc("demo")).run();
    answer.failure("unsupported", "no-handler", "request");
    site.sandbox.only(&[]);
}
