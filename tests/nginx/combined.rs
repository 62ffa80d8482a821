//! Two servers at the same time.

use serde_json::{Value, json};

use crate::support::nginx::{Nginx, Site};
use crate::support::seeded::Content;
use crate::support::world::World;

use super::harbor::{Harbor, MIB, ON_THE_WAY, replace};

const IMAGE: Content = Content::new(12 * MIB + 4321, 33);
const SLOW: &str = "limit_rate 2m;";

struct Two<'w> {
    harbor: Harbor<'w>,
    servers: [Nginx; 2],
}

impl<'w> Two<'w> {
    fn new(world: &'w World) -> Self {
        let harbor = Harbor::with(world, IMAGE);
        let stores = ["one", "two"].map(|id| format!("[[store]]\nid = {id:?}\ntype = \"http\"\ncombine = true\n"));
        harbor.configure("", &format!("[limits]\nconnections_per_origin = 2\n{}", stores.concat()));
        let servers = ["one", "two"].map(|name| harbor.server(name, Site::new().place("/slow/", SLOW)));
        Self { harbor, servers }
    }

    fn urls(&self) -> [String; 2] {
        self.servers.each_ref().map(|server| server.url("/slow/disk.raw"))
    }

    fn record(&self) -> Value {
        let mut record = IMAGE.record(&self.urls());
        for (number, store) in ["one", "two"].into_iter().enumerate() {
            record["locations"][number]["metadata"] = json!({ "store": store });
        }
        record
    }
}

/// Each of them serves a good part.
pub(super) fn honest(world: &World) {
    let mut two = Two::new(world);
    let answer = two.harbor.place_record(&two.record()).run();
    two.harbor.arrived(&answer);
    let logs = two.servers.each_mut().map(Nginx::finish);
    let served = logs.each_ref().map(|log| log.bytes());
    assert!(served.iter().all(|&bytes| bytes >= IMAGE.size / 5), "{served:?}: {answer:#?}");
    assert!(served[0] + served[1] <= IMAGE.size + 4 * ON_THE_WAY, "{served:?}: {answer:#?}");
    let mut from: Vec<_> = answer.document()["locations"].as_array().unwrap().clone();
    from.sort_by_key(Value::to_string);
    let mut both: Vec<Value> = two.urls().map(Value::from).into();
    both.sort_by_key(Value::to_string);
    assert_eq!(from, both, "{answer:#?}");
}

/// The image is exact in spite of the liar, whose name is told, and the honest one's is not.
pub(super) fn liar(world: &World) {
    let mut two = Two::new(world);
    let mut bytes = IMAGE.bytes();
    for at in (77..bytes.len()).step_by(MIB as usize) {
        bytes[at] ^= 1;
    }
    replace(&two.servers[1].file("disk.raw"), &bytes);
    let answer = two.harbor.place_record(&two.record()).run();
    two.harbor.arrived(&answer);
    let [honest, liar] = two.urls();
    // The attempts with one location alone; before them, both together failed.
    let attempts = answer.document()["attempts"].as_array().unwrap();
    let alone = |url: &str| -> Vec<&Value> {
        attempts.iter().filter(|tried| tried["locations"] == json!([url])).map(|tried| &tried["code"]).collect()
    };
    assert_eq!(attempts[0]["code"], "digest-mismatch", "{answer:#?}");
    let named = alone(&liar);
    assert!(
        !named.is_empty()
            && named.iter().all(|code| ["digest-mismatch", "wrong-bytes"].contains(&code.as_str().unwrap_or("none"))),
        "{answer:#?}"
    );
    assert!(alone(&honest).iter().all(|code| code.is_null()), "{answer:#?}");
    let from = answer.document()["locations"].as_array().unwrap();
    assert_eq!(from, &[json!(honest)], "{answer:#?}");
    let served = two.servers.each_mut().map(|server| server.finish().bytes());
    assert!(served[1] >= MIB, "it lied at all: {served:?}");
}
