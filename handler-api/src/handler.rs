//! What a plugin author implements.

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::request::{HandlerInfo, HandlerStatus, PlacementEvent, Probe, Ranked, Request, SelectRequest};
use crate::source::Source;

/// A handler: the methods of the kinds that [`ImageHandler::info`] names, and any of the others.
///
/// **Who calls, and when.** The host, through the glue that [`export!`](crate::export!) makes: `info` while plugins are
/// being looked at; `new` once for a configuration in the agent, once for a job in a worker; `probe` once for each pair
/// of handler and location; `open` and the others once an attempt, `open` again for a location that is opened again.
/// `filter` and `unpack` once an attempt; `delete_stored` for each location that is scrubbed; `select` is not called in this version. **Processes.** The same plugin runs in the
/// agent or in a worker, a process of its own that is killed when its job is over: nothing that must survive may be
/// left to a destructor. **Threads.** Each operation has a thread that the host lent, several run at once, and a method
/// may block it: other operations go on. Waiting on the network is done with tokio, on a small runtime of the plugin's
/// own that is made when it is first needed. **Cancel.** The future of a cancelled operation is dropped at its next
/// wait; a method that does not wait asks [`Call::check`] in its loops. Who does neither within the host's grace period
/// (5 s) is called no more. Who gives no sign of life for the node's `limits.stall` (no byte, no [`Call::progress`], no
/// answer) is given up, code `stalled`. **Errors.** The kind and its scope decide what is tried next; nothing is
/// retried that the handler did not call `unavailable`. **Panics** are caught and become `crashed`; after one in a
/// method the next operation gets a new handler made by `new`, and a source that panicked in a read is read no more.
///
/// Why not one `fetch(url, path)`: the host could then neither verify while the bytes move, nor resume, nor read from
/// several locations at once, nor clone; and a handler would need the right to write where images are published.
#[async_trait]
pub trait ImageHandler: Send + Sync + Sized + 'static {
    /// This handler's section of the configuration; [`NoConfig`] when it has none. An absent section is read as `{}`.
    type Config: DeserializeOwned;

    /// Identity and abilities. Without I/O or any other effect: it runs when the plugin is merely looked at.
    fn info() -> HandlerInfo;

    /// Makes the handler. No I/O that takes time: the agent waits for it when it starts, and each job of a worker.
    fn new(config: Self::Config) -> Result<Self>;

    /// Whether the handler will try this request, from the request alone: no I/O. It does not rank.
    fn probe(&self, request: &Request) -> Probe {
        let _ = request;
        Probe::yes()
    }

    /// Kind `transfer`: writes the output itself, opened with [`Call::output`] and ended with
    /// [`Output::finish`](crate::Output::finish).
    async fn transfer(&self, call: &Call, request: &Request) -> Result<()> {
        let _ = (call, request);
        Err(Error::unsupported("transfer"))
    }

    /// Kind `source`: opens the request's location. `call` may be kept in the source: it lives until the source is
    /// closed. The same location may be opened several times, also at once.
    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let _ = (call, request);
        Err(Error::unsupported("open"))
    }

    /// Kind `filter`: a source that reads from `input`, front to back; both `input` and `call` may be kept in it. It is read
    /// once, as a whole, and need know no size.
    async fn filter(&self, call: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        let _ = (call, request, input);
        Err(Error::unsupported("filter"))
    }

    /// Kind `unpack`: turns `input` into raw disks, the outputs 0, 1, ... of [`Call::output`]. A format that can never be
    /// read front to back says [`HandlerInfo::ranged_input`](HandlerInfo::ranged_input()). Where only some files of a
    /// format cannot, it just reads on at an earlier offset and returns the error `input-forward-only` that comes of it:
    /// the host then spools the input, and calls once more with one that has any offset.
    async fn unpack(&self, call: &Call, request: &Request, input: Input) -> Result<()> {
        let _ = (call, request, input);
        Err(Error::unsupported("unpack"))
    }

    /// Kind `select`: a key and a reason for each location. The host sorts.
    async fn select(&self, call: &Call, request: &SelectRequest) -> Result<Vec<Ranked>> {
        let _ = (call, request);
        Err(Error::unsupported("select"))
    }

    /// Deletes the stored bytes that the request's location names, and all that belongs to them in their store, such as segments;
    /// they are durably gone when it returns. `landfall scrub` calls it for locations that are `pending_delete` in a store that is
    /// configured with `delete`, after a [`probe`](Self::probe) with [`Request::to_delete`]; two scrubs may call it for one location at the
    /// same time. It deletes only where a setting of the handler's own allows it.
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) counts as done: it means that the store answered, and has no such bytes; a store that cannot be reached or is not
    /// mounted is [`Unavailable`](crate::ErrorKind::Unavailable). [`Denied`](crate::ErrorKind::Denied) means that nothing was touched. After any other error, a
    /// cancellation or a crash it is called again at the next scrub; so of several objects the one that leads to the others goes last.
    async fn delete_stored(&self, call: &Call, request: &Request) -> Result<()> {
        let _ = (call, request);
        Err(Error::unsupported("delete_stored"))
    }

    /// Whether it could serve now; for people, and allowed to try.
    async fn status(&self, call: &Call) -> Result<HandlerStatus> {
        let _ = call;
        Err(Error::unsupported("status"))
    }

    /// The host removed a placement that this handler made: for handlers that hold something for each placement.
    async fn placement_removed(&self, call: &Call, event: &PlacementEvent) -> Result<()> {
        let _ = (call, event);
        Err(Error::unsupported("placement_removed"))
    }

    /// The host moved a placement that this handler made.
    async fn placement_moved(&self, call: &Call, event: &PlacementEvent) -> Result<()> {
        let _ = (call, event);
        Err(Error::unsupported("placement_moved"))
    }
}

/// The configuration of a handler that has none: any key is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
