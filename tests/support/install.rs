//! The product as these tests run it: a copy of the binary and of its plugins in a directory of their own.
//!
//! Plugins beside the binary are loaded without being asked for, and the build's folder holds some that only single tests
//! want. The copy can also be reached by users who cannot enter the source tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where the installed files are.
pub(crate) struct Install {
    /// The binary.
    pub(crate) landfall: PathBuf,
    /// The plugin of the file handler, beside the binary.
    pub(crate) file_plugin: PathBuf,
    /// A directory with the Rust example plugin alone.
    pub(crate) hello_dir: PathBuf,
    /// A directory with the plugin that panics alone.
    pub(crate) panicky_dir: PathBuf,
    /// The source tree, for headers, C sources and examples.
    pub(crate) source: PathBuf,
}

impl Install {
    /// Copies the files into `run_dir`, once they are known to be built from today's sources.
    pub(crate) fn prepare(run_dir: &Path) -> Result<Self, String> {
        let binary = Path::new(env!("CARGO_BIN_EXE_landfall"));
        let built = binary.parent().expect("a binary has a directory");
        for plugin in ["liblandfall_file", "liblandfall_net", "liblandfall_disk", "libhello_handler", "libpanicky"] {
            let how = "`cargo build --workspace`, or `make test`";
            refuse_stale(&built.join(format!("{plugin}.so")), &built.join(format!("{plugin}.d")), how)?;
        }
        let bin = run_dir.join("bin");
        let hello_dir = run_dir.join("hello");
        let copy = |from: &Path, to: &Path| {
            fs::create_dir_all(to.parent().expect("a file has a directory"))
                .and_then(|()| fs::copy(from, to))
                .map(|_| to.to_owned())
                .map_err(|error| format!("copy {} to {}: {error}", from.display(), to.display()))
        };
        let landfall = copy(binary, &bin.join("landfall"))?;
        let file_plugin = copy(&built.join("liblandfall_file.so"), &bin.join("liblandfall_file.so"))?;
        copy(&built.join("liblandfall_net.so"), &bin.join("liblandfall_net.so"))?;
        copy(&built.join("liblandfall_disk.so"), &bin.join("liblandfall_disk.so"))?;
        copy(&built.join("libhello_handler.so"), &hello_dir.join("libhello_handler.so"))?;
        let panicky_dir = run_dir.join("panicky");
        copy(&built.join("libpanicky.so"), &panicky_dir.join("libpanicky.so"))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace").to_owned();
        Ok(Self { landfall, file_plugin, hello_dir, panicky_dir, source })
    }
}

/// Refuses a product that is missing or older than a source it was built from, and tells `how` to build it: `cargo test`
/// alone does not, and a test of yesterday's product says nothing. The sources are those that the compiler read, as the
/// dependency file `listing` has them.
pub(crate) fn refuse_stale(product: &Path, listing: &Path, how: &str) -> Result<(), String> {
    let modified = |path: &Path| -> Result<SystemTime, String> {
        path.metadata()
            .and_then(|meta| meta.modified())
            .map_err(|error| format!("{}: {error}; build it first: {how}", path.display()))
    };
    let made = modified(product)?;
    let text = fs::read_to_string(listing).map_err(|error| format!("{}: {error}", listing.display()))?;
    let sources = dependencies(&text);
    if sources.is_empty() {
        return Err(format!("{} lists no sources", listing.display()));
    }
    for source in sources {
        if modified(&source)? > made {
            let (product, source) = (product.display(), source.display());
            return Err(format!("{product} is older than {source}; build it first: {how}"));
        }
    }
    Ok(())
}

/// The prerequisites of the first rule of a dependency file. A backslash escapes a space.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let Some((_, list)) = text.lines().next().unwrap_or_default().split_once(": ") else { return Vec::new() };
    list.replace("\\ ", "\0")
        .split(' ')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('\0', " ").into())
        .collect()
}
