//! Every way to be allowed to read an object, with its control: the same without it is refused.

use std::path::Path;

use crate::support::command::Landfall;
use crate::support::openstack::{Account, Group};
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, container, put_as, stored};

/// In each form of the URL that names who reads, and in each way to write it.
pub(super) fn in_the_url(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let account = depot.services.account(KEEPER);
    let object = put_as(&account, &container(&account, "url"), IMAGE, Form::Static);
    let auth = depot.services.swift_auth_url();
    let host = auth.strip_prefix("http://").unwrap();
    for url in [
        depot.with_key(&auth, KEEPER, &object),
        format!("swift+http://vault%3Akeeper:keeper%2Dpassword@{host}/{object}"),
        format!("SWIFT+HTTP://vault:keeper:keeper-password@{host}/{object}"),
    ] {
        depot.exact(IMAGE, &url);
    }

    let demo = depot.services.keystone_account("demo");
    let person = depot.services.person("demo");
    let (name, password, project) = (person.name, person.password, person.project);
    let object = put_as(&demo, &container(&demo, "url"), IMAGE, Form::Static);
    let auth = depot.services.auth_url();
    let host = auth.strip_prefix("http://").unwrap();
    let bare = host.strip_suffix("/v3").expect("a URL of the version");
    for url in [
        format!("swift+http://{project}:{name}:{password}@{host}/{object}"),
        format!("swift+http://{project}%3A{name}:{password}@{host}/{object}"),
        format!("swift+http://{project}:{name}:{password}@{bare}/{object}"),
    ] {
        depot.exact(IMAGE, &url);
    }
    // Of another project, domain or region.
    depot.fails(&format!("swift+http://service:{name}:{password}@{host}/{object}"), "denied", "keystone-denied");
    let url = format!("swift+http://{project}:{name}:{password}@{host}/{object}");
    depot.configure("user_domain_name = \"Default\"\nproject_domain_name = \"Default\"\nregion = \"RegionOne\"", "");
    depot.exact(IMAGE, &url);
    depot.configure("user_domain_id = \"nowhere\"", "");
    depot.fails(&url, "denied", "keystone-denied");
    depot.configure("region = \"Nowhere\"", "");
    depot.fails(&url, "invalid", "no-endpoint");
}

/// By references of Glance's own file, which may be written as Glance reads it.
pub(super) fn references(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let account = depot.services.account(KEEPER);
    let object = put_as(&account, &container(&account, "reference"), IMAGE, Form::Dynamic);
    let demo = depot.services.keystone_account("demo");
    let of_demo = put_as(&demo, &container(&demo, "reference"), IMAGE, Form::Dynamic);

    let keystone = depot.services.auth_url();
    let bare_keystone = keystone.strip_suffix("/v3").unwrap();
    let swift = depot.services.swift_auth_url();
    let person = depot.services.person("demo");
    let (name, password, project, project_id) = (person.name, person.password, person.project, person.project_id);
    let credential = depot.services.application_credential();
    let (id, secret) = (credential.id, credential.secret);
    let text = format!(
        "# of all\n[DEFAULT]\nauth_version = 3\nuser_domain_id = default\nproject_domain_id = default\n\n\
         [v1]\nauth_version = 1\nauth_address = {swift}\nuser = {KEEPER}\nkey = \"{}\"\n\
         [v1-single]\nauth_version: '1'\nauth_address: '{swift}'\nUSER: '{KEEPER}'\nKey: '{}'\n\
         ; a comment\n[v3]\nauth_address = {keystone}\nuser = {project}:{name}\nkey = \"{password}\"\n\
         [v3-project]\nauth_address = {bare_keystone}\nuser = {name}\nproject_id = {project_id}\nkey = {password}\n\
         [credential]\nauth_address = {keystone}\napplication_credential_id = {id}\n\
         application_credential_secret = \"{secret}\"\n\
         [wrong]\nauth_address = {keystone}\nuser = {project}:{name}\nkey = wrong\n",
        depot.services.swift_password(KEEPER),
        depot.services.swift_password(KEEPER),
    );
    // The operator names whom the record may lead to: nothing else is allowed.
    let section = |file: &Path| format!("[handler.swift]\nstore_config_file = {file:?}\n");
    depot.sandbox.configure("", &section(&depot.secret_file("store.conf", &text)));
    for (reference, object) in
        [("v1", &object), ("v1-single", &object), ("v3", &of_demo), ("v3-project", &of_demo), ("credential", &of_demo)]
    {
        depot.exact(IMAGE, &format!("swift+config://{reference}/{object}"));
    }
    depot.fails(&format!("swift+config://wrong/{of_demo}"), "denied", "keystone-denied");
    depot.fails(&format!("swift+config://v1/{}-none", object), "not-found", "http-404");

    // What Glance's own parser would not read stops the handler, not the record.
    depot.sandbox.configure("", &section(&depot.secret_file("bad.conf", "[v1]\nkey = \"open\n")));
    let answer = depot.place(IMAGE, &[format!("swift+config://v1/{object}")]).run();
    assert!(answer.text().contains("config-store-config"), "{answer:#?}");
    assert!(!answer.text().contains("open\n"), "{answer:#?}");
}

/// Objects that only the node's login lets be read: one of Swift's own accounts and one of Keystone's.
struct Stores<'w> {
    depot: Depot<'w>,
    of_swift: String,
    of_keystone: String,
    account: Account,
}

impl<'w> Stores<'w> {
    fn new(world: &'w World) -> Self {
        let depot = Depot::new(world, Group::Keystone);
        let account = depot.services.account(KEEPER);
        let of_swift = stored(&account, &put_as(&account, &container(&account, "node"), IMAGE, Form::Static));
        let demo = depot.services.keystone_account("demo");
        let of_keystone = stored(&demo, &put_as(&demo, &container(&demo, "node"), IMAGE, Form::Static));
        // Without a login.
        for url in [&of_swift, &of_keystone] {
            depot.fails(url, "denied", "http-401");
        }
        Self { depot, of_swift, of_keystone, account: demo }
    }

    /// The image arrives by way of this login, which the operator wrote: no address has to be allowed.
    #[track_caller]
    fn by(&self, cloud: &str, url: &str) {
        self.depot.sandbox.configure("", cloud);
        self.depot.exact(IMAGE, url);
    }

    #[track_caller]
    fn by_environment(&self, variables: &[(&str, &str)], url: &str) {
        let with =
            |command: Landfall| variables.iter().fold(command, |command, (name, value)| command.env(name, value));
        let place = || with(self.depot.place(IMAGE, &[url.to_owned()]));
        for configured in ["", "[cloud.caller]\nenvironment = true\n"] {
            self.depot.sandbox.configure("", configured);
            let answer = place().run();
            self.depot.arrived(IMAGE, &answer);
        }
    }
}

/// By what the configuration says of a cloud.
pub(super) fn of_the_node(world: &World) {
    let stores = Stores::new(world);
    let services = &stores.depot.services;
    let (keystone, swift) = (services.auth_url(), services.swift_auth_url());
    let person = services.person("demo");
    let (name, password, project, project_id) = (person.name, person.password, person.project, person.project_id);
    let credential = services.application_credential();
    let (id, secret) = (credential.id, credential.secret);
    let key = services.swift_password(KEEPER);
    let key_file = stores.depot.secret_file("key", &format!("{key}\n"));
    let token = services.token("demo");
    let bare = keystone.strip_suffix("/v3").unwrap();

    let cloud = |auth: &str| format!("[cloud.node]\nauth = {{ {auth} }}\n");
    let v1 =
        |auth: &str| format!("[cloud.node]\nauth_type = \"v1password\"\nauth = {{ auth_url = \"{swift}\", {auth} }}\n");
    stores.by(&v1(&format!("username = \"{KEEPER}\", password = \"{key}\"")), &stores.of_swift);
    stores.by(&v1(&format!("username = \"{KEEPER}\", password_file = {key_file:?}")), &stores.of_swift);

    let user = format!("username = \"{name}\", password = \"{password}\"");
    let credential = format!("application_credential_id = \"{id}\", application_credential_secret = \"{secret}\"");
    for auth in [
        format!("auth_url = \"{keystone}\", {user}, project_name = \"{project}\""),
        format!("auth_url = \"{bare}\", {user}, project_id = \"{project_id}\""),
        format!(
            "auth_url = \"{keystone}\", {user}, project_name = \"{project}\", project_domain_name = \"Default\", \
                 user_domain_name = \"Default\""
        ),
        format!("auth_url = \"{keystone}\", {credential}"),
        format!("auth_url = \"{keystone}\", token = \"{token}\", project_name = \"{project}\""),
    ] {
        stores.by(&cloud(&auth), &stores.of_keystone);
    }
    let account = stores.account.url.as_str();
    let ready = format!(
        "[cloud.node]\nauth_type = \"admin_token\"\nauth = {{ token = \"{token}\", endpoint = \"{account}\" }}\n"
    );
    stores.by(&format!("{ready}endpoints = {{ object-store = \"{account}\" }}\n"), &stores.of_keystone);

    // Of several clouds, the one that is named.
    let both = format!(
        "[cloud.other]\nauth = {{ auth_url = \"{keystone}\", username = \"other\", password = \"{}\", project_name = \
         \"other\" }}\n{}",
        services.person("other").password,
        cloud(&format!("auth_url = \"{keystone}\", {credential}")),
    );
    stores.depot.sandbox.configure("store_cloud = \"node\"\n", &both);
    stores.depot.exact(IMAGE, &stores.of_keystone);
    stores.depot.sandbox.configure("store_cloud = \"other\"\n", &both);
    stores.depot.fails(&stores.of_keystone, "denied", "login-not-for-server");
}

/// By an entry of a clouds.yaml, and by the environment of the calling process.
pub(super) fn of_clouds_yaml_and_environment(world: &World) {
    let stores = Stores::new(world);
    let services = &stores.depot.services;
    let (keystone, swift) = (services.auth_url(), services.swift_auth_url());
    let person = services.person("demo");
    let (name, password, project) = (person.name, person.password, person.project);
    let key = services.swift_password(KEEPER);
    let yaml = format!(
        "clouds:\n  keystone:\n    auth:\n      auth_url: {keystone}\n      username: {name}\n      password: {password}\n      \
         project_name: {project}\n      user_domain_id: default\n      project_domain_id: default\n    region_name: \
         RegionOne\n  swift:\n    auth_type: v1password\n    auth:\n      auth_url: {swift}\n      username: {KEEPER}\n      \
         password: {key}\n"
    );
    let file = stores.depot.secret_file("clouds.yaml", &yaml);
    let entry = |name: &str| format!("[cloud.node]\nentry = \"{name}\"\nclouds_file = {file:?}\n");
    stores.by(&entry("keystone"), &stores.of_keystone);
    stores.by(&entry("swift"), &stores.of_swift);

    let file = file.to_str().unwrap();
    stores.by_environment(&[("OS_CLIENT_CONFIG_FILE", file), ("OS_CLOUD", "keystone")], &stores.of_keystone);
    let domains = [("OS_USER_DOMAIN_ID", "default"), ("OS_PROJECT_DOMAIN_ID", "default")];
    let openrc = [
        ("OS_AUTH_URL", keystone.as_str()),
        ("OS_USERNAME", &name),
        ("OS_PASSWORD", &password),
        ("OS_PROJECT_NAME", &project),
        ("OS_IDENTITY_API_VERSION", "3"),
    ];
    stores.by_environment(&[&openrc[..], &domains].concat(), &stores.of_keystone);
    let token = services.token("demo");
    let by_token =
        [("OS_AUTH_URL", keystone.as_str()), ("OS_TOKEN", &token), ("OS_PROJECT_NAME", &project), domains[1]];
    stores.by_environment(&by_token, &stores.of_keystone);
    let swifts = [("ST_AUTH", swift.as_str()), ("ST_USER", KEEPER), ("ST_KEY", &key)];
    stores.by_environment(&swifts, &stores.of_swift);
    let ready = [("OS_STORAGE_URL", stores.account.url.as_str()), ("OS_AUTH_TOKEN", &token)];
    stores.by_environment(&ready, &stores.of_keystone);

    // It counts where it is asked for, or where there is nothing else.
    stores.depot.configure("", &entry("swift"));
    let answer = openrc
        .iter()
        .fold(stores.depot.place(IMAGE, std::slice::from_ref(&stores.of_keystone)), |command, (name, value)| {
            command.env(name, value)
        });
    stores.depot.failed(&answer.run(), "denied", "login-not-for-server");
}
