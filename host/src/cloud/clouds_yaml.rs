//! `clouds.yaml`: entries of clouds, by name.
//!
//! Format and places are os-client-config's and openstacksdk's (`openstack/config/loader.py`): `secure.yaml` beside it has what is
//! not for everybody, `clouds-public.yaml` the profiles that entries refer to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use serde::Deserialize;

use super::file;
use super::options::{Options, is_auth_option};
use crate::redact::printable;

const SECURE: &str = "secure.yaml";
const PROFILES: &str = "clouds-public.yaml";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    clouds: BTreeMap<String, Entry>,
    #[serde(rename = "public-clouds")]
    profiles: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: BTreeMap<String, Option<String>>,
    auth_type: Option<String>,
    profile: Option<String>,
    cloud: Option<String>,
    region_name: Option<String>,
    regions: Vec<Region>,
    interface: Option<String>,
    endpoint_type: Option<String>,
    cacert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    verify: Option<bool>,
    identity_api_version: Option<String>,
    image_endpoint_override: Option<String>,
    object_store_endpoint_override: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Region {
    Name(String),
    Table { name: String },
}

fn refused(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "clouds-yaml", message).scoped(Scope::Request)
}

/// The entry of this name, in the file, or in the first of the usual places that is there.
pub(super) fn entry(path: Option<&Path>, name: &str) -> Result<Options> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => {
            let places = usual_places();
            places.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
                let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
                let message =
                    format!("there is no clouds.yaml for cloud {}: none of {}", printable(name), places.join(", "));
                refused(ErrorKind::Invalid, message)
            })?
        }
    };
    let document = read(&path)?;
    let beside = |name: &str| -> Result<Document> {
        let path = path.with_file_name(name);
        if path.exists() { read(&path) } else { Ok(Document::default()) }
    };
    let mut found = take(document.clouds, name, &path)?;
    if let Some(secret) = beside(SECURE)?.clouds.remove(name) {
        found = found.over(secret);
    }
    if let Some(profile) = found.profile.take().or_else(|| found.cloud.take()) {
        match beside(PROFILES)?.profiles.remove(&profile) {
            Some(profile) => found = profile.over(found),
            None if found.auth.contains_key("auth_url") => {}
            None => {
                let message =
                    format!("profile {} of cloud {} is not in {PROFILES}", printable(&profile), printable(name));
                return Err(refused(ErrorKind::Invalid, message));
            }
        }
    }
    found.options(name)
}

fn usual_places() -> Vec<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let named = std::env::var_os("OS_CLIENT_CONFIG_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")));
    let home = home.map(|home| home.join("openstack/clouds.yaml"));
    // What lies in the working directory is the business of whoever works there, and not root's.
    let here = Some(PathBuf::from("clouds.yaml")).filter(|_| !nix::unistd::geteuid().is_root());
    let system = Some(PathBuf::from("/etc/openstack/clouds.yaml"));
    [named, here, home, system].into_iter().flatten().collect()
}

fn read(path: &Path) -> Result<Document> {
    parse(&file::read(path)?).ok_or_else(|| refused(ErrorKind::Invalid, format!("{} cannot be read", path.display())))
}

/// The reader's own message would quote the text, which has passwords.
fn parse(text: &str) -> Option<Document> {
    serde_saphyr::from_str(text).ok()
}

fn take(mut clouds: BTreeMap<String, Entry>, name: &str, path: &Path) -> Result<Entry> {
    clouds
        .remove(name)
        .ok_or_else(|| refused(ErrorKind::Invalid, format!("{} has no cloud {}", path.display(), printable(name))))
}

impl Entry {
    /// `other`, with these where it says nothing.
    fn over(self, other: Self) -> Self {
        let mut auth = self.auth;
        auth.extend(other.auth);
        Self {
            auth,
            auth_type: other.auth_type.or(self.auth_type),
            profile: other.profile.or(self.profile),
            cloud: other.cloud.or(self.cloud),
            region_name: other.region_name.or(self.region_name),
            regions: if other.regions.is_empty() { self.regions } else { other.regions },
            interface: other.interface.or(self.interface),
            endpoint_type: other.endpoint_type.or(self.endpoint_type),
            cacert: other.cacert.or(self.cacert),
            cert: other.cert.or(self.cert),
            key: other.key.or(self.key),
            verify: other.verify.or(self.verify),
            identity_api_version: other.identity_api_version.or(self.identity_api_version),
            image_endpoint_override: other.image_endpoint_override.or(self.image_endpoint_override),
            object_store_endpoint_override: other
                .object_store_endpoint_override
                .or(self.object_store_endpoint_override),
        }
    }

    fn options(self, name: &str) -> Result<Options> {
        if self.identity_api_version.as_deref().is_some_and(|version| !version.starts_with('3')) {
            let message = format!("cloud {} speaks an identity API other than 3", printable(name));
            return Err(refused(ErrorKind::Invalid, message));
        }
        let mut options = Options::default();
        for (key, value) in self.auth {
            let key = key.replace('-', "_");
            if !is_auth_option(&key) {
                let message = format!("cloud {} has an unknown auth.{}", printable(name), printable(&key));
                return Err(refused(ErrorKind::Invalid, message));
            }
            options.auth.extend(value.map(|value| (key, value)));
        }
        let text = |path: Option<String>| path.map(|path| file::read(Path::new(&path))).transpose();
        options.auth_type = self.auth_type;
        options.region = self.region_name.or_else(|| {
            self.regions.into_iter().next().map(|region| match region {
                Region::Name(name) | Region::Table { name } => name,
            })
        });
        options.interface = self.interface.or(self.endpoint_type);
        (options.ca, options.certificate, options.key) = (text(self.cacert)?, text(self.cert)?, text(self.key)?);
        options.insecure = self.verify == Some(false);
        let endpoints =
            [("image", self.image_endpoint_override), ("object-store", self.object_store_endpoint_override)];
        options.endpoints =
            endpoints.into_iter().filter_map(|(service, url)| Some((service.to_owned(), url?))).collect();
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::CloudLogin;

    use super::*;

    const CLOUDS: &str = "
clouds:
  site:
    profile: vendor
    auth:
      username: demo
      project_name: \"123\"
      project-domain-name: Default
      user_domain_name: Default
    region_name: RegionOne
    interface: internal
    unknown_setting: [1, 2]
  credential:
    auth_type: v3applicationcredential
    auth:
      auth_url: https://keystone/v3
      application_credential_id: 0123
      application_credential_secret: 1e3
    regions:
      - name: first
        values: {networks: []}
      - second
  open:
    auth: {auth_url: 'http://keystone'}
    verify: false
";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("clouds.yaml", CLOUDS);
        write("secure.yaml", "clouds: {site: {auth: {password: CANARY}}}");
        write(
            "clouds-public.yaml",
            "public-clouds: {vendor: {auth: {auth_url: 'https://vendor/v3', username: nobody}}}",
        );
        folder
    }

    #[test]
    fn an_entry_its_secret_and_its_profile_are_one_login() {
        let folder = folder();
        let path = folder.path().join("clouds.yaml");
        let cloud = entry(Some(&path), "site").unwrap().cloud("site").unwrap();
        let CloudLogin::Password { user, password } = &cloud.login else { panic!("no password") };
        assert_eq!((user.username.as_deref(), password.as_str()), (Some("demo"), "CANARY"));
        assert_eq!(cloud.auth_url.as_deref(), Some("https://vendor/v3"));
        assert_eq!(cloud.scope.project_name.as_deref(), Some("123"));
        assert_eq!(cloud.scope.project_domain_name.as_deref(), Some("Default"));
        assert_eq!((cloud.region.as_deref(), cloud.interface.as_str()), (Some("RegionOne"), "internal"));
    }

    #[test]
    fn scalars_stay_as_they_are_written() {
        let folder = folder();
        let cloud = entry(Some(&folder.path().join("clouds.yaml")), "credential").unwrap().cloud("x").unwrap();
        let CloudLogin::ApplicationCredential { id, secret, .. } = &cloud.login else { panic!("no credential") };
        assert_eq!((id.as_deref(), secret.as_str()), (Some("0123"), "1e3"));
        assert_eq!(cloud.region.as_deref(), Some("first"));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        let folder = folder();
        let path = folder.path().join("clouds.yaml");
        assert_eq!(entry(Some(&path), "none").err().map(|error| error.kind()), Some(ErrorKind::Invalid));
        assert_eq!(entry(Some(&path), "open").unwrap().cloud("x").unwrap_err().code(), "cloud-insecure");
        for text in ["clouds: [CANARY", "clouds: {x: {auth: {password: [CANARY]}}}", "clouds: {x: {auth: {CANARY: x}}}"]
        {
            std::fs::write(&path, text).unwrap();
            let error = entry(Some(&path), "x").err().unwrap();
            assert_eq!(error.code(), "clouds-yaml");
            assert!(!error.message().contains("CANARY") || text.contains("{CANARY"), "{error}");
        }
        let bomb = format!(
            "a: &a [x,x,x,x,x,x,x,x]\n{}",
            (0..30).fold(String::new(), |text, at| {
                let (now, before) = ((b'b' + at % 24) as char, (b'a' + at % 24) as char);
                text + &format!(
                    "{now}{at}: &{now}{at} [*{before}{}]\n",
                    if at == 0 { String::new() } else { (at - 1).to_string() }
                )
            })
        );
        std::fs::write(&path, bomb).unwrap();
        assert!(entry(Some(&path), "x").is_err());
    }
}
