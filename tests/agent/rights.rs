//! Who may ask for what: two users, and what one of them must not get by way of the other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::Agent;
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

/// Users without any rights of their own; the second is in no rule for the catalog `private`.
const OWNER: u32 = 61_001;
const OTHER: u32 = 61_002;
/// In no rule at all.
const STRANGER: u32 = 61_003;
/// May bring records along.
const TRUSTED: u32 = 61_004;
const NEEDS: [Need; 2] = [Need::Root, Need::Program("python3")];
const IMAGE: Content = Content::new(2 << 20, 77);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("agent::an_image_is_for_those_who_may_see_it", private_image).needs(&NEEDS),
        Case::new("agent::placements_are_their_callers", placements).needs(&NEEDS).mode_independent(),
        Case::new("agent::targets_are_opened_with_the_callers_rights", targets).needs(&NEEDS).mode_independent(),
        Case::new("agent::records_are_for_trusted_callers", records).needs(&NEEDS).mode_independent(),
        Case::new("agent::strangers_are_refused", strangers).needs(&NEEDS).mode_independent(),
    ]
}

/// Two users, each with a directory of its own, and two catalogs.
struct Users<'w> {
    sandbox: Sandbox<'w>,
}

impl<'w> Users<'w> {
    fn new(world: &'w World, more: &str) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let private = sandbox.home("private");
        fs::create_dir_all(&private).unwrap();
        fs::create_dir_all(sandbox.home("records")).unwrap();
        let rule = |uid: u32, catalogs: &str, more: &str| {
            let targets = sandbox.out_dir();
            format!("[[agent.caller]]\nuids = [{uid}]\ncatalogs = [{catalogs}]\ntargets = [{targets:?}]\n{more}\n")
        };
        let tables = [
            format!("[catalog.private]\ntype = \"directory\"\npath = {private:?}\n"),
            rule(OWNER, "\"private\", \"images\"", ""),
            rule(OTHER, "\"images\"", ""),
            rule(TRUSTED, "", "trusted = true"),
        ];
        configure(&sandbox, more, &tables.concat());
        // The way to the socket and the targets is open to all, what is there is not.
        let home = sandbox.home("x").parent().unwrap().to_owned();
        fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
        for uid in [OWNER, OTHER, STRANGER, TRUSTED] {
            let directory = sandbox.out(&uid.to_string());
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
            chown(&directory, Some(uid), Some(uid)).unwrap();
        }
        Self { sandbox }
    }

    fn target(&self, uid: u32, name: &str) -> PathBuf {
        self.sandbox.out(&format!("{uid}/{name}"))
    }

    /// Asks as a user; gives the answer.
    fn post(&self, agent: &Agent, uid: u32, what: &str, request: &Value) -> Value {
        agent.caller(&self.sandbox, Some(uid), what, &request.to_string(), 1).finish()
    }

    #[track_caller]
    fn denied(&self, agent: &Agent, uid: u32, what: &str, request: &Value) -> Value {
        let answer = self.post(agent, uid, what, request);
        assert_eq!((&answer["ok"], &answer["error"]["kind"]), (&json!(false), &json!("denied")), "{answer:#}");
        assert_eq!(answer["error"]["retry"], "no", "{answer:#}");
        answer["error"].clone()
    }
}

/// The image of one catalog, that only one of two users may ask: the other one gets it in no way, while the first one's is
/// moved, when it is held, and when it is placed.
fn private_image(world: &World) {
    let users = Users::new(world, "");
    let server = FaultServer::honest(IMAGE);
    add_image(&users.sandbox, "secret", IMAGE, &server);
    fs::rename(users.sandbox.home("records/secret.json"), users.sandbox.home("private/secret.json")).unwrap();
    let record: Value = serde_json::from_slice(&fs::read(users.sandbox.home("private/secret.json")).unwrap()).unwrap();
    server.hold_after(1 << 20);
    let mut agent = Agent::start(&users.sandbox);
    let mine = json!({ "image": { "id": "secret" }, "to": users.target(OWNER, "disk"), "wait": false });
    let job = users.post(&agent, OWNER, "place", &mine);
    let job = job["job"].as_str().unwrap().to_owned();
    agent.until("it is being moved", || agent.job(&job)["progress"]["stage"] == "moving");

    let theirs = users.target(OTHER, "disk");
    let tries = |agent: &Agent| {
        let url = record["locations"][0]["url"].as_str().unwrap();
        let hash = format!("sha256:{}", record["os_hash_value"].as_str().unwrap());
        let ways = [
            ("place", json!({ "image": { "id": "secret" }, "to": theirs })),
            ("place", json!({ "image": { "id": "secret", "catalog": "private" }, "to": theirs })),
            ("place", json!({ "image": { "id": "secret", "token": "guessed" }, "to": theirs })),
            // Who knows the digest, or all of the record, has no more right to the bytes.
            ("place", json!({ "image": { "record": record }, "to": theirs })),
            ("place", json!({ "image": { "url": url, "hash": hash }, "to": theirs })),
            ("place", json!({ "group": [{ "name": "a", "image": { "id": "secret" } }], "to_dir": theirs })),
            ("plan", json!({ "image": { "id": "secret" }, "to": theirs })),
            // The other's target, and what is there.
            ("place", json!({ "image": { "id": "open" }, "to": users.target(OWNER, "disk") })),
            ("place", json!({ "image": { "id": "open" }, "to": users.target(OWNER, "disk"), "replace": true })),
            ("remove", json!({ "path": users.target(OWNER, "disk") })),
            ("move", json!({ "from": users.target(OWNER, "disk"), "to": theirs })),
        ];
        for (what, request) in &ways {
            users.denied(agent, OTHER, what, request);
        }
        for path in
            [format!("/v0/jobs/{job}"), format!("/v0/jobs/{job}/events"), "/v0/jobs/0000000000000000".to_owned()]
        {
            let (kind, code) = agent.caller(&users.sandbox, Some(OTHER), "get", &path, 1).refused();
            assert_eq!((&*kind, &*code), ("not-found", "no-such-job"), "{path}");
        }
        for (path, list) in
            [("/v0/jobs", "jobs"), ("/v0/placements", "placements"), ("/v0/history?most=100", "entries")]
        {
            let listed = agent.caller(&users.sandbox, Some(OTHER), "get", path, 1).finish();
            let seen: Vec<&Value> =
                listed[list].as_array().unwrap().iter().filter(|one| is_about(one, "secret")).collect();
            // What it asked for itself it may know of.
            assert!(seen.iter().all(|one| one["caller"] == OTHER), "{path}: {seen:#?}");
        }
        assert_eq!(fs::read_dir(users.sandbox.out(&OTHER.to_string())).unwrap().count(), 0);
        ways.len()
    };
    add_image(&users.sandbox, "open", IMAGE, &server);
    assert_eq!(tries(&agent), 11);
    let cancel = agent.caller(&users.sandbox, Some(OTHER), "events", &job, 1).refused();
    assert_eq!(cancel, ("not-found".to_owned(), "no-such-job".to_owned()));
    server.go_on();
    assert_eq!(agent.report(&job)["ok"], true);
    assert_eq!(IMAGE.fault_of(&users.target(OWNER, "disk")), None);
    let metadata = fs::metadata(users.target(OWNER, "disk")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (OWNER, OWNER, 0o600));
    // Its bytes are held, and it stands in the ledger.
    assert_eq!(agent.metric("landfall_held_images"), 1);
    assert_eq!(tries(&agent), 11);
    assert_eq!(server.counts().sent_content(), IMAGE.size, "nobody had it moved again");
    // The control: what is denied to one is given to the other in the same way.
    let again = json!({ "image": { "id": "secret" }, "to": users.target(OWNER, "more") });
    assert_eq!(users.post(&agent, OWNER, "place", &again)["ok"], true);
    let open = json!({ "image": { "id": "open" }, "to": theirs });
    assert_eq!(users.post(&agent, OTHER, "place", &open)["ok"], true);
    fs::remove_file(&theirs).unwrap();
    assert_eq!(agent.stop(), 0);
}

fn is_about(document: &Value, image: &str) -> bool {
    document.to_string().contains(&format!("\"{image}\""))
}

fn placements(world: &World) {
    let users = Users::new(world, "");
    let source = users.sandbox.store("a.raw");
    crate::support::disk::noisy_file(&source, 1 << 20, 5);
    let mut record = record_of(&source);
    record["id"] = "a".into();
    fs::write(users.sandbox.home("records/a.json"), record.to_string()).unwrap();
    let agent = Agent::start(&users.sandbox);
    for uid in [OWNER, OTHER] {
        let request = json!({ "image": { "id": "a" }, "to": users.target(uid, "disk") });
        assert_eq!(users.post(&agent, uid, "place", &request)["ok"], true);
    }
    // Each sees its own, root both.
    for uid in [OWNER, OTHER] {
        let listed = agent.caller(&users.sandbox, Some(uid), "get", "/v0/placements", 1).finish();
        let paths: Vec<_> = listed["placements"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
        assert_eq!(paths, [json!(users.target(uid, "disk"))]);
        let history = agent.caller(&users.sandbox, Some(uid), "get", "/v0/history", 1).finish();
        assert_eq!(history["entries"].as_array().unwrap().len(), 1);
    }
    assert_eq!(agent.ask("GET", "/v0/placements", None).document["placements"].as_array().unwrap().len(), 2);
    // In a directory that both may write, the other's is not theirs to take away or to replace.
    let shared = users.sandbox.out("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let disk = shared.join("disk");
    let request = json!({ "image": { "id": "a" }, "to": disk });
    assert_eq!(users.post(&agent, OWNER, "place", &request)["ok"], true);
    users.denied(&agent, OTHER, "remove", &json!({ "path": disk }));
    users.denied(&agent, OTHER, "move", &json!({ "from": disk, "to": users.target(OTHER, "stolen") }));
    users.denied(&agent, OTHER, "place", &json!({ "image": { "id": "a" }, "to": disk, "replace": true }));
    assert!(disk.exists());
    // Who may bring no record has nothing to say that is long.
    let long = json!({ "image": { "id": "a".repeat(100 << 10) }, "to": users.target(OTHER, "long") });
    assert_eq!(users.post(&agent, OTHER, "place", &long)["error"]["code"], "request-bytes");
    // One's own goes where one wants it.
    let moved = json!({ "from": disk, "to": users.target(OWNER, "moved") });
    assert_eq!(users.post(&agent, OWNER, "move", &moved)["ok"], true);
    let removed = users.post(&agent, OWNER, "remove", &json!({ "path": users.target(OWNER, "moved") }));
    assert_eq!(removed["ok"], true, "{removed:#}");
    // Not into the other's directory, nor out of what is its own.
    let away = json!({ "from": users.target(OWNER, "disk"), "to": users.target(OTHER, "gift") });
    users.denied(&agent, OWNER, "move", &away);
}

fn targets(world: &World) {
    let users = Users::new(world, "");
    let source = users.sandbox.store("a.raw");
    crate::support::disk::noisy_file(&source, 1 << 20, 5);
    let mut record = record_of(&source);
    record["id"] = "a".into();
    fs::write(users.sandbox.home("records/a.json"), record.to_string()).unwrap();
    let agent = Agent::start(&users.sandbox);
    let place = |target: &Path, more: Value| {
        let mut request = json!({ "image": { "id": "a" }, "to": target });
        for (key, value) in more.as_object().unwrap() {
            request[key] = value.clone();
        }
        request
    };
    let own = users.sandbox.out(&OWNER.to_string());
    std::os::unix::fs::symlink(users.sandbox.out(&OTHER.to_string()), own.join("link")).unwrap();
    std::os::unix::fs::symlink(users.sandbox.home("x").parent().unwrap(), own.join("home")).unwrap();
    fs::create_dir(users.sandbox.out("closed")).unwrap();
    fs::create_dir(users.sandbox.home("outside")).unwrap();
    fs::set_permissions(users.sandbox.home("outside"), fs::Permissions::from_mode(0o777)).unwrap();
    let bad = [
        // Not theirs to write, by themselves or through a link.
        (users.sandbox.out("disk"), "eacces"),
        (users.sandbox.out("closed/disk"), "eacces"),
        (users.target(OTHER, "disk"), "eacces"),
        (own.join("link/disk"), "eacces"),
        // Theirs to write, and outside of what the operator gave them.
        (users.sandbox.home("outside/disk"), "target-outside"),
        (own.join("home/outside/disk"), "target-outside"),
        (own.join("../../").join(users.sandbox.home("outside").strip_prefix("/").unwrap()).join("disk"), "any"),
        (PathBuf::from("/etc/landfall-disk"), "any"),
    ];
    for (target, code) in &bad {
        let answer = users.post(&agent, OWNER, "place", &place(target, json!({})));
        let error = &answer["error"];
        assert!(error["kind"] == "denied" || error["code"] == "target-directory", "{}: {answer:#}", target.display());
        if *code != "any" {
            assert_eq!(error["code"], *code, "{}", target.display());
        }
        assert!(!target.exists());
    }
    // Another owner than oneself, and an image without a digest.
    for more in [json!({ "owner": [0, 0] }), json!({ "owner": [OTHER, OTHER] }), json!({ "allow_unhashed": true })] {
        let error = users.denied(&agent, OWNER, "place", &place(&own.join("disk"), more));
        assert_eq!(error["code"], "not-trusted");
    }
    // The control: one's own directory, oneself named as the owner; and root anywhere, for anybody.
    let good = users.post(&agent, OWNER, "place", &place(&own.join("disk"), json!({ "owner": [OWNER, OWNER] })));
    assert_eq!(good["ok"], true, "{good:#}");
    let by_root = agent.place(&place(&users.sandbox.out("closed/disk"), json!({ "owner": [OTHER, OTHER] })));
    assert_eq!(by_root.status, 200, "{:#}", by_root.document);
    assert_eq!(fs::metadata(users.sandbox.out("closed/disk")).unwrap().uid(), OTHER);
}

fn records(world: &World) {
    let users = Users::new(world, "");
    let source = users.sandbox.store("a.raw");
    crate::support::disk::noisy_file(&source, 1 << 20, 5);
    let record = record_of(&source);
    let secret = users.sandbox.home("secret.raw");
    crate::support::disk::noisy_file(&secret, 1 << 20, 6);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let outside = record_of(&secret);
    let agent = Agent::start(&users.sandbox);
    let target = users.target(TRUSTED, "disk");
    let request = |image: Value| json!({ "image": image, "to": target });
    // A trusted caller's record leads into stores, and nowhere else; nor does its URL.
    let home = users.sandbox.home("x").parent().unwrap().to_owned();
    users.denied(&agent, TRUSTED, "place", &request(json!({ "record": record, "record_directory": home })));
    for image in [json!({ "record": outside }), json!({ "url": format!("file://{}", secret.display()) })] {
        let answer = users.post(&agent, TRUSTED, "place", &request(image));
        assert_eq!(answer["ok"], false, "{answer:#}");
        assert!(!target.exists());
    }
    let placed = users.post(&agent, TRUSTED, "place", &request(json!({ "record": record })));
    assert_eq!(placed["ok"], true, "{placed:#}");
    // Root may name what it could read anyway.
    let by_root =
        json!({ "image": { "record": outside, "record_directory": home }, "to": users.sandbox.out("root-disk") });
    assert_eq!(agent.place(&by_root).status, 200);
}

fn strangers(world: &World) {
    let users = Users::new(world, "");
    let agent = Agent::start(&users.sandbox);
    let health = agent.caller(&users.sandbox, Some(STRANGER), "get", "/v0/health", 1).finish();
    assert_eq!(health["ok"], true);
    let paths = ["/v0/jobs", "/v0/placements", "/v0/history", "/v0/handlers", "/metrics", "/v0/jobs/x"];
    for path in paths {
        let (kind, code) = agent.caller(&users.sandbox, Some(STRANGER), "get", path, 1).refused();
        assert_eq!((&*kind, &*code), ("denied", "caller"), "{path}");
    }
    let target = users.target(STRANGER, "disk");
    let requests = [
        ("place", json!({ "image": { "id": "a" }, "to": target })),
        ("plan", json!({ "image": { "id": "a" }, "to": target })),
        ("remove", json!({ "path": target })),
        ("move", json!({ "from": target, "to": users.target(STRANGER, "other") })),
    ];
    for (what, request) in requests {
        assert_eq!(users.denied(&agent, STRANGER, what, &request)["code"], "caller", "{what}");
    }
}
