//! That the services of other tests do what those tests take for granted. The product has no part in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::nginx::{self, Nginx, Site};
use crate::support::openstack::{Account, Digest, Group, NEEDS, OpenStack, request};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

type Test = fn(&World);

/// Not a multiple of anything.
const OBJECT: Content = Content::new((1 << 20) + 321, 7);
const SEGMENT: usize = 300_000;
/// More than the buffers of both ends of a connection hold.
const LARGE: Content = Content::new(64 << 20, 8);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn cases() -> Vec<Case> {
    let tests: [(&str, Test); 7] = [
        ("objects", objects),
        ("permissions", permissions),
        ("temporary_urls", temporary_urls),
        ("tokens_of_swift_expire", tokens_of_swift_expire),
        ("tokens_of_keystone", tokens_of_keystone),
        ("images_in_two_stores", images_in_two_stores),
        ("a_killed_proxy_comes_back", a_killed_proxy_comes_back),
    ];
    let case = |(name, test): (&str, Test)| Case::new(format!("services::{name}"), test).needs(&NEEDS);
    let with_nginx = case(("locations_with_metadata", locations_with_metadata)).needs(&nginx::NEEDS);
    tests.into_iter().map(case).chain([with_nginx]).map(Case::mode_independent).collect()
}

/// Plain, static and dynamic large objects have the same bytes, whole and in part.
fn objects(world: &World) {
    let services = OpenStack::shared(world, Group::Swift);
    let account = services.account("vault:keeper");
    let container = account.container("objects");
    let bytes = OBJECT.bytes();
    let names = ["plain", "static", "dynamic"].map(|name| format!("{container}/{name}"));
    account.put(&names[0], &bytes);
    account.put_static(&names[1], &bytes, SEGMENT);
    account.put_dynamic(&names[2], &bytes, SEGMENT);
    for name in &names {
        assert!(account.send("GET", name, &[], b"").ok().body == bytes, "{name}");
        // Over the end of a segment.
        let (first, last) = (SEGMENT - 10, SEGMENT + 9);
        assert_eq!(account.range(name, first, last), bytes[first..=last], "{name}");
    }
    // The same by S3, for those who sign.
    let signed = "AWSAccessKeyId=nobody&Signature=none&Expires=2000000000";
    let refused = request("GET", &format!("{}/{}?{signed}", services.s3_url(), names[0]), &[], b"");
    assert!(
        refused.status == 403 && String::from_utf8_lossy(&refused.body).contains("SignatureDoesNotMatch"),
        "{refused:?}"
    );
    account.send("HEAD", &names[1], &[], b"").ok().header("X-Static-Large-Object");
    account.send("HEAD", &names[2], &[], b"").ok().header("X-Object-Manifest");
}

/// Who may read a container, and who may not.
fn permissions(world: &World) {
    let services = OpenStack::shared(world, Group::Swift);
    let [keeper, reader, stranger] =
        ["vault:keeper", "vault:reader", "other:stranger"].map(|user| services.account(user));
    let container = keeper.container("permissions");
    let object = format!("{container}/object");
    keeper.put(&object, b"bytes");
    let url = keeper.url_of(&object);
    let statuses = || {
        let of = |account: &Account| request("GET", &url, &[("X-Auth-Token", &account.token)], b"").status;
        let unknown = request("GET", &url, &[("X-Auth-Token", "AUTH_tk0123456789abcdef")], b"").status;
        [of(&keeper), of(&reader), of(&stranger), unknown, request("GET", &url, &[], b"").status]
    };
    assert_eq!(statuses(), [200, 403, 403, 401, 401]);
    keeper.allow(&container, "vault:reader");
    assert_eq!(statuses(), [200, 200, 403, 401, 401]);
    keeper.allow(&container, ".r:*");
    // A token that nobody knows is worse than none.
    assert_eq!(statuses(), [200, 200, 200, 401, 200]);
}

fn temporary_urls(world: &World) {
    let services = OpenStack::shared(world, Group::Swift);
    let account = services.account("vault:keeper");
    let container = account.container("temporary");
    let object = format!("{container}/object");
    account.put(&object, b"bytes");
    account.set_key(&container, "key");
    for digest in [Digest::Sha1, Digest::Sha256] {
        let url = account.temporary_url(&object, "key", digest, HOUR);
        assert_eq!(request("GET", &url, &[], b"").ok().body, b"bytes", "{digest:?}");
        let part = request("GET", &url, &[("Range", "bytes=1-2")], b"");
        assert_eq!((part.status, part.body.as_slice()), (206, &b"yt"[..]), "{digest:?}");
        let forged = account.temporary_url(&object, "another key", digest, HOUR);
        assert_eq!(request("GET", &forged, &[], b"").status, 401, "{digest:?}");
    }
    let brief = account.temporary_url(&object, "key", Digest::Sha256, Duration::from_secs(1));
    until_refused(|| request("GET", &brief, &[], b"").status);
}

fn tokens_of_swift_expire(world: &World) {
    let services = OpenStack::shared(world, Group::Swift);
    let keeper = services.account("vault:keeper");
    let container = keeper.container("expiry");
    let brief = services.short_account("vault:keeper");
    assert_ne!(brief.url, keeper.url, "a proxy of its own");
    let began = Instant::now();
    brief.send("GET", &container, &[], b"").ok();
    until_refused(|| brief.send("GET", &container, &[], b"").status);
    // It counts in whole seconds, and began before.
    assert!(began.elapsed() + Duration::from_secs(2) > services.short_life(), "{:?}", began.elapsed());
    keeper.send("GET", &container, &[], b"").ok();
}

fn tokens_of_keystone(world: &World) {
    let services = OpenStack::shared(world, Group::Keystone);
    let account = services.keystone_account("demo");
    assert!(account.url.ends_with(&format!("/KEY_{}", services.person("demo").project_id)), "{}", account.url);
    let container = account.container("keystone");
    let status = |token: &str| request("GET", &account.url_of(&container), &[("X-Auth-Token", token)], b"").status;
    assert_eq!(status(&services.token("other")), 403);
    assert_eq!(status("no token"), 401);

    assert_eq!(services.region(), "RegionOne");

    let second = services.token_of(&services.application_credential());
    assert_eq!(status(&second), 204);
    services.revoke(&second);
    assert_eq!(status(&second), 401);
    assert_eq!(status(&account.token), 204, "only that one was taken back");

    let brief = services.short_token("demo");
    assert_eq!(status(&brief), 204);
    until_refused(|| status(&brief));
}

/// Bytes in the file store and in Swift, as one object and as a large one, and a copy from one to the other.
fn images_in_two_stores(world: &World) {
    // Its database takes one writer at a time.
    let services = OpenStack::alone(world, Group::Glance);
    let glance = services.glance("admin");
    let bytes = OBJECT.bytes();
    let schemes = |id: &str| -> Vec<String> {
        let scheme = |url: &str| url.split(':').next().unwrap_or_default().to_owned();
        glance.locations(id).iter().map(|location| scheme(location["url"].as_str().unwrap())).collect()
    };

    let image = glance.create("two-stores");
    glance.upload(&image, "fs", &bytes);
    assert_eq!(schemes(&image), ["file"]);
    glance.copy(&image, "sw");
    assert_eq!(schemes(&image), ["file", "swift+config"]);

    let other = glance.create("chunked");
    glance.upload_chunked(&other, "sw", &bytes);
    assert_eq!(schemes(&other), ["swift+config"]);
    assert!(glance.get(&format!("{other}/file")).ok().body == bytes);
    // The objects are the service's, in its project.
    let account = services.keystone_account("glance");
    assert!(account.send("GET", &format!("glance/{other}"), &[], b"").ok().body == bytes);

    let at = |name: &str| services.hidden_glance(name).get(&format!("{image}/locations")).status;
    assert_eq!([at("nova"), at("demo")], [200, 403]);
    assert!(services.hidden_glance("nova").locations(&image).is_empty(), "nobody sees them in the image");
}

/// Locations on another server, and what is said beside them.
fn locations_with_metadata(world: &World) {
    let services = OpenStack::alone(world, Group::Glance);
    let sandbox = Sandbox::on(world, Fs::Temp);
    let server = Nginx::start(&sandbox, "server", Site::new());
    std::fs::write(server.file("disk.raw"), OBJECT.bytes()).unwrap();
    let glance = services.glance("admin");
    let metadata = json!({ "metrics": { "weight": "1", "node-weights": { "n": "2" } } });
    let seen = json!({ "metrics": { "weight": "1", "node-weights": { "n": "2" } }, "store": "web" });

    let image = glance.create("metadata");
    glance.add_location(&image, &server.url("/disk.raw"), &metadata);
    assert_eq!(glance.locations(&image)[0]["metadata"], seen);
    // Everybody who sees the image sees it.
    assert_eq!(services.glance("demo").locations(&image)[0]["metadata"], seen);
    glance.set_locations(&image, &[json!({ "url": server.url("/disk.raw"), "metadata": {} })]);
    assert_eq!(glance.locations(&image)[0]["metadata"], json!({ "store": "web" }));

    let service = services.glance("nova");
    let registered = service.create("registered");
    service.register(&registered, &server.url("/disk.raw"));
    let record = service.get(&registered).ok().json();
    assert_eq!(record["size"], OBJECT.size, "{record:#}");
}

/// In mid-download: the connection breaks, nobody listens, and then everything is as it was.
fn a_killed_proxy_comes_back(world: &World) {
    let services = OpenStack::alone(world, Group::Swift);
    let account = services.account("vault:keeper");
    let container = account.container("killed");
    let object = format!("{container}/object");
    account.put(&object, &LARGE.bytes());

    let host = services.url("swift-proxy").trim_start_matches("http://").to_owned();
    let mut download = TcpStream::connect(&host).unwrap();
    download.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = account.url_of(&object).replace(&format!("http://{host}"), "");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Auth-Token: {}\r\n\r\n", account.token);
    download.write_all(head.as_bytes()).unwrap();
    download.read_exact(&mut [0; 1 << 20]).unwrap();
    services.kill("swift-proxy");
    // It ends early, with an error or without.
    let mut rest = Vec::new();
    let _ = download.read_to_end(&mut rest);
    assert!((rest.len() as u64) < LARGE.size - (1 << 20), "{} bytes more", rest.len());
    assert!(TcpStream::connect(&host).is_err(), "nobody listens");

    assert!(services.start("swift-proxy").ends_with(&host), "where it was: {}", services.log("swift-proxy"));
    assert!(account.send("GET", &object, &[], b"").ok().body == LARGE.bytes());
}

/// Waits until what was allowed for a while is not any more.
fn until_refused(status: impl Fn() -> u16) {
    let end = Instant::now() + Duration::from_secs(60);
    while status() != 401 {
        assert!(Instant::now() < end, "still allowed");
        thread::sleep(Duration::from_millis(100));
    }
}
