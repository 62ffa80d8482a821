//! A `clouds.yaml`, and a login in the environment: a login or a named error, the same each time.

use std::fs;

use landfall::fuzzing::{cloud, environment};
use tempfile::TempDir;

use crate::knobs;
use crate::verdict::verdict;

pub(crate) fn run(mut data: &[u8]) {
    if knobs::byte(&mut data) & 1 == 0 {
        thread_local!(static FOLDER: TempDir = tempfile::tempdir().expect("there is room for a folder"));
        FOLDER.with(|folder| {
            let path = folder.path().join("clouds.yaml");
            fs::write(&path, data).expect("there is room for a file");
            let read =
                || verdict(cloud(&path, "c")).map(|cloud| serde_json::to_value(&cloud).expect("it can be written"));
            assert_eq!(read(), read(), "once more");
        });
        return;
    }
    // Lines of `NAME=VALUE`, as in an openrc.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let variables = |name: &str| {
        // Files that are named are the operator's own, and none of theirs is here.
        let is_file = ["OS_CLOUD", "OS_CACERT", "OS_CERT", "OS_KEY"].contains(&name);
        let value =
            |line: &str| line.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        text.lines().find_map(value).filter(|_| !is_file)
    };
    let _ = verdict(environment(&variables));
}
