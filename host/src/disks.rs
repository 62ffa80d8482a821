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

/// An image, as the document describes it.
pub(crate) struct DescribedImage<'a> {
    /// Its name in a group of images; `None` where it is the only one.
    pub(crate) name: Option<&'a str>,
    /// Its id.
    pub(crate) image: Option<&'a str>,
    /// Its disks.
    pub(crate) disks: Vec<Described<'a>>,
    /// What the container says of the machine that they are for.
    pub(crate) machine: Option<&'a Map<String, Value>>,
}

/// The document: the file, size and format of each disk, with whatever the container says of it and of the machine that they
/// are for. What the container says never takes the place of what is known.
pub(crate) fn document(images: &[DescribedImage<'_>]) -> Result<Vec<u8>> {
    let all = images.iter().flat_map(|image| image.disks.iter().map(move |disk| (image, disk)));
    let disks: Vec<Value> = all.enumerate().map(|(number, (image, disk))| describe(number, image, disk)).collect();
    let document = match images {
        [only] if only.name.is_none() => {
            json!({ "schema": SCHEMA, "image": only.image, "disks": disks, "machine": only.machine })
        }
        images => {
            let of_group = |image: &DescribedImage<'_>| json!({ "name": image.name, "image": image.image, "machine": image.machine });
            let group: Vec<Value> = images.iter().map(of_group).collect();
            json!({ "schema": SCHEMA, "image": null, "disks": disks, "machine": null, "group": group })
        }
    };
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::new(ErrorKind::Internal, "disks-document", error.to_string()))?;
    text.push('\n');
    Ok(visible_json(&text).into_bytes())
}

fn describe(number: usize, image: &DescribedImage<'_>, disk: &Described<'_>) -> Value {
    let mut members = disk.meta.extra.clone();
    if let Some(name) = &disk.meta.name {
        members.insert("name".to_owned(), json!(name));
    }
    if let Some(member) = image.name {
        members.insert("image_name".to_owned(), json!(member));
    }
    for (key, value) in [("file", json!(file_name(number))), ("bytes", json!(disk.bytes)), ("format", json!("raw"))] {
        members.insert(key.to_owned(), value);
    }
    Value::Object(members)
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
        let machine = json!({ "vcpus": 2, "name": "a\u{202e}b\u{9b}31m" });
        let disks = vec![Described { bytes: 512, meta: &meta }];
        let image = DescribedImage { name: None, image: Some("id"), disks, machine: machine.as_object() };
        let text = document(&[image]).unwrap();
        assert!(text.is_ascii(), "what is not seen is escaped");
        let document: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["machine"], machine);
        let disk = json!({
            "file": "disk-0.raw", "bytes": 512, "format": "raw", "name": "vmdisk1", "controller": "scsi0"
        });
        assert_eq!(document["disks"], json!([disk]));
        assert_eq!((&document["machine"]["vcpus"], &document["image"]), (&json!(2), &json!("id")));
    }

    #[test]
    fn the_disks_of_a_group_tell_whose_they_are() {
        let meta = OutputMeta::default();
        let image = |name, id, count| DescribedImage {
            name: Some(name),
            image: Some(id),
            disks: (0..count).map(|_| Described { bytes: 512, meta: &meta }).collect(),
            machine: None,
        };
        let text = document(&[image("root", "a", 2), image("data", "b", 1)]).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        let disks = document["disks"].as_array().unwrap();
        let told: Vec<_> = disks.iter().map(|disk| (disk["file"].as_str(), disk["image_name"].as_str())).collect();
        let expected = [("disk-0.raw", "root"), ("disk-1.raw", "root"), ("disk-2.raw", "data")];
        assert_eq!(told, expected.map(|(file, member)| (Some(file), Some(member))));
        assert_eq!(document["group"][1], json!({ "name": "data", "image": "b", "machine": null }));
    }
}
