//! The configuration as its users meet it: messages, the reference, the sample and the schema.

use std::path::{Path, PathBuf};

use super::surroundings::Surroundings;
use super::{Config, ConfigError, interpret};

mod agent;
mod defaults;
mod published;
mod robust;
mod round_trip;
mod secrecy;
mod shapes;
mod values;

/// A node on which nothing is set, so that results are the same everywhere.
fn somewhere() -> Surroundings {
    Surroundings { user: 0, host: Some("cpu-07".to_owned()), state_home: None, home: None, has_cloud: false }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    interpret(text, Some(Path::new("landfall.toml")), &somewhere())
}

/// Asserts what is shown for `text`. Both texts begin with a line break that does not count.
#[track_caller]
fn shows(text: &str, expected: &str) {
    let error = read(&text[1..]).expect_err("the text is wrong");
    let shown = error.to_string();
    assert_eq!(shown, expected.trim_matches('\n'), "shown is:\n{shown}\n");
}

/// A file of the project, from its top.
fn project_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
