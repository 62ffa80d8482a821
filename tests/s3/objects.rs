//! Objects of many sizes, uploaded whole and in parts.

use std::collections::BTreeSet;

use crate::support::seeded::Content;
use crate::support::world::World;

use super::bucket::{Bucket, Form, MIB, ON_THE_WAY, PART};
use super::front::{Front, Manner};

/// Odd, and around the MiB that is asked for first.
const SIZES: [u64; 6] = [0, 1, 1_000_003, MIB - 1, MIB, 3 * MIB + 5];

pub(super) fn sizes(world: &World) {
    let bucket = Bucket::new(world);
    for size in SIZES {
        let (key, content) = (format!("object-{size}"), Content::new(size, 82));
        bucket.put(&key, content, Form::Whole);
        let answer = bucket.exact(content, &[bucket.url(&key)]);
        assert_eq!(answer.document()["handler"], "s3", "{answer:#?}");
    }
}

/// One part, full parts, and a last one of a byte.
pub(super) fn parts(world: &World) {
    let bucket = Bucket::new(world);
    for size in [PART, 2 * PART, 2 * PART + 1, 4 * PART + 4321] {
        let (key, content) = (format!("object-{size}"), Content::new(size, 83));
        bucket.put(&key, content, Form::InParts);
        bucket.exact(content, &[bucket.url(&key)]);
    }
}

/// Several ranges at once, whose ends are not those of the parts.
pub(super) fn large(world: &World) {
    let bucket = Bucket::new(world);
    let content = Content::new(64 * MIB, 84);
    bucket.put("large", content, Form::InParts);
    let mut front = Front::start(&bucket, "front", Manner::Slow);
    bucket.exact(content, &[front.url(&bucket.url("large"))]);
    let log = front.finish();
    assert_eq!(log.with_status(206), log.requests().len(), "{:?}", log.summary());
    let starts: BTreeSet<_> = log.requests().iter().map(|request| request.range.clone().unwrap()).collect();
    assert!(starts.len() >= 3 && log.connections() >= 2, "{starts:?}: {:?}", log.summary());
    let most = u64::try_from(log.requests().len()).unwrap() * MIB / 4 + ON_THE_WAY;
    assert!(log.again() <= most, "{} bytes again: {:?}", log.again(), log.summary());
    assert!(log.bytes() >= content.size);
}
