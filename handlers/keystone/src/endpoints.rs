//! The endpoints of a cloud: those that its entry sets, and those of the catalog.

use std::collections::BTreeMap;

use landfall_handler_api::{Cloud, Error, ErrorKind, Result};
use landfall_handler_http::Url;

use crate::answer::Service;
use crate::endpoint;
use crate::refusal::shown;

/// Which endpoints are used where nothing is said.
const PUBLIC: &str = "public";

/// The endpoints of a cloud.
pub(crate) struct Endpoints {
    /// By the type of service; `None`: one that cannot be used.
    set: BTreeMap<String, Option<Url>>,
    catalog: Vec<Entry>,
    region: Option<String>,
    interface: String,
}

/// An endpoint of the catalog.
struct Entry {
    service: String,
    interface: String,
    regions: [Option<String>; 2],
    url: Option<Url>,
}

impl Endpoints {
    /// Those that the cloud's entry sets, and those of a catalog.
    pub(crate) fn new(cloud: &Cloud, catalog: Vec<Service>) -> Self {
        let set = cloud.endpoints.iter().map(|(service, url)| (service_type(service), endpoint::parse(url))).collect();
        let entries = catalog.into_iter().flat_map(|Service { kind, endpoints }| {
            let service = service_type(&kind);
            endpoints.into_iter().map(move |found| Entry {
                service: service.clone(),
                interface: found.interface,
                regions: [found.region_id, found.region],
                url: endpoint::parse(&found.url),
            })
        });
        let interface = if cloud.interface.is_empty() { PUBLIC } else { &cloud.interface };
        Self {
            set,
            catalog: entries.collect(),
            region: cloud.region.clone().filter(|region| !region.is_empty()),
            interface: interface.to_owned(),
        }
    }

    /// The one to use for a type of service. Of several that fit, the first that can be used.
    pub(crate) fn find(&self, service: &str) -> Result<Url> {
        let service = service_type(service);
        if let Some(set) = self.set.get(&service) {
            let message = || format!("the URL that is set for {} is no endpoint", shown(&service));
            return set.clone().ok_or_else(|| Error::new(ErrorKind::Invalid, "bad-endpoint", message()));
        }
        let in_region = |entry: &&Entry| match &self.region {
            Some(region) => entry.regions.iter().flatten().any(|of| of == region),
            None => true,
        };
        let mut fitting = self
            .catalog
            .iter()
            .filter(|entry| entry.service == service && entry.interface == self.interface)
            .filter(in_region)
            .peekable();
        if fitting.peek().is_none() {
            let region =
                self.region.as_deref().map_or_else(String::new, |region| format!(" in region {}", shown(region)));
            let hint =
                if self.catalog.is_empty() { ": the login is for no project, or its catalog is empty" } else { "" };
            let message =
                format!("there is no {} endpoint of type {}{region}{hint}", shown(&self.interface), shown(&service));
            return Err(Error::new(ErrorKind::Invalid, "no-endpoint", message));
        }
        fitting.find_map(|entry| entry.url.clone()).ok_or_else(|| {
            let message = format!("the catalog's endpoint of type {} is no URL that can be used", shown(&service));
            Error::new(ErrorKind::Corrupt, "bad-endpoint", message)
        })
    }

    /// Whether `url` lies beneath an endpoint of this type, of any interface and region; of any type where none is
    /// said.
    pub(crate) fn cover(&self, service: Option<&str>, url: &Url) -> bool {
        let service = service.map(service_type);
        let wanted = |of: &str| service.as_ref().is_none_or(|service| service == of);
        let set = self.set.iter().filter(|(of, _)| wanted(of)).filter_map(|(_, url)| url.as_ref());
        let listed = self.catalog.iter().filter(|entry| wanted(&entry.service)).filter_map(|entry| entry.url.as_ref());
        set.chain(listed).any(|endpoint| endpoint::covers(endpoint, url))
    }
}

/// A type of service as the Service Types Authority writes it: lower case, with hyphens. `image` and `object-store`
/// have no other names there.
fn service_type(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"[
        {"type": "identity", "endpoints": [{"interface": "public", "region": "One", "url": "http://keystone/v3"}]},
        {"type": "image", "endpoints": [
            {"interface": "admin", "region": "One", "region_id": "One", "url": "http://admin-one:9292"},
            {"interface": "public", "region": "One", "region_id": "One", "url": "https://one/image/"},
            {"interface": "public", "region": "Two", "region_id": "Two", "url": "https://two/image"},
            {"interface": "internal", "region_id": "Two", "url": "http://internal-two:9292/"}]},
        {"type": "Object_Store", "endpoints": [
            {"interface": "public", "region": "One", "url": "ftp://CANARY@one"},
            {"interface": "public", "region": "One", "url": "https://one/v1/AUTH_x"},
            {"interface": "public", "region": "Three", "url": "CANARY"}]}]"#;

    fn endpoints(region: Option<&str>, interface: &str, set: &[(&str, &str)]) -> Endpoints {
        let mut cloud = Cloud::default();
        cloud.region = region.map(str::to_owned);
        cloud.interface = interface.to_owned();
        cloud.endpoints = set.iter().map(|(service, url)| ((*service).to_owned(), (*url).to_owned())).collect();
        Endpoints::new(&cloud, serde_json::from_str(CATALOG).unwrap())
    }

    #[test]
    fn an_endpoint_is_chosen_by_type_region_and_interface() {
        for (region, interface, service, expected) in [
            (None, "", "image", Ok("https://one/image")),
            (Some(""), "public", "image", Ok("https://one/image")),
            (Some("Two"), "", "image", Ok("https://two/image")),
            (Some("Two"), "internal", "image", Ok("http://internal-two:9292/")),
            (None, "internal", "image", Ok("http://internal-two:9292/")),
            (None, "admin", "image", Ok("http://admin-one:9292/")),
            (Some("Two"), "admin", "image", Err((ErrorKind::Invalid, "no-endpoint"))),
            (Some("two"), "", "image", Err((ErrorKind::Invalid, "no-endpoint"))),
            (None, "Public", "image", Err((ErrorKind::Invalid, "no-endpoint"))),
            (None, "", "compute", Err((ErrorKind::Invalid, "no-endpoint"))),
            (None, "", "object-store", Ok("https://one/v1/AUTH_x")),
            (None, "", "object_store", Ok("https://one/v1/AUTH_x")),
            (Some("Three"), "", "object-store", Err((ErrorKind::Corrupt, "bad-endpoint"))),
        ] {
            let found = endpoints(region, interface, &[]).find(service);
            let found = found.as_ref().map(Url::as_str).map_err(|error| {
                assert!(!error.message().contains("CANARY"));
                (error.kind(), error.code())
            });
            assert_eq!(found, expected, "{region:?} {interface} {service}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = endpoints(Some("Mars\n"), "internal", &[]).find("image").unwrap_err();
        for part in ["image", "internal", "Mars?"] {
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn what_the_entry_sets_comes_first() {
        let set =
            endpoints(Some("Nowhere"), "admin", &[("image", "http://glance:9292/"), ("object-store", "ftp://CANARY")]);
        assert_eq!(set.find("image").unwrap().as_str(), "http://glance:9292/");
        let error = set.find("object-store").unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "bad-endpoint"));
        assert!(!error.message().contains("CANARY"));
    }

    #[test]
    fn the_token_is_for_one_type_of_service_at_all_its_endpoints() {
        let endpoints = endpoints(Some("One"), "", &[("image", "http://glance:9292")]);
        for (service, url, expected) in [
            (Some("image"), "https://one/image/v2/images", true),
            (Some("image"), "https://two/image/v2/images", true),
            (Some("image"), "http://admin-one:9292/v2/images", true),
            (Some("image"), "http://glance:9292/v2/images", true),
            (Some("image"), "https://one/v1/AUTH_x/c", false),
            (Some("object-store"), "https://one/v1/AUTH_y/c", true),
            (Some("object-store"), "https://one/image/v2", false),
            (Some("object-store"), "https://two/v1/AUTH_x/c", false),
            (Some("compute"), "https://one/v1/AUTH_x/c", false),
            (None, "https://one/v1/AUTH_x/c", true),
            (None, "https://two/image", true),
            (None, "http://keystone/v3/users", true),
            (None, "http://evil/v1/AUTH_x/c", false),
        ] {
            assert_eq!(endpoints.cover(service, &url.parse().unwrap()), expected, "{service:?} {url}");
        }
    }
}
