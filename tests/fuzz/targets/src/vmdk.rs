//! A VMDK in one file: the same from a file and from a stream, with one thread and with two, and what its tables say.

use landfall_handler_vmdk::{Means, unpack};
use landfall_unpack::Stored;

use crate::memory::{Bytes, DISK_BYTES, Memory};
use crate::reference;
use crate::verdict::{Verdict, same, verdict, wants_a_file};

pub(crate) fn run(data: &[u8]) {
    let outcome = unpacked(&Bytes::ranged(data), 1);
    same(&outcome, &unpacked(&Bytes::ranged(data), 2), "two threads");
    // Pieces of odd sizes, of which a small file has several.
    let most = 61 + data.len() % 7919;
    for (most, threads) in [(usize::MAX, 1), (most, 2)] {
        let streamed = unpacked(&Bytes::stream(data, most, false), threads);
        if !wants_a_file(&streamed) {
            same(&outcome, &streamed, ("a stream", most));
        }
    }
    if let Ok(disk) = outcome {
        assert!(reference::disk(data) == Some(disk), "the tables lead to other bytes");
    }
}

fn unpacked(stored: &dyn Stored, threads: usize) -> Verdict<Vec<u8>> {
    let means = Means { threads, disk_bytes: DISK_BYTES };
    verdict(unpack(stored, &means, |bytes| Ok(Memory::new(bytes)))).map(Memory::into_bytes)
}
