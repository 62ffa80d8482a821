//! Compressed images: the same however they are cut, never more than may come, and of fewer bytes the beginning.

use landfall_handler_api::ErrorKind;
use landfall_handler_filters::fuzzing::{Cut, inflate};

use crate::verdict::{Verdict, same, verdict};

/// Bytes that an image may inflate to.
const DISK_BYTES: u64 = 64 << 10;
/// Of which the reader may want this many.
const WANTED: u64 = 5000;

const SMALL: usize = 2000;

const WHOLE: Cut = Cut { chunk: 256 << 10, room: 256 << 10, wanted: u64::MAX, disk_bytes: DISK_BYTES, threads: 1 };
const CUTS: [Cut; 4] = [
    Cut { chunk: 1, ..WHOLE },
    Cut { chunk: 4096, room: 11, ..WHOLE },
    Cut { chunk: 7, room: 13, ..WHOLE },
    Cut { chunk: 64, room: 1 << 20, ..WHOLE },
];

pub(crate) fn gzip(data: &[u8]) {
    run("gzip", data);
}

pub(crate) fn bzip2(data: &[u8]) {
    run("bzip2", data);
}

pub(crate) fn xz(data: &[u8]) {
    run("xz", data);
    let (one, two) = (inflated("xz", data, WHOLE), inflated("xz", data, Cut { threads: 2, ..WHOLE }));
    if !is_either(&one, &two) {
        same(&one, &two, "two threads");
    }
}

pub(crate) fn zstd(data: &[u8]) {
    run("zstd", data);
}

fn run(id: &str, data: &[u8]) {
    let whole = inflated(id, data, WHOLE);
    // Byte by byte is for what is small.
    for cut in CUTS.into_iter().skip(usize::from(data.len() > SMALL)) {
        let other = inflated(id, data, cut);
        if id != "xz" || !is_either(&whole, &other) {
            same(&whole, &other, cut);
        }
    }
    if let Ok(whole) = whole {
        let (beginning, outcome) = inflate(id, data, Cut { wanted: WANTED, ..WHOLE });
        let most = usize::try_from(WANTED).expect("it is a constant");
        assert!(outcome.is_ok() && beginning == whole[..whole.len().min(most)], "the beginning");
        let exact = Cut { disk_bytes: whole.len() as u64, ..WHOLE };
        same(&Ok(whole), &inflated(id, data, exact), "as much as there is");
    }
}

fn inflated(id: &str, data: &[u8], cut: Cut) -> Verdict<Vec<u8>> {
    let (bytes, outcome) = inflate(id, data, cut);
    assert!(bytes.len() as u64 <= cut.disk_bytes, "{} bytes, and {} may come", bytes.len(), cut.disk_bytes);
    verdict(outcome).map(|()| bytes)
}

/// Whether both are refused, one of them for its size: of damaged xz that also inflates to too much, either may be
/// said.
fn is_either(one: &Verdict<Vec<u8>>, other: &Verdict<Vec<u8>>) -> bool {
    let (Err((one, _)), Err((other, _))) = (one, other) else { return false };
    matches!((one, other), (ErrorKind::Limit, ErrorKind::Corrupt) | (ErrorKind::Corrupt, ErrorKind::Limit))
}
