//! What is refused, by name, and what is never asked for.

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::fault_server::{FaultServer, Lie};
use crate::support::openstack::Group;
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, container, put_as, stored};

/// Credentials of a location that are wrong, or not enough.
pub(super) fn credentials(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "refused");
    let object = put_as(&account, &container, IMAGE, Form::Plain);
    let auth = depot.services.swift_auth_url();
    let host = auth.strip_prefix("http://").unwrap();
    let of = |user: &str| depot.with_key(&auth, user, &object);

    depot.fails(&format!("swift+http://{KEEPER}:wrong@{host}/{object}"), "denied", "swift-auth-denied");
    depot.fails(&format!("swift+http://vault:nobody:keeper-password@{host}/{object}"), "denied", "swift-auth-denied");
    depot.fails(&of("vault:reader"), "denied", "http-403");
    // In its own account there is no such thing.
    depot.fails(&of("other:stranger"), "not-found", "http-404");
    depot.fails(&format!("{}-none", of(KEEPER)), "not-found", "http-404");
    depot.fails(&of(KEEPER).replace(&container, "glance_none"), "not-found", "http-404");
    account.allow(&container, "vault:reader");
    depot.exact(IMAGE, &of("vault:reader"));

    let demo = depot.services.keystone_account("demo");
    let of_demo = put_as(&demo, &super::depot::container(&demo, "refused"), IMAGE, Form::Plain);
    let keystone = depot.services.auth_url();
    let host = keystone.strip_prefix("http://").unwrap();
    let person = depot.services.person("demo");
    let (name, password, project) = (person.name, person.password, person.project);
    let of = |project: &str, user: &str, key: &str| format!("swift+http://{project}:{user}:{key}@{host}/{of_demo}");
    depot.fails(&of(&project, &name, "wrong"), "denied", "keystone-denied");
    depot.fails(&of(&project, "nobody", &password), "denied", "keystone-denied");
    depot.fails(&of("nothing", &name, &password), "denied", "keystone-denied");
    let other = depot.services.person("other");
    depot.fails(&of(&other.project, "other", &other.password), "not-found", "http-404");
    depot.fails(&format!("{}-none", of(&project, &name, &password)), "not-found", "http-404");
    depot.exact(IMAGE, &of(&project, &name, &password));

    // What cannot be right is not tried at all.
    for url in [
        format!("swift+http://{name}:{password}@{host}/{of_demo}"),
        format!("swift+http://@{host}/{of_demo}"),
        format!("swift+http://{name}:@{host}/{of_demo}"),
        format!("swift+http://{project}:{name}:{password}@{host}/"),
    ] {
        depot.fails(&url, "invalid", "bad-url");
    }
    let second = of(&project, &name, &password).replace("/v3/", "/v2.0/");
    depot.fails(&second, "unsupported", "auth-version");
}

/// The node's login reads what it may, and no more than the operator's list of containers.
pub(super) fn operators_credentials(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let auth = depot.services.swift_auth_url();
    let key = depot.services.swift_password(KEEPER);
    let as_user = |user: &str| {
        format!(
            "[cloud.node]\nauth_type = \"v1password\"\nauth = {{ auth_url = \"{auth}\", username = \"{user}\", password = \
             \"{}\" }}\n",
            depot.services.swift_password(user)
        )
    };
    let [listed, private] = [container(&account, "listed"), account.container("private")];
    let objects = [&listed, &private].map(|container| put_as(&account, container, IMAGE, Form::Static));
    let [good, withheld] = objects.each_ref().map(|object| stored(&account, object));
    let file = depot.secret_file(
        "store.conf",
        &format!("[ref]\nauth_version = 1\nauth_address = {auth}\nuser = {KEEPER}\nkey = {key}\n"),
    );
    let references = format!("store_config_file = {file:?}");

    depot.configure(&references, &as_user(KEEPER));
    depot.exact(IMAGE, &good);
    depot.exact(IMAGE, &format!("swift+config://ref/{}", objects[0]));
    depot.fails(&withheld, "denied", "container-not-allowed");
    depot.fails(&format!("swift+config://ref/{}", objects[1]), "denied", "container-not-allowed");
    // Its own credentials are the record's affair.
    depot.exact(IMAGE, &depot.with_key(&auth, KEEPER, &objects[1]));
    for containers in [format!("containers = [\"{private}\"]"), "containers = [\"x\", \"private*\"]".to_owned()] {
        depot.configure(&format!("{references}\n{containers}"), &as_user(KEEPER));
        depot.exact(IMAGE, &withheld);
        depot.exact(IMAGE, &format!("swift+config://ref/{}", objects[1]));
        depot.fails(&good, "denied", "container-not-allowed");
    }
    depot.configure("containers = []", &as_user(KEEPER));
    depot.fails(&good, "denied", "container-not-allowed");
    // What everybody may read needs no list.
    account.allow(&private, ".r:*");
    depot.exact(IMAGE, &withheld);

    depot.configure("", &as_user("vault:reader"));
    depot.fails(&good, "denied", "http-403");
    // A login is for its own account, unless the operator lists others.
    depot.configure("", &as_user("other:stranger"));
    depot.fails(&good, "denied", "login-not-for-server");
    depot.configure("accounts = [\"AUTH_*\"]", &as_user("other:stranger"));
    depot.fails(&good, "denied", "http-403");
    account.allow(&listed, "other:stranger");
    depot.exact(IMAGE, &good);
    account.allow(&listed, "vault:reader");
    depot.configure("", &as_user("vault:reader"));
    depot.exact(IMAGE, &good);
}

/// Servers that a record names and the cloud does not see no token, whatever they ask for.
pub(super) fn other_servers(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let demo = depot.services.person("demo");
    let login = format!(
        "[cloud.node]\nauth = {{ auth_url = \"{}\", username = \"demo\", password = \"{}\", project_name = \"{}\" }}\n",
        depot.services.auth_url(),
        demo.password,
        demo.project
    );
    let willing = FaultServer::honest(IMAGE);
    let demanding = FaultServer::lying(IMAGE, Lie::Status(401));
    let at = |server: &FaultServer| server.url(&format!("/v1/KEY_{}", demo.project_id));
    let tokens = |server: &FaultServer| {
        let counts = server.counts();
        assert!(!counts.requests.is_empty(), "it was asked");
        ["x-auth-token", "x-storage-token", "authorization", "cookie"]
            .iter()
            .map(|name| counts.header(name).len())
            .sum::<usize>()
    };

    depot.configure("", &login);
    depot.exact(IMAGE, &format!("swift+{}/glance/disk", at(&willing)));
    depot.fails(&format!("swift+{}/glance/disk", at(&demanding)), "denied", "login-not-for-server");
    // The right host in the wrong place: as a folder, and as somebody who logs in.
    let right = depot.services.keystone_account("demo").url;
    let host = right.split('/').nth(2).unwrap();
    let to = willing.authority();
    depot.exact(IMAGE, &format!("swift+http://{to}/{host}/v1/KEY_{}/glance/disk", demo.project_id));
    let answer =
        depot.place(IMAGE, &[format!("swift+http://{host}@{to}/v1/KEY_{}/glance/disk", demo.project_id)]).run();
    assert_ne!(answer.status, 0, "{answer:#?}");
    assert_eq!([tokens(&willing), tokens(&demanding)], [0, 0]);

    // Were the cloud to name it, it would see one.
    let named = FaultServer::honest(IMAGE);
    depot.configure("", &format!("{login}endpoints = {{ object-store = \"{}\" }}\n", at(&named)));
    depot.exact(IMAGE, &format!("swift+{}/glance/disk", at(&named)));
    assert!(tokens(&named) >= 1);
    let before = tokens(&willing);
    depot.exact(IMAGE, &format!("swift+{}/glance/disk", at(&willing)));
    assert_eq!(tokens(&willing), before);
}

/// References that nobody knows are left out of the plan, which says why.
pub(super) fn unknown_references(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let object = put_as(&account, &container(&account, "known"), IMAGE, Form::Plain);
    let key = depot.services.swift_password(KEEPER);
    let auth = depot.services.swift_auth_url();
    let urls = [format!("swift+config://nobody/{object}"), format!("swift+config://known/{object}")];
    let record = depot.sandbox.record("image.json", &IMAGE.record(&urls));
    let reasons = |answer: &Answer| -> Vec<String> {
        let document = answer.document();
        let list = document["decision"]["excluded"].as_array().unwrap_or_else(|| panic!("{document:#}"));
        list.iter().map(Value::to_string).collect()
    };

    let bare = depot.sandbox.plan(&record, "disk").run();
    let said = reasons(&bare).concat();
    assert!(said.contains("store_config_file in [handler.swift]"), "{bare:#?}");
    let answer = depot.place(IMAGE, &urls).run();
    answer.failure("unsupported", "no-handler", "request");
    depot.sandbox.only(&[]);

    let text = format!("[known]\nauth_version = 1\nauth_address = {auth}\nuser = {KEEPER}\nkey = {key}\n");
    depot.configure(&format!("store_config_file = {:?}", depot.secret_file("store.conf", &text)), "");
    let plan = depot.sandbox.plan(&record, "disk").run();
    plan.success();
    let said: Vec<String> = reasons(&plan).into_iter().filter(|reason| reason.contains("no reference in")).collect();
    assert_eq!(said.len(), 1, "{plan:#?}");
    assert!(said[0].contains("nobody") && !said[0].contains("known/"), "{plan:#?}");
    depot.arrived(IMAGE, &depot.place(IMAGE, &urls).run());
}

/// A record leads neither a login nor a download to this machine.
pub(super) fn addresses(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "addresses");
    let object = put_as(&account, &container, IMAGE, Form::Static);
    account.allow(&container, ".r:*");
    let demo = depot.services.keystone_account("demo");
    let of_demo = put_as(&demo, &super::depot::container(&demo, "addresses"), IMAGE, Form::Static);
    let person = depot.services.person("demo");
    let (name, password, project) = (person.name, person.password, person.project);
    let keystone = depot.services.auth_url();
    let host = keystone.strip_prefix("http://").unwrap();
    let urls = [
        depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object),
        format!("swift+http://{project}:{name}:{password}@{host}/{of_demo}"),
        stored(&account, &object),
    ];
    for url in &urls {
        depot.exact(IMAGE, url);
    }
    depot.sandbox.configure("", "");
    for url in &urls {
        depot.fails(url, "denied", "address-refused");
        depot.fails(&url.replace("127.0.0.1", "localhost"), "denied", "address-refused");
    }
    // What is allowed to one handler is not allowed to another.
    depot.sandbox.configure("", "[handler.http]\nallow_addresses = [\"loopback\"]\n");
    depot.fails(&urls[0], "denied", "address-refused");
}
