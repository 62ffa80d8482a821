//! A transfer handler in C, built here, that uses all that an output offers.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::c_plugin::{Product, compile};
use crate::support::needs::find_program;
use crate::support::world::World;

/// The directory of the plugin; nothing where there is no compiler.
pub(super) fn plugin_dir(world: &World) -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    DIR.get_or_init(|| find_program("cc").map(|_| build(world))).as_deref()
}

fn build(world: &World) -> PathBuf {
    let dir = world.mounts.run_dir().join("transfer");
    std::fs::create_dir_all(&dir).unwrap();
    compile(world, "tests/faults/transfer.c", &dir.join("transfer.so"), Product::Library, &[]);
    dir
}
