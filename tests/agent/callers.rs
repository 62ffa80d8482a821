//! Callers that are slow, silent, half there, too many, or not making sense: each gets an answer or its end, and nobody else
//! notices.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::{Agent, Reply, ask, parse, raw};
use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Random};
use crate::support::mounts::Fs;
use crate::support::needs::{Need, fuzzer};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(2 << 20, 90);

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("agent::{name}"), run).mode_independent();
    vec![
        case("requests_that_make_no_sense", senseless),
        case("connections_that_are_no_http", no_http),
        case("callers_that_stop_halfway", halfway),
        case("requests_that_are_too_large", oversize),
        case("more_long_requests_than_there_may_be", crowds),
        case("more_connections_than_there_may_be", flood_of_connections),
        case("more_calls_than_there_may_be", flood_of_calls),
        case("callers_take_turns", turns).needs(&[Need::Root, Need::Program("python3")]),
        case("events_tell_how_a_job_goes", events),
        case("any_request_gets_an_honest_answer", seeded_requests),
        case("a_public_fuzzer_finds_nothing", public_fuzzer).needs(&[Need::Fuzzer]),
        case("a_public_fuzzer_sees_another_document", planted).needs(&[Need::Fuzzer]),
    ]
}

fn begin<'w>(world: &'w World, agent: &str) -> (Sandbox<'w>, FaultServer, Agent) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, agent, "");
    let server = FaultServer::honest(IMAGE);
    add_image(&sandbox, "image", IMAGE, &server);
    let agent = Agent::start(&sandbox);
    (sandbox, server, agent)
}

/// The agent is as it was: it answers, has no job, no connection but the one that asks, and places an image.
#[track_caller]
fn is_well(sandbox: &Sandbox<'_>, agent: &Agent) {
    agent.until("nothing is left", || {
        agent.metric("landfall_connections") == 1 && agent.metric("landfall_jobs_running") == 0
    });
    let target = sandbox.out("control");
    let placed = agent.place(&json!({ "image": { "id": "image" }, "to": target, "replace": true }));
    assert_eq!(placed.status, 200, "{:#}", placed.document);
    assert_eq!(IMAGE.fault_of(&target), None);
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, &reply.document["error"]["code"]), (status, &json!(code)), "{:#}", reply.document);
    assert_eq!(reply.document["schema"], "landfall.error/0");
}

fn senseless(world: &World) {
    let (sandbox, server, agent) = begin(world, "");
    let bodies: [&str; 18] = [
        "[\"/x\"]",
        "[\"/x\", \"/y\"]",
        "{\"image\":[\"image\"],\"to\":\"/x\"}",
        "{\"group\":[[\"a\",{\"id\":\"image\"}]],\"to_dir\":\"/x\"}",
        "",
        "null",
        "[]",
        "{",
        "{}",
        "\"x\"",
        "1e999",
        "{\"image\":1}",
        "{\"image\":{\"id\":\"image\"}}",
        "{\"image\":{\"id\":\"image\"},\"to\":\"relative\"}",
        "{\"image\":{\"id\":\"image\"},\"to\":\"/x\",\"wait\":\"yes\"}",
        "{\"image\":{\"id\":\"image\"},\"to\":\"/x\",\"to\":\"/y\"}",
        "{\"image\":{\"id\":\"image\",\"token\":\"a b\"},\"to\":\"/x\"}",
        "{\"image\":{\"id\":\"image\"},\"to\":\"/x\\u0000y\"}",
    ];
    for body in bodies {
        for path in ["/v0/place", "/v0/plan", "/v0/remove", "/v0/move"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let reply =
                parse(&raw(&agent.socket, format!("{head}{body}").as_bytes())).unwrap_or_else(|| panic!("{body:?}"));
            let is_refused = (400..500).contains(&reply.status) && reply.document["ok"] == false;
            assert!(is_refused, "{path} {body:?}: {reply:?}");
        }
    }
    for (method, path, status, code) in [
        ("GET", "/", 404, "no-such-endpoint"),
        ("GET", "/v0", 404, "no-such-endpoint"),
        ("GET", "/v1/health", 404, "no-such-endpoint"),
        ("POST", "/v0/nothing", 404, "no-such-endpoint"),
        ("GET", "/v0/../v0/health", 404, "no-such-endpoint"),
        ("PUT", "/v0/place", 405, "method"),
        ("DELETE", "/metrics", 405, "method"),
        ("GET", "/v0/history?most=x", 400, "request"),
        ("GET", "/v0/history?most=-1", 400, "request"),
        ("GET", "/v0/jobs/%00", 404, "no-such-job"),
        ("POST", "/v0/jobs/x/cancel", 404, "no-such-job"),
    ] {
        refused(&agent.ask(method, path, None), status, code);
    }
    let unknown = agent.place(&json!({ "image": { "id": "image" }, "to": "/x", "surprise": "CANARY" }));
    refused(&unknown, 400, "request");
    let message = unknown.document["error"]["message"].as_str().unwrap();
    assert!(message.contains("surprise") && !message.contains("CANARY"), "{message}");
    assert_eq!(server.counts().connections, 0);
    is_well(&sandbox, &agent);
}

fn no_http(world: &World) {
    let (sandbox, _server, agent) = begin(world, "");
    let long = [b"GET /".as_slice(), &[b'a'; 100_000], b" HTTP/1.1\r\n\r\n"].concat();
    let many = ["GET /v0/health HTTP/1.1\r\n".to_owned(), "x: y\r\n".repeat(20_000), "\r\n".to_owned()].concat();
    let texts: [&[u8]; 8] = [
        b"",
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v0/health\r\n\r\n",
        b"GET /v0/health HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        &long,
        many.as_bytes(),
    ];
    for text in texts {
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        // The other end may have closed already.
        let _ = stream.write_all(text);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    is_well(&sandbox, &agent);
}

/// A head that does not end, a body that does not come, a caller that goes away in the middle, and one that does not read.
fn halfway(world: &World) {
    let (sandbox, server, agent) = begin(world, "");
    let body = json!({ "image": { "id": "image" }, "to": sandbox.out("disk") }).to_string();
    let head = format!("POST /v0/place HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let whole = format!("{head}{body}");
    // Broken off at every byte, and the connection closed.
    for end in 0..whole.len() {
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        stream.write_all(&whole.as_bytes()[..end]).unwrap();
        drop(stream);
    }
    agent.until("they are gone", || agent.metric("landfall_connections") == 1);
    assert_eq!((agent.metric("landfall_jobs_running"), server.counts().connections), (0, 0));
    // Whole, and then closed in one direction or both: the call was made.
    server.hold_after(0);
    for (number, how) in [Shutdown::Write, Shutdown::Both].into_iter().enumerate() {
        let body = json!({ "image": { "id": "image" }, "to": sandbox.out(&format!("half-{number}")) }).to_string();
        let head = format!("POST /v0/place HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        agent.until("the call is there", || agent.metric("landfall_jobs_running") == number as u64 + 1);
        stream.shutdown(how).unwrap();
    }
    // Many answers are asked for and none is read: what the agent keeps for that is bounded.
    let mut silent = UnixStream::connect(&agent.socket).unwrap();
    silent.set_nonblocking(true).unwrap();
    let request = b"GET /v0/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut stuck = 0;
    while stuck < 3 {
        // What part of a request is taken does not matter: its answers are never read.
        if silent.write_all(request).is_ok() {
            stuck = 0;
        } else {
            stuck += 1;
            std::thread::yield_now();
        }
    }
    drop(silent);
    server.go_on();
    for number in 0..2 {
        let target = sandbox.out(&format!("half-{number}"));
        agent.until("its disk is there", || target.exists());
    }
    is_well(&sandbox, &agent);
}

fn oversize(world: &World) {
    let (sandbox, _server, agent) = begin(world, "");
    let mut large = json!({ "image": { "id": "image" }, "to": sandbox.out("disk") }).to_string();
    large += &" ".repeat(3 << 20);
    let head =
        format!("POST /v0/place HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", large.len());
    let reply = parse(&raw(&agent.socket, format!("{head}{large}").as_bytes())).unwrap();
    refused(&reply, 413, "request-bytes");
    // In chunks, of which nobody says how many there will be.
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    stream
        .write_all(b"POST /v0/place HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 65536], b"\r\n"].concat();
    let mut sent = 0_u64;
    while stream.write_all(&chunk).is_ok() {
        sent += 65536;
        assert!(sent < 1 << 30, "somebody takes all of it");
    }
    drop(stream);
    is_well(&sandbox, &agent);
}

/// Long requests take memory: there are only so many at once, and whoever comes then is told so.
fn crowds(world: &World) {
    let (sandbox, _server, agent) = begin(world, "");
    let half = |bytes: usize| {
        let length = bytes + 10;
        let head =
            format!("POST /v0/place HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; bytes]).unwrap();
        stream
    };
    let waiting: Vec<UnixStream> = (0..8).map(|_| half(200 << 10)).collect();
    // Whether all of the eight were read so far is nobody's to see: one more is refused once they are.
    agent.until("a ninth is refused", || {
        let mut ninth = half(200 << 10);
        ninth.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let mut answer = [0; 4096];
        let count = ninth.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..count]).contains("queue-full")
    });
    // A short one has room, and so has a long one when the others have ended.
    assert_eq!(agent.place(&json!({ "image": { "id": "image" }, "to": sandbox.out("disk") })).status, 200);
    drop(waiting);
    agent.until("there is room again", || {
        let record = json!({ "id": "x", "disk_format": "raw", "pad": "x".repeat(200 << 10) });
        let reply = agent.place(&json!({ "image": { "record": record }, "to": sandbox.out("other") }));
        reply.status != 503
    });
    is_well(&sandbox, &agent);
}

fn flood_of_connections(world: &World) {
    let (sandbox, _server, agent) = begin(world, "connections = 20\nconnections_per_caller = 16");
    let open: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&agent.socket).unwrap()).collect();
    let mut refusals = 0;
    // The last first: when it was told, all before it were let in or told.
    for mut stream in open.into_iter().rev() {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        // A request from each: those that were let in are answered, the others were told why.
        let _ = stream.write_all(b"GET /v0/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let reply = parse(&answer).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&answer)));
        if reply.status == 503 {
            assert_eq!(reply.document["error"]["code"], "connections");
            assert_eq!(reply.document["error"]["retry"], "later");
            refusals += 1;
        } else {
            assert_eq!(reply.status, 200);
        }
    }
    // The connection that asked whether the agent is there may still count.
    assert!((24..=25).contains(&refusals), "{refusals}");
    is_well(&sandbox, &agent);
}

fn flood_of_calls(world: &World) {
    let (sandbox, server, agent) = begin(world, "queue = 10\nqueue_per_caller = 6\njobs = 1");
    server.hold_after(0);
    let request = |number: usize| json!({ "image": { "id": "image" }, "to": sandbox.out(&format!("disk-{number}")), "wait": false });
    let replies: Vec<Reply> = (0..30).map(|number| agent.place(&request(number))).collect();
    let taken = replies.iter().filter(|reply| reply.status == 202).count();
    assert_eq!(taken, 6);
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        refused(reply, 503, "queue-full-for-caller");
        assert_eq!(
            (&reply.document["error"]["retry"], &reply.document["error"]["retry_after_seconds"]),
            (&json!("later"), &json!(2))
        );
    }
    assert_eq!(agent.metric("landfall_refused_total"), 24);
    server.go_on();
    is_well(&sandbox, &agent);
    for number in 0..6 {
        assert_eq!(IMAGE.fault_of(&sandbox.out(&format!("disk-{number}"))), None);
    }
}

/// With one mover, a caller that asks for one image is served before the many of another that came earlier.
fn turns(world: &World) {
    const OTHER: u32 = 61_010;
    let sandbox = Sandbox::on(world, Fs::Temp);
    let rule =
        format!("[[agent.caller]]\nuids = [{OTHER}]\ncatalogs = [\"images\"]\ntargets = [{:?}]\n", sandbox.out_dir());
    configure(&sandbox, "jobs = 1", &rule);
    let home = sandbox.home("x").parent().unwrap().to_owned();
    fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(sandbox.out_dir(), Some(OTHER), None).unwrap();
    let contents: Vec<Content> = (0..6).map(|number| Content::new(1 << 20, 200 + number)).collect();
    let servers: Vec<FaultServer> = contents.iter().map(|content| FaultServer::honest(*content)).collect();
    for (number, (content, server)) in contents.iter().zip(&servers).enumerate() {
        add_image(&sandbox, &format!("image-{number}"), *content, server);
    }
    let agent = Agent::start(&sandbox);
    let request = |number: usize| json!({ "image": { "id": format!("image-{number}") }, "to": sandbox.out(&format!("disk-{number}")), "wait": false });
    servers[0].hold_after(0);
    let first = agent.begin(&request(0));
    agent.until("it is being moved", || agent.job(&first)["progress"]["stage"] == "moving");
    let many: Vec<String> = (1..5).map(|number| agent.begin(&request(number))).collect();
    let job = agent.caller(&sandbox, Some(OTHER), "place", &request(5).to_string(), 1).finish();
    let other = job["job"].as_str().unwrap();
    agent.until("all wait for the mover", || agent.metric("landfall_movements_waiting") == 5);
    servers[1..].iter().for_each(|server| server.hold_after(0));
    servers[0].go_on();
    let mut turns = Vec::new();
    while turns.len() < 5 {
        let next = || (1..6).find(|number| !turns.contains(number) && servers[*number].counts().connections > 0);
        agent.until("the next has its turn", || next().is_some());
        let number = next().expect("it has connected");
        turns.push(number);
        servers[number].go_on();
    }
    // Of the four that came before it, one at most had its turn.
    assert!(turns[..2].contains(&5), "{turns:?}");
    assert_eq!(agent.report(other)["ok"], true);
    many.iter().for_each(|id| assert_eq!(agent.report(id)["ok"], true));
}

fn events(world: &World) {
    let (sandbox, server, agent) = begin(world, "");
    server.hold_after(1 << 20);
    let job = agent.begin(&json!({ "image": { "id": "image" }, "to": sandbox.out("disk") }));
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    stream
        .write_all(format!("GET /v0/jobs/{job}/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("\"stage\":\"moving\"") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{seen}");
        seen += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    server.go_on();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    seen += &rest;
    assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("content-type: text/event-stream"), "{seen}");
    let documents: Vec<(&str, Value)> = seen
        .split("event: ")
        .skip(1)
        .map(|event| {
            let (name, rest) = event.split_once("\ndata: ").unwrap();
            (name, serde_json::from_str(rest.split('\n').next().unwrap()).unwrap())
        })
        .collect();
    let (last, before) = documents.split_last().unwrap();
    assert!(before.iter().all(|(name, _)| *name == "progress") && last.0 == "end");
    assert_eq!((&last.1["report"]["ok"], &last.1["progress"]["stage"]), (&json!(true), &json!("done")));
    let bytes: Vec<u64> = before.iter().map(|(_, progress)| progress["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.is_sorted() && bytes.last() <= Some(&IMAGE.size), "{bytes:?}");
    // Of a job that is over there is the end alone.
    let text = raw(
        &agent.socket,
        format!("GET /v0/jobs/{job}/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    assert!(String::from_utf8(text).unwrap().contains("event: end"));
    is_well(&sandbox, &agent);
}

/// Documents that the published description allows, and ones that are changed at random: no answer is a server error, every
/// one is a document of the right kind, and nothing is placed outside.
fn seeded_requests(world: &World) {
    let (sandbox, _server, agent) = begin(world, "");
    let description = agent.ask("GET", "/v0/openapi.json", None).document;
    let schemas = &description["components"]["schemas"];
    let mut random = Random::new(20_261_123);
    let mut counts = std::collections::BTreeMap::new();
    for round in 0..world.rounds(400, 10_000) {
        let (path, name) = [
            ("/v0/place", "PlaceRequest"),
            ("/v0/plan", "PlaceRequest"),
            ("/v0/remove", "RemoveRequest"),
            ("/v0/move", "MoveRequest"),
        ][random.below(4) as usize];
        let mut body = invented(&schemas[name], schemas, &mut random, 0);
        if let Some(seconds) = body.get_mut("deadline_seconds") {
            // Nobody waits for long.
            *seconds = json!(0.2);
        }
        if name == "PlaceRequest" && random.below(4) != 0 {
            make_sense(&mut body, &sandbox, &mut random);
        }
        if random.below(3) == 0 {
            spoil(&mut body, &mut random);
        }
        let reply =
            ask(&agent.socket, "POST", path, Some(&body)).unwrap_or_else(|| panic!("round {round}: {path} {body}"));
        assert!(reply.status < 500 || reply.status == 503, "round {round}: {path} {body}: {reply:?}");
        assert!(reply.document["schema"].is_string(), "round {round}: {path} {body}: {reply:?}");
        *counts.entry(reply.status).or_insert(0) += 1;
    }
    assert!(counts.len() >= 3, "the answers are too much alike: {counts:?}");
    is_well(&sandbox, &agent);
}

/// Schemathesis, by the document that the agent serves: its own values, and ones that it changes on purpose.
fn public_fuzzer(world: &World) {
    let (sandbox, _server, agent) = begin(world, "");
    let count = world.rounds(30, 300).to_string();
    let output = fuzzer().arg("run").arg(&agent.socket).args(["20261123", &count]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // It went through all calls of the document.
    let description = agent.ask("GET", "/v0/openapi.json", None).document;
    let paths = description["paths"].as_object().unwrap().values();
    let calls: usize =
        paths.map(|path| ["get", "post"].iter().filter(|method| path.get(method).is_some()).count()).sum();
    assert!(said.contains(&format!("Tested: {calls}")), "{calls} calls: {said}");
    is_well(&sandbox, &agent);
}

/// It would find what is not as the document says.
fn planted(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let socket = sandbox.home("liar.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let document = fs::read_to_string(world.install.source.join("docs/schemas/agent.openapi.json")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let document = document.clone();
            std::thread::spawn(move || lie(stream, &document));
        }
    });
    let output = fuzzer().arg("run").arg(&socket).args(["1", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("violates schema"), "{said}");
}

/// Serves the document, and to everything else one that it does not have.
fn lie(mut stream: UnixStream, document: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|got| got == 1) {
        head.push(byte[0]);
    }
    let body = if head.starts_with(b"GET /v0/openapi.json") { document } else { "{\"surprise\":1}" };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // It may want no answer.
    let _ = stream.write_all(answer.as_bytes());
}

/// Leaves one image and one target in what is asked for: most of what fits the schema says too much.
fn make_sense(body: &mut Value, sandbox: &Sandbox<'_>, random: &mut Random) {
    let id = ["image", "none", "a b", ""][random.below(4) as usize];
    let object = body.as_object_mut().unwrap();
    object.retain(|key, _| !["image", "group", "to", "to_dir"].contains(&key.as_str()));
    let image = json!({ "id": id });
    let target = sandbox.out(&format!("disk-{}", random.below(20)));
    if random.below(2) == 0 {
        object.insert("image".to_owned(), image);
        object.insert("to".to_owned(), json!(target));
    } else {
        object.insert("group".to_owned(), json!([{ "name": "a", "image": image }]));
        object.insert("to_dir".to_owned(), json!(target));
    }
    object.insert("priority".to_owned(), json!(random.below(12)));
    object.insert("mode".to_owned(), json!("0600"));
}

/// A document that fits a schema, more or less.
fn invented(schema: &Value, all: &Value, random: &mut Random, depth: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return invented(&all[reference.rsplit('/').next().unwrap()], all, random, depth);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        // Those of an object say which members go together: some of what is made here keeps to that, some does not.
        if let (Some(forms), false) = (schema[key].as_array(), schema["properties"].is_object()) {
            let form = &forms[random.below(forms.len() as u64) as usize];
            return invented(form, all, random, depth + 1);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values[random.below(values.len() as u64) as usize].clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut object = serde_json::Map::new();
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            for (key, part) in schema["properties"].as_object().into_iter().flatten() {
                let is_wanted = required.iter().any(|name| name == key);
                if is_wanted || (depth < 4 && random.below(3) == 0) {
                    object.insert(key.clone(), invented(part, all, random, depth + 1));
                }
            }
            Value::Object(object)
        }
        Some("array") => {
            let count = random.below(3);
            (0..count).map(|_| invented(&schema["items"], all, random, depth + 1)).collect()
        }
        Some("integer") => json!(random.below(1 << 40)),
        Some("number") => json!(random.below(1000) as f64 / 10.0),
        Some("boolean") => json!(random.below(2) == 0),
        _ => {
            let words =
                ["image", "/nowhere/at/all", "", "sha512:00", "..", "\u{1F4BE}", "a\nb", "file:///etc/passwd", "0600"];
            json!(words[random.below(words.len() as u64) as usize])
        }
    }
}

/// Changes something somewhere.
fn spoil(document: &mut Value, random: &mut Random) {
    let other = [json!(null), json!(-1), json!("x".repeat(5000)), json!([[]]), json!({ "a": {} }), json!(1e300)];
    let other = other[random.below(6) as usize].clone();
    match document {
        Value::Object(object) if !object.is_empty() && random.below(4) != 0 => {
            let at = random.below(object.len() as u64) as usize;
            spoil(object.values_mut().nth(at).unwrap(), random);
        }
        Value::Array(items) if !items.is_empty() && random.below(4) != 0 => {
            let at = random.below(items.len() as u64) as usize;
            spoil(&mut items[at], random);
        }
        _ => *document = other,
    }
}
