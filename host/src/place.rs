//! The straight way: from a request to a placed disk, in seven steps.

use std::path::Path;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use landfall_select::{Selection, StoreType};

use crate::cancel::Cancel;
use crate::catalog::Image;
use crate::complaint::complain;
use crate::config::{Config, Store};
use crate::decision::Decision;
use crate::engine::{self, Method, Moved, NodeLimits, Want};
use crate::identity::FileVersion;
use crate::inputs::Inputs;
use crate::ledger::{Deed, Facts, Job, Ledger, Subject};
use crate::measured::{Forecast, arrange, forecast_of};
use crate::plugin::{CallContext, Handler};
use crate::progress::Watch;
use crate::publish::{self, Dress, Part, Published, publish, publish_directory};
use crate::redact;
use crate::route::{Asked, Attempt, Chain, Form, Plan, route};
use crate::selection::{select, wants_forecast};
use crate::stage::Stage;
use crate::target::Target;
use crate::trials::{self, Trials};
use crate::verify::{Expected, Verified, remark, verify};

/// What the caller will do with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Write to it: it must be the caller's alone.
    ReadWrite,
    /// Only read it.
    ReadOnly,
}

/// What is to be placed where, and how.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    /// The image.
    pub(crate) image: &'a Image,
    /// Where the disk goes, or the directory of the disks.
    pub(crate) target: &'a Path,
    /// Whether the target is a directory for however many disks the image has.
    pub(crate) directory: bool,
    /// In which form.
    pub(crate) form: Form,
    /// For what use.
    pub(crate) access: Access,
    /// Owner, mode, size, replacement.
    pub(crate) dress: Dress,
    /// Place it without a digest to verify it by.
    pub(crate) allow_unhashed: bool,
    /// Whether an interrupted download is gone on with for any target in the same directory, not for this one alone.
    pub(crate) shared: bool,
    /// The user that it is placed for.
    pub(crate) caller: u32,
}

/// This node: its configuration, handlers in the operator's order, and ledger.
pub(crate) struct Node<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// The handlers that may be used, in order.
    pub(crate) handlers: &'a [Arc<dyn Handler>],
    /// The ledger.
    pub(crate) ledger: &'a Ledger,
    /// What all processes of the node may use at once.
    pub(crate) limits: Option<Arc<NodeLimits>>,
}

/// A disk that was placed.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Its absolute path.
    pub(crate) path: std::path::PathBuf,
    /// What is in the ledger of it.
    pub(crate) facts: Facts,
}

/// Verified bytes that have no name yet.
pub(crate) struct Landed {
    /// Where they are; the first disk, where there are several.
    pub(crate) stage: Stage,
    /// How they came.
    pub(crate) moved: Moved,
    /// What the ledger is to know of them.
    pub(crate) facts: Facts,
    /// What is worth knowing of them.
    pub(crate) remark: Option<String>,
}

impl Node<'_> {
    /// Places the disk that `order` asks for. `decision` is filled in on the way, whatever comes of it.
    pub(crate) fn place(
        &self,
        order: &Order<'_>,
        decision: &mut Decision,
        cancel: &Cancel,
        watch: &dyn Watch,
    ) -> Result<Placed> {
        let target = Arc::new(self.open_target(order)?);
        self.place_at(&target, order, decision, cancel, watch)
    }

    /// As [`Node::place`], at a target that was opened and found free.
    pub(crate) fn place_at(
        &self,
        target: &Arc<Target>,
        order: &Order<'_>,
        decision: &mut Decision,
        cancel: &Cancel,
        watch: &dyn Watch,
    ) -> Result<Placed> {
        let job = self.ledger.begin_job()?;
        self.land(target, order, decision, cancel, watch, &mut |mut landed, trials| {
            let published = self.publish(&mut landed, order, &job)?; // 6
            if let Some(remark) = &landed.remark {
                trials.note(remark);
            }
            let placed = self.record(&landed, order, &trials.decision(), &published)?; // 7
            self.remember(&landed.moved, &trials.attempt()?.expected);
            Ok(placed)
        })
    }

    /// Steps 1 to 5. What was verified is given to `finish`; what that fails with is a failure of the attempt.
    pub(crate) fn land<T>(
        &self,
        target: &Arc<Target>,
        order: &Order<'_>,
        decision: &mut Decision,
        cancel: &Cancel,
        watch: &dyn Watch,
        finish: &mut dyn FnMut(Landed, &mut Trials<'_>) -> Result<T>,
    ) -> Result<T> {
        let forecast = self.forecast(order);
        let selection = select(order, self.config, forecast.as_ref()); // 1
        let plan = self.route(order, &selection, forecast.as_ref(), decision, cancel)?; // 2
        let mut trials = Trials::new(plan, order.image, self.ledger, decision, cancel, watch);
        while trials.next_attempt() {
            let mut land = || -> Result<T> {
                let mut stage = Stage::open(target, self.config.stage_keep, order.dress.owner)?; // 3
                let moved = self.move_bytes(order, &mut trials, &mut stage)?; // 4
                stage.has_its_bytes();
                let attempt = trials.attempt()?;
                let verified = verify(&moved, &stage, &attempt.expected, self.ledger); // 5
                // Its bytes are all there, and would be as wrong the next time.
                let verified = verified.inspect_err(|_| stage.forget_progress())?;
                let remark = remark(&moved, &stage, &attempt.expected.form);
                let facts = facts(order, attempt, &moved, verified);
                cancel.check()?;
                finish(Landed { stage, moved, facts, remark }, &mut trials)
            };
            let outcome = land();
            if let Some(done) = trials.ended(outcome) {
                return Ok(done);
            }
        }
        Err(trials.failure())
    }

    /// Makes the same decision as [`Node::place`] and does nothing.
    pub(crate) fn plan(&self, order: &Order<'_>, decision: &mut Decision, cancel: &Cancel) -> Result<Plan> {
        self.open_target(order)?;
        self.plan_at(order, decision, cancel)
    }

    /// As [`Node::plan`], for a target that was looked at.
    pub(crate) fn plan_at(&self, order: &Order<'_>, decision: &mut Decision, cancel: &Cancel) -> Result<Plan> {
        self.plan_by(order, self.forecast(order).as_ref(), decision, cancel)
    }

    /// As [`Node::plan_at`], by what was measured at some time.
    pub(crate) fn plan_by(
        &self,
        order: &Order<'_>,
        forecast: Option<&Forecast>,
        decision: &mut Decision,
        cancel: &Cancel,
    ) -> Result<Plan> {
        let selection = select(order, self.config, forecast);
        self.route(order, &selection, forecast, decision, cancel)
    }

    /// What was measured of the image's locations, where the configuration wants that looked at.
    fn forecast(&self, order: &Order<'_>) -> Option<Forecast> {
        wants_forecast(self.config).then(|| forecast_of(order.image, self.config, self.ledger))
    }

    fn open_target(&self, order: &Order<'_>) -> Result<Target> {
        self.refuse_impossible(order)?;
        let target = Target::open_for_disk(order.target)?;
        self.refuse_target(&target, order.dress.replace)?;
        Ok(target)
    }

    /// Refuses a target where no disk may be placed now.
    pub(crate) fn refuse_target(&self, target: &Target, replace: bool) -> Result<()> {
        let in_store =
            |store: &&Store| store.store_type == StoreType::File && target.path().starts_with(&store.mountpoint);
        if let Some(store) = self.config.stores.iter().find(in_store) {
            let message = format!("{} lies in store {}", target.path().display(), store.id);
            return Err(Error::new(ErrorKind::Denied, "target-in-store", message).scoped(Scope::Request));
        }
        target.refuse_occupied(replace)
    }

    /// What no attempt could do is refused before the first.
    pub(crate) fn refuse_impossible(&self, order: &Order<'_>) -> Result<()> {
        let refuse =
            |kind, code: &'static str, message: String| Err(Error::new(kind, code, message).scoped(Scope::Request));
        if order.directory && (order.form == Form::AsIs || order.dress.size.is_some() || order.dress.replace) {
            let message = "a directory of disks is new, its disks are raw and have their own size";
            return refuse(ErrorKind::Invalid, "directory-options", message.to_owned());
        }
        let Some(size) = order.dress.size else { return Ok(()) };
        if order.form == Form::AsIs && order.image.record.disk_format.as_deref() != Some("raw") {
            return refuse(ErrorKind::Invalid, "size-not-raw", "only a raw disk can be grown".to_owned());
        }
        let most = self.config.limits.disk_bytes;
        if size > most {
            return refuse(ErrorKind::Limit, "disk-bytes", format!("{size} bytes exceed the limit of {most}"));
        }
        match order.image.record.size {
            Some(stored) if size < stored => Err(publish::size_too_small(stored, size)),
            _ => Ok(()),
        }
    }

    fn route(
        &self,
        order: &Order<'_>,
        selection: &Selection,
        forecast: Option<&Forecast>,
        decision: &mut Decision,
        cancel: &Cancel,
    ) -> Result<Plan> {
        decision.inputs = Some(Arc::new(Inputs::of(order, forecast)));
        let unhashed = order.allow_unhashed || self.config.allow_unhashed;
        let call = CallContext::quiet(cancel.clone(), self.config.limits.stall);
        let benched = |handler: &str, on: Option<&Subject>| self.ledger.benched(handler, on, self.config.limits.bench);
        let asked = Asked { form: order.form, allow_unhashed: unhashed, call: &call, benched: &benched };
        let (mut plan, possible) = route(order.image, selection, self.handlers, self.config, &asked);
        if let Some(forecast) = forecast {
            arrange(&mut plan, selection, forecast, order.image, self.config);
        }
        decision.planned(&order.image.record, selection, &plan);
        for (handler, on, error) in &plan.crashed {
            trials::remember_crash(self.ledger, handler, on, error, self.config.limits.bench);
        }
        // A handler that could not be asked any more is no handler that said no.
        cancel.check()?;
        possible.map(|()| plan)
    }

    fn move_bytes(&self, order: &Order<'_>, trials: &mut Trials<'_>, stage: &mut Stage) -> Result<Moved> {
        let attempt = trials.attempt()?.clone();
        let want = Want {
            digest: attempt.expected.digest.as_ref(),
            size: attempt.size,
            virtual_size: attempt.expected.virtual_size,
            limit: self.config.limits.disk_bytes,
            disks: if order.directory { self.config.limits.disks } else { 1 },
            overcommit: self.config.limits.overcommit,
            share: order.access == Access::ReadOnly && attempt.belonging.hardlink && !order.directory,
            links: attempt.belonging.hardlink,
            dress: &order.dress,
            remembered: self.ledger,
            memory: attempt.belonging.memory(),
            limits: self.limits.clone(),
            resume_bytes: self.config.limits.resume_bytes,
            stage_keep: self.config.stage_keep,
            least_rate: self.config.limits.least_rate,
            stall: self.config.limits.stall,
            shared: order.shared,
        };
        let origin = trials.origin(&attempt)?;
        let mut bytes = 0;
        let moved = match (&attempt.chain, attempt.shaping.is_none()) {
            (Chain::Transfer, _) => {
                engine::from_transfer(attempt.handler.as_ref(), &attempt.request, stage, &want, &origin.call)
            }
            (Chain::Source, true) => engine::from_source(origin, trials, stage, &want, &mut bytes),
            (Chain::Source, false) => {
                let shaping = attempt.shaping.map(|step| trials.shaper(step));
                engine::shaped(origin, trials, &shaping, stage, &want, &mut bytes)
            }
        };
        trials.arrived(moved.as_ref().map_or(bytes, Moved::stored_bytes));
        moved
    }

    /// Publishes what landed, at the target that its stage is for.
    pub(crate) fn publish(&self, landed: &mut Landed, order: &Order<'_>, job: &Job) -> Result<Published> {
        let Landed { stage, moved, facts, .. } = landed;
        if order.directory {
            let (target, image) = (stage.target(), facts.image.clone());
            let part = Part { name: None, image: image.as_deref(), stage, moved };
            publish_directory(&target, &mut [part], &order.dress, self.ledger, job, facts)
        } else {
            publish(stage, moved, &order.dress, self.ledger, job, facts.clone())
        }
    }

    /// Confirms the placement in the ledger, with the decision that led to it.
    pub(crate) fn record(
        &self,
        landed: &Landed,
        order: &Order<'_>,
        decision: &Decision,
        published: &Published,
    ) -> Result<Placed> {
        let facts = Facts { bytes: published.bytes, ..landed.facts.clone() };
        if let Err(error) = self.ledger.confirm(published.id, &decision.record(Ok(&facts))) {
            publish::withdraw(&landed.stage, published, order.dress.replace, self.ledger);
            return Err(error);
        }
        Ok(Placed { path: landed.stage.target().path().to_owned(), facts })
    }

    /// Keeps digest and verdict for the version of the source that was read. Failing to is no failure of the placement.
    pub(crate) fn remember(&self, moved: &Moved, expected: &Expected) {
        let (Some((source, version)), Some(digest)) = (&moved.source, &moved.digest) else { return };
        let verdict = expected.verdict();
        let kept = FileVersion::of(source).and_then(|now| match moved.method {
            // The new name changed the inode's time.
            Method::Hardlink if moved.from_memory => self.ledger.carry(version, &now),
            Method::Hardlink if moved.may_remember && now.same_after_link(version) => {
                self.ledger.remember(&now, digest, &verdict)
            }
            _ if moved.may_remember && now.same_content(version) => self.ledger.remember(version, digest, &verdict),
            _ => Ok(()),
        });
        if let Err(error) = kept {
            complain(format_args!("the digest of the source is not remembered: {error}"));
        }
    }

    /// Writes a failed placement to the history. Best effort: the failure itself is what the caller must hear of.
    pub(crate) fn record_failure(&self, target: &Path, decision: &Decision, error: &Error) {
        let path = Target::open(target).map_or_else(|_| target.to_owned(), |target| target.path().to_owned());
        if let Err(error) = self.ledger.record_failure(Deed::Place, &path, &decision.record(Err(error))) {
            complain(format_args!("the failure is not in the history: {error}"));
        }
    }
}

/// Who took the bytes on and apart, where that was more than one.
fn chain(attempt: &Attempt) -> Vec<String> {
    let ids = attempt.handlers();
    if ids.len() < 2 { Vec::new() } else { ids.into_iter().map(str::to_owned).collect() }
}

fn facts(order: &Order<'_>, attempt: &Attempt, moved: &Moved, verified: Verified) -> Facts {
    let record = &order.image.record;
    let locations = attempt.location.and_then(|index| record.locations.get(index));
    Facts {
        image: record.id.as_deref().map(redact::printable),
        locations: if moved.locations.is_empty() {
            locations.map(|location| redact::url(&location.url)).into_iter().collect()
        } else {
            moved.locations.clone()
        },
        handler: attempt.handler.info().id.clone(),
        handlers: chain(attempt),
        method: moved.method,
        digest: if verified == Verified::No { None } else { attempt.expected.digest.clone() },
        verified,
        bytes: moved.bytes,
        format: match &attempt.shaping.unpacker {
            Some(_) => "raw".to_owned(),
            None => redact::printable(&attempt.expected.form.disk),
        },
        disks: Vec::new(),
        caller: Some(order.caller),
        request: None,
    }
}
