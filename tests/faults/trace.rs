//! The points that a command met, in order, and whether that order is one that survives a power cut.

use std::path::Path;

use super::operation::Kind;

/// A point that was met, and what was injected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) point: String,
    pub(super) deed: Option<String>,
    /// The how manieth time in this command, from 1.
    pub(super) hit: u32,
}

impl Met {
    /// Whether the call was really made, and returned.
    fn is_done(&self) -> bool {
        self.deed.as_deref().is_none_or(|deed| deed == "short")
    }

    /// Whether what the call does has happened.
    fn has_happened(&self) -> bool {
        self.is_done() || self.deed.as_deref() == Some("kill-after")
    }
}

/// Everything that one command met.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(pub(super) Vec<Met>);

impl Trace {
    /// Reads the file and takes it away.
    pub(super) fn take(path: &Path) -> Self {
        let trace = Self::read(path);
        // A command that met no point made none.
        let _ = std::fs::remove_file(path);
        trace
    }

    /// Reads the file, which may not be there yet.
    pub(super) fn read(path: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(path) else { return Self::default() };
        let mut trace = Self::default();
        for line in text.lines() {
            let (point, deed) =
                line.split_once(' ').map_or((line, None), |(point, deed)| (point, Some(deed.to_owned())));
            let hit = 1 + u32::try_from(trace.0.iter().filter(|met| met.point == point).count()).unwrap();
            trace.0.push(Met { point: point.to_owned(), deed, hit });
        }
        trace
    }

    /// Whether this point was met.
    pub(super) fn meets(&self, point: &str) -> bool {
        self.0.iter().any(|met| met.point == point)
    }

    /// Whether what this point stands for was done, at whatever time.
    pub(super) fn has_done(&self, point: &str) -> bool {
        self.0.iter().any(|met| met.point == point && met.has_happened())
    }

    /// Whether a checkpoint was written and synced.
    pub(super) fn has_checkpoint(&self) -> bool {
        let is_not_written = |met: &&Met| met.point != "journal.write" || !met.has_happened();
        self.0.iter().skip_while(is_not_written).any(|met| met.point == "journal.sync" && met.has_happened())
    }

    /// Fails unless each checkpoint that was written speaks of bytes that had been synced, and was synced itself.
    fn checkpoints_in_order(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {self:?}"));
        let (mut synced, mut written) = (false, false);
        for met in self.0.iter().filter(|met| met.is_done()) {
            match met.point.as_str() {
                "stage.sync-data" if written => return wrong("a checkpoint was not synced"),
                "stage.sync-data" => synced = true,
                "journal.write" if !synced => return wrong("a checkpoint speaks of bytes that were not synced"),
                "journal.write" => written = true,
                // Without anything written it is an empty journal that is synced.
                "journal.sync" if written => (synced, written) = (false, false),
                _ => {}
            }
        }
        if written { wrong("the last checkpoint was not synced") } else { Ok(()) }
    }

    /// Fails unless a successful command did things in the order on which its promise rests. Every group must have been
    /// met, and its last call must come before the first of the next group.
    pub(super) fn in_order(&self, kind: Kind) -> Result<(), String> {
        self.checkpoints_in_order()?;
        let groups: &[&[&str]] = match kind {
            Kind::Place | Kind::Replace => &[
                &[
                    "stage.write",
                    "stage.clone",
                    "stage.punch",
                    "stage.size",
                    "stage.owner",
                    "stage.mode",
                    "stage.anonymous",
                    "stage.named",
                ],
                &["publish.sync-file"],
                &["ledger.intent"],
                &["publish.link", "publish.rename", "publish.replace", "publish.unlink"],
                &["publish.sync-directory"],
                &["ledger.confirm"],
            ],
            Kind::PlaceDirectory => &[
                &[
                    "stage.write",
                    "stage.clone",
                    "stage.size",
                    "stage.owner",
                    "stage.mode",
                    "stage.anonymous",
                    "stage.named",
                    "directory.make",
                    "directory.link",
                    "directory.file",
                    "directory.write",
                ],
                &["publish.sync-file"],
                &["directory.sync"],
                &["ledger.intent"],
                &["publish.rename"],
                &["publish.sync-directory"],
                &["ledger.confirm"],
            ],
            Kind::RemoveDirectory => &[
                &["remove.intent"],
                &["remove.rename"],
                &["directory.unlink"],
                &["directory.remove"],
                &["remove.sync-directory"],
                &["remove.forget"],
            ],
            Kind::Remove => &[&["remove.intent"], &["remove.unlink"], &["remove.sync-directory"], &["remove.forget"]],
            Kind::Move => {
                const SYNCED: [&[&str]; 4] =
                    [&["move.intent"], &["move.rename"], &["move.sync-target"], &["move.confirm"]];
                self.chain(&SYNCED)?;
                &[&["move.rename"], &["move.sync-source"], &["move.confirm"]]
            }
            Kind::Recover | Kind::Fail => return Ok(()),
        };
        self.chain(groups)
    }

    fn chain(&self, groups: &[&[&str]]) -> Result<(), String> {
        // Earlier attempts failed before they published anything.
        let start = self.0.iter().rposition(|met| met.point == "stage.anonymous").unwrap_or(0);
        let last_attempt = &self.0[start..];
        let mut before: Option<(usize, &str)> = None;
        for group in groups {
            let places: Vec<usize> = last_attempt
                .iter()
                .enumerate()
                .filter(|(_, met)| met.is_done() && group.contains(&met.point.as_str()))
                .map(|(place, _)| place)
                .collect();
            let (Some(&first), Some(&last)) = (places.first(), places.last()) else {
                return Err(format!("nothing of {group:?} was done: {self:?}"));
            };
            if let Some((place, point)) = before.filter(|(place, _)| *place > first) {
                return Err(format!("{point} at {place} comes after {group:?} at {first}: {self:?}"));
            }
            before = Some((last, &last_attempt[last].point));
        }
        Ok(())
    }
}
