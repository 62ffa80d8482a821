//! Plugins and programs that the tests compile from C.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sandbox::Sandbox;
use super::world::World;

/// What `cc` is to make of a source file.
pub(crate) enum Product {
    Library,
    Program,
}

/// Compiles a source file of the tree to `file`, with these definitions.
pub(crate) fn compile(world: &World, source: &str, file: &Path, product: Product, defines: &[&str]) {
    let root = &world.install.source;
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]);
    cc.arg("-I").arg(root.join("handler-api/include"));
    if matches!(product, Product::Library) {
        cc.args(["-fPIC", "-shared", "-fvisibility=hidden"]);
    }
    cc.args(defines.iter().map(|define| format!("-D{define}")));
    let output = cc.arg("-o").arg(file).arg(root.join(source)).output().expect("run cc");
    assert!(output.status.success(), "cc {source}: {}", String::from_utf8_lossy(&output.stderr));
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory of one sandbox that plugins are loaded from.
pub(crate) struct PluginDir(PathBuf);

impl PluginDir {
    /// An empty one.
    pub(crate) fn new(sandbox: &Sandbox<'_>, name: &str) -> Self {
        let path = sandbox.home(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// One with the plugin of `fault-source` and `fault-transfer`.
    pub(crate) fn with_faults(sandbox: &Sandbox<'_>) -> Self {
        let dir = Self::new(sandbox, "faults");
        dir.add(sandbox.world, "faults.so", "tests/plugins/faults.c", &[]);
        dir
    }

    /// Compiles a plugin into it.
    pub(crate) fn add(&self, world: &World, name: &str, source: &str, defines: &[&str]) -> PathBuf {
        let file = self.0.join(name);
        compile(world, source, &file, Product::Library, defines);
        file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The line of the configuration that names it.
    pub(crate) fn line(&self) -> String {
        format!("plugin_dirs = [{:?}]\n", self.0)
    }
}
