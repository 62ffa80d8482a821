//! A server for tests, and what every test of a login needs.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use landfall_handler_api::{Cloud, CloudLogin, CloudUser, Result};
use landfall_handler_http::{Client, Config, Connections, SystemTrust};

use crate::identity::Identity;

/// A request: its head, and its body.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Listens on a port of its own, and answers one request for each connection, until the test's process ends.
pub(crate) struct TestServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TestServer {
    /// `answer` makes the whole answer of the request of this number, counted from 0; `None` hangs up.
    pub(crate) fn new(answer: impl Fn(usize, &Asked) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let Some(request) = read(&mut connection) else { continue };
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                if let Some(bytes) = answer(number, &request) {
                    let _ = connection.write_all(&bytes);
                }
                let _ = connection.shutdown(Shutdown::Write);
            }
        });
        Self { address, asked }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn read(connection: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut asked = Asked { head: String::from_utf8(head).ok()?, body: String::new() };
    let mut body = vec![0; asked.header("content-length").map_or(0, |length| length.parse().unwrap())];
    connection.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).ok()?;
    Some(asked)
}

/// An answer of a status line, further lines and a body, with its length.
pub(crate) fn answer(status: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}").into_bytes()
}

/// Keystone's answer: a token that lives for some seconds, and a catalog.
pub(crate) fn granted(token: &str, life: u32, catalog: &str) -> Vec<u8> {
    let expires = jiff::Timestamp::from_second(i64::from(life)).unwrap();
    let body = format!(
        r#"{{"token":{{"issued_at":"1970-01-01T00:00:00.000000Z","expires_at":"{expires}","catalog":{catalog}}}}}"#
    );
    answer("201 Created", &format!("X-Subject-Token: {token}\r\nVary: X-Auth-Token\r\n"), &body)
}

/// A node that trusts nobody.
pub(crate) struct NoTrust;

impl SystemTrust for NoTrust {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A user whose password is `CANARY`.
pub(crate) fn password() -> CloudLogin {
    let user = CloudUser { user_id: Some("u".to_owned()), ..CloudUser::default() };
    CloudLogin::Password { user, password: "CANARY".to_owned() }
}

/// A cloud that is logged in to at this URL.
pub(crate) fn cloud(auth_url: &str, login: CloudLogin) -> Cloud {
    let mut cloud = Cloud::default();
    (cloud.name, cloud.auth_url, cloud.login) = ("site".to_owned(), Some(auth_url.to_owned()), login);
    cloud
}

pub(crate) fn identity(cloud: Cloud, trusted: bool) -> Arc<Identity> {
    let connections = Connections::new(&Client::new(&Config::default()).unwrap());
    Identity::new(cloud, Arc::new(connections), trusted)
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
