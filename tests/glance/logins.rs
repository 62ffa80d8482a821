//! The ways to log in, and what is seen of them.

use crate::support::answer::CANARY;
use crate::support::world::World;

use super::site::Site;

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

    // What is found in the caller's home, and what is set beside an entry.
    std::fs::create_dir_all(site.sandbox.home(".config/openstack")).unwrap();
    for name in ["clouds.yaml", "secure.yaml"] {
        std::fs::copy(site.sandbox.home(name), site.sandbox.home(".config/openstack").join(name)).unwrap();
    }
    let at_home = |password: &str| {
        let place = site.sandbox.place(&id, "disk").env("HOME", site.sandbox.home("")).env("OS_CLOUD", "demo");
        place.env("OS_PASSWORD", password).run()
    };
    site.placed(&at_home(""), "disk", "swift");
    at_home("wrong").failure("denied", "keystone-denied", "request");
}

/// The same in tables of the configuration, with secrets in files.
pub(crate) fn tables(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let auth_url = site.services.auth_url();
    let demo = site.services.person("demo");
    let credential = site.services.application_credential();
    let file = |name: &str, text: &str| site.secret(name, &format!("{text}\n"));
    let (password, token) = (file("password", &demo.password), file("token", &site.services.token("demo")));
    let secret = file("secret", &credential.secret);
    site.secret(
        "clouds.yaml",
        &format!(
            "clouds: {{demo: {{auth: {{auth_url: '{auth_url}', username: demo, password: {}, project_name: demo}}}}}}",
            demo.password
        ),
    );
    let clouds = site.sandbox.home("clouds.yaml");
    let catalog = "[catalog.images]\ntype = \"glance\"\n";
    let node = format!(
        "[cloud.node]\nregion_name = {:?}\ninterface = \"internal\"\n[cloud.node.auth]\nauth_url = {auth_url:?}\n",
        site.services.region()
    );
    for (way, tables) in [
        ("password", site.cloud("node", "demo", "")),
        (
            "password_file",
            format!("{node}username = \"demo\"\npassword_file = {password:?}\nproject_name = \"demo\"\n"),
        ),
        ("token_file", format!("{node}token_file = {token:?}\nproject_id = {:?}\n", demo.project_id)),
        (
            "credential",
            format!(
                "{node}application_credential_id = {:?}\napplication_credential_secret_file = {secret:?}\n",
                credential.id
            ),
        ),
        ("entry", format!("[cloud.node]\nentry = \"demo\"\nclouds_file = {clouds:?}\n")),
    ] {
        site.configure("", &format!("{tables}{catalog}"));
        let answer = site.sandbox.place(&id, "disk").run();
        assert_eq!(answer.status, 0, "{way}: {answer:#?}");
        site.placed(&answer, "disk", "swift");
    }
    // A region that Keystone's catalog does not have, and somebody who is not of Keystone.
    let elsewhere = site.cloud("node", "demo", "region_name = \"Elsewhere\"");
    site.configure("", &format!("{elsewhere}{catalog}"));
    let answer = site.sandbox.place(&id, "disk").run();
    assert_eq!(answer.document()["error"]["code"], "no-endpoint", "{answer:#?}");
    let wrong = site.cloud("node", "demo", "").replace("demo-password", CANARY);
    site.configure("", &format!("{wrong}{catalog}"));
    site.sandbox.place(&id, "disk").run().failure("denied", "keystone-denied", "request");
    site.sandbox.only(&[]);
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
