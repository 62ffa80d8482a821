//! What Keystone answers (Identity API v3, `POST /v3/auth/tokens`): how long the token lives, and the catalog.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    issued_at: Option<String>,
    /// A token without a scope has none.
    #[serde(default)]
    catalog: Option<Vec<Service>>,
}

/// A service of the catalog.
#[derive(Deserialize)]
pub(crate) struct Service {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) endpoints: Vec<ServiceEndpoint>,
}

/// One of its endpoints.
#[derive(Deserialize)]
pub(crate) struct ServiceEndpoint {
    pub(crate) interface: String,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) region: Option<String>,
    #[serde(default)]
    pub(crate) region_id: Option<String>,
}

/// What is wanted of the answer.
pub(crate) struct Granted {
    /// From when it was made; `None`: for ever.
    pub(crate) life: Option<Duration>,
    pub(crate) catalog: Vec<Service>,
}

/// Reads an answer; fails with what is wrong with it. `now` is for answers that do not say when the token was made.
pub(crate) fn read(body: &[u8], now: Timestamp) -> Result<Granted, &'static str> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| "something that is no token with a catalog in JSON")?;
    let Token { expires_at, issued_at, catalog } = answer.token;
    let time = |text: String| text.parse::<Timestamp>().map_err(|_| "with a time that cannot be read");
    // By the server's own clock, which may differ from this node's.
    let issued = issued_at.map(time).transpose()?.unwrap_or(now);
    let life = expires_at.map(time).transpose()?.map(|expires| {
        let life = expires.duration_since(issued);
        Duration::try_from(life).unwrap_or(Duration::ZERO)
    });
    Ok(Granted { life, catalog: catalog.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(token: &str) -> Result<Option<u64>, &'static str> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        read(format!("{{\"token\":{token}}}").as_bytes(), now).map(|granted| granted.life.map(|life| life.as_secs()))
    }

    #[test]
    fn a_tokens_life_is_counted_by_the_servers_clock() {
        for (token, expected) in [
            (r#"{"expires_at":"2026-11-23T13:00:00.000000Z"}"#, Ok(Some(3600))),
            (
                r#"{"expires_at":"2015-11-06T15:32:17.893769Z","issued_at":"2015-11-06T14:32:17.893797Z"}"#,
                Ok(Some(3599)),
            ),
            (r#"{"expires_at":"2026-11-23T14:00:00+01:00","issued_at":null}"#, Ok(Some(3600))),
            (r#"{"expires_at":"2026-11-23T11:00:00Z"}"#, Ok(Some(0))),
            (r#"{"expires_at":null,"catalog":null,"methods":["password"]}"#, Ok(None)),
            ("{}", Ok(None)),
        ] {
            assert_eq!(life(token), expected, "{token}");
        }
        for token in [r#"{"expires_at":"soon"}"#, r#"{"expires_at":"2026-11-23T13:00:00"}"#, r#"{"issued_at":"x"}"#] {
            assert_eq!(life(token), Err("with a time that cannot be read"), "{token}");
        }
        for token in [r#"{"expires_at":1}"#, "null", "7", r#"{"catalog":{}}"#, r#"{"catalog":[{"endpoints":[]}]}"#] {
            assert!(life(token).is_err(), "{token}");
        }
    }

    #[test]
    fn what_is_not_needed_of_a_catalog_may_be_anything() {
        let body = br#"{"token":{"catalog":[{"type":"image","id":7,"name":null,"endpoints":[
            {"interface":"public","url":"http://g","region":null,"region_id":"R","id":"x"}]},{"type":"x"}]}}"#;
        let granted = read(body, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(granted.catalog.len(), 2);
        assert_eq!(granted.catalog[0].endpoints[0].region_id.as_deref(), Some("R"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body, Timestamp::UNIX_EPOCH);
        }

        #[test]
        fn any_times_are_read_or_refused(
            expires in "[-+]?[0-9]{1,6}-[0-9]{2}-[0-9]{2}T[0-9:.]{1,12}Z?",
            issued in "[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z",
        ) {
            let _ = life(&format!(r#"{{"expires_at":"{expires}","issued_at":"{issued}"}}"#));
        }
    }
}
