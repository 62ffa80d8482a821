//! Objects that are replaced in mid-download: what comes then is never put together with what came before, digest or
//! not.

use crate::support::seeded::Content;
use crate::support::world::World;

use super::bucket::{Bucket, Form, IMAGE, MIB, ONE, unhashed};
use super::front::{Front, Manner};

/// Of the same size, and nothing else.
const OTHER: Content = Content::new(IMAGE.size, 86);
/// More than what buffers hold, at a rate that leaves time for an upload in the middle.
const LONG: Content = Content::new(24 * MIB + 4321, 87);
const OTHER_LONG: Content = Content::new(LONG.size, 88);

/// The bytes that are left are held back until it has happened.
pub(super) fn replaced(world: &World) {
    let bucket = Bucket::new(world);
    bucket.configure("", ONE);
    for (number, (before, after)) in
        [(Form::Whole, Form::Whole), (Form::InParts, Form::InParts), (Form::Whole, Form::InParts)].iter().enumerate()
    {
        for &hashed in world.expected(&[false, true][..], &[false]) {
            let key = format!("image-{number}-{hashed}");
            bucket.put(&key, IMAGE, *before);
            let mut front = Front::start(&bucket, &key, Manner::Held);
            let url = [front.url(&bucket.url(&key))];
            let command = if hashed {
                bucket.place(&IMAGE.record(&url))
            } else {
                bucket.place(&unhashed(IMAGE, &url)).arg("--allow-unhashed")
            };
            let (running, _) = bucket.midway(command, IMAGE);
            bucket.put(&key, OTHER, *after);
            front.kill();
            front.start_again(Manner::Open);
            let answer = running.finish();
            bucket.failed(&answer, "corrupt", "source-changed");
        }
    }
    // Without a change, both go on after the same interruption.
    for form in Form::ALL {
        let key = format!("unchanged-{form:?}");
        bucket.put(&key, IMAGE, form);
        let mut front = Front::start(&bucket, &key, Manner::Held);
        let record = unhashed(IMAGE, &[front.url(&bucket.url(&key))]);
        let (running, _) = bucket.midway(bucket.place(&record).arg("--allow-unhashed"), IMAGE);
        front.kill();
        front.start_again(Manner::Open);
        bucket.arrived(IMAGE, &running.finish());
    }
}

/// Straight from the store, while an answer is under way: it may be finished as it began, and nothing else may follow.
pub(super) fn replaced_at_once(world: &World) {
    let bucket = Bucket::new(world);
    bucket.configure("", &format!("{ONE}bandwidth = \"8MiB\"\n"));
    for form in Form::ALL {
        let key = format!("image-{form:?}");
        bucket.put(&key, LONG, form);
        let record = unhashed(LONG, &[bucket.url(&key)]);
        let (running, _) = bucket.midway(bucket.place(&record).arg("--allow-unhashed"), LONG);
        bucket.put(&key, OTHER_LONG, form);
        let answer = running.finish();
        if answer.status == 0 {
            bucket.arrived(LONG, &answer);
        } else {
            bucket.failed(&answer, "corrupt", "source-changed");
        }
        // It was replaced.
        bucket.configure("", "");
        bucket.exact(OTHER_LONG, &[bucket.url(&key)]);
        bucket.configure("", &format!("{ONE}bandwidth = \"8MiB\"\n"));
    }
}
