//! What went wrong on the way, by what the layers below say of it.
//!
//! They say much of it in types, and some only in words. No message of theirs is passed on, since it may quote the URL or
//! the server; of system calls the errno's text is.

use std::error::Error as StdError;
use std::io;

use landfall_handler_api::{Error, ErrorKind, Scope};
use rustls::CertificateError;

use crate::answer::bad_framing;

/// Causes that are looked through.
const DEPTH: usize = 16;

/// Of a request that got no answer.
pub(crate) fn in_request(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let causes = Causes::of(&error);
    if let Some(error) = causes.tls {
        return in_tls(error);
    }
    if error.is_connect() {
        return in_connect(&error, &causes);
    }
    if causes.say("message head is too large") {
        let message = "the server's answer has more headers than are read";
        return Error::new(ErrorKind::Limit, "headers-too-large", message);
    }
    if causes.say("content-length parsed") || causes.say("transfer-encoding parsed") {
        return bad_framing("with lengths that contradict each other");
    }
    if causes.say(" parsed") || causes.say("unexpected message") {
        let message = "the server's answer is not HTTP";
        return Error::new(ErrorKind::Corrupt, "bad-response", message);
    }
    if error.is_builder() {
        return Error::new(ErrorKind::Invalid, "bad-url", "the URL cannot be asked for");
    }
    unavailable("connection-lost", &format!("the connection was lost before the answer came{}", causes.system()))
}

/// Of a body that broke off.
pub(crate) fn in_body(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let causes = Causes::of(&error);
    let garbled = |kind: io::ErrorKind| matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    if causes.tls.is_none() && causes.io.iter().any(|cause| garbled(cause.kind())) {
        return bad_framing("in chunks that cannot be read");
    }
    unavailable("short-body", &format!("the connection was lost in the middle of the answer{}", causes.system()))
}

fn in_connect(error: &reqwest::Error, causes: &Causes<'_>) -> Error {
    if causes.say("proxy authorization required") {
        let message = "the proxy wants to be shown who asks";
        return Error::new(ErrorKind::Denied, "http-407", message);
    }
    let system = causes.system();
    if causes.io.iter().any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused) {
        return unavailable("connect-refused", &format!("the server takes no connections{system}"));
    }
    if error.is_timeout() || causes.io.iter().any(|cause| cause.kind() == io::ErrorKind::TimedOut) {
        return unavailable("connect-timeout", "no connection to the server was made in time");
    }
    // TLS puts what it meets while shaking hands into another error; nobody else does.
    if causes.nested {
        return unavailable("tls-handshake", &format!("the connection was lost while setting TLS up{system}"));
    }
    unavailable("connect-failed", &format!("no connection to the server was made{system}"))
}

fn in_tls(error: &rustls::Error) -> Error {
    let denied = |code, message: String| Error::new(ErrorKind::Denied, code, message).scoped(Scope::Location);
    match error {
        rustls::Error::InvalidCertificate(why) => {
            denied("tls-certificate", format!("the server's certificate {}", verdict(why)))
        }
        rustls::Error::NoCertificatesPresented => {
            denied("tls-certificate", "the server shows no certificate".to_owned())
        }
        rustls::Error::AlertReceived(alert) => {
            denied("tls-handshake", format!("the server refused to set TLS up: {alert:?}"))
        }
        rustls::Error::PeerIncompatible(_) => {
            denied("tls-handshake", "the server speaks no TLS that is safe".to_owned())
        }
        rustls::Error::InvalidMessage(_) => denied("tls-handshake", "the server does not speak TLS".to_owned()),
        _ => denied("tls-handshake", "TLS could not be set up".to_owned()),
    }
}

fn verdict(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::UnknownIssuer => "is from an issuer that this node does not trust",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "is for another name",
        CertificateError::Revoked => "was revoked",
        CertificateError::BadSignature => "is not signed by who it says",
        CertificateError::BadEncoding => "cannot be read",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "is not for servers",
        // Of webpki, whose errors have no other name here.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "is an issuer's own (CA:TRUE), which no server may show"
        }
        _ => "cannot be verified",
    }
}

fn unavailable(code: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, code, message.to_owned())
}

/// An error and all that caused it.
struct Causes<'a> {
    words: Vec<String>,
    io: Vec<&'a io::Error>,
    tls: Option<&'a rustls::Error>,
    /// Whether a system call's error came inside another.
    nested: bool,
}

impl<'a> Causes<'a> {
    fn of(error: &'a reqwest::Error) -> Self {
        let mut causes = Self { words: Vec::new(), io: Vec::new(), tls: None, nested: false };
        let mut next: Option<&'a (dyn StdError + 'static)> = Some(error);
        for _ in 0..DEPTH {
            let Some(cause) = next else { break };
            causes.words.push(cause.to_string());
            causes.tls = causes.tls.or_else(|| cause.downcast_ref());
            next = match cause.downcast_ref::<io::Error>() {
                // An `io::Error` names as its source not what it holds, but what that was caused by.
                Some(cause) => {
                    causes.io.push(cause);
                    causes.nested |= cause.get_ref().is_some_and(|inner| inner.is::<io::Error>());
                    cause.get_ref().map(|inner| inner as &(dyn StdError + 'static))
                }
                None => cause.source(),
            };
        }
        causes
    }

    fn say(&self, words: &str) -> bool {
        self.words.iter().any(|said| said.contains(words))
    }

    /// What the kernel said, to be appended.
    fn system(&self) -> String {
        self.io
            .iter()
            .find(|cause| cause.raw_os_error().is_some())
            .map_or_else(String::new, |cause| format!(": {cause}"))
    }
}
