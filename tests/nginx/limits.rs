//! Servers that bound what one client gets: bytes a second, connections, requests.

use crate::support::nginx::Site;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::harbor::{Harbor, IMAGE, MIB, ON_THE_WAY};

/// Where each connection gets little, many are used, each for a part of its own.
pub(super) fn rate(world: &World) {
    let harbor = Harbor::new(world);
    let mut server = harbor.server("server", Site::new().place("/slow/", "limit_rate 1m;"));
    harbor.exact(&[server.url("/slow/disk.raw")]);
    let log = server.finish();
    assert!(log.connections() >= 4, "{} connections: {:?}", log.connections(), log.summary());
    let most = u64::try_from(log.requests().len()).unwrap() * MIB / 4 + ON_THE_WAY;
    assert!(log.again() <= most, "{} bytes again: {:?}", log.again(), log.summary());
    assert!(log.bytes() >= IMAGE.size);
}

/// A server that serves two connections at once and refuses more: it is found out, and kept to. How soon more are tried is
/// measured by the agent, so it may take more than one download until it is.
pub(super) fn connections(world: &World) {
    let image = Content::new(12 * MIB, 34);
    let harbor = Harbor::with(world, image);
    let two = "limit_rate 1m; limit_conn connections 2; limit_conn_status 503;";
    let mut server = harbor.server("server", Site::new().place("/two/", two));
    let rounds = 5;
    for _ in 0..rounds {
        let answer = harbor.exact(&[server.url("/two/disk.raw")]);
        let attempts = answer.document()["attempts"].as_array().unwrap().len();
        assert_eq!(attempts, 1, "it was not given up: {answer:#?}");
        if server.so_far().with_status(503) > 0 {
            break;
        }
    }
    let log = server.finish();
    let refused = log.with_status(503);
    assert!((1..=32).contains(&refused), "it was asked for more than it has, and not for ever: {:?}", log.summary());
    assert!(log.connections() >= 2, "{:?}", log.summary());
}

/// A server that answers 429 and says when to come again is asked again, and not before.
pub(super) fn requests(world: &World) {
    let harbor = Harbor::new(world);
    let few = "limit_rate 4m; limit_req zone=requests; limit_req_status 429; add_header Retry-After 1 always;";
    let mut server = harbor.server("server", Site::new().place("/few/", few));
    let answer = harbor.exact(&[server.url("/few/disk.raw")]);
    let log = server.finish();
    let refused = log.with_status(429);
    assert!((1..=16).contains(&refused), "refused {refused} times: {:?}", log.summary());
    assert_eq!(answer.document()["attempts"].as_array().unwrap().len(), 1, "it was not given up: {answer:#?}");
}
