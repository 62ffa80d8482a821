//! What an interrupted download leaves, read without the agent.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::left_over::names;
use crate::support::world::World;

/// The hidden file of an interrupted download, and its journal.
pub(super) struct Kept {
    pub(super) data: PathBuf,
    pub(super) journal: PathBuf,
}

impl Kept {
    /// The one that is in this directory, if there is one.
    pub(super) fn find(dir: &Path) -> Option<Self> {
        let hidden: Vec<String> = names(dir).into_iter().filter(|name| name.starts_with(".landfall-stage-")).collect();
        let data: Vec<&String> = hidden.iter().filter(|name| !name.ends_with(".journal")).collect();
        assert!(data.len() <= 1 && hidden.len() == 2 * data.len(), "{hidden:?}");
        let data = dir.join(data.first()?);
        let mut journal = data.clone().into_os_string();
        journal.push(".journal");
        Some(Self { data, journal: journal.into() })
    }

    /// The checkpoint that is to be believed, if there is one.
    pub(super) fn checkpoint(&self) -> Option<Value> {
        newest(&fs::read(&self.journal).unwrap())
    }

    /// Bytes that are there by that checkpoint.
    pub(super) fn bytes(&self) -> u64 {
        self.checkpoint().map_or(0, |checkpoint| {
            let pieces = checkpoint["pieces"].as_array().unwrap();
            pieces.iter().map(|piece| piece[1].as_u64().unwrap() - piece[0].as_u64().unwrap()).sum()
        })
    }
}

pub(super) const SLOT: usize = 64 << 10;
const HEADER: usize = 52;

/// A slot of the journal, as it is written: magic, number, length, SHA-256 of those and the payload, payload.
pub(super) fn slot(number: u64, payload: &[u8]) -> Vec<u8> {
    let head = [&b"LFJRNL01"[..], &number.to_le_bytes(), &u32::try_from(payload.len()).unwrap().to_le_bytes()].concat();
    let digest = Sha256::new().chain_update(&head).chain_update(payload).finalize();
    [&head, &digest[..], payload].concat()
}

/// The checkpoint with the highest number among the slots that are whole. Not the agent's own reader.
fn newest(journal: &[u8]) -> Option<Value> {
    let read = |bytes: &[u8]| {
        let number = u64::from_le_bytes(bytes.get(8..16)?.try_into().unwrap());
        let len = u32::from_le_bytes(bytes.get(16..20)?.try_into().unwrap());
        let payload = bytes.get(HEADER..HEADER + len as usize)?;
        (bytes[..HEADER + len as usize] == slot(number, payload))
            .then(|| (number, serde_json::from_slice(payload).unwrap()))
    };
    journal.chunks(SLOT).filter_map(read).max_by_key(|(number, _)| *number).map(|(_, checkpoint)| checkpoint)
}

pub(super) fn journal_reader(_: &World) {
    let [one, two] = [r#"{"pieces":[[0,5,0]]}"#, r#"{"pieces":[[0,7,0],[8,9,0]]}"#].map(str::as_bytes);
    let mut journal = slot(4, one);
    assert!(newest(&journal).is_some());
    journal.resize(SLOT, 0);
    journal.extend(slot(5, two));
    assert_eq!(newest(&journal), Some(serde_json::from_slice(two).unwrap()));
    // A planted bit is noticed, wherever it is.
    for place in SLOT..journal.len() {
        journal[place] ^= 0x10;
        assert_eq!(newest(&journal), Some(serde_json::from_slice(one).unwrap()), "{place}");
        journal[place] ^= 0x10;
    }
    journal[30] ^= 1;
    journal[SLOT + 60] ^= 1;
    assert_eq!(newest(&journal), None);
}
