//! Where requests go, and what they carry: whose word leads to this machine itself, and who gets to see credentials.

use crate::support::answer::{Answer, CANARY};
use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Lie, Site, To};
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

use super::lies::{IMAGE, ONE};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("http::loopback_is_the_callers_to_name", loopback),
        Case::new("http::redirects_from_a_callers_url", redirects),
        Case::new("http::credentials_stay_with_their_origin", credentials),
        Case::new("http::an_expired_redirect_is_asked_for_anew", expired),
        Case::new("http::every_way_to_write_loopback", spellings),
    ]
}

const ANY: &str = "[handler.http]\nallow_addresses = [\"loopback\"]\n[limits]\nconnections_per_origin = 1\n";

/// `landfall place URL`, as a person gives it.
fn by_caller(sandbox: &Sandbox<'_>, url: &str) -> Answer {
    let hash = format!("sha256:{}", IMAGE.sha256());
    sandbox.place(url, "disk").args(["--hash", &hash]).run()
}

fn by_record(sandbox: &Sandbox<'_>, url: &str) -> Answer {
    let path = sandbox.record("image.json", &IMAGE.record(&[url.to_owned()]));
    sandbox.place(path, "disk").run()
}

#[track_caller]
fn placed(sandbox: &Sandbox<'_>, answer: &Answer) {
    answer.success();
    IMAGE.assert_at(&sandbox.out("disk"));
    std::fs::remove_file(sandbox.out("disk")).unwrap();
}

fn loopback(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let server = FaultServer::honest(IMAGE);
    let url = server.url("/disk.raw");
    placed(&sandbox, &by_caller(&sandbox, &url));
    let (asked, connected) = (server.counts().requests.len(), server.counts().connections);
    // The same in a record, which somebody else may have written: nothing is even asked.
    by_record(&sandbox, &url).failure("denied", "address-refused", "location");
    assert_eq!((server.counts().requests.len(), server.counts().connections), (asked, connected));
    sandbox.only(&[]);
    for allowed in ["\"loopback\"", "\"127.0.0.1\"", "\"127.0.0.0/8\"", "\"10.0.0.0/8\", \"127.0.0.1/32\""] {
        sandbox.configure("", &format!("[handler.http]\nallow_addresses = [{allowed}]\n"));
        placed(&sandbox, &by_record(&sandbox, &url));
    }
    let asked = server.counts().requests.len();
    for others in ["\"127.0.0.2\"", "\"metadata\", \"link-local\"", "\"10.0.0.0/8\"", "\"::1\""] {
        sandbox.configure("", &format!("[handler.http]\nallow_addresses = [{others}]\n"));
        by_record(&sandbox, &url).failure("denied", "address-refused", "location");
    }
    assert_eq!(server.counts().requests.len(), asked);
    sandbox.only(&[]);
}

/// However loopback is written in a record, it is refused and nobody is asked.
fn spellings(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let server = FaultServer::honest(IMAGE);
    let port = server.authority().rsplit(':').next().unwrap().to_owned();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "0.0.0.0",
        "0",
        "[::]",
        "[::1]",
        "[2002:7f00:1::]",
        "%31%32%37.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "\u{2460}27.0.0.1",
    ];
    let mut wrongs = Vec::new();
    for host in hosts {
        let answer = by_record(&sandbox, &format!("http://{host}:{port}/disk.raw"));
        let error = &answer.document()["error"];
        if error["kind"] != "denied" || error["code"] != "address-refused" {
            wrongs.push(format!("{host}: {error}"));
        }
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    assert_eq!(server.counts().connections, 0);
    sandbox.only(&[]);
    // Some of them are this server, where they are allowed.
    sandbox.configure("", ANY);
    for host in ["localhost", "2130706433", "0x7f000001", "127.1"] {
        placed(&sandbox, &by_record(&sandbox, &format!("http://{host}:{port}/disk.raw")));
    }
}

/// The caller's word is for one origin. It goes along within it, and not to another.
fn redirects(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let other = FaultServer::start_on([127, 0, 0, 2].into(), Site::new(IMAGE));
    let mut tried = 0;
    for to in To::ALL {
        let server = FaultServer::start(Site::new(IMAGE).lying(Lie::Redirect(to)).leads_to(&other.authority()));
        let answer = by_caller(&sandbox, &server.url("/disk.raw"));
        tried += 1;
        if matches!(to, To::ShortChain | To::Relative | To::Expiring) {
            placed(&sandbox, &answer);
        } else {
            answer.failure("denied", "redirect-refused", "location");
        }
        assert_eq!(names(sandbox.out_dir()), Vec::<String>::new());
        // Six answers at the most: five redirects are followed.
        assert!(server.counts().requests.len() <= 8, "{to:?}: {:#?}", server.counts().requests);
    }
    assert_eq!((tried, other.counts().connections), (To::ALL.len(), 0));
    // Where it is allowed, the other one is followed to.
    sandbox.configure("", ANY);
    let server = FaultServer::start(Site::new(IMAGE).lying(Lie::Redirect(To::Other)).leads_to(&other.authority()));
    for by in [by_caller, by_record] {
        placed(&sandbox, &by(&sandbox, &server.url("/disk.raw")));
    }
    assert_eq!(other.counts().served().bytes(), 2 * IMAGE.size);
}

/// A user and a password in a location are sent to its origin, and to nobody else.
fn credentials(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.configure("", ANY);
    let with = |url: &str| url.replacen("http://", &format!("http://user:{CANARY}@"), 1);
    let expected = "Basic dXNlcjpjNG40cnktUzNjcmV0";
    let honest = FaultServer::honest(IMAGE);
    placed(&sandbox, &by_record(&sandbox, &with(&honest.url("/disk.raw"))));
    let counts = honest.counts();
    assert_eq!(counts.header("authorization"), vec![expected; counts.requests.len()]);

    let other = FaultServer::start_on([127, 0, 0, 2].into(), Site::new(IMAGE));
    // Another address, and another port of the same.
    let same_address = FaultServer::honest(IMAGE);
    for (to, other) in [(To::Other, &other), (To::Localhost, &same_address), (To::NoScheme, &same_address)] {
        let server = FaultServer::start(Site::new(IMAGE).lying(Lie::Redirect(to)).leads_to(&other.authority()));
        placed(&sandbox, &by_record(&sandbox, &with(&server.url("/disk.raw"))));
        assert_eq!(server.counts().header("authorization"), vec![expected; server.counts().requests.len()]);
        let counts = other.counts();
        assert!(counts.served().bytes() >= IMAGE.size, "{to:?}");
        assert!(counts.header("authorization").is_empty() && counts.header("referer").is_empty(), "{to:?}");
    }
    // Within the origin they go along.
    let server = FaultServer::lying(IMAGE, Lie::Redirect(To::ShortChain));
    placed(&sandbox, &by_record(&sandbox, &with(&server.url("/disk.raw"))));
    let counts = server.counts();
    assert_eq!(counts.header("authorization").len(), counts.requests.len());
    // What a redirect brings of its own is refused, and shown nowhere: each answer is searched by the runner.
    let server =
        FaultServer::start(Site::new(IMAGE).lying(Lie::Redirect(To::OtherWithUserinfo)).leads_to(&other.authority()));
    by_record(&sandbox, &server.url("/disk.raw")).failure("denied", "redirect-refused", "location");
    let found = crate::secrets::files_with_secret(sandbox.home("state").as_path());
    assert_eq!(found, Vec::<std::path::PathBuf>::new());
}

/// A signed URL that a redirect led to expires in mid-download: its redirect is asked once more, and gives another.
fn expired(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.configure("", ONE);
    let server = FaultServer::lying(IMAGE, Lie::Redirect(To::Expiring));
    placed(&sandbox, &by_caller(&sandbox, &server.url("/disk.raw")));
    let counts = server.counts();
    let paths: Vec<&str> = counts.requests.iter().map(|request| request.path.as_str()).collect();
    let (first, second) = ("/followed/first", "/followed/second");
    assert_eq!(paths, ["/disk.raw", first, first, first, "/disk.raw", second], "{:#?}", counts.requests);
    assert_eq!((counts.served().bytes(), counts.served().again()), (IMAGE.size, 0));
}
