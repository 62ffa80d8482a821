//! What can be wrong with a configuration without being an error.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use landfall_select::StoreType;

use crate::cloud;
use crate::config::{Agent, Catalog, Config};

/// The permission bits that let others than its owner into a directory.
const FOR_OTHERS: u32 = 0o011;

/// Settings that name what is not there now.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let gone = |path: &Path, what: String| (!path.is_dir()).then(|| format!("{what} {} is not there", path.display()));
    let stores = config
        .stores
        .iter()
        .filter(|store| store.store_type == StoreType::File)
        .filter_map(|store| gone(&store.mountpoint, format!("the mountpoint of store {},", store.id)));
    let catalogs = config.catalogs.iter().filter_map(|(name, catalog)| match catalog {
        Catalog::Directory { path } => gone(path, format!("the directory of catalog {name},")),
        Catalog::Glance { .. } => None,
    });
    let clouds = config.clouds.iter().filter_map(|(name, source)| {
        cloud::resolve(name, source).err().map(|error| format!("the login of cloud {name} cannot be used: {error}"))
    });
    let plugins = config.plugin_dirs.iter().filter_map(|path| gone(path, "the plugin directory".to_owned()));
    stores.chain(catalogs).chain(clouds).chain(plugins).chain(unreachable_socket(&config.agent)).collect()
}

/// Callers that are let in, and a socket that they cannot come to: one of the directories on the way is for its owner alone.
fn unreachable_socket(agent: &Agent) -> Option<String> {
    let is_shut = |directory: &&Path| {
        std::fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & FOR_OTHERS == 0)
    };
    let shut = agent.socket.ancestors().skip(1).find(is_shut).filter(|_| !agent.callers.is_empty())?;
    Some(format!(
        "no caller in [[agent.caller]] comes to {}: {} is shut to them",
        agent.socket.display(),
        shut.display()
    ))
}
