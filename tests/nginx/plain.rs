//! What a server may offer or not: ranges, validators, redirects, errors.

use crate::support::nginx::{Nginx, Site};
use crate::support::world::World;

use super::harbor::{Harbor, IMAGE, ON_THE_WAY, codes};

/// From a record, and from a URL that is named on the command line; each byte is sent once.
pub(super) fn whole(world: &World) {
    let harbor = Harbor::new(world);
    let mut server = harbor.server("server", Site::new());
    let url = server.url("/disk.raw");
    let answer = harbor.exact(std::slice::from_ref(&url));
    assert_eq!(answer.document()["verified"], "computed");
    let hash = format!("sha256:{}", IMAGE.sha256());
    harbor.arrived(&harbor.sandbox.place(&url, "disk").args(["--hash", &hash]).run());
    let log = server.finish();
    let twice = 2 * IMAGE.size;
    assert!((twice..=twice + 2 * ON_THE_WAY).contains(&log.bytes()), "{} bytes: {:?}", log.bytes(), log.summary());

    // A record may name this node's own services only where the operator says so; who calls may.
    let mut server = harbor.server("again", Site::new());
    harbor.sandbox.configure("", "");
    let url = server.url("/disk.raw");
    harbor.fails(std::slice::from_ref(&url), "denied", "address-refused");
    harbor.arrived(&harbor.sandbox.place(&url, "disk").args(["--hash", &hash]).run());
    let log = server.finish();
    assert!(log.bytes() <= IMAGE.size + ON_THE_WAY, "nothing was asked for: {:?}", log.summary());
}

pub(super) fn without_ranges(world: &World) {
    let harbor = Harbor::new(world);
    let mut server = harbor.server("server", Site::new().place("/whole/", "max_ranges 0;"));
    harbor.exact(&[server.url("/whole/disk.raw")]);
    let log = server.finish();
    assert_eq!(log.with_status(206), 0, "{:?}", log.summary());
    assert!(log.bytes() <= IMAGE.size + ON_THE_WAY, "{} bytes: {:?}", log.bytes(), log.summary());
}

pub(super) fn without_etag(world: &World) {
    let harbor = Harbor::new(world);
    let site = Site::new().place("/nothing/", "etag off; add_header Last-Modified '';").place("/date/", "etag off;");
    let mut server = harbor.server("server", site);
    for place in ["/nothing/", "/date/"] {
        harbor.exact(&[server.url(&format!("{place}disk.raw"))]);
    }
    let log = server.finish();
    assert!(log.again() <= IMAGE.size + 2 * ON_THE_WAY, "{} bytes: {:?}", log.bytes(), log.summary());
}

pub(super) fn redirects(world: &World) {
    let harbor = Harbor::new(world);
    let mut target = harbor.server("target", Site::new());
    let site = Site::new()
        .place("/near/", "return 302 /disk.raw;")
        .place("/far/", &format!("return 307 {};", target.url("/disk.raw")))
        .place("/round/", "return 302 /round/;")
        .place("/onward/", "return 302 $uri/on;")
        .place("/out/", "return 302 file:///etc/passwd;");
    let mut server = harbor.server("server", site);
    harbor.exact(&[server.url("/near/")]);
    harbor.exact(&[server.url("/far/")]);
    for place in ["/round/", "/onward/", "/out/"] {
        harbor.fails(&[server.url(place)], "denied", "redirect-refused");
    }
    let log = target.finish();
    assert!(log.bytes() >= IMAGE.size && log.again() <= ON_THE_WAY, "{:?}", log.summary());
    // As many as the configuration allows, by default.
    let log = server.finish();
    assert_eq!(log.of("/onward/").requests().len(), 1 + 5, "{:?}", log.of("/onward/").summary());
}

/// Each error has its kind, and the next location takes over.
pub(super) fn errors(world: &World) {
    let harbor = Harbor::new(world);
    let table =
        [(400, "invalid"), (401, "denied"), (403, "denied"), (404, "not-found"), (410, "not-found"), (418, "invalid")];
    let passing = [408, 425, 500, 502, 503, 504];
    let site = table.iter().map(|(status, _)| *status).chain(passing).fold(Site::new(), |site, status| {
        site.place(&format!("/{status}/"), &format!("return {status} 'nothing but words';"))
    });
    let mut server = harbor.server("server", site);
    let of = |server: &Nginx, status: u16| server.url(&format!("/{status}/disk.raw"));
    for (status, kind) in table {
        harbor.fails(&[of(&server, status)], kind, &format!("http-{status}"));
    }
    let good = server.url("/disk.raw");
    let all: Vec<u16> = table.iter().map(|(status, _)| *status).chain(passing).collect();
    let mut urls: Vec<String> = all.iter().map(|&status| of(&server, status)).collect();
    urls.push(good);
    let answer = harbor.exact(&urls);
    for (status, url) in all.iter().zip(&urls) {
        let expected = Some(format!("http-{status}"));
        let found = codes(&answer, url);
        assert!(!found.is_empty() && found.iter().all(|code| *code == expected), "{status}: {found:?}: {answer:#?}");
    }
    let log = server.finish();
    assert!(log.bytes() <= IMAGE.size + ON_THE_WAY, "{:?}", log.summary());
}
