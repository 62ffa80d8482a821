//! Locations of several stores that have one image: where one fails, the next goes on.

use std::fs;

use crate::support::fault_server::ClosedPort;
use crate::support::nginx::{Nginx, Site};
use crate::support::seeded::Content;
use crate::support::world::World;

use super::bucket::{ACCESS, Bucket, Form, IMAGE, MIB, ON_THE_WAY, codes};
use super::front::{Front, Manner};

const TWO: &str = "[limits]\nconnections_per_origin = 2\n";

pub(super) fn from_the_beginning(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("image", IMAGE, Form::InParts);
    bucket.put("other", Content::new(IMAGE.size, 89), Form::Whole);
    let server = served(&bucket, "server", Manner::Open);
    let closed = ClosedPort::new();
    let good = bucket.url("image");
    // The same object as Swift has it.
    let auth = bucket.services.swift_auth_url().replace("http://", "");
    let swift = format!("swift+http://{ACCESS}:{}@{auth}/{}/image", bucket.secret, bucket.name);
    let http = server.url("/disk.raw");
    let missing = bucket.url("missing");
    let wrong = bucket.url_with("wr0ng-secret", "image");
    let dead = good.replace(&bucket.authority(), &closed.authority());
    for (bad, next, code, handler) in [
        (&missing, &good, "http-404", "s3"),
        (&missing, &swift, "http-404", "swift"),
        (&wrong, &swift, "http-403", "swift"),
        (&wrong, &http, "http-403", "http"),
        (&dead, &http, "connect-refused", "http"),
        (&bucket.url("other"), &good, "digest-mismatch", "s3"),
        (&bucket.url("other"), &http, "digest-mismatch", "http"),
    ] {
        let answer = bucket.exact(IMAGE, &[bad.clone(), next.clone()]);
        assert_eq!(answer.document()["handler"], handler, "{answer:#?}");
        assert_eq!(codes(&answer), [Some(code.to_owned()), None], "{answer:#?}");
    }
}

/// What has come is not fetched again.
pub(super) fn in_the_middle(world: &World) {
    let bucket = Bucket::new(world);
    bucket.configure("", TWO);
    for form in Form::ALL {
        let key = format!("image-{form:?}");
        bucket.put(&key, IMAGE, form);
        let mut first = Front::start(&bucket, &format!("first-{form:?}"), Manner::Held);
        let mut second = served(&bucket, &format!("second-{form:?}"), Manner::Open);
        let urls = [first.url(&bucket.url(&key)), second.url("/disk.raw")];
        let (running, done) = bucket.midway(bucket.place(&IMAGE.record(&urls)), IMAGE);
        first.kill();
        bucket.arrived(IMAGE, &running.finish());
        let sent = second.finish().bytes();
        assert!((MIB..=IMAGE.size - done + 2 * ON_THE_WAY).contains(&sent), "{sent} bytes, {done} were there");

        let mut first = served(&bucket, &format!("third-{form:?}"), Manner::Held);
        let mut second = Front::start(&bucket, &format!("fourth-{form:?}"), Manner::Open);
        let urls = [first.url("/manner/disk.raw"), second.url(&bucket.url(&key))];
        let (running, done) = bucket.midway(bucket.place(&IMAGE.record(&urls)), IMAGE);
        first.kill();
        bucket.arrived(IMAGE, &running.finish());
        let sent = second.finish().bytes();
        // Its beginning is asked for to see what it is.
        assert!((MIB..=IMAGE.size - done + 2 * ON_THE_WAY + MIB).contains(&sent), "{sent} bytes, {done} were there");
    }
}

/// A server that has the image as a file, at `/` and, in this manner, at `/manner/`.
fn served(bucket: &Bucket<'_>, name: &str, manner: Manner) -> Nginx {
    let server = Nginx::start(&bucket.sandbox, name, Site::new().place("/manner/", manner.rate()));
    fs::write(server.file("disk.raw"), IMAGE.bytes()).unwrap();
    server
}
