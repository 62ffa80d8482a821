//! Objects that are changed in mid-download. The bytes that are left are held back until it has happened: what comes then is
//! never put together with what came before, digest or not.

use serde_json::Value;

use crate::support::openstack::{Account, Group};
use crate::support::seeded::Content;
use crate::support::world::World;

use super::depot::{
    Depot, Form, IMAGE, KEEPER, MIB, SEGMENT, Segment, container, put_in, put_segment, put_segments, put_static,
    unhashed,
};
use super::gateway::{Gateway, Manner};

/// Of the same size, and nothing else.
const OTHER: Content = Content::new(IMAGE.size, 67);

/// Of the object `disk` of a container, which has segments of this size.
type Change = fn(&Account, &str, u64);

/// How it is stored, and what happens to it.
struct Deed {
    name: &'static str,
    form: Form,
    change: Change,
    /// What it is called where segments are read straight, and where the proxy puts them together and finds out.
    codes: [&'static str; 2],
}

/// So small that they are left to the proxy.
const SMALL_SEGMENT: u64 = 512 << 10;

const PLAIN: [Deed; 3] = [
    Deed {
        name: "plain object replaced",
        form: Form::Plain,
        change: replaced,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "plain object shorter",
        form: Form::Plain,
        change: shorter,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "plain object became a large one",
        form: Form::Plain,
        change: became_large,
        codes: ["source-changed", "source-changed"],
    },
];
const STATIC: [Deed; 4] = [
    Deed {
        name: "static: last segment replaced",
        form: Form::Static,
        change: segment_replaced,
        codes: ["source-changed", "http-409"],
    },
    Deed {
        name: "static: last segment removed",
        form: Form::Static,
        change: segment_removed,
        codes: ["source-changed", "http-409"],
    },
    Deed {
        name: "static: manifest replaced",
        form: Form::Static,
        change: manifest_replaced,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "static: manifest removed",
        form: Form::Static,
        change: removed,
        codes: ["source-changed", "http-404"],
    },
];
const DYNAMIC: [Deed; 4] = [
    Deed {
        name: "dynamic: last segment replaced",
        form: Form::Dynamic,
        change: segment_replaced,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "dynamic: last segment removed",
        form: Form::Dynamic,
        change: segment_removed,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "dynamic: segment added",
        form: Form::Dynamic,
        change: segment_added,
        codes: ["source-changed", "source-changed"],
    },
    Deed {
        name: "dynamic: all segments replaced",
        form: Form::Dynamic,
        change: all_replaced,
        codes: ["source-changed", "source-changed"],
    },
];

pub(super) fn plain(world: &World) {
    each(world, &PLAIN, SEGMENT);
}

pub(super) fn fixed(world: &World) {
    each(world, &STATIC, SEGMENT);
}

pub(super) fn dynamic(world: &World) {
    each(world, &DYNAMIC, SEGMENT);
}

pub(super) fn through_the_proxy(world: &World) {
    each(world, &STATIC, SMALL_SEGMENT);
    each(world, &DYNAMIC, SMALL_SEGMENT);
}

fn each(world: &World, deeds: &[Deed], segment: u64) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    // One after the other, so that what comes last is not there before the change.
    depot.configure("", "[limits]\nconnections_per_origin = 1\n");
    for (number, deed) in deeds.iter().enumerate() {
        for &hashed in world.expected(&[false, true][..usize::from(segment == SEGMENT) + 1], &[false]) {
            let container = container(&account, "changed");
            let object = put_in(&account, &container, IMAGE, deed.form, segment);
            let mut gateway = Gateway::start(&depot, &format!("{number}-{hashed}"), &account.url, Manner::Held);
            let url = [depot.with_key(&gateway.url(&depot.services.swift_auth_url()), KEEPER, &object)];
            let record = if hashed { IMAGE.record(&url) } else { unhashed(IMAGE, &url) };
            let place = || {
                let command = depot.place_record(&record);
                if hashed { command } else { command.arg("--allow-unhashed") }
            };
            let running = depot.begun(place());
            (deed.change)(&account, &container, segment);
            gateway.kill();
            gateway.start_again(Manner::Open);
            let answer = running.finish();
            let found = answer.document()["error"]["code"].as_str().unwrap_or("none");
            let expected = deed.codes[usize::from(segment == SMALL_SEGMENT)];
            assert_eq!(found, expected, "{}, hashed: {hashed}: {answer:#?}", deed.name);
            depot.sandbox.only(&[]);
        }
    }
    // Without a change, it goes on after the same interruption.
    let form = deeds[0].form;
    let container = container(&account, "unchanged");
    let object = put_in(&account, &container, IMAGE, form, segment);
    let mut gateway = Gateway::start(&depot, "control", &account.url, Manner::Held);
    let url = [depot.with_key(&gateway.url(&depot.services.swift_auth_url()), KEEPER, &object)];
    let running = depot.begun(depot.place_record(&unhashed(IMAGE, &url)).arg("--allow-unhashed"));
    gateway.kill();
    gateway.start_again(Manner::Open);
    depot.arrived(IMAGE, &running.finish());
}

fn replaced(account: &Account, container: &str, _: u64) {
    account.put(&format!("{container}/disk"), &OTHER.bytes());
}

fn shorter(account: &Account, container: &str, _: u64) {
    account.put(&format!("{container}/disk"), &IMAGE.bytes()[..(MIB / 2) as usize]);
}

fn became_large(account: &Account, container: &str, segment: u64) {
    put_in(account, container, OTHER, Form::Static, segment);
}

fn removed(account: &Account, container: &str, _: u64) {
    account.send("DELETE", &format!("{container}/disk"), &[], b"").ok();
}

/// The name of the last segment, and other bytes for it.
fn last(segment: u64) -> (String, Vec<u8>) {
    let number = (IMAGE.size - 1) / segment;
    let size = usize::try_from(IMAGE.size - number * segment).unwrap();
    (format!("segments/{number:08}"), OTHER.bytes()[..size].to_vec())
}

fn segment_replaced(account: &Account, container: &str, segment: u64) {
    let (name, bytes) = last(segment);
    put_segment(account, &format!("{container}/{name}"), &bytes);
}

fn segment_removed(account: &Account, container: &str, segment: u64) {
    account.send("DELETE", &format!("{container}/{}", last(segment).0), &[], b"").ok();
}

fn segment_added(account: &Account, container: &str, _: u64) {
    put_segment(account, &format!("{container}/segments/99999999"), b"more");
}

fn all_replaced(account: &Account, container: &str, segment: u64) {
    put_segments(account, &format!("{container}/segments/"), OTHER, segment);
}

/// By one of the same size whose segments all but the last are the same; those that were there stay.
fn manifest_replaced(account: &Account, container: &str, segment: u64) {
    let prefix = format!("{container}/segments/");
    let mut entries: Vec<Value> = put_segments(account, &prefix, IMAGE, segment).iter().map(Segment::entry).collect();
    let other = put_segment(account, &format!("{container}/other"), &last(segment).1);
    *entries.last_mut().expect("it has segments") = other.entry();
    put_static(account, &format!("{container}/disk"), &entries);
}
