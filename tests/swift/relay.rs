//! Passes everything on to a service, and remembers what clients said: the tokens that they showed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A running relay; dropping it ends it.
pub(super) struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    /// `HOST:PORT` of the service.
    upstream: String,
    said: Mutex<Vec<u8>>,
    sockets: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Relay {
    /// `upstream` is `http://HOST:PORT`.
    pub(super) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: super::gateway::origin(upstream).trim_start_matches("http://").to_owned(),
            said: Mutex::default(),
            sockets: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        Self { shared, address, acceptor: Some(thread::spawn(move || its.accept(&listener))) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The different values of a header that were sent, in the order in which they first came.
    pub(super) fn values(&self, header: &str) -> Vec<String> {
        let said = String::from_utf8_lossy(&locked(&self.shared.said)).into_owned();
        let mut seen = BTreeSet::new();
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(header).then(|| value.trim().to_owned())
        };
        said.lines().filter_map(value).filter(|value| seen.insert(value.clone())).collect()
    }

    /// The requests' first lines, in the order in which they came.
    pub(super) fn requests(&self) -> Vec<String> {
        let said = String::from_utf8_lossy(&locked(&self.shared.said)).into_owned();
        said.lines().filter(|line| line.ends_with(" HTTP/1.1")).map(str::to_owned).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        for socket in locked(&self.shared.sockets).iter() {
            // The other end may have closed it long ago.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let ended = self.acceptor.take().expect("it is dropped once").join();
        assert!(ended.is_ok() || thread::panicking(), "a thread of the relay panicked");
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        let mut threads = Vec::new();
        while let Ok((client, _)) = listener.accept() {
            if self.stopped.load(Ordering::SeqCst) {
                break;
            }
            // A service that is not there is one that closes at once.
            let Ok(service) = TcpStream::connect(&self.upstream) else { continue };
            for socket in [&client, &service] {
                locked(&self.sockets).push(socket.try_clone().unwrap());
            }
            let (from, to) = (client.try_clone().unwrap(), service.try_clone().unwrap());
            let its = Arc::clone(&self);
            threads.push(thread::spawn(move || pass(from, to, |bytes| locked(&its.said).extend_from_slice(bytes))));
            threads.push(thread::spawn(move || pass(service, client, |_| ())));
        }
        // Those that were made while it was being dropped.
        for socket in locked(&self.sockets).iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "a connection's thread panicked");
    }
}

/// Until either end is gone.
fn pass(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        seen(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            // Nobody takes the rest.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
