//! What nobody logs in for: public containers, and URLs that are signed.

use std::time::Duration;

use crate::support::openstack::{Digest, Group};
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, MIB, ON_THE_WAY, container, put_as, stored};
use super::gateway::{Gateway, Manner};

const HOUR: Duration = Duration::from_secs(3600);

/// Anonymously, from a record and from a URL on the command line.
pub(super) fn public(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    for form in Form::ALL {
        // No operator's list says which containers anybody may read.
        let container = account.container("public");
        let url = stored(&account, &put_as(&account, &container, IMAGE, form));
        depot.fails(&url, "denied", "http-401");
        // Of a dynamic one the segments are looked for.
        account.allow(&container, if form == Form::Dynamic { ".r:*,.rlistings" } else { ".r:*" });
        depot.exact(IMAGE, &url);
        // Who calls may name whatever there is.
        depot.sandbox.configure("", "");
        let hash = format!("sha256:{}", IMAGE.sha256());
        depot.arrived(IMAGE, &depot.sandbox.place(&url, "disk").args(["--hash", &hash]).run());
        depot.configure("", "");
    }
}

/// With the operator's key, of the container or account, where it holds and nowhere else.
pub(super) fn operators_key(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let containers = [container(&account, "signed"), account.container("unlisted")];
    let key = "t3mp url/k&y";
    for container in &containers {
        account.set_key(container, key);
    }
    let mut gateway = Gateway::start(&depot, "gateway", &account.url, Manner::Open);
    let by_gateway = gateway.account(&account);
    for (number, form) in Form::ALL.into_iter().enumerate() {
        let container = &containers[0];
        let object = put_as(&account, container, IMAGE, form);
        let url = stored(&by_gateway, &object);
        let file = depot.secret_file("temp-url-key", &format!("{key}\n"));
        let storage = format!("temp_url_storage = [\"{}\"]", by_gateway.url);
        for digest in ["sha1", "sha256", "sha512"] {
            let digest = format!("temp_url_digest = \"{digest}\"");
            depot.configure(&format!("temp_url_key = \"{key}\"\n{storage}\n{digest}"), "");
            depot.exact(IMAGE, &url);
            depot.configure(&format!("temp_url_key_file = {file:?}\n{storage}\n{digest}"), "");
            depot.exact(IMAGE, &url);
        }
        if number == 0 {
            depot.configure(&format!("temp_url_key = \"wrong\"\n{storage}"), "");
            depot.fails(&url, "denied", "http-401");
            // The same object by a URL that the key is not for, and in a container that is not the operator's to lend.
            depot.configure(&format!("temp_url_key = \"{key}\"\n{storage}"), "");
            depot.fails(&stored(&account, &object), "denied", "http-401");
            let unlisted = stored(&by_gateway, &put_as(&account, &containers[1], IMAGE, form));
            depot.fails(&unlisted, "denied", "container-not-allowed");
            depot.configure(&format!("temp_url_key = \"{key}\"\n{storage}\ncontainers = [\"unlisted*\"]"), "");
            depot.exact(IMAGE, &unlisted);
        }
    }
    // A signature is for one object: of large ones, the proxy puts the segments together.
    let log = gateway.finish();
    let segments = log.of(&format!("/v1/AUTH_vault/{}/segments", containers[0]));
    assert!(segments.requests().is_empty(), "{:?}", segments.summary());
    assert!(log.bytes() >= 19 * (IMAGE.size - MIB - ON_THE_WAY), "{:?}", log.summary());
}

/// Whole TempURLs are for the handler `http`.
pub(super) fn temporary_urls(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    for form in Form::ALL {
        let container = account.container("temporary");
        account.set_key(&container, "key");
        let object = put_as(&account, &container, IMAGE, form);
        for digest in [Digest::Sha1, Digest::Sha256] {
            depot.exact(IMAGE, &account.temporary_url(&object, "key", digest, HOUR));
        }
        let forged = account.temporary_url(&object, "another", Digest::Sha256, HOUR);
        depot.fails(&forged, "denied", "http-401");
        // A query makes no Swift location.
        let signed = account.temporary_url(&object, "key", Digest::Sha256, HOUR);
        depot.fails(&format!("swift+{signed}"), "invalid", "bad-url");
    }
}
