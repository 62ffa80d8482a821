//! Connections: who is there, how many there are, and what they may do in what time.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use landfall_handler_api::{Error, ErrorKind, Scope};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::caller::Caller;
use super::core::Core;
use super::patience::Patient;
use crate::report::ErrorReport;

/// How long a request's head may take to arrive, and a connection may do nothing.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;
/// How long to wait when nothing can be accepted: the process may have no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Open connections, by user.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u32, u32>>,
}

/// An open connection; counted until it is dropped.
struct Open {
    connections: Arc<Connections>,
    uid: u32,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, HashMap<u32, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.open().values().fold(0, |all, count| all.saturating_add(*count))
    }

    fn enter(self: &Arc<Self>, uid: u32, all: u32, of_caller: u32) -> Option<Open> {
        if self.count() >= all {
            return None;
        }
        let mut open = self.open();
        let own = open.entry(uid).or_default();
        if *own >= of_caller {
            return None;
        }
        *own = own.saturating_add(1);
        Some(Open { connections: Arc::clone(self), uid })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some(count) = open.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.uid);
            }
        }
    }
}

/// Serves whoever connects, until `stop` says so; then those who are there get their answers, and no more.
pub(super) async fn serve(listener: UnixListener, core: Arc<Core>, router: Router, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Gone already, or the kernel does not say who it is.
        let Ok(caller) = Caller::of_socket(stream.as_fd()) else { continue };
        let agent = &core.setup().config.agent;
        match core.connections.enter(caller.uid, agent.connections, agent.connections_per_caller) {
            None => refuse(&core, stream),
            Some(open) => {
                let router = router.clone().layer(Extension(caller));
                tokio::spawn(converse(stream, router, stop.clone(), open));
            }
        }
    }
}

async fn converse(stream: UnixStream, router: Router, mut stop: watch::Receiver<bool>, _open: Open) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(Patient::new(stream)), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // What goes wrong in a connection is its caller's to know.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Tells somebody for whom there is no room, if that can be done at once.
fn refuse(core: &Core, stream: UnixStream) {
    core.metrics.refused();
    let error = Error::new(ErrorKind::Unavailable, "connections", "there are as many connections as there may be")
        .scoped(Scope::Request)
        .retried_after(Duration::from_secs(1));
    let error = ErrorReport::from(&error);
    let document = serde_json::json!({ "schema": "landfall.error/0", "ok": false, "error": error }).to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{document}",
        document.len()
    );
    // It is a few hundred bytes into an empty buffer.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(answer.as_bytes());
    }
}
