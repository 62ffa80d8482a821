//! An image record: written out, it is read as the same; and no URL in it is shown with what could be a secret.

use landfall::fuzzing::{record, redacted};

use crate::verdict::verdict;

/// A secret.
const CANARY: &str = "canary-a5f0";

pub(crate) fn run(data: &[u8]) {
    let Ok(read) = verdict(record(data)) else { return };
    let written = serde_json::to_vec(&read).expect("a record can be written");
    assert!(record(&written).as_ref() == Ok(&read), "as it is written");
    for location in &read.locations {
        let shown = redacted(&location.url);
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(redacted(&shown), shown, "shown once more");
        let scheme = location.scheme();
        assert_eq!(scheme, scheme.to_ascii_lowercase());
        // What stands before an @ is hidden wherever it is, but in paths of files.
        let halves = (0..=location.url.len() / 2).rev().find_map(|middle| location.url.split_at_checked(middle));
        let (before, after) = halves.unwrap_or_default();
        let url = format!("{before}user:{CANARY}@{after}");
        let is_file = ["file://", "filesystem://"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme));
        assert!(is_file || !redacted(&url).contains(CANARY), "a secret of {url:?} is shown");
    }
}
