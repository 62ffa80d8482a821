//! Several connections to one server: as many as are allowed, fewer where it refuses them, and exact bytes over all.

use super::lies::ALLOWED;
use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Lie};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

/// Long enough to be worth several connections to a server that takes its time.
const IMAGE: Content = Content::new((12 << 20) + 777, 41);

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new("http::several_connections", several)]
}

fn several(world: &World) {
    for (lie, allowed) in
        [(Lie::Leisurely, 1), (Lie::Leisurely, 4), (Lie::OneAtOnceElse503, 4), (Lie::OneAtOnceElseCloses, 4)]
    {
        let sandbox = Sandbox::on(world, Fs::Temp);
        sandbox.configure("", &format!("{ALLOWED}[limits]\nconnections_per_origin = {allowed}\n"));
        let server = FaultServer::lying(IMAGE, lie);
        let path = sandbox.record("image.json", &IMAGE.record(&[server.url("/disk.raw")]));
        let answer = sandbox.place(path, "disk").run();
        answer.success();
        IMAGE.assert_at(&sandbox.out("disk"));
        sandbox.only(&["disk"]);
        let counts = server.counts();
        let (served, again) = (counts.served().bytes(), counts.served().again());
        if allowed == 1 {
            assert!(counts.requests.iter().all(|request| request.connection == 1), "{lie:?}");
            assert_eq!((served, again), (IMAGE.size, 0), "{lie:?}");
        } else {
            assert!((2..=allowed + 1).contains(&counts.at_once), "{lie:?}: {} at once", counts.at_once);
            // What is given to another connection in mid-range may be on its way already.
            assert!(again <= IMAGE.size / 2, "{lie:?}: {again} bytes again in {} requests", counts.requests.len());
        }
        assert!(counts.requests.len() <= 40, "{lie:?}: {} requests", counts.requests.len());
    }
}
