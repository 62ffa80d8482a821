//! Step 2: which handler takes which location, in which order, and why not the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_handler_api::{
    Error, ErrorKind, HandlerInfo, HandlerKind, ImageRecord, Limits, Probe, Request, Result, Scope,
};
use landfall_measure::{Estimate, Prediction};
use landfall_select::Selection;

use crate::catalog::{Image, Origin};
use crate::complaint::complain;
use crate::config::{Config, RouteMode};
use crate::digest::Digest;
use crate::ledger::{Benched, Subject};
use crate::measured::{Forecasted, bytes_of, seconds_since_1970};
use crate::plugin::{CallContext, Handler};
use crate::redact::{self, printable};
use crate::shaping::{Shaping, Step};
use crate::store::{Belonging, belonging};
use crate::stored_form::StoredForm;
use crate::verify::Expected;

/// What form of the image the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A raw disk.
    Raw,
    /// The bytes as they are stored.
    AsIs,
}

/// How an attempt's handler works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// The handler opens the location, the engine moves the bytes.
    Source,
    /// The handler writes the stage.
    Transfer,
}

impl Chain {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transfer => "transfer",
        }
    }
}

/// One thing to try.
#[derive(Clone)]
pub(crate) struct Attempt {
    /// Who.
    pub(crate) handler: Arc<dyn Handler>,
    /// How.
    pub(crate) chain: Chain,
    /// The location's index in the record; `None` for a handler that needs none.
    pub(crate) location: Option<usize>,
    /// What the handler is asked.
    pub(crate) request: Request,
    /// The location's store and its policy.
    pub(crate) belonging: Belonging,
    /// What the bytes must be.
    pub(crate) expected: Expected,
    /// Stored bytes, as the record says.
    pub(crate) size: Option<u64>,
    /// What follows the source, for an image that is not a raw disk yet.
    pub(crate) shaping: Shaping<Step>,
    /// What is known of its way, where that was asked for.
    pub(crate) estimate: Option<Estimate>,
}

impl Attempt {
    /// The ids of its handlers, in the order of the chain.
    pub(crate) fn handlers(&self) -> Vec<&str> {
        std::iter::once(self.handler.info().id.as_str()).chain(self.shaping.ids()).collect()
    }

    /// Bytes of the scratch file that it needs, if it needs one and they are known: those of an inflated one are not.
    pub(crate) fn scratch(&self) -> Option<u64> {
        self.size.filter(|_| self.shaping.spools() && self.shaping.filter.is_none())
    }

    /// What it may take for this image.
    pub(crate) fn predicted(&self, record: &ImageRecord) -> Option<Forecasted> {
        Some(self.prediction(bytes_of(record, self.location))?.into())
    }

    /// What so many stored bytes may take by its way, beginning now.
    pub(crate) fn prediction(&self, bytes: u64) -> Option<Prediction> {
        Some(self.estimate?.predict(bytes, seconds_since_1970(SystemTime::now())))
    }

    /// What its handlers do.
    pub(crate) fn chain_name(&self) -> String {
        std::iter::once(self.chain.name()).chain(self.shaping.words()).collect::<Vec<_>>().join(", ")
    }
}

/// A pair of handler and location, or a location, that is not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exclusion {
    /// The location's index; `None` for a handler that needs none.
    pub(crate) location: Option<usize>,
    /// The handler, where only it is meant.
    pub(crate) handler: Option<String>,
    /// Why; one line.
    pub(crate) reason: String,
}

/// The ordered attempts.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// How long a handler may be silent.
    pub(crate) stall: Duration,
    /// How long a crash is held against a handler.
    pub(crate) bench: Duration,
    /// What to try, in this order.
    pub(crate) attempts: Vec<Attempt>,
    /// Where the first attempt is made to find out about it: the seconds that the best would cost.
    pub(crate) instead_of: Option<f64>,
    /// What not to try.
    pub(crate) excluded: Vec<Exclusion>,
    /// Handlers that crashed when they were asked, and what that is to be remembered by.
    pub(crate) crashed: Vec<(String, Subject, Error)>,
}

/// What is known of a location before any handler is asked.
struct Prepared {
    /// The location's index; `None` for handlers that need none.
    location: Option<usize>,
    request: Request,
    belonging: Belonging,
    expected: Expected,
    size: Option<u64>,
    /// The handlers of each step that it needs to become a raw disk; one of each is needed.
    shapers: Shaping<Vec<Arc<dyn Handler>>>,
}

/// Tells whether a handler is on the bench for a subject; without one, for any.
type IsBenched<'a> = dyn Fn(&str, Option<&Subject>) -> Result<Option<Benched>> + 'a;

/// What a placement asks of the router.
pub(crate) struct Asked<'a> {
    /// The form that is wanted.
    pub(crate) form: Form,
    /// Whether it may be placed without a digest.
    pub(crate) allow_unhashed: bool,
    /// For the handlers' probes.
    pub(crate) call: &'a CallContext,
    /// Whether a handler is on the bench, for this or for all images.
    pub(crate) benched: &'a IsBenched<'a>,
}

/// Pairs the selected locations with `handlers`, which come in the operator's order. An error is why nothing can be tried;
/// the plan then says why for each.
pub(crate) fn route(
    image: &Image,
    selection: &Selection,
    handlers: &[Arc<dyn Handler>],
    config: &Config,
    asked: &Asked<'_>,
) -> (Plan, Result<()>) {
    let mut record = image.record.clone();
    (record.locations, record.direct_url) = (Vec::new(), None);
    let plan = Plan { stall: config.limits.stall, bench: config.limits.bench, ..Plan::default() };
    let (record, refusals) = (Arc::new(record), Vec::new());
    let mut router = Router { image, record, handlers: Vec::new(), config, asked, plan, refusals };
    router.leave_out_benched(handlers);
    for excluded in &selection.excluded {
        router.exclude(Some(excluded.location), None, excluded.reason.clone());
    }
    let locations: Vec<Prepared> = selection.order.iter().filter_map(|place| router.prepare(place.location)).collect();
    let (with_location, without): (Vec<_>, Vec<_>) = router
        .handlers
        .clone()
        .into_iter()
        .filter(|handler| moves_bytes(handler.info()) && has_its_login(handler.info(), image))
        .partition(|handler| !handler.info().schemes.is_empty());
    let mut pairs: Vec<Vec<Option<Pair>>> =
        with_location.iter().map(|handler| router.pairs(handler, &locations)).collect();
    match config.route {
        RouteMode::HandlerFirst => {
            for pair in pairs.into_iter().flatten().flatten() {
                router.add(pair);
            }
        }
        RouteMode::LocationFirst => {
            for at in 0..locations.len() {
                for of_handler in &mut pairs {
                    if let Some(pair) = of_handler.get_mut(at).and_then(Option::take) {
                        router.add(pair);
                    }
                }
            }
        }
    }
    for prepared in &locations {
        router.exclude_without_handler(prepared, handlers);
    }
    if config.never_fallback {
        for handler in &without {
            let reason = "it needs no location, and never_fallback is set".to_owned();
            router.exclude(None, Some(handler.info()), reason);
        }
    } else if !without.is_empty()
        && let Some(prepared) = router.prepare_without_location()
    {
        for handler in &without {
            let pairs = router.pairs(handler, std::slice::from_ref(&prepared));
            pairs.into_iter().flatten().for_each(|pair| router.add(pair));
        }
    }
    let possible = router.verdict(selection, handlers);
    (router.plan, possible)
}

/// What came of asking a handler about a location, and filters and unpackers about what it would give: the attempts, and which of them
/// will not, why.
#[derive(Default)]
struct Pair {
    location: Option<usize>,
    attempts: Vec<Attempt>,
    refused: Vec<(HandlerInfo, String)>,
    crashed: Vec<(String, Subject, Error)>,
    benched: Vec<Error>,
}

/// Puts a location into a request as handlers are shown it: without secrets, which they ask for, and with its scheme in
/// lower case, as they name theirs. A path has no secrets, and is handed on as it is, whatever characters it has.
pub(crate) fn hand_on(location: &landfall_handler_api::Location, request: &mut Request) {
    let mut shown = location.clone();
    let is_path = crate::store::file_path(&location.url).is_some();
    shown.url = if is_path { location.url.clone() } else { redact::url(&location.url) };
    if let Some((scheme, rest)) = shown.url.split_once("://") {
        shown.url = format!("{}://{rest}", scheme.to_ascii_lowercase());
    }
    if !is_path && redact::has_secret(&location.url) {
        request.secrets = vec![LOCATION_URL.to_owned()];
    }
    request.location = Some(shown);
}

/// The bounds that handlers are told.
pub(crate) fn limits(config: &Config) -> Limits {
    let mut limits = Limits::default();
    limits.disk_bytes = config.limits.disk_bytes;
    limits.disks = config.limits.disks;
    limits
}

/// One that needs no location but a login has nothing to do where there is none.
fn has_its_login(info: &HandlerInfo, image: &Image) -> bool {
    !info.schemes.is_empty() || info.logins.is_empty() || !image.logins.among(&info.logins).is_empty()
}

fn moves_bytes(info: &HandlerInfo) -> bool {
    info.kinds.iter().any(|kind| matches!(kind, HandlerKind::Source | HandlerKind::Transfer))
}

impl Pair {
    /// Whether a handler said yes; takes down why not.
    fn accepts(&mut self, info: &HandlerInfo, on: &Subject, answer: Result<Probe>) -> bool {
        let reason = match answer {
            Ok(probe) if probe.accepts => return true,
            Ok(probe) => probe.reason.unwrap_or_else(|| "it says no, without a reason".to_owned()),
            Err(error) => {
                let reason = format!("it could not be asked ({}): {}", error.code(), error.message());
                if error.kind() == ErrorKind::Crashed {
                    self.crashed.push((info.id.clone(), on.clone(), error));
                }
                reason
            }
        };
        self.refused.push((info.clone(), printable(&reason)));
        false
    }
}

struct Router<'a> {
    image: &'a Image,
    /// The record as handlers see it.
    record: Arc<ImageRecord>,
    /// The handlers that are not on the bench.
    handlers: Vec<Arc<dyn Handler>>,
    config: &'a Config,
    asked: &'a Asked<'a>,
    plan: Plan,
    /// Why locations could not be prepared.
    refusals: Vec<Error>,
}

impl Router<'_> {
    fn exclude(&mut self, location: Option<usize>, handler: Option<&HandlerInfo>, reason: String) {
        let handler = handler.map(|info| info.id.clone());
        self.plan.excluded.push(Exclusion { location, handler, reason });
    }

    /// Takes the handlers, but for those that crashed on several images a short while ago.
    fn leave_out_benched(&mut self, handlers: &[Arc<dyn Handler>]) {
        for handler in handlers {
            match self.benched(&handler.info().id, None) {
                None => self.handlers.push(Arc::clone(handler)),
                Some(error) => {
                    self.exclude(None, Some(handler.info()), error.message().to_owned());
                    self.refusals.push(error);
                }
            }
        }
    }

    /// Why `handler` is not used for this subject, or, without one, for any.
    fn benched(&self, handler: &str, on: Option<&Subject>) -> Option<Error> {
        let benched = match (self.asked.benched)(handler, on) {
            Ok(benched) => benched?,
            Err(error) => {
                complain(format_args!("whether {handler} crashed before is not known: {error}"));
                return None;
            }
        };
        let what = match benched.images {
            0 | 1 => "this image".to_owned(),
            images => format!("{images} images"),
        };
        let minutes = self.config.limits.bench.as_secs_f32() / 60.0;
        let code = printable(&benched.code);
        let reason = format!("{handler} crashed on {what} ({code}) within the last {minutes} min");
        Some(Error::new(ErrorKind::Unavailable, "benched", reason).scoped(Scope::Request))
    }

    /// Form, digest, size and store of a location; excludes it when one of them rules it out.
    fn prepare(&mut self, index: usize) -> Option<Prepared> {
        let location = self.image.record.locations.get(index)?.clone();
        let belonging = belonging(&self.config.stores, &location, &self.image.origin);
        let prepared = refuse_outside_stores(&location, &belonging)
            .and_then(|()| self.expected(&location, &belonging))
            .and_then(|expected| {
                let shapers = self.shapers(&expected)?;
                let mut request = self.bare_request();
                hand_on(&location, &mut request);
                request.store = belonging.store.clone();
                request.named_by_caller = self.image.origin == Origin::Caller;
                let size = location.size.or(self
                    .image
                    .record
                    .size
                    .filter(|_| !StoredForm::is_other(&self.image.record, &location)));
                Ok(Prepared { location: Some(index), request, belonging, expected, size, shapers })
            });
        match prepared {
            Ok(prepared) => Some(prepared),
            Err(error) => {
                self.exclude(Some(index), None, error.message().to_owned());
                self.refusals.push(error);
                None
            }
        }
    }

    fn prepare_without_location(&mut self) -> Option<Prepared> {
        let belonging = Belonging::default();
        let expected = self.expected(&landfall_handler_api::Location::default(), &belonging);
        match expected.and_then(|expected| Ok((self.shapers(&expected)?, expected))) {
            Ok((shapers, expected)) => {
                let (request, size) = (self.bare_request(), self.image.record.size);
                Some(Prepared { location: None, request, belonging, expected, size, shapers })
            }
            Err(error) => {
                self.refusals.push(error);
                None
            }
        }
    }

    fn bare_request(&self) -> Request {
        let mut request = Request::default();
        request.image = Arc::clone(&self.record);
        request.limits = limits(self.config);
        request
    }

    fn expected(&self, location: &landfall_handler_api::Location, belonging: &Belonging) -> Result<Expected> {
        let record = &self.image.record;
        let form = StoredForm::of(record, location)?;
        let digest = if belonging.never_verifies() {
            None
        } else {
            let digest = Digest::of_location(record, location, self.config.legacy_md5)?;
            if digest.is_none() && !self.asked.allow_unhashed {
                let message = "the record gives no digest to verify it by (allow_unhashed or --allow-unhashed places it all \
                               the same)";
                return Err(Error::new(ErrorKind::Unhashed, "unhashed", message));
            }
            digest
        };
        // A location in another form is still the same disk.
        let virtual_size = record.virtual_size.filter(|size| *size > 0);
        Ok(Expected { digest, form, virtual_size, disk_bytes: self.config.limits.disk_bytes })
    }

    /// Who takes such bytes apart, at each step that a raw disk needs.
    fn shapers(&self, expected: &Expected) -> Result<Shaping<Vec<Arc<dyn Handler>>>> {
        let form = &expected.form;
        if self.asked.form == Form::AsIs {
            return Ok(Shaping::none());
        }
        let found = |kind: HandlerKind, format: &str| -> Vec<Arc<dyn Handler>> {
            let takes = |info: &HandlerInfo| info.kinds.contains(&kind) && info.formats.iter().any(|own| own == format);
            self.handlers.iter().filter(|handler| takes(handler.info())).cloned().collect()
        };
        let filter = form.compression.as_ref().map(|compression| found(HandlerKind::Filter, compression));
        let unpacker = (!form.is_raw_inside()).then(|| found(HandlerKind::Unpack, form.packing()));
        let missing = |code: &'static str, message: String| {
            let listed = if !self.config.handlers.is_empty() { " among those in the setting handlers" } else { "" };
            let message = format!("{message}{listed}; --format as-is places it");
            Err(Error::new(ErrorKind::Unsupported, code, message).scoped(Scope::Image))
        };
        match (&form.compression, &filter, &unpacker) {
            (Some(compression), Some(filters), _) if filters.is_empty() => {
                missing("no-filter", format!("it is compressed by {compression}, and no filter inflates that"))
            }
            (_, _, Some(unpackers)) if unpackers.is_empty() => {
                let (disk, container) = (redact::printable(&form.disk), redact::printable(&form.container));
                missing("no-unpacker", format!("it is {disk} in {container}, and no unpacker makes a raw disk of that"))
            }
            _ => Ok(Shaping { filter, unpacker }),
        }
    }

    /// Says so when nobody takes the location's scheme. A handler that leaves it to others is not worth a line.
    fn exclude_without_handler(&mut self, prepared: &Prepared, handlers: &[Arc<dyn Handler>]) {
        let Some(location) = &prepared.request.location else { return };
        let scheme = location.scheme();
        if !handlers.iter().any(|handler| handler.info().schemes.contains(&scheme)) {
            let reason = match scheme.as_str() {
                "" => "it is no URL: no scheme is in front of its `://`".to_owned(),
                scheme => format!("no handler takes {} locations", redact::printable(scheme)),
            };
            self.exclude(prepared.location, None, reason);
        }
    }

    /// Asks `handler` about the locations of its schemes, all at once; gives what came of it for each of `locations`.
    fn pairs(&self, handler: &Arc<dyn Handler>, locations: &[Prepared]) -> Vec<Option<Pair>> {
        let info = handler.info();
        let is_asked = |prepared: &Prepared| {
            let location = prepared.request.location.as_ref();
            let is_its = location.is_none_or(|location| info.schemes.contains(&location.scheme()));
            // A transfer writes the disk itself; it unpacks nothing.
            is_its && (prepared.shapers.is_none() || info.kinds.contains(&HandlerKind::Source))
        };
        let subject = |prepared: &Prepared| self.image.crash_subject(prepared.location);
        let benched = |prepared: &Prepared| self.benched(&info.id, Some(&subject(prepared)));
        let benched: Vec<Option<Error>> =
            locations.iter().map(|prepared| if is_asked(prepared) { benched(prepared) } else { None }).collect();
        let asked =
            || locations.iter().zip(&benched).filter(|(prepared, benched)| is_asked(prepared) && benched.is_none());
        let logins = self.image.logins.among(&info.logins);
        let own = |prepared: &Prepared| {
            let mut request = prepared.request.clone();
            request.secrets.extend(logins.iter().cloned());
            request
        };
        let requests: Vec<Request> = asked().map(|(prepared, _)| own(prepared)).collect();
        let mut answers = handler.probe(self.asked.call, &requests.iter().collect::<Vec<_>>()).into_iter();
        let mut requests = requests.into_iter();
        let pair = |(prepared, benched): (&Prepared, &Option<Error>)| {
            if !is_asked(prepared) {
                return None;
            }
            let mut pair = Pair { location: prepared.location, ..Pair::default() };
            if let Some(benched) = benched {
                pair.refused.push((info.clone(), benched.message().to_owned()));
                pair.benched.push(benched.clone());
            } else {
                let request = requests.next()?;
                if pair.accepts(info, &subject(prepared), answers.next()?) {
                    self.attempts(handler, prepared, &request, &mut pair);
                }
            }
            Some(pair)
        };
        locations.iter().zip(&benched).map(pair).collect()
    }

    /// Adds the attempts to take a location with `handler`: one for each way to take its bytes apart by handlers that say yes.
    fn attempts(&self, handler: &Arc<dyn Handler>, prepared: &Prepared, request: &Request, pair: &mut Pair) {
        let is_source = handler.info().kinds.contains(&HandlerKind::Source);
        let mut shaped = prepared.request.clone();
        // What it takes apart is given to it: where that is kept, and how it is reached, is not its concern.
        (shaped.location, shaped.store, shaped.secrets) = (None, None, Vec::new());
        let mut steps = |shapers: &Option<Vec<Arc<dyn Handler>>>| -> Vec<Option<Step>> {
            let Some(shapers) = shapers else { return vec![None] };
            shapers.iter().filter_map(|shaper| self.step(shaper, &shaped, pair)).map(Some).collect()
        };
        let (filters, unpackers) = (steps(&prepared.shapers.filter), steps(&prepared.shapers.unpacker));
        for filter in &filters {
            for unpacker in &unpackers {
                pair.attempts.push(Attempt {
                    handler: Arc::clone(handler),
                    chain: if is_source { Chain::Source } else { Chain::Transfer },
                    location: prepared.location,
                    request: request.clone(),
                    belonging: prepared.belonging.clone(),
                    expected: prepared.expected.clone(),
                    size: prepared.size,
                    shaping: Shaping { filter: filter.clone(), unpacker: unpacker.clone() },
                    estimate: None,
                });
            }
        }
    }

    /// A filter or unpacker that may be used and says yes.
    fn step(&self, shaper: &Arc<dyn Handler>, request: &Request, pair: &mut Pair) -> Option<Step> {
        let subject = self.image.crash_subject(None);
        if let Some(benched) = self.benched(&shaper.info().id, Some(&subject)) {
            pair.refused.push((shaper.info().clone(), benched.message().to_owned()));
            pair.benched.push(benched);
            return None;
        }
        let accepted = pair.accepts(shaper.info(), &subject, shaper.probe_one(self.asked.call, request));
        accepted.then(|| Step { handler: Arc::clone(shaper), request: request.clone() })
    }

    fn add(&mut self, pair: Pair) {
        self.plan.attempts.extend(pair.attempts);
        for (info, reason) in pair.refused {
            self.exclude(pair.location, Some(&info), reason);
        }
        self.plan.crashed.extend(pair.crashed);
        self.refusals.extend(pair.benched);
    }

    /// Why nothing can be tried, if nothing can.
    fn verdict(&mut self, selection: &Selection, handlers: &[Arc<dyn Handler>]) -> Result<()> {
        if !self.plan.attempts.is_empty() {
            return Ok(());
        }
        let stop =
            |kind, code: &'static str, message: String| Err(Error::new(kind, code, message).scoped(Scope::Request));
        if let Some(error) = self.refusals.first() {
            return Err(error.clone());
        }
        if let Some((.., error)) = self.plan.crashed.first() {
            return Err(error.clone().scoped(Scope::Request));
        }
        if handlers.is_empty() {
            let message = "no handler is loaded; see `landfall handlers`".to_owned();
            return stop(ErrorKind::Unsupported, "no-handlers", message);
        }
        if self.image.record.locations.is_empty() {
            return stop(ErrorKind::NotFound, "no-locations", "the record has no locations".to_owned());
        }
        if selection.order.is_empty() {
            let reasons: BTreeSet<_> = selection.excluded.iter().map(|excluded| excluded.reason.as_str()).collect();
            let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
            let message = format!("no location of the image may be used: {reasons}");
            return stop(ErrorKind::NotFound, "no-usable-location", message);
        }
        let reasons: BTreeSet<_> = self
            .plan
            .excluded
            .iter()
            .filter(|excluded| excluded.location.is_none_or(|index| selected(selection, index)))
            .map(|excluded| match &excluded.handler {
                Some(handler) => format!("{handler}: {}", excluded.reason),
                None => excluded.reason.clone(),
            })
            .collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
        stop(ErrorKind::Unsupported, "no-handler", format!("nothing can be tried: {reasons}"))
    }
}

/// A file location that belongs to no store of this node is nobody's to open.
fn refuse_outside_stores(location: &landfall_handler_api::Location, belonging: &Belonging) -> Result<()> {
    if belonging.store.is_some() || crate::store::file_path(&location.url).is_none() {
        return Ok(());
    }
    let message = format!("{} belongs to no store of this node", redact::url(&location.url));
    Err(Error::new(ErrorKind::Denied, "outside-stores", message))
}

/// Whether selection left the location in.
fn selected(selection: &Selection, index: usize) -> bool {
    selection.order.iter().any(|place| place.location == index)
}

/// The secret that holds a location's whole URL, for locations whose URL has one.
pub(crate) const LOCATION_URL: &str = "location.url";

/// The name of the secret that has the certificates that this node trusts, in PEM.
pub(crate) const TLS_ROOTS: &str = "tls.roots";
