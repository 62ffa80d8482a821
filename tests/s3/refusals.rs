//! What cannot be read, and what the refusal is called. boto3 is refused too.

use crate::support::seeded::Content;
use crate::support::world::World;

use super::bucket::{Bucket, Form, IMAGE};

pub(super) fn named(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("image", IMAGE, Form::Whole);
    let (good, secret) = (bucket.url("image"), bucket.secret.as_str());
    bucket.exact(IMAGE, std::slice::from_ref(&good));
    assert_eq!(bucket.status(secret, &bucket.name, "image"), "200");

    bucket.fails(&bucket.url_with("wr0ng-secret", "image"), "denied", "http-403");
    assert_eq!(bucket.status("wr0ng-secret", &bucket.name, "image"), "403");
    bucket.fails(&bucket.url("missing"), "not-found", "http-404");
    assert_eq!(bucket.status(secret, &bucket.name, "missing"), "404");
    let no_bucket = format!("{}-none", bucket.name);
    bucket.fails(&good.replace(&bucket.name, &no_bucket), "not-found", "http-404");
    assert_eq!(bucket.status(secret, &no_bucket, "image"), "404");
    bucket.fails(&good.replace("vault:keeper", "vault:nobody"), "denied", "http-403");
    // In its own account there is no such thing.
    let strange = bucket.services.swift_password("other:stranger");
    let stranger = good.replace(&format!("vault:keeper:{secret}"), &format!("other:stranger:{strange}"));
    bucket.fails(&stranger, "not-found", "http-404");

    for cannot_be in ["/../image", "/./image", "//image", "/image?versionId=1", "/image#part", "/"] {
        bucket.fails(&good.replace("/image", cannot_be), "invalid", "bad-url");
    }
    // Of another length, and other bytes of the same length.
    for (other, code) in [(Form::Whole, "size-mismatch"), (Form::InParts, "digest-mismatch")] {
        let size = IMAGE.size + u64::from(other == Form::Whole);
        bucket.put("other", Content::new(size, 85), other);
        bucket.fails(&bucket.url("other"), "corrupt", code);
    }
    // Signed for another region than the store's.
    bucket.configure("region = \"eu-west-1\"", "");
    bucket.fails(&good, "invalid", "http-400");
    // A record leads to this machine only where the operator lets it.
    bucket.sandbox.configure("", "");
    bucket.fails(&good, "denied", "address-refused");
}

/// Without keys, what is not public is not read.
pub(super) fn nobody(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("image", IMAGE, Form::Whole);
    bucket.fails(&bucket.bare_url("image"), "invalid", "http-400");
    bucket.exact(IMAGE, &[bucket.url("image")]);
}
