//! What the agent's threads share: the jobs, the movements, and who works on them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use tokio::sync::Semaphore;

use super::answer::LONG_AT_ONCE;
use super::body::LARGE_AT_ONCE;
use super::caller::Caller;
use super::connection::Connections;
use super::flight::{Flight, Flights, Ticket};
use super::job::Job;
use super::jobs::{Bounds, Jobs};
use super::metrics::{Gauges, Metrics};
use super::queue::FairQueue;
use super::request::PlaceRequest;
use super::rights::Rights;
use super::setup::Setup;
use super::slots::Slots;
use crate::complaint::complain;
use crate::ledger::Ledger;

/// Threads for what takes little time: admission, delivery, removal, listings.
pub(crate) const HANDS: usize = 8;
/// The priority of what a caller waits for that is no placement.
const SOON: u8 = 10;

/// Something for a hand.
pub(crate) enum Task {
    /// Find out whether a job is allowed, and begin it.
    Admit(Admission),
    /// The bytes of a job are all here.
    Deliver(Arc<Job>),
    /// Anything else.
    Run(Box<dyn FnOnce(&Ledger) + Send>),
}

/// A job that is to be admitted.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) job: Arc<Job>,
    pub(crate) request: Arc<PlaceRequest>,
    pub(crate) rights: Arc<Rights>,
}

/// Something for a mover.
pub(crate) enum Move {
    /// Bytes that any number of jobs wait for.
    Shared(Flight),
    /// A placement that shares nothing.
    Alone(Ticket),
}

/// The agent.
pub(crate) struct Core {
    setup: RwLock<Arc<Setup>>,
    /// The configuration file that was named.
    pub(crate) config: Option<PathBuf>,
    /// This program's file.
    pub(crate) binary: PathBuf,
    /// The agent's own user.
    pub(crate) user: u32,
    pub(crate) jobs: Jobs,
    pub(crate) flights: Flights,
    pub(crate) hands: FairQueue<Task>,
    pub(crate) movers: FairQueue<Move>,
    pub(crate) slots: Slots,
    pub(super) connections: Arc<Connections>,
    /// For requests with records in them.
    pub(super) large_bodies: Semaphore,
    /// For answers with lists in them.
    pub(super) long_answers: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    stopping: AtomicBool,
    /// Whether something failed that may have been announced in the ledger.
    unsettled: AtomicBool,
}

impl Core {
    pub(crate) fn new(setup: Setup, config: Option<PathBuf>, binary: PathBuf) -> Self {
        let movers = usize::try_from(setup.config.agent.jobs).unwrap_or(usize::MAX);
        let slots = Slots::new(setup.config.agent.workers);
        Self {
            setup: RwLock::new(Arc::new(setup)),
            config,
            binary,
            user: nix::unistd::geteuid().as_raw(),
            jobs: Jobs::default(),
            flights: Flights::default(),
            hands: FairQueue::new(HANDS),
            movers: FairQueue::new(movers),
            slots,
            connections: Arc::default(),
            large_bodies: Semaphore::new(LARGE_AT_ONCE),
            long_answers: Arc::new(Semaphore::new(LONG_AT_ONCE)),
            metrics: Metrics::default(),
            stopping: AtomicBool::new(false),
            unsettled: AtomicBool::new(false),
        }
    }

    /// The configuration in force.
    pub(crate) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in force, for what is called for from now on.
    pub(crate) fn set_up(&self, setup: Setup) {
        self.slots.set(setup.config.agent.workers);
        *self.setup.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setup);
    }

    /// What a caller may do now.
    pub(crate) fn rights(&self, caller: &Caller) -> Result<Rights> {
        Rights::of(caller, &self.setup().config.agent, self.user)
    }

    /// Takes a placement on. It is looked at soon.
    pub(crate) fn begin(&self, caller: &Caller, request: PlaceRequest) -> Result<Arc<Job>> {
        let rights = self.rights(caller)?;
        request.check()?;
        if self.is_stopping() {
            return Err(stopping());
        }
        let agent = &self.setup().config.agent;
        let bounds = Bounds { all: agent.queue, of_caller: agent.queue_per_caller };
        let (target, _) = super::admit::target_path(&request)?;
        let id = format!("{:016x}", crate::stage::random()?);
        let deadline = request.deadline_seconds.map(Duration::from_secs_f64);
        let job = Job::new(id, caller.clone(), target, named(&request), request.priority, deadline)?;
        let job = self.jobs.begin(job, bounds)?;
        self.admit(Admission { job: Arc::clone(&job), request: Arc::new(request), rights: Arc::new(rights) });
        Ok(job)
    }

    /// Has a job looked at.
    pub(crate) fn admit(&self, admission: Admission) {
        let (uid, priority) = (admission.job.caller.uid, admission.job.priority);
        self.hands.push(uid, priority, Task::Admit(admission));
    }

    /// Has a movement made.
    pub(crate) fn fly(&self, uid: u32, priority: u8, movement: Move) {
        self.movers.push(uid, priority, movement);
    }

    /// Has something short done for a caller, on a thread that may wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        caller: &Caller,
        action: impl FnOnce(&Ledger) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, wait) = tokio::sync::oneshot::channel();
        let task = move |ledger: &Ledger| {
            // Nobody waits any more: what was done is done.
            let _ = answer.send(action(ledger));
        };
        self.hands.push(caller.uid, SOON, Task::Run(Box::new(task)));
        wait.await.unwrap_or_else(|_| Err(panicked()))
    }

    /// Something failed: what it announced in the ledger is settled before the next task.
    pub(crate) fn failed(&self) {
        self.unsettled.store(true, Ordering::SeqCst);
    }

    /// Settles what failed tasks announced and left.
    pub(crate) fn settle(&self, ledger: &Ledger) {
        if !self.unsettled.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = ledger.reconcile() {
            complain(format_args!("the ledger is not settled yet: {error}"));
            self.failed();
        }
    }

    /// How it stands now.
    pub(crate) fn gauges(&self) -> Gauges {
        let (held, held_bytes) = self.flights.let_go(Instant::now());
        Gauges {
            jobs: self.jobs.count(),
            movements_waiting: self.movers.len(),
            tasks_waiting: self.hands.len(),
            workers: self.slots.taken(),
            connections: self.connections.count(),
            held,
            held_bytes,
        }
    }

    /// No more is taken on. What has not begun is given back to its callers, to be called for again.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the agent is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// The images of a request, as they were named; nothing of what may be secret.
fn named(request: &PlaceRequest) -> Option<String> {
    let name = |image: &super::request::ImageRequest| {
        image.id.clone().or_else(|| image.record.as_ref().and_then(|record| record.id.clone()))
    };
    let names: Vec<String> =
        request.image.iter().chain(request.group.iter().map(|member| &member.image)).filter_map(name).collect();
    if names.is_empty() { None } else { Some(crate::redact::printable(&names.join(" "))) }
}

/// The answer to whoever calls while the agent is being stopped.
pub(crate) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "agent-stopping", "the agent is being stopped")
        .scoped(Scope::Request)
        .retried_after(Duration::from_secs(1))
}

/// What is told of a thread that broke down.
pub(crate) fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "panic", "the agent broke down over this; its log says where").scoped(Scope::Node)
}
