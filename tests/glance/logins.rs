//! The ways to log in, and what is seen of them.

use std::fs;
use std::path::Path;

use super::site::Site;
use crate::support::world::World;

type Variables = Vec<(&'static str, String)>;

pub(crate) fn every_way(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let auth_url = site.services.auth_url();
    let demo = site.services.person("demo");
    let at = ("OS_AUTH_URL", auth_url.clone());
    let credential = site.services.application_credential();
    let token = site.services.token("demo");
    let clouds = site.secret(
        "clouds.yaml",
        &format!(
            "clouds:\n  demo:\n    auth:\n      auth_url: {auth_url}\n      username: demo\n      project_name: demo\n      \
             user_domain_name: Default\n      project_domain_name: Default\n    region_name: RegionOne\n"
        ),
    );
    site.secret("secure.yaml", &format!("clouds: {{demo: {{auth: {{password: {}}}}}}}", demo.password));
    let ways: Vec<(&str, Variables)> = vec![
        ("password", site.openrc("demo")),
        (
            "password without domains",
            vec![
                at.clone(),
                ("OS_USERNAME", demo.name.clone()),
                ("OS_PASSWORD", demo.password.clone()),
                ("OS_PROJECT_ID", demo.project_id.clone()),
            ],
        ),
        ("without /v3", {
            let mut openrc = site.openrc("demo");
            openrc[0].1 = auth_url.trim_end_matches("/v3").to_owned();
            openrc
        }),
        ("token", vec![at.clone(), ("OS_TOKEN", token.clone()), ("OS_PROJECT_ID", demo.project_id.clone())]),
        (
            "ready token",
            vec![
                ("OS_AUTH_TYPE", "admin_token".to_owned()),
                ("OS_TOKEN", token),
                ("OS_ENDPOINT", site.services.endpoint("demo", "image")),
                ("OS_IMAGE_ENDPOINT_OVERRIDE", site.services.endpoint("demo", "image")),
            ],
        ),
        (
            "application credential",
            vec![
                at,
                ("OS_AUTH_TYPE", "v3applicationcredential".to_owned()),
                ("OS_APPLICATION_CREDENTIAL_ID", credential.id),
                ("OS_APPLICATION_CREDENTIAL_SECRET", credential.secret),
            ],
        ),
        (
            "clouds.yaml",
            vec![("OS_CLOUD", "demo".to_owned()), ("OS_CLIENT_CONFIG_FILE", clouds.to_str().unwrap().to_owned())],
        ),
    ];
    for (way, variables) in ways {
        let answer = site.with(site.sandbox.place(&id, "disk"), &variables).run();
        assert_eq!(answer.status, 0, "{way}: {answer:#?}");
        site.placed(&answer, "disk", "swift");
    }

    let password = site.secret("password", &format!("{}\n", demo.password));
    let catalog = "[catalog.images]\ntype = \"glance\"\n";
    let by_file = format!(
        "{catalog}[cloud.node]\nregion_name = \"RegionOne\"\ninterface = \"internal\"\n[cloud.node.auth]\nauth_url = \"{auth_url}\"\n\
         username = \"demo\"\npassword_file = {password:?}\nproject_name = \"demo\"\n"
    );
    let by_entry = format!("{catalog}[cloud.node]\nentry = \"demo\"\nclouds_file = {clouds:?}\n");
    for tables in [site.cloud("node", "demo", "") + catalog, by_file, by_entry] {
        site.configure("", &tables);
        site.placed(&site.sandbox.place(&id, "disk").run(), "disk", "swift");
    }
    // The positive control of all of these: nobody's login.
    let wrong = site.cloud("node", "demo", "").replace("demo-password", "another");
    site.configure("", &format!("{catalog}{wrong}"));
    site.sandbox.place(&id, "disk").run().failure("denied", "keystone-denied", "request");
}

/// Passwords and tokens, in what a run prints and keeps.
pub(crate) fn no_secret(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let secrets = [
        site.services.person("demo").password,
        site.services.person("glance").password,
        site.services.application_credential().secret,
    ];
    let found = |directory: &Path| {
        let text = everything(directory);
        secrets.iter().filter(|secret| text.windows(secret.len()).any(|window| window == secret.as_bytes())).count()
    };
    assert_eq!(found(&site.sandbox.home(".")), 1, "the store's key, in its file: what the search is for");
    let right = site.place(&id, "demo", "disk").run();
    right.success();
    let wrong = site.place("9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10", "demo", "none").run();
    wrong.failure("not-found", "image", "request");
    let denied = site.with(site.sandbox.place(&id, "none"), &site.openrc("demo")).env("OS_PROJECT_NAME", "other").run();
    denied.failure("denied", "keystone-denied", "request");
    for answer in [right, wrong, denied] {
        assert!(secrets.iter().all(|secret| !answer.text().contains(secret)), "{answer:#?}");
        assert!(!answer.text().contains("gAAAA"), "a token: {answer:#?}");
    }
    assert_eq!(found(&site.sandbox.home("state")), 0);
    assert!(!everything(&site.sandbox.home("state")).windows(5).any(|window| window == b"gAAAA"));
}

/// The bytes of all files beneath a directory.
fn everything(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(everything(&path));
        } else {
            bytes.extend(fs::read(&path).unwrap());
        }
    }
    bytes
}

pub(crate) fn shown(world: &World) {
    let site = Site::new(world);
    let catalog = "[catalog.images]\ntype = \"glance\"\n";
    site.configure("", &(site.cloud("node", "demo", "") + catalog));
    site.sandbox.landfall("config").arg("check").run().success();
    let shown = site.sandbox.landfall("config").arg("show").run();
    shown.success();
    assert!(shown.stdout.contains("[cloud.node.auth]") && shown.stdout.contains("username = \"demo\""), "{shown:#?}");
    assert!(shown.stdout.contains("password = \"***\"") && !shown.text().contains("demo-password"), "{shown:#?}");
    // Where nothing is configured, the environment's login is told as what it is.
    site.configure("", "");
    let shown = site.with(site.sandbox.landfall("config").arg("show"), &site.openrc("demo")).run();
    assert!(shown.stdout.contains("[cloud.environment]\nenvironment = true"), "{shown:#?}");
    assert!(shown.stdout.contains("[catalog.environment]"), "{shown:#?}");
}
