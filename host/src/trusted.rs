//! The certificates that this node trusts, for handlers that speak TLS: they open no file of their own.

use std::fs::File;
use std::io::Read;

use crate::complaint::complain;

/// Where distributions keep their bundle: Debian and Arch, Fedora and RHEL 7 or later, SUSE, OpenELEC, RHEL 6, Alpine.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// As long as a secret may be.
const BUNDLE_MAX: u64 = 1 << 20;

/// The first bundle that is there, in PEM. None where none is, or the one that is cannot be read.
pub(crate) fn roots() -> Option<Vec<u8>> {
    let (path, file) = BUNDLES.iter().find_map(|path| Some((path, File::open(path).ok()?)))?;
    let mut bundle = Vec::new();
    match file.take(BUNDLE_MAX.saturating_add(1)).read_to_end(&mut bundle) {
        Ok(read) if read as u64 > BUNDLE_MAX => complain(format_args!("{path} is too long to be used")),
        Ok(_) => return Some(bundle),
        Err(error) => complain(format_args!("read {path}: {error}")),
    }
    None
}
