//! A Glance for tests: what it answers is a function of the request's head.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use landfall_handler_api::{Cloud, CloudLogin, Result};
use landfall_handler_http::{Config, SystemTrust};

use crate::images::Images;

/// Listens on a port of its own, and answers one request for each connection, until the test's process ends.
pub(crate) struct TestServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// `answer` gives status line, further lines and body of the answer to a request's first line and whole head.
    pub(crate) fn new(answer: impl Fn(&str, &str) -> (String, String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let first = head.lines().next().unwrap_or_default().to_owned();
                seen.lock().unwrap().push(head.clone());
                let (status, lines, body) = answer(&first, &head);
                let length = body.len();
                let text =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}");
                let _ = connection.write_all(text.as_bytes());
                let _ = connection.shutdown(Shutdown::Write);
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Their first lines.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.heads().iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect()
    }
}

/// The token that a request's head shows.
pub(crate) fn token(head: &str) -> Option<&str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-auth-token")).map(|(_, value)| value).next()
}

/// The images of the Glance at `endpoint`, as the owner of a token sees them.
pub(crate) fn images(endpoint: &str, token: &str) -> Images {
    let mut cloud = Cloud::default();
    cloud.name = "site".to_owned();
    cloud.login = CloudLogin::Token { token: token.to_owned(), keep: false };
    cloud.endpoints.insert("image".to_owned(), endpoint.to_owned());
    let mut config = Config::default();
    config.redirects = 0;
    Images::new(&config, cloud).unwrap()
}

/// A node without certificates.
pub(crate) struct NoTrust;

impl SystemTrust for NoTrust {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
