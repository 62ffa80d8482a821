//! An HTTP/1.1 server that can tell every lie about framing, ranges, validators and redirects, on raw sockets; and that
//! counts exactly what it was asked and what it served.
//!
//! It serves one content at every path, with correct ranges, validators and kept connections, where it is not told to lie.
//! Its threads end when it is dropped, whatever they were doing.

mod body;
mod closed;
mod count;
mod deceive;
mod honest;
mod lie;
mod misguide;
mod reply;
mod request;
mod schedule;
mod site;

use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use closed::ClosedPort;
pub(crate) use count::Counts;
pub(crate) use lie::{Lie, Pause, To};
pub(crate) use schedule::{Random, Schedule};
pub(crate) use site::{Plan, Site, Validators};

use reply::After;
use request::Request;

use super::seeded::Content;

/// A running server; dropping it ends it.
pub(crate) struct FaultServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads of one server share.
struct Shared {
    site: Site,
    bytes: Vec<u8>,
    counts: Mutex<Counts>,
    /// Whether the one cut was made after which a late lie begins.
    cut: AtomicBool,
    open: AtomicUsize,
    stopped: Mutex<bool>,
    stops: Condvar,
    /// After so many bytes of the content nothing more is sent until somebody lets it go on.
    held: Mutex<Option<u64>>,
    goes_on: Condvar,
    /// Bytes of the content a second, of all connections together; and when the next of them may be sent.
    pace: Mutex<(Option<u64>, Instant)>,
    /// Of every connection that was made, to end those that are still open. A reset needs the last descriptor to be closed.
    sockets: Mutex<Vec<Weak<TcpStream>>>,
}

impl FaultServer {
    /// Serves the truth.
    pub(crate) fn honest(content: Content) -> Self {
        Self::start(Site::new(content))
    }

    /// Tells one lie, always.
    pub(crate) fn lying(content: Content, lie: Lie) -> Self {
        Self::start(Site::new(content).lying(lie))
    }

    pub(crate) fn start(site: Site) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, site)
    }

    /// Listens on another of this machine's own addresses.
    pub(crate) fn start_on(ip: Ipv4Addr, site: Site) -> Self {
        let listener = TcpListener::bind((IpAddr::V4(ip), 0)).expect("a free port");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            bytes: site.served_bytes(),
            site,
            counts: Mutex::default(),
            cut: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            stopped: Mutex::new(false),
            stops: Condvar::new(),
            held: Mutex::new(None),
            goes_on: Condvar::new(),
            pace: Mutex::new((None, Instant::now())),
            sockets: Mutex::default(),
        });
        let its = Arc::clone(&shared);
        let acceptor = Some(thread::spawn(move || its.accept(listener)));
        Self { shared, address, acceptor }
    }

    /// Sends no more than so many bytes of the content, to all together, until it is let go on.
    pub(crate) fn hold_after(&self, bytes: u64) {
        *locked(&self.shared.held) = Some(bytes);
    }

    /// Sends the rest.
    pub(crate) fn go_on(&self) {
        *locked(&self.shared.held) = None;
        self.shared.goes_on.notify_all();
    }

    /// Sends no more than so many bytes of the content a second from now on, to all together; or as many as it can.
    pub(crate) fn limit(&self, rate: Option<u64>) {
        *locked(&self.shared.pace) = (rate, Instant::now());
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked and served until now.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.counts().clone()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        *locked(&self.shared.stopped) = true;
        self.shared.stops.notify_all();
        self.go_on();
        // Wakes the acceptor; when it listens no longer, the port may be another server's by now.
        if self.acceptor.as_ref().is_some_and(|acceptor| !acceptor.is_finished()) {
            let _ = TcpStream::connect(self.address);
        }
        for socket in locked(&self.shared.sockets).iter().filter_map(Weak::upgrade) {
            // The other end may have closed it long ago.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let ended = self.acceptor.take().expect("it is dropped once").join();
        // A test that failed already must not end in a second panic.
        assert!(ended.is_ok() || thread::panicking(), "a thread of the server panicked");
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        locked(&self.counts)
    }

    fn is_stopped(&self) -> bool {
        *locked(&self.stopped)
    }

    /// Waits while it is held.
    fn wait_while_held(&self) {
        let mut held = locked(&self.held);
        while held.is_some_and(|most| self.counts().sent >= most) {
            held = self.goes_on.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the turn of so many bytes.
    fn wait_for_turn(&self, bytes: usize) {
        let wait = {
            let mut pace = locked(&self.pace);
            let Some(rate) = pace.0 else { return };
            let now = Instant::now();
            let turn = pace.1.max(now);
            pace.1 = turn + Duration::from_secs_f64(bytes as f64 / rate as f64);
            turn - now
        };
        self.pause(wait);
    }

    /// Passes the time, until the server is dropped; false when it is.
    fn pause(&self, pause: Duration) -> bool {
        let stopped = locked(&self.stopped);
        let waited = self.stops.wait_timeout_while(stopped, pause, |stopped| !*stopped);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut workers: Vec<JoinHandle<()>> = Vec::new();
        let most = match self.site.plan {
            Plan::Always(Lie::RefusesAfterTwo) => 2,
            _ => usize::MAX,
        };
        while workers.len() < most {
            let Ok((socket, _)) = listener.accept() else { continue };
            if self.is_stopped() {
                break;
            }
            // Small writes are meant to be seen as such.
            let _ = socket.set_nodelay(true);
            let its = Arc::clone(&self);
            let socket = Arc::new(socket);
            locked(&self.sockets).push(Arc::downgrade(&socket));
            // One that came in between was not seen by whoever drops the server.
            if self.is_stopped() {
                let _ = socket.shutdown(Shutdown::Both);
            }
            let number = self.counts().connected();
            workers.push(thread::spawn(move || its.serve(&socket, number)));
        }
        drop(listener);
        let ended: Vec<_> = workers.into_iter().map(JoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "a connection's thread panicked");
    }

    /// One connection, from its first request to its end.
    fn serve(&self, socket: &TcpStream, number: usize) {
        let mut reader = BufReader::new(socket);
        let at_once = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.counts().open_at_once(at_once);
        let mut on_this = 0;
        while let Some(request) = Request::read(&mut reader, number) {
            on_this += 1;
            let (nth, of_path) = self.counts().asked(&request);
            let lie = self.site.plan.lie_for(&request, nth);
            let reply = self.answer(&request, lie, of_path, at_once, on_this);
            let path = request.path.clone();
            if reply.send(socket, self, &path) == After::Close {
                break;
            }
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// What this request gets.
    fn answer(
        &self,
        request: &Request,
        lie: Option<Lie>,
        of_path: usize,
        at_once: usize,
        on_this: usize,
    ) -> reply::Reply {
        let honest = honest::Honest::of(request, &self.site, &self.bytes);
        let Some(lie) = lie else { return honest.reply() };
        if lie.is_late() && !self.cut.load(Ordering::SeqCst) {
            return match honest.cut_at(self.site.cut(self.bytes.len() as u64)) {
                Some(reply) if !request.is_head() => {
                    self.cut.store(true, Ordering::SeqCst);
                    reply
                }
                _ => honest.first_of(lie, request),
            };
        }
        let asked = deceive::Asked { request, of_path, at_once, on_this, bytes: &self.bytes, site: &self.site };
        let reply = deceive::reply(lie, honest, &asked);
        if request.is_head() { reply.without_body() } else { reply }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
