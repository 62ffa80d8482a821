//! What becomes of a job, as it happens: server-sent events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Bytes, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

use super::answer::JobDocument;
use super::job::{Job, Progress};
use crate::redact::visible_json;

/// How often events come at most.
const PERIOD: Duration = Duration::from_millis(100);
/// After how long without an event a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Events until the job is over: `progress` whenever it comes further, and at last `end` with the job's document.
pub(super) fn stream(job: Arc<Job>) -> Response {
    // Who reads slowly gets fewer events, and never old ones.
    let (events, body) = mpsc::channel(1);
    tokio::spawn(send(job, events));
    let mut response = Response::new(Body::new(EventBody { events: body }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn send(job: Arc<Job>, events: mpsc::Sender<Bytes>) {
    let mut view = job.watch();
    let mut told: Option<Progress> = None;
    loop {
        let (progress, is_over) = {
            let now = view.borrow_and_update();
            (now.progress.clone(), now.outcome.is_some())
        };
        if told.as_ref() != Some(&progress) {
            if events.send(event("progress", &progress)).await.is_err() {
                return;
            }
            told = Some(progress);
        }
        if is_over {
            // Nobody may be there to hear it.
            let _ = events.send(event("end", &JobDocument::from(&*job))).await;
            return;
        }
        tokio::time::sleep(PERIOD).await;
        match tokio::time::timeout(ALIVE, view.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                if events.send(Bytes::from_static(b": alive\n\n")).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn event(name: &str, document: &impl Serialize) -> Bytes {
    // One line: JSON without line breaks.
    let text = serde_json::to_string(document).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {}\n\n", visible_json(&text)))
}

struct EventBody {
    events: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.events.poll_recv(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
