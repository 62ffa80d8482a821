//! The fault server itself: it is honest where it should be, tells every lie, and counts right. Without this, a lie that is
//! never told would look like a product that sees through it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Lie, Plan, Schedule, Site, To, Validators};
use crate::support::seeded::Content;

const SIZE: u64 = 300_001;
const CONTENT: Content = Content::new(SIZE, 21);
/// As much as is looked at of what has no end.
const MOST: usize = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("http::the_server_tells_the_truth", |_| truth()),
        Case::new("http::the_server_counts_right", |_| counting()),
        Case::new("http::the_server_tells_every_lie", |_| every_lie()),
        Case::new("http::the_server_lies_about_connections", |_| connections()),
        Case::new("http::the_server_follows_a_schedule", |_| schedules()),
        Case::new("http::curl_understands_the_server", |_| curl())
            .needs(&[crate::support::needs::Need::Program("curl")]),
    ]
    .into_iter()
    .map(Case::mode_independent)
    .collect()
}

/// A client that understands nothing.
struct Client(TcpStream);

impl Client {
    fn new(server: &FaultServer) -> Self {
        let socket = TcpStream::connect(server.authority()).unwrap();
        // A lie of silence is told by whoever waits longest; nothing depends on how long this is.
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        Self(socket)
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str) {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        // A server that has closed already is seen when it is read from.
        let _ = self.0.write_all(text.as_bytes());
    }

    /// Everything until the end, or until nothing more comes; of what drips, the first.
    fn rest(&mut self) -> Vec<u8> {
        let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
        let mut drops = 0;
        // What came before a reset or a silence is what counts.
        while let Ok(read @ 1..) = self.0.read(&mut part) {
            bytes.extend_from_slice(&part[..read]);
            drops += usize::from(read == 1);
            if bytes.len() > MOST || drops == 3 {
                break;
            }
        }
        bytes
    }

    /// One reply that says its length: the head as text, and the body.
    fn reply(&mut self, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
        self.ask(method, path, headers);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let length = if method == "HEAD" { 0 } else { length.parse().unwrap() };
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }
}

fn of(range: Range<usize>) -> Vec<u8> {
    CONTENT.bytes()[range].to_vec()
}

fn truth() {
    let server = FaultServer::honest(CONTENT);
    let mut client = Client::new(&server);
    let size = SIZE as usize;
    let (head, body) = client.reply("GET", "/a", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("ETag: \"") && body == of(0..size), "{head}");
    let (whole, body) = client.reply("HEAD", "/a", "");
    assert_eq!((whole, body.len()), (head, 0));
    for (asked, range) in
        [("5-9", 5..10), ("0-0", 0..1), ("300000-", size - 1..size), ("-7", size - 7..size), ("9-999999", 9..size)]
    {
        let (head, body) = client.reply("GET", "/a", &format!("Range: bytes={asked}\r\n"));
        let told = format!("Content-Range: bytes {}-{}/{SIZE}", range.start, range.end - 1);
        assert!(head.starts_with("HTTP/1.1 206 ") && head.contains(&told), "{asked}: {head}");
        assert!(body == of(range), "{asked}");
    }
    let status = |client: &mut Client, headers: &str| client.reply("GET", "/a", headers).0[9..12].to_owned();
    assert_eq!(status(&mut client, "Range: bytes=300001-\r\n"), "416");
    assert_eq!(status(&mut client, "If-Match: \"other\"\r\n"), "412");
    assert_eq!(status(&mut client, "If-Match: \"5eeded-1\"\r\nRange: bytes=0-1\r\n"), "206");
    assert_eq!(status(&mut client, "If-Range: \"other\"\r\nRange: bytes=0-1\r\n"), "200");
    assert_eq!(status(&mut client, "If-Unmodified-Since: Tue, 03 Mar 2026 10:00:00 GMT\r\n"), "200");
    assert_eq!(client.reply("POST", "/a", "").0[9..12], *"405");
    assert_eq!(server.counts().connections, 1, "one connection is kept");

    let server = FaultServer::start(Site::new(CONTENT).with_validators(Validators::None).with_ranges(false));
    let (head, body) = Client::new(&server).reply("GET", "/a", "Range: bytes=5-9\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("ETag") && body.len() == size, "{head}");
}

fn counting() {
    let server = FaultServer::honest(CONTENT);
    let mut client = Client::new(&server);
    client.reply("GET", "/a", "Range: bytes=0-99999\r\nAuthorization: Basic x\r\n");
    client.reply("GET", "/a", "Range: bytes=100000-199999\r\nIf-Match: \"5eeded-1\"\r\n");
    client.reply("HEAD", "/b", "");
    let counts = server.counts();
    assert_eq!((counts.connections, counts.at_once, counts.requests.len(), counts.lies), (1, 1, 3, 0));
    assert_eq!((counts.of("/a").count(), counts.of("/b").count(), counts.of("/c").count()), (2, 1, 0));
    assert_eq!(counts.header("range"), ["bytes=0-99999", "bytes=100000-199999"]);
    assert_eq!((counts.header("authorization"), counts.header("if-match").len()), (vec!["Basic x"], 1));
    assert_eq!((counts.served().bytes(), counts.served().again()), (200_000, 0));
    assert_eq!((counts.served().covered().len(), &counts.served().covered()[0]), (1, &(0..200_000)));
    assert!(counts.sent > 200_000 && counts.sent < 202_000, "{}", counts.sent);
    // Bytes that come again, over another connection while the first is open.
    let mut other = Client::new(&server);
    other.reply("GET", "/a", "Range: bytes=199990-200009\r\n");
    let counts = server.counts();
    assert_eq!((counts.connections, counts.at_once), (2, 2));
    assert_eq!((counts.served().bytes(), counts.served().again()), (200_020, 10));
    assert_eq!(counts.requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 1, 2]);
    // A body that is broken off counts for as much as went out.
    let server = FaultServer::lying(CONTENT, Lie::ClosesInBodyOnce);
    let mut client = Client::new(&server);
    client.ask("GET", "/a", "");
    client.rest();
    let counts = server.counts();
    let cut = SIZE * 400 / 1000;
    assert_eq!((counts.served().bytes(), counts.lies, counts.broken_off), (cut, 1, 1));
    // And wrong bytes count as well as right ones.
    let server = FaultServer::lying(CONTENT, Lie::WrongBytes);
    let (_, body) = Client::new(&server).reply("GET", "/a", "");
    assert_eq!((body[7], server.counts().served().bytes()), (!CONTENT.bytes()[7], SIZE));
}

/// What is seen of a lie that needs another look than at the bytes of single connections.
fn is_about_connections(lie: Lie) -> bool {
    matches!(
        lie,
        Lie::RefusesAfterTwo
            | Lie::ClosesEachUntold
            | Lie::ThreeRequestsPerConnection
            | Lie::Leisurely
            | Lie::OneAtOnceElse503
            | Lie::OneAtOnceElseCloses
    )
}

/// What three requests bring, each on a connection of its own: for the whole, for a part, and for the rest.
fn seen(server: &FaultServer) -> Vec<Vec<u8>> {
    ["", "Range: bytes=0-199999\r\n", "Range: bytes=100000-\r\nIf-Match: \"5eeded-1\"\r\n"]
        .map(|headers| {
            let mut client = Client::new(server);
            client.ask("GET", "/a", &format!("{headers}Connection: close\r\n"));
            client.rest()
        })
        .into()
}

fn every_lie() {
    let lies = Lie::all();
    assert_eq!((lies.len(), Lie::COUNT), (159, 159), "the list of lies");
    let mut different: Vec<Lie> = lies.clone();
    different.sort_by_key(|lie| format!("{lie:?}"));
    different.dedup();
    assert_eq!(different.len(), lies.len(), "none is there twice");
    let honest = seen(&FaultServer::honest(CONTENT));
    // Those that drip or fall silent wait for the client's patience: they are looked at together.
    let (sender, unseen) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for part in lies.chunks(lies.len().div_ceil(8)) {
            let (sender, honest) = (sender.clone(), &honest);
            scope.spawn(move || {
                for &lie in part.iter().filter(|lie| !is_about_connections(**lie)) {
                    let server = FaultServer::start(Site::new(CONTENT).lying(lie).leads_to("127.0.0.2:9"));
                    let found = seen(&server);
                    let told = server.counts().lies;
                    if found == *honest || told == 0 && lie != Lie::Redirect(To::Expiring) {
                        sender.send((lie, told)).unwrap();
                    }
                }
            });
        }
        drop(sender);
    });
    let unseen: Vec<(Lie, usize)> = unseen.iter().collect();
    assert!(unseen.is_empty(), "these look like the truth: {unseen:?}");
}

fn connections() {
    let code = |head: &str| head[9..12].to_owned();
    let server = FaultServer::lying(CONTENT, Lie::ThreeRequestsPerConnection);
    let mut client = Client::new(&server);
    for _ in 0..3 {
        client.reply("GET", "/a", "Range: bytes=0-9\r\n");
    }
    client.ask("GET", "/a", "");
    assert_eq!((client.rest().len(), server.counts().requests.len()), (0, 3));

    let server = FaultServer::lying(CONTENT, Lie::ClosesEachUntold);
    let mut client = Client::new(&server);
    client.reply("GET", "/a", "");
    client.ask("GET", "/a", "");
    assert_eq!((client.rest().len(), server.counts().requests.len()), (0, 1));

    let server = FaultServer::lying(CONTENT, Lie::OneAtOnceElse503);
    let mut first = Client::new(&server);
    assert_eq!(code(&first.reply("GET", "/a", "").0), "200");
    assert_eq!(code(&Client::new(&server).reply("GET", "/a", "").0), "503");
    let server = FaultServer::lying(CONTENT, Lie::OneAtOnceElseCloses);
    let mut first = Client::new(&server);
    assert_eq!(code(&first.reply("GET", "/a", "").0), "200");
    let mut second = Client::new(&server);
    second.ask("GET", "/a", "");
    assert!(second.rest().is_empty());

    let server = FaultServer::lying(CONTENT, Lie::RefusesAfterTwo);
    let (mut first, mut second) = (Client::new(&server), Client::new(&server));
    for client in [&mut first, &mut second] {
        client.ask("GET", "/a", "");
        assert!(client.rest().starts_with(b"HTTP/1.1 200"));
    }
    // The listener ends with the second connection, which was served by now.
    let refused = (0..1000).any(|_| TcpStream::connect(server.authority()).is_err());
    assert!(refused);
}

fn schedules() {
    let faults = [None, Some(Lie::Status(503)), Some(Lie::ClosesAtOnce), None];
    let server = FaultServer::start(Site::new(CONTENT).with_plan(Plan::Listed(Schedule::of(&faults))));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let mut client = Client::new(&server);
        client.ask("GET", "/a", "Connection: close\r\n");
        statuses.push(String::from_utf8_lossy(&client.rest()).chars().skip(9).take(3).collect::<String>());
    }
    assert_eq!(statuses, ["200", "503", "", "200", "200"]);
    assert_eq!(server.counts().lies, 2);
}

/// Somebody else's client finds the truth to be HTTP.
fn curl() {
    let server = FaultServer::start(Site::new(CONTENT).lying(Lie::Redirect(To::ShortChain)));
    let run = |words: &[&str]| {
        let output = std::process::Command::new("curl").args(["-s", "-S", "-L", "--noproxy", "*"]).args(words).output();
        output.unwrap().stdout
    };
    assert!(run(&[&server.url("/a")]) == of(0..SIZE as usize));
    assert!(run(&["-r", "1000-1999", &server.url("/honest/a")]) == of(1000..2000));
    for lie in [Lie::Trailers, Lie::FewInformational, Lie::StatusWithoutText, Lie::ClosesEach] {
        let server = FaultServer::lying(CONTENT, lie);
        assert!(run(&[&server.url("/a")]) == of(0..SIZE as usize), "{lie:?}");
    }
}
