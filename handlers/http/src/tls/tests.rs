use super::*;

/// Self-signed, for `landfall-test`; made for these tests and good for nothing else.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBojCCAUmgAwIBAgIURihwRKoxpLpCE2MaDWRVC4lPxWUwCgYIKoZIzj0EAwIw\n\
GDEWMBQGA1UEAwwNbGFuZGZhbGwtdGVzdDAgFw0yNjExMjIyMjAzMTdaGA8yMTI2\n\
MTAyOTIyMDMxN1owGDEWMBQGA1UEAwwNbGFuZGZhbGwtdGVzdDBZMBMGByqGSM49\n\
AgEGCCqGSM49AwEHA0IABDUHBxQg8vgy7xId7av7kYaCpBdtm66nFvmXsa2hskna\n\
VFwqW1OOIzvC+feK/BFgWeMoCNwhBw9vXejdW4PumHajbzBtMB0GA1UdDgQWBBQB\n\
BPGmBJdsmk7XINcnMi48cESUJTAfBgNVHSMEGDAWgBQBBPGmBJdsmk7XINcnMi48\n\
cESUJTAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAA\n\
ATAKBggqhkjOPQQDAgNHADBEAiBhwTNcd8vhrB3qAccfU9tg8cvCqqu38h4zNWDC\n\
W9uLvAIga93uQTeZ3rOsPmL8VomfrRsZ+UaQKT44ZiLIKKWJ0I8=\n\
-----END CERTIFICATE-----\n\
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkC4eKB50Q3AFolov\n\
pyTDGPHsJM9khQkJ+sroCnxacdChRANCAAQ1BwcUIPL4Mu8SHe2r+5GGgqQXbZuu\n\
pxb5l7GtobJJ2lRcKltTjiM7wvn3ivwRYFnjKAjcIQcPb13o3VuD7ph2\n\
-----END PRIVATE KEY-----\n\
";
const OTHER_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgy5zKVIeUdmpAHhMC\n\
sTYLxqQiaPzGJhorVvrKfIIT8pWhRANCAATDz6imI8T33YHXMXlZZps9n2654LeB\n\
xW1eVMFczHirIE/VXREwMJQYmjANh0OSuW5Z0LicV+VVyTj2wGEaNknZ\n\
-----END PRIVATE KEY-----\n\
";

struct Node(Option<&'static str>);

impl SystemTrust for Node {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.map(|pem| pem.as_bytes().to_vec()))
    }
}

struct NeverAsked;

impl SystemTrust for NeverAsked {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        panic!("the system's certificates were asked for")
    }
}

fn config(ca: Option<&str>, certificate: Option<&str>, key: Option<&str>) -> Config {
    let mut config = Config::default();
    config.ca = ca.map(str::to_owned);
    config.client_certificate = certificate.map(str::to_owned);
    config.client_key = key.map(str::to_owned);
    config
}

fn refusal(ca: Option<&str>, certificate: Option<&str>, key: Option<&str>) -> String {
    let error = Tls::new(&config(ca, certificate, key)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.code().to_owned()
}

#[test]
fn the_system_is_asked_once_and_only_where_nobody_else_is_trusted() {
    let tls = Tls::new(&Config::default()).unwrap();
    tls.blind().unwrap();
    tls.trusting(&Node(Some(CERTIFICATE))).unwrap();
    tls.trusting(&NeverAsked).unwrap();
    Tls::new(&config(Some(CERTIFICATE), None, None)).unwrap().trusting(&NeverAsked).unwrap();
}

#[test]
fn nobody_to_trust_is_an_error_and_not_for_ever() {
    let tls = Tls::new(&Config::default()).unwrap();
    for pem in [None, Some(""), Some("garbage"), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")] {
        let error = tls.trusting(&Node(pem)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "tls-no-trust"), "{pem:?}");
        assert_eq!(error.scope(), Scope::Location);
    }
    tls.trusting(&Node(Some(CERTIFICATE))).unwrap();
}

#[test]
fn certificates_that_cannot_be_read_are_skipped() {
    let bundle = format!(
        "# words\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END \
         CERTIFICATE-----\n{KEY}{CERTIFICATE}-----BEGIN CERTIFICATE-----\nAAAA\n"
    );
    assert_eq!(usable(bundle.as_bytes()).len(), 1);
    assert_eq!(usable(b"-----BEGIN CERTIFICATE-----").len(), 0);
    assert_eq!(usable(b"\xff\0").len(), 0);
}

#[test]
fn certificate_and_key_belong_together() {
    Tls::new(&config(None, Some(CERTIFICATE), Some(KEY))).unwrap().blind().unwrap();
    assert_eq!(refusal(Some("x"), None, None), "config-ca");
    assert_eq!(refusal(None, Some(CERTIFICATE), None), "config-client-certificate");
    assert_eq!(refusal(None, None, Some(KEY)), "config-client-certificate");
    assert_eq!(refusal(None, Some("x"), Some(KEY)), "config-client-certificate");
    assert_eq!(refusal(None, Some(CERTIFICATE), Some("x")), "config-client-key");
    assert_eq!(refusal(None, Some(CERTIFICATE), Some(CERTIFICATE)), "config-client-key");
    assert_eq!(refusal(None, Some(CERTIFICATE), Some(OTHER_KEY)), "config-client-key");
}
