//! A server for tests: what it answers is a function of the request's head.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Listens on a port of its own, and answers one request for each connection, until the test's process ends.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// `answer` makes the whole answer, head and body, of a request's head; `None` hangs up.
    pub(crate) fn new(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> Self {
        Self::serving(answer, None)
    }

    /// The same behind TLS, with a certificate and its key.
    pub(crate) fn with_tls(
        certificate: &str,
        key: &str,
        answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap();
        Self::serving(answer, Some(Arc::new(config)))
    }

    /// Takes a few bytes of every connection and ends it.
    pub(crate) fn hanging_up() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let _ = connection.read(&mut [0; 8192]);
            }
        });
        Self { address, requests: Arc::default() }
    }

    fn serving(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { continue };
                if let Some(tls) = &tls {
                    let mut connection = StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), connection);
                    serve(&mut connection, &answer, &seen);
                    connection.conn.send_close_notify();
                    let _ = connection.flush();
                } else {
                    serve(&mut connection, &answer, &seen);
                    let _ = connection.shutdown(Shutdown::Write);
                }
            }
        });
        Self { address, requests }
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(connection: &mut (impl Read + Write), answer: &impl Fn(&str) -> Option<Vec<u8>>, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let Ok(head) = String::from_utf8(head) else { return };
    seen.lock().unwrap().push(head.clone());
    if let Some(bytes) = answer(&head) {
        // Whoever has read enough hangs up.
        let _ = connection.write_all(&bytes);
    }
}

/// The value of a header in a request's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The range that a request asks for, its end beyond its last byte.
pub(crate) fn range(head: &str) -> Option<(usize, usize)> {
    let (first, last) = header(head, "range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().unwrap(), last.parse::<usize>().unwrap() + 1))
}

/// An answer of a status line, further lines and a body, with its length.
pub(crate) fn answer(status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{lines}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// What an honest server answers: a part where one is asked for.
pub(crate) fn honest(head: &str, bytes: &[u8], lines: &str) -> Vec<u8> {
    match range(head) {
        None => answer("200 OK", lines, bytes),
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
