//! Objects of every kind and size, and who fetches the segments of large ones.

use serde_json::json;

use crate::support::access_log::AccessLog;
use crate::support::openstack::{Account, Group, request};
use crate::support::seeded::Content;
use crate::support::world::World;

use super::depot::{
    Depot, Form, IMAGE, KEEPER, MIB, ON_THE_WAY, SEGMENT, Segment, container, encoded, put_as, put_dynamic,
    put_segment, put_segments, put_static, stored,
};
use super::gateway::{Gateway, Manner};

/// Bytes of a megabyte and a bit, in no round number.
const SMALL: Content = Content::new(MIB + 65_537, 62);

pub(super) fn sizes(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "sizes");
    for size in [0, 1, 4095, MIB - 1, MIB, MIB + 1, 3 * MIB + 77] {
        let image = Content::new(size, 63);
        let object = format!("{container}/plain-{size}");
        account.put(&object, &image.bytes());
        depot.exact(image, &depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object));
    }
    // The size of the image, and that of a segment: one alone, one of a single byte at the end, many.
    for (size, segment) in
        [(1, 65_536), (131_073, 65_536), (MIB, 524_288), (SMALL.size, 65_536), (4 * MIB + 1, 2 * MIB)]
    {
        let image = Content::new(size, 64);
        let prefix = format!("{container}/segments-{size}/");
        let segments = put_segments(&account, &prefix, image, segment);
        let objects = ["static", "dynamic"].map(|form| format!("{container}/{form}-{size}"));
        put_static(&account, &objects[0], &segments.iter().map(Segment::entry).collect::<Vec<_>>());
        put_dynamic(&account, &objects[1], &prefix);
        for object in objects {
            depot.exact(image, &depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object));
        }
    }
    // No segment at all.
    let nothing = format!("{container}/nothing");
    put_dynamic(&account, &nothing, &format!("{container}/none/"));
    depot.exact(Content::new(0, 65), &depot.with_key(&depot.services.swift_auth_url(), KEEPER, &nothing));
}

/// As Glance makes of large images, but for the number.
pub(super) fn large(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "large");
    let sizes = [256 * MIB, 1024 * MIB];
    for size in &sizes[..world.rounds(1, 2)] {
        let image = Content::new(*size, 66);
        let prefix = format!("{container}/{size}/");
        let segments = put_segments(&account, &prefix, image, 16 * MIB);
        let objects = ["static", "dynamic"].map(|form| format!("{container}/{form}-{size}"));
        put_static(&account, &objects[0], &segments.iter().map(Segment::entry).collect::<Vec<_>>());
        put_dynamic(&account, &objects[1], &prefix);
        for object in objects {
            depot.exact(image, &depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object));
        }
    }
}

/// Segments in another container, with names that a URL has to encode.
pub(super) fn segments_elsewhere(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let [own, other] = ["here", "else where?#%41"].map(|name| {
        let name = crate::support::openstack::unique(&format!("glance_{name}"));
        account.send("PUT", &encoded(&name), &[], b"").ok();
        name
    });
    let own_url = |object: &str| depot.with_key(&depot.services.swift_auth_url(), KEEPER, object);
    for (number, name) in
        ["plain", "with space", "ünïcode-図", "a%2Fb%", "what?is=this", "#1", "/a//b/"].iter().enumerate()
    {
        let prefix = format!("{other}/{name}.");
        let segments = put_segments(&account, &prefix, IMAGE, SEGMENT);
        let objects = ["static", "dynamic"].map(|form| format!("{own}/{form}-{number}"));
        put_static(&account, &objects[0], &segments.iter().map(Segment::entry).collect::<Vec<_>>());
        for object in &objects[..1 + usize::from(!name.starts_with('/'))] {
            if object == &objects[1] {
                put_dynamic(&account, object, &prefix);
            }
            depot.exact(IMAGE, &own_url(object));
        }
    }
}

/// Names that a location can hold are those of the object, as they stand there; others make no URL.
pub(super) fn names(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "names");
    let bytes = SMALL.bytes();
    let names = ["plain.qcow2", "ünïcode-図", "100%", "%41", "a%2Fb", "a+b&c=d;e,f", "~!$'()*:@[]", "..."];
    for name in names {
        put_segment(&account, &format!("{container}/{name}"), &bytes);
        depot.exact(SMALL, &depot.with_key(&depot.services.swift_auth_url(), KEEPER, &format!("{container}/{name}")));
        account.allow(&container, ".r:*");
        depot.exact(SMALL, &stored(&account, &format!("{container}/{name}")));
    }
    // Were `%41` read as `A`, this one would be found instead.
    put_segment(&account, &format!("{container}/B"), &bytes);
    depot.fails(&stored(&account, &format!("{container}/%42")), "not-found", "http-404");

    // No token is shown at what somebody might take for dots.
    put_segment(&account, &format!("{container}/%2e%2e"), &bytes);
    depot.exact(SMALL, &stored(&account, &format!("{container}/%2e%2e")));
    let dots = depot.with_key(&depot.services.swift_auth_url(), KEEPER, &format!("{container}/%2e%2e"));
    depot.fails(&dots, "denied", "token-not-for-url");

    // More is known of these URLs than where the last two parts are.
    let deep = format!("{container}/a/b/ünï code/disk");
    put_segment(&account, &deep, &bytes);
    put_segment(&account, &format!("{container}/a/b/disk"), &bytes);
    depot.exact(SMALL, &stored(&account, &format!("{container}/a/b/disk")));

    for name in ["with space", "what?is=this", "#1", "a\\b", "a//b", "a/../b", ".."] {
        depot.fails(&stored(&account, &format!("{container}/{name}")), "invalid", "bad-url");
    }
}

/// Segments of segments, parts of segments, and bytes in the manifest itself.
pub(super) fn manifests(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "manifests");
    let bytes = IMAGE.bytes();
    let piece = |from: usize, to: usize| -> Segment {
        put_segment(&account, &format!("{container}/pieces/{from:08}"), &bytes[from..to])
    };
    let of = |object: &str| depot.with_key(&depot.services.swift_auth_url(), KEEPER, &format!("{container}/{object}"));
    let large = 3 << 20;
    let entries = |pieces: &[Segment]| pieces.iter().map(Segment::entry).collect::<Vec<_>>();

    let inner = [piece(large, large + 2_000_001), piece(large + 2_000_001, 2 * large)];
    put_static(&account, &format!("{container}/inner"), &entries(&inner));
    let head = account.send("HEAD", &format!("{container}/inner"), &[], b"").ok();
    let nested = json!({
        "path": format!("/{container}/inner"), "size_bytes": large, "etag": head.header("Etag").trim_matches('"'),
    });
    let [first, last] = [piece(0, large), piece(2 * large, bytes.len())];
    put_static(&account, &format!("{container}/nested"), &[first.entry(), nested.clone(), last.entry()]);
    depot.exact(IMAGE, &of("nested"));

    // Each part of an object that has more, at either end.
    let whole = put_segment(&account, &format!("{container}/whole"), &bytes);
    let part = |from: usize, to: usize| {
        let mut entry = whole.entry();
        entry["range"] = json!(format!("{from}-{}", to - 1));
        entry
    };
    let parts = [part(0, large), part(large, 2 * large + 5), part(2 * large + 5, bytes.len())];
    put_static(&account, &format!("{container}/parts"), &parts);
    depot.exact(IMAGE, &of("parts"));

    // Of a large object itself, as Swift's own clients write the end of one.
    let mut nested_part = nested;
    nested_part["range"] = json!(format!("-{}", large - 7));
    let before = piece(0, large + 7);
    put_static(&account, &format!("{container}/nested-part"), &[before.entry(), nested_part, last.entry()]);
    depot.exact(IMAGE, &of("nested-part"));

    let held = |from: usize, to: usize| json!({ "data": base64(&bytes[from..to]) });
    let tail = piece(1000, bytes.len() - 77);
    let entries = [held(0, 500), held(500, 1000), tail.entry(), held(bytes.len() - 77, bytes.len())];
    put_static(&account, &format!("{container}/held"), &entries);
    depot.exact(IMAGE, &of("held"));

    // A static one among the segments of a dynamic one: Swift itself has its manifest's text in its place, and breaks off.
    put_segment(&account, &format!("{container}/mixed/1"), &bytes[..large]);
    put_static(&account, &format!("{container}/mixed/2"), &[inner[0].entry(), inner[1].entry()]);
    put_segment(&account, &format!("{container}/mixed/3"), &bytes[2 * large..]);
    put_dynamic(&account, &format!("{container}/mixture"), &format!("{container}/mixed/"));
    assert!((account.send("GET", &format!("{container}/mixture"), &[], b"").body.len() as u64) < IMAGE.size);
    let answer = depot.place(IMAGE, &[of("mixture")]).run();
    assert_ne!(answer.status, 0, "{answer:#?}");
    depot.sandbox.only(&[]);
}

/// By somebody else's code.
fn base64(bytes: &[u8]) -> String {
    use std::io::Write;
    let program = crate::support::needs::find_program("base64").expect("coreutils are installed");
    let mut child = std::process::Command::new(program)
        .arg("-w0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It is less than a pipe holds.
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Bytes that came of segments, and bytes that came as the proxy put them together.
struct Ways {
    straight: u64,
    through: u64,
}

impl Ways {
    fn of(log: &AccessLog, container: &str) -> Self {
        let path = |object: &str| format!("/v1/AUTH_vault/{container}/{object}");
        let bytes = |prefix: &str| {
            let log = log.of(prefix);
            let objects = log.requests().iter().filter(|request| request.method == "GET" && !request.uri.contains('?'));
            objects.filter(|request| [200, 206].contains(&request.status)).map(|request| request.sent).sum()
        };
        Self { straight: bytes(&path("segments/")), through: bytes(&path("disk")) }
    }

    #[track_caller]
    fn assert_straight(&self, what: &str) {
        let Self { straight, through } = *self;
        let begin = MIB + ON_THE_WAY;
        assert!(straight + begin >= IMAGE.size && through <= begin, "{what}: {straight} straight, {through} through");
    }
}

/// Segments are fetched straight wherever the rights allow it, and else through the manifest, exact all the same.
pub(super) fn straight(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let names = ["static", "dynamic"];
    // Who reads, what the container allows, and whether a static and a dynamic object can be read so.
    let table: [(&str, Option<&str>, &str, [bool; 2]); 4] = [
        ("owner", Some(KEEPER), "", [true, true]),
        ("allowed", Some("vault:reader"), "vault:reader", [true, true]),
        ("listed", None, ".r:*,.rlistings", [true, true]),
        // A listing takes more than a right to read, and without it Swift puts nothing together either.
        ("unlisted", None, ".r:*", [true, false]),
    ];
    for (name, user, readers, readable) in table {
        for (number, form) in [Form::Static, Form::Dynamic].into_iter().enumerate() {
            let container = container(&account, name);
            account.allow(&container, readers);
            let object = put_as(&account, &container, IMAGE, form);
            let what = format!("{name}-{}", names[number]);
            let mut gateway = Gateway::start(&depot, &what, &account.url, Manner::Open);
            let url = match user {
                Some(user) => depot.with_key(&gateway.url(&depot.services.swift_auth_url()), user, &object),
                None => stored(&gateway.account(&account), &object),
            };
            if readable[number] {
                depot.exact(IMAGE, &url);
                Ways::of(&gateway.finish(), &container).assert_straight(&what);
            } else {
                assert_eq!(request("GET", &account.url_of(&object), &[], b"").status, 401);
                depot.fails(&url, "denied", "http-401");
            }
        }
    }
    segments_of_others(&depot, &account);
}

/// The manifest may be read, and its segments may not: Swift puts nothing together for who may not read them.
fn segments_of_others(depot: &Depot<'_>, account: &Account) {
    let [open, closed] = ["open", "closed"].map(|name| container(account, name));
    account.allow(&open, "vault:reader");
    let segments = put_segments(account, &format!("{closed}/segments/"), IMAGE, SEGMENT);
    let object = format!("{open}/disk");
    put_static(account, &object, &segments.iter().map(Segment::entry).collect::<Vec<_>>());
    let url = depot.with_key(&depot.services.swift_auth_url(), "vault:reader", &object);
    assert_eq!(depot.services.account("vault:reader").send("GET", &object, &[], b"").status, 409);
    depot.fails(&url, "invalid", "http-409");
    account.allow(&closed, "vault:reader");
    depot.exact(IMAGE, &url);
}
