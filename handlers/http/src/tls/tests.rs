use super::*;
use crate::test_certificates::{CERTIFICATE, KEY, OTHER_CERTIFICATE, OTHER_KEY};

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
    Config {
        ca: ca.map(str::to_owned),
        client_certificate: certificate.map(str::to_owned),
        client_key: key.map(str::to_owned),
        ..Config::default()
    }
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
    assert_eq!(refusal(None, Some(OTHER_CERTIFICATE), Some(KEY)), "config-client-key");
}
