//! Brings an image's bytes into the stage from sources that stream: many ranges at once, again where a range failed, and
//! on from another location where one fails for good.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::board::{Board, Stopped};
use super::crew::{Crew, TICK};
use super::frontier::Frontier;
use super::opening::open;
use super::origins::Origins;
use super::pace::LANES_MAX;
use super::pump::pump;
use super::resume::{Resume, Resumed};
use super::speed::Speed;
use super::supply::{Origin, Supply};
use super::team::Reading;
use super::{Method, Moved, Sizes, Want, written};
use crate::cancel::Cancel;
use crate::complaint::complain;
use crate::digest::{Algorithm, Digest};
use crate::plugin::{CallContext, OpenedSource};
use crate::stage::Stage;

/// The most origins that are read at once.
const COMBINED_MOST: usize = 4;
/// What a source says that can be read from its start alone, where it was thought to be ranged.
pub(super) const RANGE_IGNORED: &str = "range-ignored";

/// The bytes of one image on their way, from whatever origin.
pub(super) struct Fetch {
    board: Arc<Board>,
    size: Option<u64>,
    origins: Origins,
    resume: Option<Resume>,
    /// Bytes of several origins turned out not to be the image: from now on they are held against each other.
    mixed: bool,
    /// Origins that can only be read from their start, though they said otherwise.
    whole: Vec<u32>,
    /// Whether the last read was of several origins.
    combined: bool,
    /// Bytes of origins that were left while others went on.
    left: u64,
}

/// How a run of one origin ended.
pub(super) enum Ran {
    /// Everything is there, and is what was wanted, or else of one origin alone.
    Complete(Box<Moved>),
    /// The origin is of no more use for now. Whether it may be tried again after the others.
    Failed { error: Error, later: bool },
}

impl Fetch {
    /// Begins to fill `stage` with an image of `size` bytes, if that is known; goes on where an earlier run was interrupted.
    pub(super) fn begin(
        stage: &mut Stage,
        source: &dyn OpenedSource,
        want: &Want<'_>,
        call: &CallContext,
    ) -> Result<Self> {
        let size = want.size.or(source.info().size);
        let (mut resume, mut resumed) = (None, Resumed::default());
        if let Some(size) = size.filter(|_| source.info().ranged && source.info().size.is_some())
            && let Some((journal, found)) = Resume::begin(stage, size, want)?
        {
            (resume, resumed) = (Some(journal), found);
        }
        if let Some(size) = size {
            stage.check_space(size.saturating_sub(resumed.pieces.bytes())).map_err(|error| match want.size {
                Some(_) => error,
                // What only this location says rules out no other.
                None => error.scoped(Scope::Location),
            })?;
            stage.set_size(size)?;
        }
        let file =
            || stage.file().try_clone().map_err(|error| crate::stage::stage_error(&error, "duplicate the stage"));
        let hasher = resumed.hasher.or_else(|| want.algorithm().map(Algorithm::hasher));
        let mut frontier = Frontier::start(hasher, resumed.hashed, file()?, call.cancel.clone())?;
        frontier.catch_up(&resumed.pieces)?;
        let joined = resumed.pieces.origins().into_iter().collect();
        let progress = Arc::clone(&call.progress);
        let board =
            Board::new(file()?, size, want.limits.clone(), want.least_rate(), progress, resumed.pieces, frontier);
        let origins = Origins::new(resumed.origins, joined);
        Ok(Self { board, size, origins, resume, mixed: false, whole: Vec::new(), combined: false, left: 0 })
    }

    /// Bytes that arrived in this run of the program.
    pub(super) fn total(&self) -> u64 {
        self.board.total()
    }

    /// Whether it is known how many bytes there are to be.
    pub(super) fn knows_size(&self) -> bool {
        self.size.is_some()
    }

    /// Bytes that came from origins that were left while others went on, since this was last asked.
    pub(super) fn take_left(&mut self) -> u64 {
        std::mem::take(&mut self.left)
    }

    /// Reads what is missing from `origin`, and from others at the same time where their stores want that.
    pub(super) fn run(
        &mut self,
        origin: &Origin,
        source: &dyn OpenedSource,
        stage: &mut Stage,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<Ran> {
        let number = self.origins.number(origin, source.info())?;
        let before = self.board.total();
        let lead = Lead { origin, source, number };
        let outcome = if self.mixed {
            self.replace(&lead, stage, want, supply).map(Some)
        } else {
            self.fill(&lead, stage, want, supply).map(|()| None)
        };
        match outcome {
            Ok(Some(moved)) => Ok(Ran::Complete(Box::new(moved))),
            Ok(None) => self.complete(stage, want, &origin.call),
            Err(Stopped::All(error)) => Err(error),
            Err(Stopped::Origin(error)) => {
                let gave = self.board.total() > before;
                let later = gave && error.kind() == ErrorKind::Unavailable;
                Ok(Ran::Failed { error, later })
            }
        }
    }

    /// Reads everything that is missing.
    fn fill(
        &mut self,
        lead: &Lead<'_>,
        stage: &mut Stage,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<(), Stopped> {
        let missing = |fetch: &Self| match fetch.size {
            Some(size) => fetch.board.pieces().missing(size),
            None => std::iter::once(0..want.limit).collect(),
        };
        let outcome = self.read(lead, stage, want, missing(self), supply);
        match (&outcome, self.size) {
            (Err(Stopped::Origin(error)), Some(size))
                if error.code() == RANGE_IGNORED && !self.combined && !self.whole.contains(&lead.number) =>
            {
                // In one stream, then, over everything that follows the first gap.
                self.whole.push(lead.number);
                let front = self.board.keep_front(size);
                // Zeros that are left out must find zeros there.
                written::zero(stage.file(), front, size.saturating_sub(front)).map_err(Stopped::All)?;
                if let Some(resume) = &mut self.resume {
                    resume.checkpoint(&self.board, stage, &self.origins.names()).map_err(Stopped::All)?;
                }
                self.read(lead, stage, want, missing(self), supply)
            }
            _ => outcome,
        }
    }

    /// Reads `todo` on as many lanes as are worth it.
    fn read(
        &mut self,
        lead: &Lead<'_>,
        stage: &mut Stage,
        want: &Want<'_>,
        todo: Vec<Range<u64>>,
        supply: &mut dyn Supply,
    ) -> Result<(), Stopped> {
        let info = lead.source.info();
        let whole = self.whole.contains(&lead.number) || !info.ranged;
        let ranged = self.size.is_some() && info.size.is_some() && !whole;
        let companions =
            if ranged && !self.mixed { supply.companions(COMBINED_MOST.saturating_sub(1)) } else { Vec::new() };
        self.combined = !companions.is_empty();
        let others = supply.has_other() || self.combined;
        let most = if ranged { LANES_MAX } else { 1 };
        let mut readings = Vec::new();
        let mut reading = |whole: bool, most: usize, origin: &Origin| -> Result<Cancel, Stopped> {
            let cancel = origin.call.cancel.child().map_err(Stopped::All)?;
            readings.push((Reading { whole, most, others }, cancel.clone()));
            Ok(cancel)
        };
        let cancel = reading(!ranged, most, lead.origin)?;
        let joining: Vec<(Origin, Cancel)> = companions
            .into_iter()
            .map(|origin| reading(false, LANES_MAX, &origin).map(|cancel| (origin, cancel)))
            .collect::<Result<_, _>>()?;
        self.board.begin(todo, self.mixed, readings);
        let sizes = want.sizes();
        let mut speed = self.size.filter(|_| ranged && !self.combined && !self.mixed).map(|_| Speed::new());
        let Self { board, origins, resume, mixed, left, size, .. } = self;
        let mut resume = resume.as_mut().filter(|_| !*mixed);
        let mut tell = |supply: &mut dyn Supply| {
            while let Some((team, error, bytes)) = board.next_failed() {
                let origin = joining.get(team.wrapping_sub(1)).map_or(lead.origin, |(origin, _)| origin);
                *left = left.saturating_add(bytes);
                supply.dropped(origin, error, bytes);
            }
        };
        std::thread::scope(|scope| {
            let Lead { origin, source, number } = *lead;
            let crew = Crew { board, team: 0, origin, number, source, cancel: &cancel, whole };
            spawn(scope, board, 0, move || crew.run());
            for (at, (origin, cancel)) in joining.iter().enumerate() {
                let join = Joining { board, team: at.saturating_add(1), origin, origins, cancel };
                spawn(scope, board, join.team, move || join.run(sizes));
            }
            // Waits at least once, for crews that have not begun.
            while board.wait_for_all(TICK) {
                // Asking is what makes a passed deadline fire.
                if let Err(cancelled) = lead.origin.call.cancel.check() {
                    board.stop_all(cancelled);
                }
                tell(supply);
                if let (Some(speed), Some(size)) = (&mut speed, *size)
                    && let Some(rate) = speed.look(board.total(), Instant::now())
                    && let Some(slower) = supply.slower_than_another(size.saturating_sub(board.pieces().bytes()), rate)
                {
                    board.stop_team(0, slower);
                }
                if let Some(resume) = resume.as_mut()
                    && let Err(error) = resume.checkpoint_if_due(board, stage, &origins.names())
                {
                    board.stop_all(error);
                }
            }
        });
        tell(supply);
        let outcome = board.outcome();
        // What arrived until now need not be fetched again, whoever goes on.
        if let Err(stopped) = &outcome
            && let Some(resume) = resume
            && let Err(error) = resume.checkpoint(board, stage, &origins.names())
        {
            match stopped {
                // Nobody goes on with bytes that are not on the disk and never will be.
                Stopped::Origin(_) => return Err(Stopped::All(error)),
                // The failure that led here is what must be heard of.
                Stopped::All(_) => {
                    complain(format_args!("the interrupted download cannot be resumed from here: {error}"));
                }
            }
        }
        outcome
    }

    /// Everything is there: is it the image?
    fn complete(&mut self, stage: &mut Stage, want: &Want<'_>, call: &CallContext) -> Result<Ran> {
        let bytes = match self.size {
            Some(size) => size,
            None => {
                let end = self.board.end().unwrap_or_else(|| self.board.pieces().bytes());
                stage.set_size(end)?;
                end
            }
        };
        let hashed = self.board.hashed();
        let digest = match self.board.digest() {
            // Who was told to stop ended the digest as well.
            Err(error) => return Err(call.cancel.check().err().unwrap_or(error)),
            Ok(digest) => digest,
        };
        if digest.is_some() && hashed != bytes {
            let message = format!("{hashed} of {bytes} bytes were hashed");
            return Err(Error::new(ErrorKind::Internal, "digest-short", message).scoped(Scope::Node));
        }
        let wrong = matches!((want.digest, &digest), (Some(wanted), Some(found)) if wanted != found);
        if !wrong || self.sole_origin().is_some() {
            if wrong {
                stage.forget_progress();
            }
            return Ok(Ran::Complete(Box::new(self.moved(bytes, digest))));
        }
        // What was kept for another run is not the image's either.
        stage.forget_progress();
        if let Some(mut resume) = self.resume.take() {
            resume.clear()?;
        }
        self.mixed = true;
        let message = format!(
            "the bytes of {} locations together are not the image; they are now held against each other",
            self.board.pieces().origins().len()
        );
        Ok(Ran::Failed { error: Error::new(ErrorKind::Corrupt, "digest-mismatch", message), later: true })
    }

    /// The one origin of everything that is there.
    fn sole_origin(&self) -> Option<u32> {
        let origins = self.board.pieces().origins();
        origins.first().copied().filter(|_| origins.len() == 1)
    }

    fn moved(&self, bytes: u64, digest: Option<Digest>) -> Moved {
        let origins: BTreeSet<u32> = self.board.pieces().origins();
        let mut moved = Moved::new(Method::Stream, bytes, digest);
        // A location that gave bytes in an earlier run as well is still one.
        for name in origins.iter().filter_map(|number| self.origins.name(*number)) {
            if !moved.locations.contains(&name) {
                moved.locations.push(name);
            }
        }
        moved
    }

    /// Replaces the bytes of the other origins by this one's, one after the other, the last that joined first, until it is
    /// the image.
    fn replace(
        &mut self,
        lead: &Lead<'_>,
        stage: &mut Stage,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<Moved, Stopped> {
        let size = self.size.unwrap_or(0);
        let mut suspects: Vec<u32> =
            self.origins.joined().into_iter().rev().filter(|suspect| *suspect != lead.number).collect();
        // Those whose bytes were contradicted before come first: what others confirmed need not be fetched again for it.
        let contradicted = |suspect: u32| self.board.differences().iter().any(|difference| difference.of == suspect);
        suspects.sort_by_key(|suspect| !contradicted(*suspect));
        for suspect in suspects {
            let todo = self.board.pieces().of(suspect);
            let known = self.board.differences().len();
            if todo.is_empty() {
                continue;
            }
            self.read(lead, stage, want, todo, supply)?;
            let contradicted = self.board.differences().iter().any(|difference| difference.of == suspect);
            if (contradicted || self.board.differences().len() > known)
                && let Some(moved) = self.judge(lead.origin, stage, want, supply)?
            {
                return Ok(moved);
            }
        }
        let missing = self.board.pieces().missing(size);
        if !missing.is_empty() {
            self.read(lead, stage, want, missing, supply)?;
            if let Some(moved) = self.judge(lead.origin, stage, want, supply)? {
                return Ok(moved);
            }
        }
        // All of it is this origin's now, and it is not the image: none of it is worth keeping.
        self.board.clear();
        self.origins.forget_joined();
        let message = "the location's bytes are not the image's";
        Err(Stopped::Origin(Error::new(ErrorKind::Corrupt, "digest-mismatch", message)))
    }

    /// Whether what is in the stage now is the image. If it is, those whose bytes had to go have lied.
    fn judge(
        &self,
        origin: &Origin,
        stage: &Stage,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<Option<Moved>, Stopped> {
        let size = self.size.unwrap_or(0);
        let digest = pump(stage.descriptor(), size, None, want.algorithm().map(Algorithm::hasher), &origin.call);
        let digest = digest.map_err(Stopped::All)?;
        if digest.as_ref() != want.digest {
            return Ok(None);
        }
        let pieces = self.board.pieces();
        for difference in self.board.differences() {
            // Who replaced them may have lied as well, and been replaced in turn.
            let stands = pieces.origin_at(difference.offset) == Some(difference.by);
            let Some(name) = self.origins.name(difference.of).filter(|_| stands) else { continue };
            if self.origins.is_earlier(difference.of) {
                // The location may have changed since, or the disk.
                complain(format_args!("bytes that an earlier run had from {name} are not the image's"));
            } else {
                supply.lied(&name, &format!("its bytes from {} on are not the image's", difference.offset));
            }
        }
        Ok(Some(self.moved(size, digest)))
    }
}

/// The origin that a run is about.
struct Lead<'a> {
    origin: &'a Origin,
    source: &'a dyn OpenedSource,
    number: u32,
}

/// Another origin that is read at the same time, once it is open.
struct Joining<'a> {
    board: &'a Arc<Board>,
    team: usize,
    origin: &'a Origin,
    origins: &'a Origins,
    cancel: &'a Cancel,
}

impl Joining<'_> {
    fn run(&self, sizes: Sizes) {
        let Self { board, team, origin, cancel, .. } = *self;
        match self.open(sizes) {
            Ok((number, source)) => {
                Crew { board, team, origin, number, source: source.as_ref(), cancel, whole: false }.run();
            }
            Err(error) => board.stop_team(team, error),
        }
    }

    fn open(&self, sizes: Sizes) -> Result<(u32, Box<dyn OpenedSource>)> {
        let begin = || Ok(CallContext { cancel: self.cancel.child()?, ..self.origin.call.begin()? });
        let (_, source) = open(self.origin, true, begin)?;
        let info = source.info();
        if !info.ranged || info.size.is_none() {
            let message = "it cannot be read in ranges, and so not together with others";
            return Err(Error::new(ErrorKind::Unsupported, "not-ranged", message).scoped(Scope::Location));
        }
        sizes.check(info.size)?;
        Ok((self.origins.number(self.origin, info)?, source))
    }
}

/// Tells the board of a crew's end.
struct Ended<'a> {
    board: &'a Board,
    team: usize,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.board.crew_ended(self.team);
    }
}

/// Runs a crew on a thread of its own.
fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    board: &'scope Board,
    team: usize,
    work: impl FnOnce() + Send + 'scope,
) {
    let run = move || {
        // Also where the work panics: somebody waits for its end.
        let _ended = Ended { board, team };
        work();
    };
    if let Err(error) = std::thread::Builder::new().name("crew".into()).spawn_scoped(scope, run) {
        board.stop_all(Error::os(&error, "start a thread").scoped(Scope::Node));
        board.crew_ended(team);
    }
}

/// The moment from which something is due again.
pub(super) fn due(last: Instant, every: Duration) -> bool {
    last.elapsed() >= every
}
