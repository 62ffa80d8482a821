//! Plugins in C, built here: a transfer handler that uses all that an output offers, a source that is read by ranges, and
//! one that fails as it is told to.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::c_plugin::{Product, compile};
use crate::support::needs::find_program;
use crate::support::world::World;

const PLUGINS: [(&str, &str); 3] = [
    ("transfer.so", "tests/faults/transfer.c"),
    ("serve.so", "tests/plugins/serve.c"),
    ("faults.so", "tests/plugins/faults.c"),
];

/// The directory of the plugins; nothing where there is no compiler.
pub(super) fn dir(world: &World) -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    DIR.get_or_init(|| find_program("cc").map(|_| build(world))).as_deref()
}

fn build(world: &World) -> PathBuf {
    let dir = world.mounts.run_dir().join("c-plugins");
    std::fs::create_dir_all(&dir).unwrap();
    for (name, source) in PLUGINS {
        compile(world, source, &dir.join(name), Product::Library, &[]);
    }
    dir
}
