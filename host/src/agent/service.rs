//! The life of the agent: it starts, serves, reads its configuration anew, and stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};

use super::connection::serve;
use super::core::{Core, HANDS};
use super::logs;
use super::reload::reload;
use super::routes::router;
use super::scrubbing;
use super::setup::Setup;
use super::socket::Listening;
use crate::cancel::Cancel;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::signals;

/// Threads for connections. All that takes time runs on threads of its own.
const CONVERSING: usize = 2;
/// How often what is held is looked at, and whether all jobs are over.
const TICK: Duration = Duration::from_millis(200);
/// How long jobs may take to end when they were told to.
const LAST: Duration = Duration::from_secs(10);

/// Runs the agent until a signal stops it.
pub(crate) fn run(config: Config, path: Option<&Path>, binary: PathBuf) -> Result<()> {
    let (signal, signals) = mpsc::unbounded_channel();
    signals::listen(move |caught| {
        // The agent is gone, and the process about to be.
        let _ = signal.send(caught);
    })?;
    logs::begin(config.agent.log)?;
    allow_descriptors();
    let ledger = Ledger::open(&config.state_dir)?;
    let listening = Listening::open(&config.agent)?;
    let movers = config.agent.jobs;
    let state_dir = config.state_dir.clone();
    let setup = Setup::load(config, &ledger, &binary)?;
    setup.warn();
    let core = Arc::new(Core::new(setup, path.map(Path::to_owned), binary));
    drop(ledger);
    for number in 0..HANDS {
        start(&core, &state_dir, format!("hand-{number}"), Core::hand)?;
    }
    for number in 0..movers {
        start(&core, &state_dir, format!("mover-{number}"), Core::mover)?;
    }
    let stop_scrubbing = Cancel::new()?;
    let (scrubber, stopped) = (Arc::clone(&core), stop_scrubbing.clone());
    std::thread::Builder::new()
        .name("scrubber".to_owned())
        .spawn(move || scrubbing::live(&scrubber, &stopped))
        .map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONVERSING)
        .thread_name("connections")
        .enable_all()
        .build()
        .map_err(|error| Error::os(&error, "start the threads for connections").scoped(Scope::Node))?;
    let Listening { listener, made } = listening;
    let served = runtime.block_on(live(Arc::clone(&core), listener, signals));
    stop_scrubbing.cancel();
    core.hands.close();
    core.movers.close();
    if let Some(made) = made {
        made.remove();
    }
    runtime.shutdown_timeout(LAST);
    served
}

/// Lets the process have as many descriptors as it may: each connection is one. Workers lower it for themselves.
fn allow_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(errno) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("no more than {soft} descriptors: {errno}");
    }
}

/// Starts a thread with a ledger of its own.
fn start(core: &Arc<Core>, state_dir: &Path, name: String, life: fn(&Arc<Core>, &Ledger)) -> Result<()> {
    let core = Arc::clone(core);
    let ledger = Ledger::open_settled(state_dir)?;
    std::thread::Builder::new()
        .name(name)
        .spawn(move || life(&core, &ledger))
        .map(drop)
        .map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))
}

async fn live(
    core: Arc<Core>,
    listener: std::os::unix::net::UnixListener,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> Result<()> {
    let failed = |error: std::io::Error| Error::os(&error, "listen on the socket").scoped(Scope::Node);
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(serve(listener, Arc::clone(&core), router(Arc::clone(&core)), stopped));
    tokio::spawn(look_after(Arc::clone(&core)));
    tell_systemd(&[NotifyState::Ready, NotifyState::Status("serving")]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the agent serves");
    while let Some(signal) = signals.recv().await {
        if signal != Signal::SIGHUP {
            break;
        }
        tell_systemd(&reloading());
        let reloaded = Arc::clone(&core);
        // Plugins are scanned, and files read.
        let _ = tokio::task::spawn_blocking(move || reload(&reloaded)).await;
        tell_systemd(&[NotifyState::Ready]);
    }
    tell_systemd(&[NotifyState::Stopping, NotifyState::Status("waiting for running jobs")]);
    tracing::info!("the agent is being stopped");
    core.stop();
    // Nobody else is let in, and whoever is here gets an answer.
    let _ = stop.send(true);
    let _ = server.await;
    drain(&core, &mut signals).await;
    tracing::info!("the agent stops");
    Ok(())
}

/// Waits for the jobs that run, for as long as they may; then ends them.
async fn drain(core: &Arc<Core>, signals: &mut mpsc::UnboundedReceiver<Signal>) {
    let until = Instant::now().checked_add(core.setup().config.agent.stop);
    let hurry = async {
        // Whoever asks twice does not want to wait.
        while let Some(signal) = signals.recv().await {
            if signal != Signal::SIGHUP {
                return;
            }
        }
    };
    let all_over = async {
        while core.jobs.count() > 0 && until.is_some_and(|until| Instant::now() < until) {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::select! {
        () = hurry => {}
        () = all_over => {}
    }
    let ending = Arc::clone(core);
    // It may wait for the lock of a table.
    let _ = tokio::task::spawn_blocking(move || ending.abandon_all()).await;
    let last = Instant::now();
    while (core.jobs.count() > 0 || core.connections.count() > 0) && last.elapsed() < LAST {
        tokio::time::sleep(TICK).await;
    }
}

/// Lets go of what was held long enough, and tells systemd that the agent is alive.
async fn look_after(core: Arc<Core>) {
    let mut watchdog = sd_notify::watchdog_enabled().map(|period| tokio::time::interval(period / 3));
    let mut tick = tokio::time::interval(TICK);
    loop {
        let alive = async {
            match &mut watchdog {
                Some(watchdog) => watchdog.tick().await,
                None => std::future::pending().await,
            }
        };
        let is_watchdog = tokio::select! {
            _ = tick.tick() => false,
            _ = alive => true,
        };
        let looked = Arc::clone(&core);
        // Where a thread holds a table's lock and hangs, this hangs too, and systemd is told nothing.
        let _ = tokio::task::spawn_blocking(move || {
            looked.flights.let_go(Instant::now());
            looked.jobs.count()
        })
        .await;
        if is_watchdog {
            tell_systemd(&[NotifyState::Watchdog]);
        }
    }
}

fn reloading() -> Vec<NotifyState<'static>> {
    let mut told = vec![NotifyState::Reloading];
    told.extend(NotifyState::monotonic_usec_now());
    told
}

/// Not being able to tell is no reason to end.
fn tell_systemd(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

impl Core {
    /// Ends every job: what began may be gone on with by the next agent.
    fn abandon_all(self: &Arc<Self>) {
        self.flights.cancel_all();
        for job in self.jobs.running() {
            self.give_up(&job);
        }
        self.flights.let_all_go();
    }
}

/// Refuses a setting that only counts when the agent starts.
pub(super) fn needs_restart(what: &str) -> Error {
    let message = format!("{what} is not changed by a reload: restart the agent");
    Error::new(ErrorKind::Invalid, "needs-restart", message).scoped(Scope::Request)
}
