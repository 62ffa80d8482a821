use serde_json::json;

use super::*;

fn check(section: Value) -> std::result::Result<Settings, String> {
    let config = serde_json::from_value::<Config>(section).map_err(|error| error.to_string())?;
    config.check().map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.message().contains("s3cret"));
        error.code().to_owned()
    })
}

#[test]
fn both_layers_take_their_keys() {
    let settings = check(json!({})).unwrap();
    assert!(settings.keys.is_none() && !settings.secure);
    assert_eq!((settings.region.as_str(), settings.format), ("us-east-1", BucketUrlFormat::Auto));
    let settings = check(json!({
        "redirects": 2, "allow_addresses": ["loopback"], "connect_seconds": 5, "region": "RegionOne", "secure": true,
        "bucket_url_format": "virtual", "access_key": "vault:keeper", "secret_key": "s3/cret=\n", "hosts": ["host"],
        "buckets": ["b", "x*"],
    }))
    .unwrap();
    let credentials = settings.keys.unwrap().credentials;
    assert_eq!((credentials.key(), credentials.secret()), ("vault:keeper", "s3/cret="));
    assert_eq!((settings.region.as_str(), settings.format), ("RegionOne", BucketUrlFormat::Virtual));
    assert!(settings.secure);
}

#[test]
fn no_redirect_is_followed_unless_it_is_said() {
    let redirects = |section| serde_json::from_value::<Config>(section).unwrap().http.redirects;
    assert_eq!(redirects(json!({})), 0);
    assert_eq!(redirects(json!({"redirects": 2})), 2);
}

#[test]
fn every_key_of_its_own_is_listed() {
    for key in OWN {
        let error = check(json!({ key: {} })).err().unwrap();
        assert!(!error.contains("unknown field"), "{key}: {error}");
    }
    let error = check(json!({"bukets": []})).err().unwrap();
    assert!(error.contains("unknown field `bukets`"), "{error}");
}

#[test]
fn a_secret_that_is_no_text_is_not_shown() {
    let error = check(json!({"access_key": "a", "secret_key": 123_456_789, "hosts": ["host"]})).err().unwrap();
    assert_eq!(error, "secret_key is no text");
}

#[test]
fn settings_that_cannot_be_right() {
    let with_hosts = |hosts: Value| json!({"access_key": "a", "secret_key": "s3cret", "hosts": hosts});
    assert!(check(with_hosts(json!(["host"]))).is_ok());
    let long = "r".repeat(65);
    for (section, code) in [
        (json!({"access_key": "a"}), "config-secret-key"),
        (json!({"secret_key": "s3cret"}), "config-access-key"),
        (json!({"hosts": ["host"]}), "config-hosts"),
        (json!({"access_key": "a", "secret_key": "s3cret"}), "config-hosts"),
        (json!({"access_key": "a", "secret_key": "\n", "hosts": ["host"]}), "config-secret-key"),
        (json!({"access_key": "a", "secret_key": "s3cret\ns3cret", "hosts": ["host"]}), "config-secret-key"),
        (json!({"access_key": "", "secret_key": "s3cret", "hosts": ["host"]}), "config-access-key"),
        (json!({"access_key": "a/b", "secret_key": "s3cret", "hosts": ["host"]}), "config-access-key"),
        (with_hosts(json!(["https://host"])), "config-hosts"),
        (with_hosts(json!(["host/path"])), "config-hosts"),
        (with_hosts(json!(["s3cret@host"])), "config-hosts"),
        (with_hosts(json!(["host", ""])), "config-hosts"),
        (with_hosts(json!(["host:x"])), "config-hosts"),
        (with_hosts(json!(["*.host"])), "config-hosts"),
        (with_hosts(json!(["a b"])), "config-hosts"),
        (json!({"buckets": ["*s3cret"]}), "config-buckets"),
        (json!({"buckets": ["s3cret**"]}), "config-buckets"),
        (json!({"buckets": ["a/b"]}), "config-buckets"),
        (json!({"buckets": [""]}), "config-buckets"),
        (json!({"region": ""}), "config-region"),
        (json!({"region": "a/b"}), "config-region"),
        (json!({"region": long}), "config-region"),
        (json!({"bucket_url_format": "Path"}), "config-bucket-url-format"),
        (json!({"redirects": 21}), "config-redirects"),
    ] {
        assert_eq!(check(section.clone()).err().as_deref(), Some(code), "{section}");
    }
}

#[test]
fn keys_are_for_hosts_and_ports() {
    let hosts = json!(["S3.example.org", "plain:80", "store:8080", "[::1]:9", "127.0.0.1:443"]);
    let settings = check(json!({"access_key": "a", "secret_key": "s", "hosts": hosts})).unwrap();
    let keys = settings.keys.unwrap();
    for (url, hold) in [
        ("https://s3.example.org/", true),
        ("https://S3.EXAMPLE.ORG:443/prefix", true),
        ("http://s3.example.org:443/", false),
        ("http://s3.example.org/", false),
        ("https://s3.example.org:8443/", false),
        ("https://s3.example.org.evil/", false),
        ("https://xs3.example.org/", false),
        ("https://glance.s3.example.org/", false),
        ("http://plain/", true),
        ("https://plain/", false),
        ("http://store:8080/", true),
        ("https://store:8080/", true),
        ("http://store/", false),
        ("http://[::1]:9/", true),
        ("http://[::2]:9/", false),
        ("https://127.0.0.1/", true),
        ("https://2130706433/", true),
        ("https://127.0.0.2/", false),
    ] {
        assert_eq!(keys.hold_for(&Url::parse(url).unwrap()), hold, "{url}");
    }
}

#[test]
fn buckets_are_names_or_beginnings() {
    let settings = check(json!({})).unwrap();
    for (name, allowed) in
        [("glance", true), ("glance-3a", true), ("glance-", true), ("glancex", false), ("Glance", false), ("", false)]
    {
        assert_eq!(settings.buckets.allow(name), allowed, "{name}");
    }
    assert!(check(json!({"buckets": ["*"]})).unwrap().buckets.allow("anything"));
    assert!(!check(json!({"buckets": []})).unwrap().buckets.allow("glance"));
}
