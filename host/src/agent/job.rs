//! A call that takes its time: what became of it so far, and how it can be given up.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::anchor::Anchor;
use super::caller::Caller;
use super::core::Admission;
use super::errand::Errand;
use crate::cancel::Cancel;
use crate::decision::Decision;
use crate::report::{ErrorReport, Report};

/// Failures of attempts that are told while a job runs.
const FAILURES_MAX: usize = 20;

/// Where a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobStage {
    /// It waits to be looked at.
    #[default]
    Queued,
    /// It is found out whether the caller may have the image, and where the target is.
    Admitting,
    /// It waits until its bytes can be moved, or until they are there: others may have asked before.
    Waiting,
    /// Its bytes are moved and verified.
    Moving,
    /// The disk gets its name.
    Publishing,
    /// The disk is there.
    Done,
    /// It failed.
    Failed,
}

/// A job as others see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Progress {
    /// Where it is.
    pub(crate) stage: JobStage,
    /// The attempt that is made, from 1.
    pub(crate) attempt: u64,
    /// Attempts that there are, as far as is known.
    pub(crate) of: u64,
    /// The handlers of the attempt.
    pub(crate) handlers: Vec<String>,
    /// Its locations, redacted.
    pub(crate) locations: Vec<String>,
    /// Bytes that are there.
    pub(crate) bytes: u64,
    /// How many there will be, when that is known.
    pub(crate) total: Option<u64>,
    /// Bytes a second, of late.
    pub(crate) rate: Option<u64>,
    /// Seconds that the rest may take.
    pub(crate) eta: Option<u64>,
    /// Attempts that failed.
    pub(crate) failures: Vec<ErrorReport>,
}

impl Progress {
    /// An attempt failed.
    pub(crate) fn failed(&mut self, error: &Error) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(error.into());
        }
    }
}

/// What came of a job.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The document that the caller gets.
    pub(crate) report: Arc<Report>,
}

/// A view of a job: how far it is, and in the end what came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) progress: Progress,
    pub(crate) outcome: Option<Outcome>,
}

/// A call to place something.
pub(crate) struct Job {
    /// Its name: 16 hex digits that nobody can guess.
    pub(crate) id: String,
    /// Who called.
    pub(crate) caller: Caller,
    /// The target as it was named.
    pub(crate) target: PathBuf,
    /// The images as they were named.
    pub(crate) image: Option<String>,
    /// Among the caller's own.
    pub(crate) priority: u8,
    /// Stops it.
    pub(crate) cancel: Cancel,
    /// When it was called for.
    pub(crate) began: Instant,
    /// The same, in milliseconds since 1970.
    pub(crate) at: i64,
    /// What is logged of it is logged in this.
    pub(crate) span: tracing::Span,
    view: watch::Sender<View>,
    state: Mutex<State>,
}

/// Who has a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody: it waits. Whoever gives it up ends it.
    Waiting,
    /// A thread, which ends it.
    Working,
    /// It is over.
    Over,
}

struct State {
    phase: Phase,
    errand: Option<Arc<Errand>>,
    /// What came for each of the errand's images.
    arrived: Vec<Option<Arc<Anchor>>>,
    /// Whether others got some of it too.
    shares: bool,
    /// The same call, made again meanwhile.
    followers: Vec<Admission>,
    decision: Decision,
}

impl Job {
    /// Whether its target was named by this path.
    pub(crate) fn is_for(&self, path: &std::path::Path) -> bool {
        self.target.components().eq(path.components())
    }

    pub(crate) fn new(
        id: String,
        caller: Caller,
        target: PathBuf,
        image: Option<String>,
        priority: u8,
        deadline: Option<Duration>,
    ) -> Result<Self> {
        let began = Instant::now();
        let deadline = deadline.and_then(|deadline| began.checked_add(deadline));
        let state = State {
            phase: Phase::Waiting,
            errand: None,
            arrived: Vec::new(),
            shares: false,
            followers: Vec::new(),
            decision: Decision { image: image.clone(), caller: Some(caller.uid), ..Decision::default() },
        };
        let span = super::logs::span(&id, caller.uid, image.as_deref(), &target);
        Ok(Self {
            span,
            id,
            caller,
            target,
            image,
            priority,
            cancel: Cancel::new()?.with_deadline(deadline),
            began,
            at: crate::ledger::now(),
            view: watch::Sender::new(View::default()),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it up; false when it is over, or somebody has it.
    pub(crate) fn claim(&self) -> bool {
        let mut state = self.state();
        let is_free = state.phase == Phase::Waiting;
        if is_free {
            state.phase = Phase::Working;
        }
        is_free
    }

    /// Puts it down, to wait for something; false when it was given up meanwhile, and is the caller's to end.
    pub(crate) fn rest(&self) -> bool {
        let mut state = self.state();
        let goes_on = !self.cancel.is_cancelled();
        if goes_on && state.phase == Phase::Working {
            state.phase = Phase::Waiting;
        }
        goes_on
    }

    /// Gives it up: tells whoever has it to stop. True when nobody has it, and the caller is to end it.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state();
        self.cancel.cancel();
        let is_free = state.phase == Phase::Waiting;
        if is_free {
            state.phase = Phase::Working;
        }
        is_free
    }

    /// What it is to do, once that is known.
    pub(crate) fn errand(&self) -> Option<Arc<Errand>> {
        self.state().errand.clone()
    }

    /// It is allowed, and has this to do.
    pub(crate) fn set_errand(&self, errand: &Arc<Errand>) {
        let mut state = self.state();
        state.arrived = errand.members.iter().map(|_| None).collect();
        state.errand = Some(Arc::clone(errand));
    }

    /// What its report says where there was nothing to decide.
    pub(crate) fn decision(&self) -> Decision {
        self.state().decision.clone()
    }

    /// The bytes of one of its images are here, and whether others got them too; true when those of all are.
    pub(crate) fn arrived(&self, member: usize, anchor: Arc<Anchor>, shares: bool) -> bool {
        let mut state = self.state();
        state.shares |= shares;
        if let Some(place) = state.arrived.get_mut(member) {
            *place = Some(anchor);
        }
        state.arrived.iter().all(Option::is_some)
    }

    /// Takes what came, and whether others got some of it too.
    pub(crate) fn take_arrived(&self) -> (Vec<Arc<Anchor>>, bool) {
        let mut state = self.state();
        (std::mem::take(&mut state.arrived).into_iter().flatten().collect(), state.shares)
    }

    /// Has the same outcome go to `follower`, which waits; false when this one is over already.
    pub(crate) fn follow(&self, follower: Admission) -> bool {
        let mut state = self.state();
        let runs = state.phase != Phase::Over;
        if runs {
            state.followers.push(follower);
        }
        runs
    }

    /// It is over, and nobody has heard of it yet. Gives its followers; `None` when it was over before.
    pub(crate) fn close(&self) -> Option<Vec<Admission>> {
        let mut state = self.state();
        if state.phase == Phase::Over {
            return None;
        }
        state.phase = Phase::Over;
        state.errand = None;
        state.arrived = Vec::new();
        state.decision = Decision::default();
        Some(std::mem::take(&mut state.followers))
    }

    /// Tells what came of it to whoever waits.
    pub(crate) fn tell(&self, mut report: Report) {
        report.job = Some(self.id.clone());
        self.view.send_modify(|view| {
            view.progress.stage = if report.ok { JobStage::Done } else { JobStage::Failed };
            (view.progress.rate, view.progress.eta) = (None, None);
            view.outcome = Some(Outcome { report: Arc::new(report) });
        });
    }

    /// What can be seen of it, and what changes.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// How far it is now.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.view.borrow().outcome.is_some()
    }

    /// It has come further.
    pub(crate) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        self.view.send_if_modified(|view| {
            let runs = view.outcome.is_none();
            if runs {
                change(&mut view.progress);
            }
            runs
        });
        // Those who follow see the same.
        let followers = self.state().followers.clone();
        for follower in followers {
            let progress = self.view.borrow().progress.clone();
            // One that was given up has ended before.
            follower.job.view.send_if_modified(|view| {
                let runs = view.outcome.is_none();
                if runs {
                    view.progress = progress;
                }
                runs
            });
        }
    }
}
