//! The operator's keys: for the servers and buckets that they are for, and for no others.

use std::fs;

use crate::support::access_log::AccessLog;
use crate::support::world::World;

use super::bucket::{ACCESS, Bucket, Form, IMAGE, private};
use super::front::{Front, Manner};

pub(super) fn operators(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("image", IMAGE, Form::InParts);
    let (url, host) = (bucket.bare_url("image"), bucket.authority());
    let urls = [url.clone()];

    for buckets in [bucket.name.as_str(), "images-*", "*"] {
        bucket.configure(&bucket.keys(&bucket.secret, &host, buckets), "");
        bucket.exact(IMAGE, &urls);
    }
    // Such a host may have any address.
    bucket.sandbox.configure("", &format!("[handler.s3]\n{}\n", bucket.keys(&bucket.secret, &host, "*")));
    bucket.exact(IMAGE, &urls);
    bucket.fails(&bucket.url("image"), "denied", "address-refused");
    // The key itself, in a file of settings that is the owner's alone.
    let inline = format!(
        "access_key = {ACCESS:?}\nsecret_key = {:?}\nhosts = [{host:?}]\nbuckets = [\"images-*\"]",
        bucket.secret
    );
    bucket.configure(&inline, "");
    private(&bucket.sandbox.home("landfall.toml"));
    bucket.exact(IMAGE, &urls);
    fs::remove_file(bucket.sandbox.home("landfall.toml")).unwrap();

    for buckets in ["glance", "images", &format!("{}0*", bucket.name)] {
        bucket.configure(&bucket.keys(&bucket.secret, &host, buckets), "");
        bucket.fails(&url, "denied", "bucket-not-allowed");
        // Its own keys are the record's affair.
        bucket.exact(IMAGE, &[bucket.url("image")]);
    }
    let name = host.split(':').next().unwrap();
    for other in ["127.0.0.1:9", "localhost", name, &host.replace("127.0.0.1", "localhost")] {
        bucket.configure(&bucket.keys(&bucket.secret, other, "*"), "");
        bucket.fails(&url, "denied", "login-not-for-server");
    }

    // What is not for a server is not shown to it.
    let mut front = Front::start(&bucket, "front", Manner::Open);
    let by_front = front.url(&url);
    bucket.configure(&bucket.keys(&bucket.secret, &host, "*"), "");
    bucket.fails(&by_front, "denied", "login-not-for-server");
    let signed =
        |log: &AccessLog| log.requests().iter().filter(|request| request.uri.contains("X-Amz-Signature=")).count();
    let unsigned = front.finish();
    assert!(!unsigned.requests().is_empty() && signed(&unsigned) == 0, "{:?}", unsigned.requests());
    let mut listed = Front::start(&bucket, "listed", Manner::Open);
    bucket.configure(&bucket.keys(&bucket.secret, &listed.authority(), "*"), "");
    bucket.exact(IMAGE, &[listed.url(&url)]);
    let log = listed.finish();
    assert_eq!(signed(&log), log.requests().len(), "{:?}", log.requests());

    bucket.configure(&bucket.keys("wr0ng-secret", &host, "*"), "");
    bucket.fails(&url, "denied", "http-403");
}
