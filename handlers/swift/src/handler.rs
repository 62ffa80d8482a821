//! The handler `swift`.

use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Probe, Request, Result, Source, async_trait,
};

use crate::account::Account;
use crate::config::{Config, Settings};
use crate::delete::{admit, delete};
use crate::name::ObjectName;
use crate::open::open;
use crate::url::{AccountUrl, SwiftUrl};

/// The secret that has the location's whole URL, and the node's login.
const LOCATION_URL: &str = "location.url";
const CLOUD: &str = "cloud";
const SCHEMES: [&str; 4] = ["swift", "swift+http", "swift+https", "swift+config"];

/// Locations of Swift stores.
pub struct SwiftHandler {
    settings: Settings,
}

#[async_trait]
impl ImageHandler for SwiftHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("swift")
            .description("objects of Swift stores, large ones segment by segment")
            .kinds(&[HandlerKind::Source])
            .schemes(&SCHEMES)
            .needs_network()
            .deletes()
            .file_settings(&["ca", "client_certificate", "client_key", "proxy", "store_config", "temp_url_key"])
            .logins(&[CLOUD])
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self { settings: config.check()? })
    }

    fn probe(&self, request: &Request) -> Probe {
        let Some(location) = &request.location else { return Probe::no("the request has no location") };
        if !SCHEMES.contains(&location.scheme().as_str()) {
            return Probe::no("the location is none of swift://, swift+http://, swift+https:// and swift+config://");
        }
        // The container can be told without the credentials that were taken out.
        let named = || SwiftUrl::parse(&location.url.replacen("://***@", "://***:***@", 1));
        if let (true, Ok(url)) = (request.to_delete, named())
            && let Err(error) = admit(&self.settings.delete_containers, &url.name)
        {
            return Probe::no(error.message());
        }
        match SwiftUrl::parse(&location.url).map(|url| url.account) {
            Ok(AccountUrl::Reference(name)) => match &self.settings.references {
                None => Probe::no("swift+config needs store_config_file in [handler.swift]"),
                Some(known) if !known.contains_key(&name) => {
                    Probe::no(format!("{name:?} is no reference in store_config_file of [handler.swift]"))
                }
                Some(_) => Probe::yes(),
            },
            // What is wrong with the others can only be told of the whole URL.
            _ => Probe::yes(),
        }
    }

    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let (account, name) = self.object(call, request).await?;
        Ok(open(account, name, call).await?.boxed())
    }

    async fn delete_stored(&self, call: &Call, request: &Request) -> Result<()> {
        let (account, name) = self.object(call, request).await?;
        delete(&account, &name, &self.settings.delete_containers, call).await
    }
}

impl SwiftHandler {
    /// The object that the request's location names, in its account.
    async fn object(&self, call: &Call, request: &Request) -> Result<(Account, ObjectName)> {
        let url = whole_url(call, request)?;
        let cloud = match url.account {
            AccountUrl::Storage(_) => landfall_keystone::cloud(call, request, CLOUD)?,
            _ => None,
        };
        let account = self.settings.account(&url, cloud, request.named_by_caller, call).await?;
        Ok((account, url.name))
    }
}

fn whole_url(call: &Call, request: &Request) -> Result<SwiftUrl> {
    let Some(location) = &request.location else {
        return Err(Error::new(ErrorKind::Invalid, "no-location", "the request has no location"));
    };
    if !request.secrets.iter().any(|name| name == LOCATION_URL) {
        return SwiftUrl::parse(&location.url);
    }
    let url = call.secret(LOCATION_URL)?;
    let url = url.text().ok_or_else(|| Error::new(ErrorKind::Invalid, "bad-url", "the URL is no text"))?;
    SwiftUrl::parse(url)
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::Location;
    use serde_json::json;

    use super::*;

    fn handler(section: serde_json::Value) -> SwiftHandler {
        SwiftHandler::new(serde_json::from_value(section).unwrap()).unwrap()
    }

    fn reason(handler: &SwiftHandler, url: &str) -> Option<String> {
        let mut request = Request::default();
        request.location = Some(Location::from_url(url));
        let probe = handler.probe(&request);
        assert_eq!(probe.accepts, probe.reason.is_none());
        probe.reason
    }

    #[test]
    fn it_says_what_it_does_not_take() {
        let bare = handler(json!({}));
        let known = handler(json!({"store_config": "[ref1]\nuser = a:b\n"}));
        for url in ["swift://host/v1/AUTH_x/c/o", "swift+http://***:***@host/c/o", "swift+https://host/v1/AUTH_x/c/o"] {
            assert_eq!(reason(&bare, url), None, "{url}");
        }
        assert_eq!(reason(&known, "swift+config://ref1/c/o"), None);
        let said = reason(&bare, "swift+config://ref1/c/o").unwrap();
        assert!(said.contains("store_config_file in [handler.swift]"), "{said}");
        let said = reason(&known, "swift+config://Ref1/c/o").unwrap();
        assert!(said.contains("\"Ref1\" is no reference"), "{said}");
        assert!(reason(&known, "swift+config://re\u{202e}f/c/o").unwrap().contains(r"re\u{202e}f"));
        assert!(reason(&bare, "http://host/c/o").is_some());
        assert!(bare.probe(&Request::default()).reason.is_some());
    }

    #[test]
    fn it_says_where_it_deletes_nothing() {
        let allowed = handler(json!({"delete_containers": ["c"]}));
        for form in ["swift+http://***@host/v3/", "swift://host/v1/AUTH_x/", "swift+https://***@host/"] {
            for (container, accepts) in [("c", true), ("d", false)] {
                let mut request = Request::default();
                request.location = Some(Location::from_url(format!("{form}{container}/o")));
                assert!(allowed.probe(&request).accepts);
                request.to_delete = true;
                assert_eq!(allowed.probe(&request).accepts, accepts, "{form}{container}");
            }
        }
    }

    #[test]
    fn it_describes_itself() {
        let info = SwiftHandler::info();
        assert_eq!((info.id.as_str(), info.needs_network), ("swift", true));
        assert_eq!(info.schemes, SCHEMES);
        assert_eq!(info.logins, ["cloud"]);
    }
}
