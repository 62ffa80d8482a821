//! What the agent's threads do: admit jobs, move bytes, deliver disks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::admit::{Admitted, admit};
use super::anchor::Anchor;
use super::core::{Admission, Core, Move, Task, panicked, stopping};
use super::errand::{Errand, Member};
use super::flight::{Boarding, Flight, Ticket};
use super::job::{Job, JobStage};
use super::jobs::Claim;
use super::spectator::Spectator;
use crate::decision::Decision;
use crate::ledger::{Facts, Ledger, PlacedDisk};
use crate::place::{Landed, Placed};
use crate::plugin::CallContext;
use crate::publish::{Part, publish_directory, withdraw};

impl Core {
    /// The life of a hand.
    pub(crate) fn hand(self: &Arc<Self>, ledger: &Ledger) {
        while let Some((task, _turn)) = self.hands.pop() {
            self.settle(ledger);
            let job = match &task {
                Task::Admit(admission) => Some(Arc::clone(&admission.job)),
                Task::Deliver(job) => Some(Arc::clone(job)),
                Task::Run(_) => None,
            };
            let done = catch_unwind(AssertUnwindSafe(|| match task {
                Task::Admit(admission) => self.do_admit(&admission, ledger),
                Task::Deliver(job) => self.do_deliver(&job, ledger),
                Task::Run(action) => action(ledger),
            }));
            if let (Err(_), Some(job)) = (done, job) {
                self.fail(&job, &panicked());
            }
        }
    }

    /// The life of a mover.
    pub(crate) fn mover(self: &Arc<Self>, ledger: &Ledger) {
        while let Some((movement, _turn)) = self.movers.pop() {
            match movement {
                Move::Shared(flight) => {
                    let landed = catch_unwind(AssertUnwindSafe(|| self.do_fly(&flight, ledger)));
                    if landed.is_err() {
                        self.flight_failed(&flight, &panicked(), &Decision::default(), ledger);
                    }
                }
                Move::Alone(ticket) => {
                    let job = Arc::clone(&ticket.job);
                    if catch_unwind(AssertUnwindSafe(|| self.do_place(&ticket, ledger))).is_err() {
                        self.fail(&job, &panicked());
                    }
                }
            }
        }
    }

    fn do_admit(self: &Arc<Self>, admission: &Admission, ledger: &Ledger) {
        let Admission { job, request, rights } = admission;
        if !job.claim() {
            return;
        }
        if self.is_stopping() {
            return self.fail(job, &stopping());
        }
        job.progress(|progress| progress.stage = JobStage::Admitting);
        let admitted = job.cancel.check().and_then(|()| admit(job, request, rights, &self.setup(), ledger));
        let errand = match admitted {
            Err(error) => return self.fail(job, &error),
            Ok(Admitted::Placed(errand, placed)) => {
                let decision = decision_about(&errand);
                return self.end(job, decision, Ok(&placed), true);
            }
            Ok(Admitted::Errand(errand)) => errand,
        };
        match self.jobs.claim_target(job, &errand, errand.fingerprint()) {
            Err(error) => self.fail(job, &error),
            Ok(Claim::Same(other)) => {
                // It rests first: whoever ends the other ends this one too.
                if !job.rest() {
                    self.fail(job, &gone(job));
                } else if !other.follow(admission.clone()) {
                    // The other is over: what it left is looked at anew.
                    self.admit(admission.clone());
                }
            }
            Ok(Claim::Granted) => self.begin_errand(job, &errand),
        }
    }

    /// Asks for the bytes of all images of an errand.
    fn begin_errand(self: &Arc<Self>, job: &Arc<Job>, errand: &Arc<Errand>) {
        job.set_errand(errand);
        job.progress(|progress| progress.stage = JobStage::Waiting);
        let ticket = |member: usize| Ticket { job: Arc::clone(job), errand: Arc::clone(errand), member };
        if errand.may_link() {
            if job.rest() {
                return self.fly(job.caller.uid, job.priority, Move::Alone(ticket(0)));
            }
            return self.fail(job, &gone(job));
        }
        if !job.rest() {
            return self.fail(job, &gone(job));
        }
        for member in 0..errand.members.len() {
            self.board(ticket(member));
        }
    }

    /// Asks for the bytes of one image.
    fn board(self: &Arc<Self>, ticket: Ticket) {
        let (job, member) = (Arc::clone(&ticket.job), ticket.member);
        match self.flights.board(ticket, Instant::now()) {
            Err(error) => self.fail_waiting(&job, &error),
            Ok(Boarding::Begins(flight)) => self.fly(job.caller.uid, job.priority, Move::Shared(flight)),
            Ok(Boarding::Joined) => self.metrics.joined(),
            Ok(Boarding::Held(anchor)) => {
                self.metrics.joined();
                self.arrived(&job, member, anchor, true);
            }
        }
        // Given up in between, when it was not in the list yet.
        if job.is_over() {
            self.flights.leave(&job);
        }
    }

    fn arrived(self: &Arc<Self>, job: &Arc<Job>, member: usize, anchor: Arc<Anchor>, shares: bool) {
        if job.arrived(member, anchor, shares) {
            self.hands.push(job.caller.uid, job.priority, Task::Deliver(Arc::clone(job)));
        }
    }

    /// Moves bytes that any number of jobs wait for, on behalf of the first of them.
    fn do_fly(self: &Arc<Self>, flight: &Flight, ledger: &Ledger) {
        let Ticket { job, errand, member } = &flight.leader;
        let waiting = self.flights.waiting(&flight.key, flight.number);
        let (Some(member), false) = (errand.members.get(*member), waiting.is_empty()) else { return };
        for ticket in &waiting {
            ticket.job.progress(|progress| progress.stage = JobStage::Moving);
        }
        let _workers = self.workers(errand);
        let node = errand.node(ledger);
        let mut decision = Decision::about(&member.image.record, &errand.setup.config, job.caller.uid);
        let order = errand.shared_order(member);
        let spectator = Spectator::of_flight(self, flight);
        let began = Instant::now();
        let landed =
            node.land(&errand.target, &order, &mut decision, &flight.cancel, &spectator, &mut |landed, trials| {
                if let Some(remark) = &landed.remark {
                    trials.note(remark);
                }
                node.remember(&landed.moved, &trials.attempt()?.expected);
                Ok(landed)
            });
        self.metrics.attempts(&decision);
        match landed {
            Err(error) => self.flight_failed(flight, &error, &decision, ledger),
            Ok(landed) => {
                self.metrics.moved(&landed.moved, began.elapsed());
                let anchor = Anchor { landed, decision, exclusive: true };
                let worth = anchor.is_worth_holding(&node) && !self.is_stopping();
                let linger = if worth { errand.setup.config.agent.linger } else { Duration::ZERO };
                let (anchor, tickets) = self.flights.landed(flight, anchor, linger, Instant::now());
                let served = tickets.len();
                if served > 1 {
                    self.metrics.saved(anchor.bytes(), served.saturating_sub(1));
                }
                self.hand_out(anchor, tickets);
            }
        }
    }

    /// Gives the bytes to those who waited. The last one gets the only claim to them, if nobody holds them.
    fn hand_out(self: &Arc<Self>, anchor: Arc<Anchor>, tickets: Vec<Ticket>) {
        let shares = tickets.len() > 1;
        let mut tickets = tickets.into_iter();
        let last = tickets.next_back();
        for ticket in tickets {
            self.arrived(&ticket.job, ticket.member, Arc::clone(&anchor), shares);
        }
        if let Some(ticket) = last {
            self.arrived(&ticket.job, ticket.member, anchor, shares);
        }
    }

    /// The bytes did not come. What failed for reasons of the first one's is tried anew for the others.
    fn flight_failed(self: &Arc<Self>, flight: &Flight, error: &Error, decision: &Decision, ledger: &Ledger) {
        let tickets = self.flights.failed(flight);
        for ticket in tickets {
            if may_do_better(&ticket, &flight.leader, error) {
                self.board(ticket);
                continue;
            }
            let Ticket { job, errand, member } = ticket;
            if !job.claim() {
                continue;
            }
            self.flights.leave(&job);
            let name = errand.members.get(member).and_then(|member| member.name.as_deref());
            let error = match name {
                None => error.clone(),
                Some(name) => error.clone().context(format_args!("{name} of the group")),
            };
            let decision = Decision { caller: Some(job.caller.uid), ..decision.clone() };
            errand.node(ledger).record_failure(errand.target.path(), &decision, &error);
            self.end(&job, decision, Err(&error), false);
        }
    }

    /// Places what shares nothing, the whole straight way.
    fn do_place(self: &Arc<Self>, ticket: &Ticket, ledger: &Ledger) {
        let Ticket { job, errand, member } = ticket;
        let Some(member) = errand.members.get(*member) else { return };
        if !job.claim() {
            return;
        }
        job.progress(|progress| progress.stage = JobStage::Moving);
        let _workers = self.workers(errand);
        let node = errand.node(ledger);
        let mut decision = Decision::about(&member.image.record, &errand.setup.config, job.caller.uid);
        let order = errand.order(member);
        let spectator = Spectator::of_job(job);
        let placed = node.place_at(&errand.target, &order, &mut decision, &job.cancel, &spectator);
        self.metrics.attempts(&decision);
        if let Err(error) = &placed {
            self.failed();
            node.record_failure(errand.target.path(), &decision, error);
        }
        self.end(job, decision, placed.as_ref(), false);
    }

    fn do_deliver(self: &Arc<Self>, job: &Arc<Job>, ledger: &Ledger) {
        if !job.claim() {
            return;
        }
        let Some(errand) = job.errand() else { return };
        job.progress(|progress| progress.stage = JobStage::Publishing);
        let (anchors, shares) = job.take_arrived();
        let mut decision = decision_of(&anchors, job.caller.uid);
        if shares {
            decision.notes.push("the bytes were moved for several calls at once, or for an earlier one".to_owned());
        }
        let began = Instant::now();
        let delivered = job.cancel.check().and_then(|()| deliver(job, &errand, anchors, shares, &decision, ledger));
        self.metrics.delivered(began.elapsed());
        if let Err(error) = &delivered {
            self.failed();
            errand.node(ledger).record_failure(errand.target.path(), &decision, error);
        }
        self.end(job, decision, delivered.as_ref(), false);
    }

    /// Ends a job that this thread has.
    pub(crate) fn end(
        self: &Arc<Self>,
        job: &Arc<Job>,
        decision: Decision,
        done: Result<&Placed, &Error>,
        again: bool,
    ) {
        // Neither the caller nor its deadline wanted that.
        let ended = done.err().filter(|error| self.is_stopping() && error.code() == "cancelled").map(|_| stopping());
        let done = ended.as_ref().map_or(done, Err);
        let seconds = job.began.elapsed().as_secs_f64();
        let mut report = crate::report::Report::new(decision, done, seconds);
        report.repeated = again;
        let Some(followers) = job.close() else { return };
        self.flights.leave(job);
        self.jobs.ended(job);
        self.metrics.ended(&report);
        super::logs::ended(job, &report);
        job.tell(report.clone());
        // Who gave up did so alone.
        let alone = done.err().is_some_and(|error| error.kind() == ErrorKind::Cancelled);
        for follower in followers {
            if alone && !self.is_stopping() {
                self.admit(follower);
            } else if follower.job.claim() {
                self.metrics.joined();
                if follower.job.close().is_some() {
                    self.jobs.ended(&follower.job);
                    follower.job.tell(crate::report::Report { repeated: report.ok, ..report.clone() });
                }
            }
        }
    }

    /// Ends a job that this thread has, before there was anything to decide.
    pub(crate) fn fail(self: &Arc<Self>, job: &Arc<Job>, error: &Error) {
        self.end(job, job.decision(), Err(error), false);
    }

    /// Ends a job that waits; one that somebody has is told to stop.
    fn fail_waiting(self: &Arc<Self>, job: &Arc<Job>, error: &Error) {
        if job.give_up() {
            self.fail(job, error);
        }
    }

    /// The caller, or its deadline, wants a job ended. Those who wait for the same bytes go on.
    pub(crate) fn give_up(self: &Arc<Self>, job: &Arc<Job>) {
        if job.give_up() {
            self.fail(job, &gone(job));
        }
    }

    /// Waits until the workers that a movement may need can be started.
    fn workers(&self, errand: &Errand) -> Option<super::slots::Taken<'_>> {
        let isolated = errand.setup.ordered.iter().any(|handler| handler.is_isolated());
        isolated.then(|| self.slots.take(super::slots::OF_A_MOVEMENT))
    }
}

/// Why a job that was given up is over.
fn gone(job: &Job) -> Error {
    let error = job.cancel.check().err().unwrap_or_else(Error::cancelled);
    error.scoped(Scope::Request)
}

/// Whether a movement that failed for `leader` may go well for another: with other logins, or in another directory.
fn may_do_better(ticket: &Ticket, leader: &Ticket, error: &Error) -> bool {
    let logins = |ticket: &Ticket| ticket.errand.members.get(ticket.member).map(|member| member.image.logins.clone());
    let directory = |ticket: &Ticket| ticket.errand.target.path().parent().map(std::path::Path::to_owned);
    match (error.kind(), error.scope()) {
        (ErrorKind::Internal | ErrorKind::Cancelled, _) => false,
        (ErrorKind::Denied, _) if logins(ticket) != logins(leader) => true,
        (_, Scope::Request | Scope::Node) => directory(ticket) != directory(leader),
        _ => false,
    }
}

fn decision_about(errand: &Errand) -> Decision {
    match errand.members.first() {
        Some(member) => Decision::about(&member.image.record, &errand.setup.config, errand.caller.uid),
        None => Decision::default(),
    }
}

/// The decisions that led to what came, as one.
fn decision_of(anchors: &[Arc<Anchor>], caller: u32) -> Decision {
    let mut all = anchors.iter().map(|anchor| anchor.decision.clone());
    let mut decision = all.next().unwrap_or_default();
    for other in all {
        decision.image = None;
        decision.inputs = None;
        decision.attempts.extend(other.attempts);
        decision.excluded.extend(other.excluded);
        decision.notes.extend(other.notes);
    }
    decision.caller = Some(caller);
    decision
}

/// Publishes what came for a job.
fn deliver(
    job: &Job,
    errand: &Errand,
    anchors: Vec<Arc<Anchor>>,
    shares: bool,
    decision: &Decision,
    ledger: &Ledger,
) -> Result<Placed> {
    let node = errand.node(ledger);
    let call = CallContext::quiet(job.cancel.clone(), errand.setup.config.limits.stall);
    let mut landed = Vec::with_capacity(anchors.len());
    for (member, anchor) in errand.members.iter().zip(anchors) {
        let moved_by = anchor.landed.moved.method;
        let mut disks = anchor.deliver(&errand.target, &errand.order(member), &node, &call)?;
        if !shares {
            // The agent's own copy on the way is nobody's concern.
            disks.facts.method = moved_by;
        }
        landed.push((member, disks));
    }
    job.cancel.check()?;
    let ledger_job = ledger.begin_job()?;
    let request = Some(errand.fingerprint());
    match landed.as_mut_slice() {
        [(member, landed)] if member.name.is_none() => {
            let order = errand.order(member);
            landed.facts = Facts { caller: Some(job.caller.uid), request, ..landed.facts.clone() };
            let published = node.publish(landed, &order, &ledger_job)?;
            node.record(landed, &order, decision, &published)
        }
        group => deliver_group(errand, group, request, decision, ledger, &ledger_job),
    }
}

/// Publishes the disks of several images as one directory.
fn deliver_group(
    errand: &Errand,
    group: &mut [(&Member, Landed)],
    request: Option<String>,
    decision: &Decision,
    ledger: &Ledger,
    ledger_job: &crate::ledger::Job,
) -> Result<Placed> {
    let mut facts = group_facts(errand, group, request)?;
    let images: Vec<Option<String>> = group.iter().map(|(_, landed)| landed.facts.image.clone()).collect();
    let mut parts: Vec<Part<'_>> = group
        .iter_mut()
        .zip(&images)
        .map(|((member, landed), image)| Part {
            name: member.name.as_deref(),
            image: image.as_deref(),
            stage: &mut landed.stage,
            moved: &mut landed.moved,
        })
        .collect();
    let target = &errand.target;
    let published = publish_directory(target, &mut parts, &errand.dress, ledger, ledger_job, &mut facts)?;
    facts.bytes = published.bytes;
    if let Err(error) = ledger.confirm(published.id, &decision.record(Ok(&facts))) {
        if let Some((_, landed)) = group.first() {
            withdraw(&landed.stage, &published, false, ledger);
        }
        return Err(error);
    }
    Ok(Placed { path: target.path().to_owned(), facts })
}

/// What the ledger is to know of a group: of all its images together.
fn group_facts(errand: &Errand, group: &[(&Member, Landed)], request: Option<String>) -> Result<Facts> {
    let first = group.first().map(|(_, landed)| &landed.facts).ok_or_else(panicked)?;
    let all = |of: fn(&Facts) -> &str| {
        let mut words: Vec<&str> = Vec::new();
        for word in group.iter().map(|(_, landed)| of(&landed.facts)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(", ")
    };
    Ok(Facts {
        image: None,
        locations: group.iter().flat_map(|(_, landed)| landed.facts.locations.clone()).collect(),
        handler: all(|facts| &facts.handler),
        handlers: Vec::new(),
        digest: None,
        // As little as is known of the one that least is known of.
        verified: group
            .iter()
            .map(|(_, landed)| landed.facts.verified)
            .max_by_key(|verified| verified.weakness())
            .unwrap_or(first.verified),
        disks: Vec::<PlacedDisk>::new(),
        caller: Some(errand.caller.uid),
        request,
        ..first.clone()
    })
}
