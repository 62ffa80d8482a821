//! What happens to a server in mid-download. It holds back the rest of the file until it did happen, so that the download is
//! in the middle however slow or fast the machine is.

use std::fs;

use crate::support::nginx::Site;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::harbor::{HELD, Harbor, IMAGE, MIB, ON_THE_WAY, codes, replace};

/// Of the same size, and nothing else.
const OTHER: Content = Content::new(IMAGE.size, 32);

fn held() -> Site {
    Site::new().place("/held/", HELD)
}

/// The same place, which does not hold back any more.
fn open() -> Site {
    Site::new().place("/held/", "")
}

fn two_connections(harbor: &Harbor<'_>) {
    harbor.configure("", "[limits]\nconnections_per_origin = 2\n");
}

/// The download goes on where it was, in the same attempt.
pub(super) fn again(world: &World) {
    let harbor = Harbor::new(world);
    two_connections(&harbor);
    let mut server = harbor.server("server", held());
    let (running, done) = harbor.halfway(&[server.url("/held/disk.raw")]);
    server.kill();
    server.start_again(open());
    let answer = running.finish();
    harbor.arrived(&answer);
    assert_eq!(answer.document()["attempts"].as_array().unwrap().len(), 1, "{answer:#?}");
    // What was being served when it was killed is not in the log.
    let log = server.finish();
    let most = IMAGE.size - done + 2 * ON_THE_WAY;
    assert!((MIB..=most).contains(&log.bytes()), "{} bytes, {done} were there: {:?}", log.bytes(), log.summary());
    assert_eq!(log.with_status(206), log.requests().len(), "{:?}", log.summary());
}

/// Another server goes on where the first one was.
pub(super) fn for_good(world: &World) {
    let harbor = Harbor::new(world);
    two_connections(&harbor);
    let mut first = harbor.server("first", held());
    let mut second = harbor.server("second", Site::new());
    let urls = [first.url("/held/disk.raw"), second.url("/disk.raw")];
    let (running, done) = harbor.halfway(&urls);
    first.kill();
    let answer = running.finish();
    harbor.arrived(&answer);
    let log = second.finish();
    let most = IMAGE.size - done + 2 * ON_THE_WAY;
    assert!((MIB..=most).contains(&log.bytes()), "{} bytes, {done} were there: {:?}", log.bytes(), log.summary());
    let lost = codes(&answer, &urls[0]);
    assert!(
        lost.iter().flatten().all(|code| ["connection-lost", "connect-refused"].contains(&code.as_str())),
        "{answer:#?}"
    );
}

/// Bytes of two files are never put together: the first location is left, and the second one has it all.
pub(super) fn replaced(world: &World) {
    changed(world, |file| replace(file, &OTHER.bytes()));
}

pub(super) fn shorter(world: &World) {
    changed(world, |file| replace(file, &IMAGE.bytes()[..(MIB / 2) as usize]));
}

fn changed(world: &World, change: impl Fn(&std::path::Path)) {
    let harbor = Harbor::new(world);
    two_connections(&harbor);
    for with_other in [true, false] {
        let name = |server: &str| format!("{server}-{with_other}");
        let mut first = harbor.server(&name("first"), held());
        let mut second = harbor.server(&name("second"), Site::new());
        let mut urls = vec![first.url("/held/disk.raw"), second.url("/disk.raw")];
        urls.truncate(1 + usize::from(with_other));
        let (running, done) = harbor.halfway(&urls);
        // Who reads the old file has it open, so the server goes away for a moment too.
        first.kill();
        change(&first.file("disk.raw"));
        first.start_again(open());
        let answer = running.finish();
        if with_other {
            harbor.arrived(&answer);
            assert_eq!(codes(&answer, &urls[0]), [Some("source-changed".to_owned())], "{answer:#?}");
            let log = second.finish();
            assert!((MIB..=IMAGE.size + ON_THE_WAY).contains(&log.bytes()), "{:?}", log.summary());
        } else {
            answer.failure("corrupt", "source-changed", "location");
            harbor.sandbox.only(&[]);
        }
        let log = first.finish();
        assert!(
            log.bytes() <= 2 * ON_THE_WAY,
            "{} bytes of another file, {done} were there: {:?}",
            log.bytes(),
            log.summary()
        );
    }
}

/// The file ends where it did not before, under the eyes of the server.
pub(super) fn truncated(world: &World) {
    let harbor = Harbor::new(world);
    two_connections(&harbor);
    for with_other in [true, false] {
        let name = |server: &str| format!("{server}-{with_other}");
        let mut first = harbor.server(&name("first"), held());
        let second = harbor.server(&name("second"), Site::new());
        let mut urls = vec![first.url("/held/disk.raw"), second.url("/disk.raw")];
        urls.truncate(1 + usize::from(with_other));
        let (running, _) = harbor.halfway(&urls);
        fs::File::options().write(true).open(first.file("disk.raw")).and_then(|file| file.set_len(4321)).unwrap();
        let answer = running.finish();
        if with_other {
            harbor.arrived(&answer);
            let left = codes(&answer, &urls[0]);
            assert!(left.iter().flatten().any(|code| code == "source-changed"), "{answer:#?}");
        } else {
            answer.failure("corrupt", "source-changed", "location");
            harbor.sandbox.only(&[]);
        }
        let log = first.finish();
        assert!(log.bytes() < IMAGE.size, "it was in the middle: {:?}", log.summary());
    }
}
