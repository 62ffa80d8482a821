//! Brings an image's bytes into the stage from sources that stream: many ranges at once, again where a range failed, and
//! on from another location where one fails for good.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::board::{Board, Reading, Stopped};
use super::frontier::Frontier;
use super::lane::Lane;
use super::pump::pump;
use super::resume::{Resume, Resumed};
use super::supply::{Origin, Supply};
use super::{Method, Moved, Want};
use crate::complaint::complain;
use crate::digest::{Algorithm, Digest};
use crate::plugin::{CallContext, OpenedSource};
use crate::stage::Stage;

/// How often the coordinator looks at its lanes.
const TICK: Duration = Duration::from_millis(50);
/// Failures in a row that one origin may have when there is no other, and when there is.
const PATIENCE: u32 = 6;
const PATIENCE_WITH_OTHERS: u32 = 1;
/// Stalls in all that one origin may have while there is another.
const STALLS_WITH_OTHERS: u32 = 2;

/// The bytes of one image on their way, from whatever origin.
pub(super) struct Fetch {
    board: Arc<Board>,
    size: Option<u64>,
    /// The names of the origins that gave bytes, by number. Those of an earlier run come first and are not those of this
    /// one, even where they have their names.
    origins: Vec<String>,
    earlier: usize,
    /// In the order in which they joined.
    joined: Vec<u32>,
    resume: Option<Resume>,
    /// Bytes of several origins turned out not to be the image: from now on they are held against each other.
    mixed: bool,
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
        stage: &mut Stage<'_>,
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
            stage.check_space(size.saturating_sub(resumed.pieces.bytes()))?;
            stage.set_size(size)?;
        }
        let file =
            || stage.file().try_clone().map_err(|error| crate::stage::stage_error(&error, "duplicate the stage"));
        let hasher = resumed.hasher.or_else(|| want.algorithm().map(Algorithm::hasher));
        let mut frontier = Frontier::start(hasher, resumed.hashed, file()?, call.cancel.clone())?;
        frontier.catch_up(&resumed.pieces)?;
        let joined = resumed.pieces.origins().into_iter().collect();
        let progress = Arc::clone(&call.progress);
        let board = Board::new(file()?, size, want.limits.clone(), progress, resumed.pieces, frontier);
        let earlier = resumed.origins.len();
        Ok(Self { board, size, origins: resumed.origins, earlier, joined, resume, mixed: false })
    }

    /// Bytes that arrived in this run of the program.
    pub(super) fn total(&self) -> u64 {
        self.board.total()
    }

    /// Whether it is known how many bytes there are to be.
    pub(super) fn knows_size(&self) -> bool {
        self.size.is_some()
    }

    /// Reads what is missing from `origin`.
    pub(super) fn run(
        &mut self,
        origin: &Origin,
        source: &dyn OpenedSource,
        stage: &mut Stage<'_>,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<Ran> {
        let number = self.number(origin)?;
        let before = self.board.total();
        let outcome = if self.mixed {
            self.replace(number, origin, source, stage, want, supply).map(Some)
        } else {
            let todo = match self.size {
                Some(size) => self.board.pieces().missing(size),
                None => std::iter::once(0..want.limit).collect(),
            };
            self.read(number, origin, source, stage, todo, supply.has_other()).map(|()| None)
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

    fn number(&mut self, origin: &Origin) -> Result<u32> {
        let mut ours = self.origins.iter().enumerate().skip(self.earlier);
        let at = ours.find(|(_, name)| **name == origin.name).map(|(at, _)| at).unwrap_or_else(|| {
            self.origins.push(origin.name.clone());
            self.origins.len().saturating_sub(1)
        });
        let number = u32::try_from(at);
        let number = number.map_err(|_| Error::new(ErrorKind::Limit, "origins", "too many locations"))?;
        if !self.joined.contains(&number) {
            self.joined.push(number);
        }
        Ok(number)
    }

    /// Reads `todo` from one origin, on as many lanes as are worth it.
    fn read(
        &mut self,
        number: u32,
        origin: &Origin,
        source: &dyn OpenedSource,
        stage: &mut Stage<'_>,
        todo: Vec<Range<u64>>,
        others: bool,
    ) -> Result<(), Stopped> {
        let info = source.info();
        let most = match (&self.size, info.ranged && info.size.is_some()) {
            (Some(_), true) => super::pace::LANES_MAX,
            _ => 1,
        };
        let cancel = origin.call.cancel.child().map_err(Stopped::All)?;
        let (patience, stalls) = if others { (PATIENCE_WITH_OTHERS, STALLS_WITH_OTHERS) } else { (PATIENCE, u32::MAX) };
        let board = Arc::clone(&self.board);
        let whole = !info.ranged || info.size.is_none();
        board.begin(todo, Reading { compares: self.mixed, whole, most, patience, stalls }, &cancel);
        std::thread::scope(|scope| {
            let mut first = true;
            loop {
                for _ in 0..board.more_lanes() {
                    let lane = Lane { board: &board, origin, number, source, cancel: &cancel, first };
                    first = false;
                    let spawned =
                        std::thread::Builder::new().name("lane".into()).spawn_scoped(scope, move || lane.run());
                    if let Err(error) = spawned {
                        board.stop(Stopped::All(Error::os(&error, "start a thread").scoped(Scope::Node)));
                        board.lane_ended();
                    }
                }
                // Asking is what makes a passed deadline fire.
                if let Err(cancelled) = origin.call.cancel.check() {
                    board.stop(Stopped::All(cancelled));
                }
                if !board.wait(TICK) {
                    break;
                }
                if !self.mixed
                    && let Some(resume) = &mut self.resume
                    && let Err(error) = resume.checkpoint_if_due(&board, stage, &self.origins)
                {
                    board.stop(Stopped::All(error));
                }
            }
        });
        let outcome = board.outcome();
        // What arrived until now need not be fetched again, whoever goes on.
        if let Err(stopped) = &outcome
            && !self.mixed
            && let Some(resume) = &mut self.resume
            && let Err(error) = resume.checkpoint(&board, stage, &self.origins)
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
    fn complete(&mut self, stage: &mut Stage<'_>, want: &Want<'_>, call: &CallContext) -> Result<Ran> {
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
        for name in origins.iter().filter_map(|number| self.origins.get(*number as usize)) {
            if !moved.locations.contains(name) {
                moved.locations.push(name.clone());
            }
        }
        moved
    }

    /// Replaces the bytes of the other origins by this one's, one after the other, the last that joined first, until it is
    /// the image.
    fn replace(
        &mut self,
        number: u32,
        origin: &Origin,
        source: &dyn OpenedSource,
        stage: &mut Stage<'_>,
        want: &Want<'_>,
        supply: &mut dyn Supply,
    ) -> Result<Moved, Stopped> {
        let size = self.size.unwrap_or(0);
        let mut suspects: Vec<u32> = self.joined.iter().rev().copied().filter(|suspect| *suspect != number).collect();
        // Those whose bytes were contradicted before come first: what others confirmed need not be fetched again for it.
        let contradicted = |suspect: u32| self.board.differences().iter().any(|difference| difference.of == suspect);
        suspects.sort_by_key(|suspect| !contradicted(*suspect));
        for suspect in suspects {
            let todo = self.board.pieces().of(suspect);
            let known = self.board.differences().len();
            if todo.is_empty() {
                continue;
            }
            self.read(number, origin, source, stage, todo, supply.has_other())?;
            let contradicted = self.board.differences().iter().any(|difference| difference.of == suspect);
            if (contradicted || self.board.differences().len() > known)
                && let Some(moved) = self.judge(origin, stage, want, supply)?
            {
                return Ok(moved);
            }
        }
        let missing = self.board.pieces().missing(size);
        if !missing.is_empty() {
            self.read(number, origin, source, stage, missing, supply.has_other())?;
            if let Some(moved) = self.judge(origin, stage, want, supply)? {
                return Ok(moved);
            }
        }
        // All of it is this origin's now, and it is not the image: none of it is worth keeping.
        self.board.clear();
        self.joined.clear();
        let message = "the location's bytes are not the image's";
        Err(Stopped::Origin(Error::new(ErrorKind::Corrupt, "digest-mismatch", message)))
    }

    /// Whether what is in the stage now is the image. If it is, those whose bytes had to go have lied.
    fn judge(
        &self,
        origin: &Origin,
        stage: &Stage<'_>,
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
            let Some(name) = self.origins.get(difference.of as usize).filter(|_| stands) else { continue };
            if (difference.of as usize) < self.earlier {
                // The location may have changed since, or the disk.
                complain(format_args!("bytes that an earlier run had from {name} are not the image's"));
            } else {
                supply.lied(name, &format!("its bytes from {} on are not the image's", difference.offset));
            }
        }
        Ok(Some(self.moved(size, digest)))
    }
}

/// The moment from which something is due again.
pub(super) fn due(last: Instant, every: Duration) -> bool {
    last.elapsed() >= every
}
