//! What Glance is asked, in which order: a real nginx in front of it keeps the list.

use serde_json::json;

use crate::support::nginx::{Nginx, Site as Server};
use crate::support::world::World;

use super::site::Site;

/// Glance by way of a server that writes down who asks for what.
struct Listener(Nginx);

impl Listener {
    fn start(site: &Site<'_>, name: &str) -> Self {
        let pass = format!("proxy_pass {}; proxy_http_version 1.1;", site.admin.url);
        Self(Nginx::start(&site.sandbox, name, Server::new().place("/", &pass)))
    }

    /// The key of a cloud that leads there.
    fn endpoint(&self) -> String {
        format!("endpoints = {{ image = {:?} }}", self.0.url(""))
    }

    /// Ends it; gives what was asked of an image, as what follows its id, and the statuses.
    fn heard(mut self, id: &str) -> Vec<(String, u16)> {
        let log = self.0.finish();
        let end = |uri: &str| uri.strip_prefix(&format!("/v2/images/{id}")).map(str::to_owned);
        log.requests().iter().map(|asked| (end(&asked.uri).expect("of this image"), asked.status)).collect()
    }
}

const CATALOG: &str = "[catalog.images]\ntype = \"glance\"\ncloud = \"caller\"\n";
const SERVICE: &str = "service_cloud = \"node\"\n";

/// The record with one login, then the locations with the other; the bytes only where no location gives them.
pub(crate) fn record_then_locations(world: &World) {
    let site = Site::new(world);
    let id = site.image("sw");
    let expected = |questions: &[&str]| -> Vec<(String, u16)> {
        questions.iter().map(|&question| (question.to_owned(), 200)).collect()
    };
    for (name, selection, handler, questions) in [
        ("direct", "", "swift", &["", "/locations"][..]),
        ("last", "handlers = [\"glance\"]\n", "glance", &["", "/locations", "/file"]),
    ] {
        let (caller, node) =
            (Listener::start(&site, &format!("{name}-caller")), Listener::start(&site, &format!("{name}-node")));
        let clouds = site.cloud("caller", "demo", &caller.endpoint()) + &site.cloud("node", "nova", &node.endpoint());
        site.configure(selection, &format!("{clouds}{CATALOG}{SERVICE}"));
        site.placed(&site.sandbox.place(&id, "disk").run(), "disk", handler);
        let (locations, others): (Vec<_>, Vec<_>) =
            expected(questions).into_iter().partition(|(question, _)| question == "/locations");
        assert_eq!((caller.heard(&id), node.heard(&id)), (others, locations), "{name}");
    }
}

/// Whoever may not see an image gets no answer of the service's login either: it is not even asked.
pub(crate) fn nothing_for_strangers(world: &World) {
    let site = Site::new(world);
    let id = site.private_image("demo");
    for (who, heard_of_caller, heard_of_node) in [
        ("other", vec![(String::new(), 404)], Vec::new()),
        ("demo", vec![(String::new(), 200)], vec![("/locations".to_owned(), 200)]),
    ] {
        let (caller, node) =
            (Listener::start(&site, &format!("{who}-caller")), Listener::start(&site, &format!("{who}-node")));
        let clouds = site.cloud("caller", who, &caller.endpoint()) + &site.cloud("node", "nova", &node.endpoint());
        site.configure("", &format!("{clouds}{CATALOG}{SERVICE}"));
        let answer = site.sandbox.place(&id, "disk").run();
        if who == "demo" {
            site.placed(&answer, "disk", "swift");
        } else {
            answer.failure("not-found", "image", "request");
            assert_eq!(answer.document()["attempts"], json!([]), "{answer:#?}");
        }
        assert_eq!((caller.heard(&id), node.heard(&id)), (heard_of_caller, heard_of_node), "{who}");
        site.sandbox.only(&[]);
    }
}
