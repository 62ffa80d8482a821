//! A store for tests: what it answers is a function of the request's head.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use landfall_handler_api::Result;
use landfall_handler_http::{Room, SystemTrust};
use tokio::runtime::{Builder, Runtime};

/// Listens on a port of its own until the test's process ends. Connections are kept alive.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// `answer` makes the whole answer, head and body, of a request's head.
    pub(crate) fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let server = Self { address, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(connection, &*answer, &seen));
            }
        });
        server
    }

    /// The first lines of all requests so far, without the version.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.seen.lock().unwrap();
        requests.iter().map(|head| head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut connection: TcpStream, answer: &(impl Fn(&str) -> Vec<u8> + ?Sized), seen: &Mutex<Vec<String>>) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(connection.read(&mut byte), Ok(1)) {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        seen.lock().unwrap().push(head.clone());
        if connection.write_all(&answer(&head)).is_err() {
            return;
        }
    }
}

/// The value of a header in a request's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// An answer of a status line, further lines and a body, with its length.
pub(crate) fn answer(status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{lines}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// What an honest server answers for an object: a part where one is asked for, and only of the version that is asked
/// for.
pub(crate) fn object(head: &str, bytes: &[u8], etag: &str) -> Vec<u8> {
    let lines = format!("ETag: {etag}\r\n");
    if header(head, "if-match").is_some_and(|wanted| wanted != etag) {
        return answer("412 Precondition Failed", &lines, b"");
    }
    let range = header(head, "range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    match range.map(|(first, last)| (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap() + 1)) {
        None => answer("200 OK", &lines, bytes),
        Some((first, _)) if first >= bytes.len() => {
            answer("416 Range Not Satisfiable", &format!("Content-Range: bytes */{}\r\n{lines}", bytes.len()), b"")
        }
        Some((first, end)) => {
            let end = end.min(bytes.len());
            let lines = format!("Content-Range: bytes {first}-{}/{}\r\n{lines}", end - 1, bytes.len());
            answer("206 Partial Content", &lines, &bytes[first..end])
        }
    }
}

/// A node without certificates.
pub(crate) struct NoTrust;

impl SystemTrust for NoTrust {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Memory, in pieces that end everywhere.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    piece: Vec<u8>,
}

impl Room for Memory {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        self.piece = vec![0; want.min(50_000)];
        Ok(&mut self.piece)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.bytes.extend_from_slice(&self.piece[..filled]);
        Ok(())
    }
}

thread_local! {
    /// One for a whole test, since connections end with theirs.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}
