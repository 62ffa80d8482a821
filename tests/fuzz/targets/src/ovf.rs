//! An OVF descriptor: what is taken from it is within bounds, is the same each time, and does not hang on comments.

use std::collections::HashSet;

use landfall_handler_ova::Descriptor;

use crate::verdict::{same, verdict};

pub(crate) fn run(data: &[u8]) {
    let outcome = verdict(Descriptor::parse(data));
    same(&outcome, &verdict(Descriptor::parse(data)), "once more");
    let Ok(descriptor) = outcome else { return };
    let (mut files, mut ids) = (HashSet::new(), HashSet::new());
    for (number, disk) in (0_u32..).zip(&descriptor.disks) {
        assert_eq!(disk.number, number);
        assert!(ids.insert(&disk.id), "a disk is there twice");
        assert!(disk.capacity_bytes.is_none_or(|bytes| bytes > 0 && i64::try_from(bytes).is_ok()));
        assert!(disk.name.is_some() || disk.capacity_bytes.is_some(), "an empty disk has no size");
        assert_eq!(disk.name.is_some(), disk.format.is_some());
        if let Some(name) = &disk.name {
            assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']), "{name:?}");
            assert!(files.insert(name.to_ascii_lowercase()), "a file is two disks");
        }
    }
    assert!(!descriptor.disks.is_empty());
    serde_json::to_value(&descriptor).expect("it is written beside the disks");
    let commented = [data, b"<!-- the end -->\n"].concat();
    same(&Ok(descriptor), &verdict(Descriptor::parse(&commented)), "a comment behind it");
}
