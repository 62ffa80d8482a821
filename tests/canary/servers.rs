//! Who gets a secret: the server that it is for, and no other.

use std::fs;

use crate::support::nginx::{Nginx, Site};
use crate::support::world::World;

use super::aviary::{Aviary, IMAGE};

/// The canaries that the server saw.
fn seen(aviary: &Aviary<'_>, server: &mut Nginx) -> Vec<&'static str> {
    let log = server.finish();
    let text: String = log.requests().iter().map(|request| request.text.as_str()).collect();
    aviary.search.held(text.as_bytes())
}

pub(super) fn success(world: &World) {
    let aviary = Aviary::new(world);
    let mut server = aviary.server("server", Site::new().tls("mutual", aviary.certificates.mutual("good")));
    for url in [server.url("/disk.raw"), server.tls_url("mutual", "/disk.raw")] {
        let record = aviary.record(&aviary.secret(&url));
        for answer in aviary.run_all_ways("success", &record) {
            answer.success();
        }
    }
    let answer = aviary.place(aviary.record(&aviary.secret(&server.url("/disk.raw")))).run();
    answer.success();
    IMAGE.assert_at(&aviary.sandbox.out("disk"));
    aviary.assert_clean("success", &answer);
    aviary.ask_everything();
    // It got what was for it, and so had to be known to the handler; a fragment is for no server.
    assert_eq!(seen(&aviary, &mut server), ["X-Amz-Signature", "password", "temp_url_sig"]);
}

pub(super) fn redirected(world: &World) {
    let aviary = Aviary::new(world);
    let mut other = aviary.server("other", Site::new());
    let signature = aviary.canary("redirect signature").quoted();
    let away = format!("return 302 {}?X-Amz-Signature={signature};", other.url("/disk.raw"));
    // On another origin of the same host, by port, and back.
    let mut server =
        aviary.server("server", Site::new().place("/moved/", &away).place("/near/", "return 302 /disk.raw;"));
    for place in ["/moved/", "/near/"] {
        let record = aviary.record(&aviary.secret(&server.url(place)));
        for answer in aviary.run_all_ways(place, &record) {
            answer.success();
        }
    }
    aviary.ask_everything();
    assert_eq!(seen(&aviary, &mut other), ["redirect signature"], "what the other origin saw");
    assert_eq!(
        seen(&aviary, &mut server),
        ["X-Amz-Signature", "password", "temp_url_sig"],
        "what the first origin saw"
    );
}

/// A server is a good enough proxy: asked for the URL of another host, it answers with its own file.
pub(super) fn proxied(world: &World) {
    let aviary = Aviary::new(world);
    let mut proxy = aviary.server("proxy", Site::new());
    let mut server = aviary.server("server", Site::new());
    let password = aviary.canary("proxy password").quoted();
    aviary.configure(&format!("proxy = \"http://user:{password}@{}\"", proxy.address()), "");
    let record = aviary.record(&server.url("/disk.raw"));
    for answer in aviary.run_all_ways("proxy", &record) {
        answer.success();
    }
    aviary.ask_everything();
    // A proxy that is not there.
    proxy.kill();
    for answer in aviary.run_all_ways("no proxy", &record).into_iter().skip(2) {
        assert_ne!(answer.status, 0, "{answer:#?}");
    }
    assert_eq!(aviary.search.held(&fs::read(proxy.dir().join("access")).unwrap()), ["proxy password"]);
    assert_eq!(seen(&aviary, &mut server), [""; 0], "it was gone round");
}
