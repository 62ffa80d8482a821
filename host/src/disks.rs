//! What the directory of a placement with several disks holds: the disks, and a document that describes them.

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use serde_json::{Map, Value, json};

use crate::redact::visible_json;

/// The name of the document.
pub(crate) const DOCUMENT: &str = "disks.json";
/// Its schema.
const SCHEMA: &str = "landfall.disks/0";

/// The file name of disk `number`.
pub(crate) fn file_name(number: usize) -> String {
    format!("disk-{number}.raw")
}

/// Whether a name is one that a placement gives to a file in its directory.
pub(crate) fn is_own(name: &str) -> bool {
    let number = |name: &str| name.strip_prefix("disk-")?.strip_suffix(".raw")?.parse::<usize>().ok();
    name == DOCUMENT || number(name).is_some_and(|number| file_name(number) == name)
}

/// A disk, as the document describes it.
pub(crate) struct Described<'a> {
    /// Its size.
    pub(crate) bytes: u64,
    /// What the handler says of it.
    pub(crate) meta: &'a OutputMeta,
}

/// The document: the file, size and format of each disk, with whatever the container says of it and of the machine that they
/// are for. What the container says never takes the place of what is known.
pub(crate) fn document(
    image: Option<&str>,
    disks: &[Described<'_>],
    machine: Option<&Map<String, Value>>,
) -> Result<Vec<u8>> {
    let describe = |(number, disk): (usize, &Described<'_>)| {
        let mut members = disk.meta.extra.clone();
        if let Some(name) = &disk.meta.name {
            members.insert("name".to_owned(), json!(name));
        }
        for (key, value) in [("file", json!(file_name(number))), ("bytes", json!(disk.bytes)), ("format", json!("raw"))]
        {
            members.insert(key.to_owned(), value);
        }
        Value::Object(members)
    };
    let disks: Vec<Value> = disks.iter().enumerate().map(describe).collect();
    let document = json!({ "schema": SCHEMA, "image": image, "disks": disks, "machine": machine });
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::new(ErrorKind::Internal, "disks-document", error.to_string()))?;
    text.push('\n');
    Ok(visible_json(&text).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_told_from_others() {
        for name in ["disks.json", "disk-0.raw", "disk-10.raw"] {
            assert!(is_own(name), "{name}");
        }
        for name in ["disk-.raw", "disk-01.raw", "disk-+1.raw", "disk-1.raw.bak", "x", "", "disk--1.raw", "Disks.json"]
        {
            assert!(!is_own(name), "{name}");
        }
    }

    #[test]
    fn what_a_container_says_hides_nothing_that_is_known() {
        let mut meta = OutputMeta::default();
        meta.name = Some("vmdisk1".to_owned());
        for (key, value) in [("file", json!("../x")), ("bytes", json!(1)), ("controller", json!("scsi0"))] {
            meta.extra.insert(key.to_owned(), value);
        }
        let described = [Described { bytes: 512, meta: &meta }];
        let machine = json!({ "vcpus": 2, "name": "a\u{202e}b\u{9b}31m" });
        let text = document(Some("id"), &described, machine.as_object()).unwrap();
        assert!(text.is_ascii(), "what is not seen is escaped");
        let document: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["machine"], machine);
        let disk = json!({
            "file": "disk-0.raw", "bytes": 512, "format": "raw", "name": "vmdisk1", "controller": "scsi0"
        });
        assert_eq!(document["disks"], json!([disk]));
        assert_eq!((&document["machine"]["vcpus"], &document["image"]), (&json!(2), &json!("id")));
    }
}
