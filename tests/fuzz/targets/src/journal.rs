//! The journal of a kept stage: only a checkpoint whose digest is right is believed, and it can be written again.

use landfall::fuzzing::journal;
use sha2::{Digest, Sha256};

use crate::knobs;
use crate::verdict::verdict;

/// Bytes of each of the two slots.
const SLOT: usize = 64 << 10;

pub(crate) fn run(mut data: &[u8]) {
    let knobs = knobs::byte(&mut data);
    let bytes = match knobs & 3 {
        0 => data.to_vec(),
        // Slots of any content and with the right digest: chance does not find that.
        1 => slot(u64::from(knobs >> 2), data),
        _ => {
            let (first, second) = data.split_at(data.len() / 2);
            let mut bytes = slot(u64::from(knobs >> 2), first);
            bytes.resize(SLOT, 0);
            [bytes, slot(u64::from(knobs >> 3), second)].concat()
        }
    };
    let outcome = verdict(journal(&bytes));
    if let Err((_, code)) = &outcome {
        assert_eq!(code, "journal-full", "a checkpoint that was read cannot be written");
    }
    // What is not there is no damage.
    if bytes.iter().all(|byte| *byte == 0) {
        assert_eq!(outcome, Ok((None, false)));
    }
}

fn slot(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(SLOT - 52)];
    let length = u32::try_from(payload.len()).expect("it fits a slot");
    let head = [&b"LFJRNL01"[..], &sequence.to_le_bytes(), &length.to_le_bytes()].concat();
    let digest = Sha256::new().chain_update(&head).chain_update(payload).finalize();
    [&head, &digest[..], payload].concat()
}
