//! Servers that only give the whole, and servers whose image is not as long as the record says.

use super::lies::{ALLOWED, IMAGE, ONE, place};
use super::outcome::Outcome::{self, Exact, Fails, Once};
use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Lie, Site};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("http::lies_of_servers_without_ranges", whole),
        Case::new("http::more_than_the_record_says", longer),
        Case::new("http::a_body_cut_short_is_never_the_image", unhashed),
    ]
}

/// The lies that a whole body can be told with, where that makes a difference.
const OF_WHOLE: [(Lie, Outcome); 16] = [
    (Lie::LengthTooLarge, Fails("corrupt", "size-mismatch")),
    (Lie::LengthTooSmall, Fails("corrupt", "size-mismatch")),
    (Lie::NoLength, Once),
    (Lie::TwoLengths, Fails("corrupt", "bad-framing")),
    (Lie::LengthAndChunked, Fails("corrupt", "bad-framing")),
    (Lie::GarbageBehindBody, Once),
    (Lie::Chunked, Once),
    (Lie::Trailers, Once),
    (Lie::ChunkSizeGarbage, Fails("corrupt", "bad-framing")),
    (Lie::EndlessChunks, Fails("corrupt", "long-body")),
    (Lie::WrongBytes, Fails("corrupt", "digest-mismatch")),
    (Lie::GzipNamed, Fails("corrupt", "unexpected-encoding")),
    (Lie::Gzipped, Fails("corrupt", "unexpected-encoding")),
    (Lie::PartOfPart, Once),
    // From its start once more.
    (Lie::ClosesInBodyOnce, Exact),
    (Lie::ResetsInBodyOnce, Exact),
];

fn whole(world: &World) {
    let mut wrongs = Vec::new();
    for (lie, expected) in OF_WHOLE {
        let sandbox = Sandbox::on(world, Fs::Temp);
        sandbox.configure("", &format!("{ALLOWED}{ONE}"));
        let server = FaultServer::start(Site::new(IMAGE).with_ranges(false).lying(lie));
        let placed = place(&sandbox, &server, &[server.url("/disk.raw")]);
        wrongs.extend(super::lies::wrong(lie, expected, &placed));
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

/// The record's bytes are the first ones of what is there, so that their digest is right.
fn longer(world: &World) {
    for (ranges, lie, code) in [
        (true, None, "size-mismatch"),
        (false, None, "size-mismatch"),
        (false, Some(Lie::Chunked), "long-body"),
        (false, Some(Lie::NoLength), "long-body"),
    ] {
        for more in [1, 5000] {
            let sandbox = Sandbox::on(world, Fs::Temp);
            sandbox.configure("", &format!("{ALLOWED}{ONE}"));
            let site = Site::new(IMAGE).with_ranges(ranges).longer_by(more);
            let server = FaultServer::start(if let Some(lie) = lie { site.lying(lie) } else { site });
            let placed = place(&sandbox, &server, &[server.url("/disk.raw")]);
            let expected = Fails("corrupt", code);
            assert_eq!(super::lies::wrong(Lie::Chunked, expected, &placed), None, "{ranges} {lie:?} {more}");
        }
    }
}

/// Without a digest nothing but the framing tells that bytes are missing.
fn unhashed(world: &World) {
    for (lie, ranges, good) in [
        (Lie::Chunked, true, true),
        (Lie::Chunked, false, true),
        (Lie::ChunkWithoutEnd, false, false),
        (Lie::ChunkSizeGarbage, true, false),
    ] {
        let sandbox = Sandbox::on(world, Fs::Temp);
        sandbox.configure("", &format!("{ALLOWED}{ONE}"));
        let server = FaultServer::start(Site::new(IMAGE).with_ranges(ranges).lying(lie));
        let mut record = IMAGE.record(&[server.url("/disk.raw")]);
        for key in ["os_hash_algo", "os_hash_value", "size"] {
            record[key] = serde_json::Value::Null;
        }
        let path = sandbox.record("image.json", &record);
        let answer = sandbox.place(path, "disk").arg("--allow-unhashed").run();
        if good {
            answer.success();
            IMAGE.assert_at(&sandbox.out("disk"));
        } else {
            assert_ne!(answer.status, 0, "{lie:?} {ranges}: {answer:#?}");
            sandbox.only(&[]);
        }
    }
}
