//! Logins to OpenStack clouds: read here, of the configuration, `clouds.yaml` and the environment, and handed to handlers as
//! secrets. Nobody is asked anything here.

mod clouds_yaml;
mod environment;
mod file;
mod logins;
mod options;

use landfall_handler_api::{Cloud, Result};

use crate::config::CloudSource;
use options::Options;

pub(crate) use environment::is_in_environment;
pub(crate) use logins::{LOGINS, Logins};
pub(crate) use options::{auth_options, is_auth_option};

/// What the login of the cloud `name` comes to.
pub(crate) fn resolve(name: &str, source: &CloudSource) -> Result<Cloud> {
    let options = match source {
        CloudSource::Environment => environment::options()?,
        CloudSource::File { path, entry } => clouds_yaml::entry(path.as_deref(), entry)?,
        CloudSource::Options(written) => Options::of_config(written)?,
    };
    options.cloud(name)
}

/// What the login in the environment that `variables` tells comes to.
#[cfg(feature = "fuzzing")]
pub(crate) fn resolve_variables(variables: &environment::Variables<'_>) -> Result<Cloud> {
    environment::read(variables)?.cloud("environment")
}
