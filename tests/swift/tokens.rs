//! Tokens that end: before a download, and in the middle of it. The rest of the bytes is held back until the token is really
//! no longer taken.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::openstack::{Group, OpenStack, request};
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, container, put_as, stored};
use super::gateway::{Gateway, Manner};
use super::relay::Relay;

/// Longer than a short token lives, on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// What the node is given is a token, which no longer holds.
pub(super) fn expired(world: &World) {
    let depot = Depot::new(world, Group::Keystone);
    let demo = depot.services.keystone_account("demo");
    let object = put_as(&demo, &container(&demo, "expired"), IMAGE, Form::Static);
    let url = stored(&demo, &object);
    let good = depot.services.token("demo");
    let brief = depot.services.short_token("demo");
    let keeper = depot.services.account(KEEPER);
    let of_keeper = put_as(&keeper, &container(&keeper, "expired"), IMAGE, Form::Static);
    let brief_keeper = depot.services.short_account(KEEPER);
    let url_of_keeper = stored(&brief_keeper, &of_keeper);

    let configure = |cloud: &str| depot.sandbox.configure("", &format!("[cloud.node]\n{cloud}"));
    let ready = |token: &str, account: &str| {
        configure(&format!(
            "auth_type = \"admin_token\"\nauth = {{ token = \"{token}\", endpoint = \"{account}\" }}\n\
             endpoints = {{ object-store = \"{account}\" }}\n"
        ));
    };
    let exchanged = |token: &str| {
        let project = depot.services.person("demo").project;
        let auth = depot.services.auth_url();
        configure(&format!("auth = {{ auth_url = \"{auth}\", token = \"{token}\", project_name = \"{project}\" }}\n"));
    };
    until_refused(&demo.url_of(&object), &brief);
    until_refused(&brief_keeper.url_of(&of_keeper), &brief_keeper.token);

    ready(&brief, &demo.url);
    depot.fails(&url, "denied", "token-expired");
    exchanged(&brief);
    depot.fails(&url, "denied", "token-expired");
    ready(&brief_keeper.token, &brief_keeper.url);
    depot.fails(&url_of_keeper, "denied", "token-expired");

    ready(&good, &demo.url);
    depot.exact(IMAGE, &url);
    exchanged(&good);
    depot.exact(IMAGE, &url);
    ready(&depot.services.short_account(KEEPER).token, &brief_keeper.url);
    let answer = depot.place(IMAGE, &[url_of_keeper]).run();
    // A slow machine may take longer than it lives.
    assert!(answer.status == 0 || answer.text().contains("token-expired"), "{answer:#?}");
}

/// A download whose requests are seen, and which goes on when the test says so.
struct Watched {
    relay: Relay,
    gateway: Gateway,
}

impl Watched {
    fn new(depot: &Depot<'_>, name: &str, upstream: &str) -> Self {
        let relay = Relay::start(upstream);
        let gateway = Gateway::start(depot, name, &relay.url(), Manner::Held);
        Self { relay, gateway }
    }

    fn open(&mut self) {
        self.gateway.kill();
        self.gateway.start_again(Manner::Open);
    }

    fn tokens(&self) -> Vec<String> {
        self.relay.values("x-auth-token")
    }
}

/// The image in the project of demo, and a cloud that reads it by way of what the test watches.
struct Demo<'w> {
    depot: Depot<'w>,
    watched: Watched,
    /// Where the object is without that.
    object: String,
    url: String,
    /// The project's account by way of the gateway.
    account: String,
}

impl<'w> Demo<'w> {
    fn new(world: &'w World, form: Form) -> Self {
        let depot = Depot::new(world, Group::Keystone);
        let demo = depot.services.keystone_account("demo");
        let object = put_as(&demo, &container(&demo, "token"), IMAGE, form);
        let watched = Watched::new(&depot, "gateway", &demo.url);
        let account = watched.gateway.account(&demo);
        let url = stored(&account, &object);
        Self { object: demo.url_of(&object), account: account.url, depot, watched, url }
    }

    fn by_password(&self, auth_url: &str) {
        let person = self.depot.services.person("demo");
        let (name, password, project) = (person.name, person.password, person.project);
        let auth = format!(
            "auth = {{ auth_url = \"{auth_url}\", username = \"{name}\", password = \"{password}\", project_name = \
             \"{project}\" }}"
        );
        self.configure(&auth);
    }

    fn by_token(&self, token: &str) {
        self.configure(&format!(
            "auth_type = \"admin_token\"\nauth = {{ token = \"{token}\", endpoint = \"{}\" }}",
            self.account
        ));
    }

    fn configure(&self, login: &str) {
        let endpoints = format!("endpoints = {{ object-store = \"{}\" }}", self.account);
        let limits = "[limits]\nconnections_per_origin = 2\n";
        self.depot.configure("", &format!("[cloud.node]\n{login}\n{endpoints}\n{limits}"));
    }
}

/// Keystone's token expires in mid-download; the login gets another.
pub(super) fn renewed(world: &World) {
    for form in [Form::Plain, Form::Static] {
        let mut demo = Demo::new(world, form);
        demo.by_password(&demo.depot.services.short_auth_url());
        let running = demo.depot.begun(demo.depot.place(IMAGE, &[demo.url.clone()]));
        let first = demo.watched.tokens();
        until_refused(&demo.object, first.last().expect("a token was shown"));
        demo.watched.open();
        demo.depot.arrived(IMAGE, &running.finish());
        let tokens = demo.watched.tokens();
        assert!(tokens.len() > first.len(), "{form:?}: {} tokens, {} at first", tokens.len(), first.len());
    }
}

/// The same of Swift's own login.
pub(super) fn renewed_by_swift(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let keeper = depot.services.account(KEEPER);
    let object = put_as(&keeper, &container(&keeper, "token"), IMAGE, Form::Dynamic);
    let auth_url = depot.services.short_swift_auth_url();
    let mut watched = Watched::new(&depot, "gateway", &auth_url);
    let url = depot.with_key(&watched.gateway.url(&auth_url), KEEPER, &object);
    depot.configure("", "[limits]\nconnections_per_origin = 2\n");
    let running = depot.begun(depot.place(IMAGE, &[url]));
    let first = watched.tokens();
    let direct = depot.services.short_account(KEEPER).url_of(&object);
    until_refused(&direct, first.last().expect("a token was shown"));
    watched.open();
    depot.arrived(IMAGE, &running.finish());
    assert!(watched.tokens().len() > first.len());
    let logins = watched.relay.requests().iter().filter(|line| line.contains("/auth/v1.0")).count();
    assert!((2..=8).contains(&logins), "{logins} logins");
}

/// A token that is taken back in mid-download is renewed where there is a login for that, and else is the end.
pub(super) fn revoked(world: &World) {
    let mut demo = Demo::new(world, Form::Static);
    demo.by_password(&demo.depot.services.auth_url());
    let running = demo.depot.begun(demo.depot.place(IMAGE, &[demo.url.clone()]));
    take_back(&demo.depot.services, &demo.watched.tokens(), &demo.object);
    demo.watched.open();
    demo.depot.arrived(IMAGE, &running.finish());
    assert_eq!(demo.watched.tokens().len(), 2);

    let mut demo = Demo::new(world, Form::Static);
    let token = demo.depot.services.token("demo");
    demo.by_token(&token);
    let running = demo.depot.begun(demo.depot.place(IMAGE, &[demo.url.clone()]));
    take_back(&demo.depot.services, std::slice::from_ref(&token), &demo.object);
    demo.watched.open();
    demo.depot.failed(&running.finish(), "denied", "token-expired");
    assert_eq!(demo.watched.tokens(), [token]);
}

fn take_back(services: &OpenStack, tokens: &[String], object: &str) {
    assert_eq!(tokens.len(), 1);
    assert_eq!(request("HEAD", object, &[("X-Auth-Token", &tokens[0])], b"").status, 200);
    services.revoke(&tokens[0]);
    until_refused(object, &tokens[0]);
}

/// Waits until the token is not taken any more.
fn until_refused(url: &str, token: &str) {
    let end = Instant::now() + BOUND;
    while request("HEAD", url, &[("X-Auth-Token", token)], b"").status != 401 {
        assert!(Instant::now() < end, "still allowed");
        thread::sleep(Duration::from_millis(50));
    }
}
