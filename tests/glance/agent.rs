//! The agent and Glance: each caller's token decides what that caller gets, whatever others have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::{Value, json};

use super::site::{IMAGE, Site};
use crate::support::agent::Agent;
use crate::support::world::World;

/// Users of this node: one whose person owns the image, and one whose person must not see it.
const OWNER: u32 = 61_021;
const OTHER: u32 = 61_022;

pub(crate) fn tokens(world: &World) {
    let site = Site::new(world);
    let id = site.private_image("demo");
    let node = site.cloud("node", "nova", "");
    let catalog = "[catalog.images]\ntype = \"glance\"\ncloud = \"node\"\nservice_cloud = \"node\"\n";
    let rule = |uid: u32| {
        let targets = site.sandbox.out_dir();
        format!("[[agent.caller]]\nuids = [{uid}]\ncatalogs = [\"images\"]\ntargets = [{targets:?}]\n")
    };
    let agent = Agent::table(&site.sandbox, "");
    site.configure("", &format!("{node}{catalog}{agent}{}{}", rule(OWNER), rule(OTHER)));
    let home = site.sandbox.home("x").parent().unwrap().to_owned();
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    for uid in [OWNER, OTHER] {
        let directory = site.sandbox.out(&uid.to_string());
        fs::create_dir(&directory).unwrap();
        chown(&directory, Some(uid), Some(uid)).unwrap();
    }
    let agent = Agent::start(&site.sandbox);
    let request = |uid: u32, name: &str, token: Option<&str>| json!({ "image": { "id": id, "token": token }, "to": site.sandbox.out(&format!("{uid}/{name}")) });
    let place = |uid: u32, name: &str, token: Option<&str>| -> Value {
        agent.caller(&site.sandbox, Some(uid), "place", &request(uid, name, token).to_string(), 1).finish()
    };
    let (owner, other) = (site.services.token("demo"), site.services.token("other"));
    let denied = |answer: &Value, code: &str| {
        let error = &answer["error"];
        assert_eq!((&error["kind"], &error["code"]), (&json!("denied"), &json!(code)), "{answer:#}");
        assert!(!answer.to_string().contains(&owner) && !answer.to_string().contains(&other));
    };
    let refused_to_others = || {
        denied(&place(OTHER, "disk", Some(&other)), "image-not-visible");
        denied(&place(OTHER, "disk", None), "token-required");
        denied(&place(OTHER, "disk", Some("no-such-token")), "token-expired");
        assert_eq!(fs::read_dir(site.sandbox.out(&OTHER.to_string())).unwrap().count(), 0);
    };
    refused_to_others();
    let placed = place(OWNER, "disk", Some(&owner));
    assert_eq!((&placed["ok"], &placed["verified"]), (&json!(true), &json!("computed")), "{placed:#}");
    IMAGE.assert_at(&site.sandbox.out(&format!("{OWNER}/disk")));
    // Now the bytes are held by the agent, and a placement of the image is on this node.
    assert_eq!(agent.metric("landfall_held_images"), 1);
    refused_to_others();
    // The user that a token is brought by is not asked: it is the token's person who may see the image.
    assert_eq!(place(OTHER, "lent", Some(&owner))["ok"], true);
    assert_eq!(agent.metric("landfall_jobs_joined_total"), 1);
    // What the token's person may no more, nobody may with it.
    site.services.revoke(&owner);
    denied(&place(OWNER, "more", Some(&owner)), "token-expired");
    // Root needs no token: the node's own login is its.
    let by_root = agent.place(&json!({ "image": { "id": id }, "to": site.sandbox.out("root") }));
    assert_eq!(by_root.status, 200, "{:#}", by_root.document);
    // No token is in what is kept or told.
    for path in ["/v0/jobs", "/v0/history", "/v0/placements", "/metrics"] {
        let text = agent.ask("GET", path, None).document.to_string();
        assert!(!text.contains(&owner) && !text.contains(&other), "{path}");
    }
}
