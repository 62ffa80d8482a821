//! TLS with a private authority, in both directions.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::certificates::Certificates;
use crate::support::nginx::Site;
use crate::support::world::World;

use super::harbor::{Harbor, IMAGE, ON_THE_WAY};

fn trusting(harbor: &Harbor<'_>, certificates: &Certificates, ca: &str, more: &str) {
    harbor.configure(&format!("ca_file = {:?}\n{more}", certificates.file(ca)), "");
}

pub(super) fn trusted(world: &World) {
    let harbor = Harbor::new(world);
    let certificates = Certificates::make(&harbor.sandbox);
    trusting(&harbor, &certificates, "ca.pem", "");
    let mut server = harbor.server("server", Site::new().tls("good", certificates.server("good")));
    harbor.exact(&[server.tls_url("good", "/disk.raw")]);
    harbor.exact(&[server.tls_url("good", "/disk.raw").replace("127.0.0.1", "localhost")]);
    let log = server.finish();
    let twice = 2 * IMAGE.size;
    assert!((twice..=twice + 2 * ON_THE_WAY).contains(&log.bytes()), "{} bytes: {:?}", log.bytes(), log.summary());
}

pub(super) fn refused(world: &World) {
    let harbor = Harbor::new(world);
    let certificates = Certificates::make(&harbor.sandbox);
    let names = ["good", "elsewhere", "expired", "self-signed"];
    let site = names.iter().fold(Site::new(), |site, name| site.tls(name, certificates.server(name)));
    let mut server = harbor.server("server", site);
    trusting(&harbor, &certificates, "ca.pem", "");
    for name in &names[1..] {
        harbor.fails(&[server.tls_url(name, "/disk.raw")], "denied", "tls-certificate");
    }
    // The good one is good only for who trusts its authority: neither another private one, nor the machine's.
    trusting(&harbor, &certificates, "other-ca.pem", "");
    harbor.fails(&[server.tls_url("good", "/disk.raw")], "denied", "tls-certificate");
    harbor.configure("", "");
    harbor.fails(&[server.tls_url("good", "/disk.raw")], "denied", "tls-certificate");
    // It was refused for its certificate, and not by chance.
    trusting(&harbor, &certificates, "ca.pem", "");
    harbor.exact(&[server.tls_url("good", "/disk.raw")]);
    let log = server.finish();
    assert!(log.bytes() <= IMAGE.size + ON_THE_WAY, "nobody else was asked for anything: {:?}", log.summary());
}

pub(super) fn downgrade(world: &World) {
    let harbor = Harbor::new(world);
    let certificates = Certificates::make(&harbor.sandbox);
    trusting(&harbor, &certificates, "ca.pem", "");
    let mut plain = harbor.server("plain", Site::new());
    let site = Site::new()
        .place("/down/", &format!("return 302 {};", plain.url("/disk.raw")))
        .place("/level/", "return 302 /disk.raw;")
        .tls("good", certificates.server("good"));
    let server = harbor.server("server", site);
    harbor.fails(&[server.tls_url("good", "/down/")], "denied", "redirect-refused");
    harbor.exact(&[server.tls_url("good", "/level/")]);
    // The same without TLS at first.
    harbor.exact(&[server.url("/down/")]);
    let log = plain.finish();
    assert!(log.bytes() <= IMAGE.size + ON_THE_WAY, "only the last one came here: {:?}", log.summary());
}

pub(super) fn client(world: &World) {
    let harbor = Harbor::new(world);
    let certificates = Certificates::make(&harbor.sandbox);
    let mut server = harbor.server("server", Site::new().tls("mutual", certificates.mutual("good")));
    let url = [server.tls_url("mutual", "/disk.raw")];
    let (certificate, key) = (certificates.file("client.pem"), certificates.file("client.key"));
    let lines = format!("client_certificate_file = {certificate:?}\nclient_key_file = {key:?}\n");

    trusting(&harbor, &certificates, "ca.pem", "");
    harbor.fails(&url, "invalid", "http-400");
    trusting(&harbor, &certificates, "ca.pem", &lines);
    harbor.exact(&url);
    // A key that others can read is no secret.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let answer = harbor.place(&url).run();
    assert_ne!(answer.status, 0, "{answer:#?}");
    assert!(answer.text().contains("lets others in"), "{answer:#?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    harbor.exact(&url);
    let log = server.finish();
    assert!((1..=3).contains(&log.with_status(400)), "{:?}", log.summary());
    assert!(log.bytes() <= 2 * (IMAGE.size + ON_THE_WAY), "{:?}", log.summary());
}
