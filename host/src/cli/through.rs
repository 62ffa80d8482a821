//! Through the agent: what it is asked, and how it answers.

use std::io::BufRead;
use std::os::unix::net::UnixStream;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::agent::PREFIX;
use crate::config::{Config, SYSTEM_SOCKET};
use crate::report::ErrorReport;

/// Bytes of an answer.
const ANSWER_MAX: usize = 64 << 20;

/// Who does what a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The agent, if one serves; otherwise this process.
    Agent,
    /// This process.
    Nobody,
}

impl Ask {
    /// The agent, if it is to be asked and serves.
    pub(super) fn find(self, config: &Config) -> Result<Option<Agent>> {
        if self == Self::Nobody { Ok(None) } else { Agent::find(config) }
    }
}

/// A connection to the agent of this node.
pub(super) struct Agent {
    runtime: Runtime,
    sender: http1::SendRequest<Full<Bytes>>,
}

/// An answer: its status, and its document.
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) document: Value,
}

/// Connects to the configuration's socket; with the node's own configuration, or none, else to the one of the node's agent,
/// which has its state elsewhere than this user.
fn connect(config: &Config) -> std::io::Result<UnixStream> {
    let own = UnixStream::connect(&config.agent.socket);
    if own.is_err() && config.is_of_the_node() { UnixStream::connect(SYSTEM_SOCKET) } else { own }
}

fn gone(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, "agent-gone", format!("the agent did not answer: {error}"))
        .scoped(Scope::Request)
}

impl Agent {
    /// Connects to the agent, if one serves and this user may talk to it.
    pub(super) fn find(config: &Config) -> Result<Option<Self>> {
        let Ok(stream) = connect(config) else { return Ok(None) };
        let node = |error: std::io::Error| Error::os(&error, "talk to the agent").scoped(Scope::Node);
        stream.set_nonblocking(true).map_err(node)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(node)?;
        let connected = runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream).map_err(node)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
            // How it ends is told to whoever waits for an answer.
            tokio::spawn(async move { drop(connection.await) });
            Ok(sender)
        });
        connected.map(|sender| Some(Self { runtime, sender }))
    }

    fn send(&mut self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Response<Incoming>> {
        let internal = |error: String| Error::new(ErrorKind::Internal, "json", error);
        let text = body.map(serde_json::to_vec).transpose().map_err(|error| internal(error.to_string()))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(text.unwrap_or_default())))
            .map_err(|error| internal(error.to_string()))?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            sender.ready().await.map_err(gone)?;
            sender.send_request(request).await.map_err(gone)
        })
    }

    /// Asks, and waits for the whole answer.
    pub(super) fn ask(&mut self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Answer> {
        let response = self.send(method, path, body)?;
        let ok = response.status().is_success();
        let limited = http_body_util::Limited::new(response.into_body(), ANSWER_MAX);
        let bytes = self.runtime.block_on(limited.collect()).map_err(gone)?.to_bytes();
        let document = serde_json::from_slice(&bytes).map_err(|_| gone("its answer is not JSON"))?;
        Ok(Answer { ok, document })
    }

    /// Asks for what has no body, and takes the answer apart; an error of the agent is this call's.
    pub(super) fn get(&mut self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None::<&()>)?.value()
    }

    /// Asks for something to be done.
    pub(super) fn post(&mut self, path: &str, body: &impl Serialize) -> Result<Value> {
        self.ask(Method::POST, path, Some(body))?.value()
    }

    /// Follows server-sent events until `seen` has seen enough.
    pub(super) fn follow(&mut self, path: &str, seen: &mut dyn FnMut(&str, Value) -> bool) -> Result<()> {
        let response = self.send(Method::GET, path, None::<&()>)?;
        if !response.status().is_success() {
            let bytes = self.runtime.block_on(response.into_body().collect()).map_err(gone)?.to_bytes();
            return Err(told(&serde_json::from_slice(&bytes).unwrap_or_default()));
        }
        let mut body = response.into_body();
        let (mut text, mut name) = (Vec::new(), String::new());
        loop {
            let frame =
                self.runtime.block_on(body.frame()).ok_or_else(|| gone("the connection ended"))?.map_err(gone)?;
            text.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            let complete = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last.saturating_add(1));
            let lines: Vec<u8> = text.drain(..complete).collect();
            for line in lines.lines() {
                let line = line.map_err(gone)?;
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let document = serde_json::from_str(data).map_err(|_| gone("an event is not JSON"))?;
                    if seen(&name, document) {
                        return Ok(());
                    }
                }
            }
            if text.len() > ANSWER_MAX {
                return Err(gone("an event does not end"));
            }
        }
    }
}

impl Answer {
    /// The document of what went well, or the agent's error.
    fn value(self) -> Result<Value> {
        if self.ok { Ok(self.document) } else { Err(told(&self.document)) }
    }
}

/// The error that a document tells of.
pub(super) fn told(document: &Value) -> Error {
    let error = document.get("error").cloned().unwrap_or_default();
    match serde_json::from_value::<ErrorReport>(error) {
        Ok(report) => error_of(&report),
        Err(_) => gone("its answer is no document of an error"),
    }
}

/// The error that a report tells of.
pub(super) fn error_of(report: &ErrorReport) -> Error {
    Error::new(report.kind, report.code.clone(), report.message.clone()).scoped(report.scope)
}

/// Reads a document that the agent gave.
pub(super) fn read<T: DeserializeOwned>(document: Value) -> Result<T> {
    serde_json::from_value(document).map_err(|_| gone("its answer is of another version"))
}

/// An absolute path: the agent is not where the caller is.
pub(super) fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::os(&error, format_args!("resolve {}", path.display())).scoped(Scope::Request))
}
