//! Step 2: which handler takes which location, in which order, and why not the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, HandlerInfo, HandlerKind, ImageRecord, Limits, Request, Result, Scope};
use landfall_select::Selection;

use crate::catalog::Image;
use crate::config::{Config, RouteMode};
use crate::digest::Digest;
use crate::plugin::{CallContext, Handler};
use crate::redact;
use crate::store::{Belonging, belonging};
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
    /// What to try, in this order.
    pub(crate) attempts: Vec<Attempt>,
    /// What not to try.
    pub(crate) excluded: Vec<Exclusion>,
}

/// What is known of a location before any handler is asked.
struct Prepared {
    request: Request,
    belonging: Belonging,
    expected: Expected,
    size: Option<u64>,
}

/// Pairs the selected locations with `handlers`, which come in the operator's order. An error is why nothing can be tried;
/// the plan then says why for each.
pub(crate) fn route(
    image: &Image,
    selection: &Selection,
    handlers: &[Arc<dyn Handler>],
    config: &Config,
    form: Form,
    allow_unhashed: bool,
    call: &CallContext,
) -> (Plan, Result<()>) {
    let mut record = image.record.clone();
    (record.locations, record.direct_url) = (Vec::new(), None);
    let (record, plan, refusals) = (Arc::new(record), Plan::default(), Vec::new());
    let mut router = Router { image, record, config, form, allow_unhashed, call, plan, refusals };
    for excluded in &selection.excluded {
        router.exclude(Some(excluded.location), None, excluded.reason.clone());
    }
    let locations: Vec<(usize, Prepared)> =
        selection.order.iter().filter_map(|place| Some((place.location, router.prepare(place.location)?))).collect();
    let (with_location, without): (Vec<_>, Vec<_>) = handlers
        .iter()
        .filter(|handler| moves_bytes(handler.info()))
        .partition(|handler| !handler.info().schemes.is_empty());
    match config.route {
        RouteMode::HandlerFirst => {
            for handler in &with_location {
                for (index, prepared) in &locations {
                    router.pair(handler, Some(*index), prepared);
                }
            }
        }
        RouteMode::LocationFirst => {
            for (index, prepared) in &locations {
                for handler in &with_location {
                    router.pair(handler, Some(*index), prepared);
                }
            }
        }
    }
    for (index, prepared) in &locations {
        router.exclude_without_handler(*index, prepared, &with_location);
    }
    if !without.is_empty()
        && let Some(prepared) = router.prepare_without_location()
    {
        for handler in &without {
            router.pair(handler, None, &prepared);
        }
    }
    let possible = router.verdict(selection, handlers);
    (router.plan, possible)
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

fn moves_bytes(info: &HandlerInfo) -> bool {
    info.kinds.iter().any(|kind| matches!(kind, HandlerKind::Source | HandlerKind::Transfer))
}

struct Router<'a> {
    image: &'a Image,
    /// The record as handlers see it.
    record: Arc<ImageRecord>,
    config: &'a Config,
    form: Form,
    allow_unhashed: bool,
    call: &'a CallContext,
    plan: Plan,
    /// Why locations could not be prepared.
    refusals: Vec<Error>,
}

impl Router<'_> {
    fn exclude(&mut self, location: Option<usize>, handler: Option<&HandlerInfo>, reason: String) {
        let handler = handler.map(|info| info.id.clone());
        self.plan.excluded.push(Exclusion { location, handler, reason });
    }

    /// Form, digest, size and store of a location; excludes it when one of them rules it out.
    fn prepare(&mut self, index: usize) -> Option<Prepared> {
        let location = self.image.record.locations.get(index)?.clone();
        let belonging = belonging(&self.config.stores, &location, &self.image.origin);
        let prepared = refuse_outside_stores(&location, &belonging)
            .and_then(|()| self.expected(&location, &belonging))
            .map(|expected| {
                let mut request = self.bare_request();
                hand_on(&location, &mut request);
                request.store = belonging.store.clone();
                let size = location.size.or(self.image.record.size.filter(|_| !self.has_own_form(&location)));
                Prepared { request, belonging, expected, size }
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
        match self.expected(&landfall_handler_api::Location::default(), &belonging) {
            Ok(expected) => {
                let request = self.bare_request();
                Some(Prepared { request, belonging, expected, size: self.image.record.size })
            }
            Err(error) => {
                self.refusals.push(error);
                None
            }
        }
    }

    fn has_own_form(&self, location: &landfall_handler_api::Location) -> bool {
        let record = &self.image.record;
        let differs = |own: &Option<String>, image: &Option<String>| own.is_some() && own != image;
        differs(&location.disk_format, &record.disk_format)
            || differs(&location.container_format, &record.container_format)
    }

    fn bare_request(&self) -> Request {
        let mut request = Request::default();
        request.image = Arc::clone(&self.record);
        request.limits = Limits::default();
        request.limits.disk_bytes = self.config.limits.disk_bytes;
        request.limits.disks = self.config.limits.disks;
        request
    }

    fn expected(&self, location: &landfall_handler_api::Location, belonging: &Belonging) -> Result<Expected> {
        let record = &self.image.record;
        let form = |own: &Option<String>, image: &Option<String>, what: &str| {
            own.clone().or_else(|| image.clone()).ok_or_else(|| {
                let message = format!("the record gives no {what}");
                Error::new(ErrorKind::Invalid, "record-format", message).scoped(Scope::Image)
            })
        };
        let disk_format = form(&location.disk_format, &record.disk_format, "disk_format")?;
        let container_format = form(&location.container_format, &record.container_format, "container_format")?;
        if self.form == Form::Raw && !(disk_format == "raw" && container_format == "bare") {
            let (disk, container) = (redact::printable(&disk_format), redact::printable(&container_format));
            let message = format!(
                "it is {disk} in {container}, and no unpacker makes a raw disk of that; --format as-is places it"
            );
            return Err(Error::new(ErrorKind::Unsupported, "no-unpacker", message).scoped(Scope::Image));
        }
        let digest = if belonging.never_verifies() {
            None
        } else {
            let digest = Digest::of_location(record, location, self.config.legacy_md5)?;
            if digest.is_none() && !self.allow_unhashed {
                let message = "the record gives no digest to verify it by (allow_unhashed or --allow-unhashed places it all \
                               the same)";
                return Err(Error::new(ErrorKind::Unhashed, "unhashed", message));
            }
            digest
        };
        Ok(Expected { digest, disk_format, container_format })
    }

    /// Says so when nobody takes the location's scheme. A handler that leaves it to others is not worth a line.
    fn exclude_without_handler(&mut self, index: usize, prepared: &Prepared, handlers: &[&Arc<dyn Handler>]) {
        let Some(location) = &prepared.request.location else { return };
        let scheme = location.scheme();
        if !handlers.iter().any(|handler| handler.info().schemes.contains(&scheme)) {
            let reason = format!("no handler takes {} locations", redact::printable(&scheme));
            self.exclude(Some(index), None, reason);
        }
    }

    /// Asks `handler` about a location of its schemes and adds an attempt or the reason why not.
    fn pair(&mut self, handler: &Arc<dyn Handler>, location_index: Option<usize>, prepared: &Prepared) {
        let info = handler.info();
        if prepared.request.location.as_ref().is_some_and(|location| !info.schemes.contains(&location.scheme())) {
            return;
        }
        match handler.probe(self.call, &prepared.request) {
            Ok(probe) if probe.accepts => {
                let chain = if info.kinds.contains(&HandlerKind::Source) { Chain::Source } else { Chain::Transfer };
                self.plan.attempts.push(Attempt {
                    handler: Arc::clone(handler),
                    chain,
                    location: location_index,
                    request: prepared.request.clone(),
                    belonging: prepared.belonging.clone(),
                    expected: prepared.expected.clone(),
                    size: prepared.size,
                });
            }
            Ok(probe) => {
                let reason = probe.reason.unwrap_or_else(|| "it says no, without a reason".to_owned());
                self.exclude(location_index, Some(info), redact::printable(&reason));
            }
            Err(error) => {
                let reason = format!("it could not be asked: {}", redact::printable(error.message()));
                self.exclude(location_index, Some(info), reason);
            }
        }
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
