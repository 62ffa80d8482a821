//! What happens to a server in mid-download, and who goes on.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::fault_server::ClosedPort;
use crate::support::nginx::{Nginx, Site};
use crate::support::openstack::{Group, OpenStack};
use crate::support::seeded::Content;
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, MIB, ON_THE_WAY, codes, container, put_as, stored};
use super::gateway::{Gateway, Manner};

/// More than what buffers hold, at a rate that leaves time for a kill in the middle.
const LONG: Content = Content::new(24 * MIB + 4321, 68);
const RATE: &str = "[limits]\nbandwidth = \"8MiB\"\nconnections_per_origin = 2\n";
const TWO: &str = "[limits]\nconnections_per_origin = 2\n";

/// Swift's proxy itself is killed. Without it there is no end; with it again, the download goes on where it was.
pub(super) fn killed(world: &World) {
    let depot = Depot::with(world, OpenStack::alone(world, Group::Swift));
    let account = depot.services.account(KEEPER);
    depot.configure("", RATE);
    for form in [Form::Plain, Form::Static] {
        let object = put_as(&account, &container(&account, "killed"), LONG, form);
        let url = [depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object)];
        let (running, _) = depot.midway(depot.place(LONG, &url), LONG);
        depot.services.kill("swift-proxy");
        depot.services.start("swift-proxy");
        let answer = running.finish();
        depot.arrived(LONG, &answer);
        assert_eq!(answer.document()["attempts"].as_array().unwrap().len(), 1, "{answer:#?}");
    }
    // It was in the middle.
    let object = put_as(&account, &container(&account, "killed"), LONG, Form::Static);
    let url = [depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object)];
    let (running, _) = depot.midway(depot.place(LONG, &url), LONG);
    depot.services.kill("swift-proxy");
    let answer = running.finish();
    let error = &answer.document()["error"];
    assert_eq!(error["kind"], "unavailable", "{answer:#?}");
    depot.sandbox.only(&[]);
}

/// What an interrupted download left is not fetched again.
pub(super) fn resumed(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    depot.configure("", &format!("{TWO}resume_bytes = \"1MiB\"\n"));
    for form in Form::ALL {
        let object = put_as(&account, &container(&account, "resumed"), IMAGE, form);
        let held = Gateway::start(&depot, &format!("held-{form:?}"), &account.url, Manner::Held);
        let mut open = Gateway::start(&depot, &format!("open-{form:?}"), &account.url, Manner::Open);
        let url = |gateway: &Gateway| depot.with_key(&gateway.url(&depot.services.swift_auth_url()), KEEPER, &object);
        let (running, done) = depot.midway(depot.place(IMAGE, &[url(&held)]), IMAGE);
        running.signal(Signal::SIGTERM);
        let answer = running.finish();
        answer.failure("cancelled", "cancelled", "request");
        depot.exact(IMAGE, &url(&open));
        let log = open.finish();
        // Its beginning is asked for to see what it is.
        let most = IMAGE.size - done + MIB + ON_THE_WAY;
        assert!(log.bytes() <= most, "{form:?}: {} bytes, {done} were there: {:?}", log.bytes(), log.summary());
    }
}

/// From a Swift that is not there to other stores, and back; from the beginning, and in the middle.
pub(super) fn failover(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    depot.configure("", TWO);
    let file = depot.sandbox.store("disk.raw");
    fs::write(&file, IMAGE.bytes()).unwrap();
    let closed = ClosedPort::new();
    for form in [Form::Plain, Form::Dynamic] {
        let container = container(&account, "failover");
        account.allow(&container, ".r:*,.rlistings");
        let object = put_as(&account, &container, IMAGE, form);
        let dead_swift = format!("swift+http://{}/v1/AUTH_vault/{object}", closed.authority());
        let dead_http = format!("http://{}/disk.raw", closed.authority());
        let live = stored(&account, &object);
        let server = served(&depot, &format!("server-{form:?}"), "");
        for urls in [
            [dead_swift.clone(), server.url("/disk.raw")],
            [dead_swift.clone(), format!("file://{}", file.display())],
            [dead_http, live.clone()],
            [dead_swift, live.clone()],
        ] {
            depot.sandbox.configure("route = \"location-first\"\n", &with_loopback(TWO));
            let answer = depot.place(IMAGE, &urls).run();
            depot.arrived(IMAGE, &answer);
            assert!(answer.document()["attempts"].as_array().unwrap().len() >= 2, "{answer:#?}");
        }

        let mut first = Gateway::start(&depot, &format!("first-{form:?}"), &account.url, Manner::Held);
        let second = served(&depot, &format!("second-{form:?}"), "");
        let urls = [stored(&first.account(&account), &object), second.url("/disk.raw")];
        let (running, done) = depot.midway(depot.place(IMAGE, &urls), IMAGE);
        first.kill();
        goes_on(&depot, &running.finish(), second, done);

        let mut first = served(&depot, &format!("third-{form:?}"), "limit_rate_after 1m; limit_rate 128k;");
        let mut second = Gateway::start(&depot, &format!("fourth-{form:?}"), &account.url, Manner::Open);
        let urls = [first.url("/slow/disk.raw"), stored(&second.account(&account), &object)];
        let (running, done) = depot.midway(depot.place(IMAGE, &urls), IMAGE);
        first.kill();
        let answer = running.finish();
        depot.arrived(IMAGE, &answer);
        let sent = second.finish().bytes();
        assert!((MIB..=IMAGE.size - done + 2 * ON_THE_WAY + MIB).contains(&sent), "{sent} bytes, {done} were there");
    }
}

#[track_caller]
fn goes_on(depot: &Depot<'_>, answer: &crate::support::answer::Answer, mut server: Nginx, done: u64) {
    depot.arrived(IMAGE, answer);
    let sent = server.finish().bytes();
    assert!((MIB..=IMAGE.size - done + 2 * ON_THE_WAY).contains(&sent), "{sent} bytes, {done} were there");
    let lost = codes(answer, "swift+http");
    let expected = ["connection-lost", "connect-refused", "short-body"];
    assert!(lost.iter().flatten().all(|code| expected.contains(&code.as_str())), "{answer:#?}");
}

fn with_loopback(tables: &str) -> String {
    let loopback = "allow_addresses = [\"loopback\"]";
    format!("[handler.http]\n{loopback}\n[handler.swift]\n{loopback}\n{tables}")
}

/// A server that has the image as a file, at `/` and, with these directives, at `/slow/`.
fn served(depot: &Depot<'_>, name: &str, directives: &str) -> Nginx {
    let server = Nginx::start(&depot.sandbox, name, Site::new().place("/slow/", directives));
    fs::write(server.file("disk.raw"), IMAGE.bytes()).unwrap();
    server
}

/// Parts of one image from two accounts at the same time.
pub(super) fn combined(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let stores = ["one", "two"].map(|id| format!("[[store]]\nid = {id:?}\ntype = \"swift\"\ncombine = true\n"));
    depot.configure("", &format!("{TWO}{}", stores.concat()));
    let users = [KEEPER, "other:stranger"];
    for form in Form::ALL {
        let mut gateways = users.map(|user| {
            let account = depot.services.account(user);
            let name = format!("{}-{form:?}", user.replace(':', "-"));
            let gateway = Gateway::start(&depot, &name, &account.url, Manner::Slow);
            let object = put_as(&account, &container(&account, "combined"), IMAGE, form);
            let url = depot.with_key(&gateway.url(&depot.services.swift_auth_url()), user, &object);
            (gateway, url)
        });
        let urls = gateways.each_ref().map(|(_, url)| url.clone());
        let mut record = IMAGE.record(&urls);
        for (number, store) in ["one", "two"].into_iter().enumerate() {
            record["locations"][number]["metadata"] = json!({ "store": store });
        }
        let answer = depot.place_record(&record).run();
        depot.arrived(IMAGE, &answer);
        let served = gateways.each_mut().map(|(gateway, _)| gateway.finish().bytes());
        assert!(served.iter().all(|&bytes| bytes >= IMAGE.size / 5), "{form:?}: {served:?}: {answer:#?}");
        let from = answer.document()["locations"].as_array().map_or(0, Vec::len);
        assert_eq!(from, 2, "{form:?}: {answer:#?}");
        let attempts: &Vec<Value> = answer.document()["attempts"].as_array().unwrap();
        assert!(attempts.iter().all(|tried| tried["code"].is_null()), "{form:?}: {answer:#?}");
    }
}
