//! Named places where tests make a system call fail, cut it short, leave it out, or kill the process.
//!
//! Every call that changes the disk goes through [`call`] (see `disk.rs`), every change of the ledger through its point
//! too. Only a build with the feature `fault-points` looks at the environment; in any other build this module is nothing.

/// Declares the points once: the enum, the list and the names.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place where a fault can be injected.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Point { $($(#[$doc])* $point,)* }

        #[cfg(any(test, feature = "fault-points"))]
        impl Point {
            /// Every point, in the order in which a placement meets them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$point,)*];

            /// The name by which tests speak of it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// The ledger's tables, in a new file.
    LedgerLayOut = "ledger.lay-out",
    /// What was found in a plugin file.
    LedgerScan = "ledger.scan",
    /// `O_TMPFILE` on the target's file system.
    StageAnonymous = "stage.anonymous",
    /// A hidden file beside the target, where there is no `O_TMPFILE`.
    StageNamed = "stage.named",
    /// FICLONE of the source into the stage.
    StageClone = "stage.clone",
    /// `copy_file_range` into the stage.
    StageCopyRange = "stage.copy-range",
    /// A write into the stage.
    StageWrite = "stage.write",
    /// A hole made in the stage.
    StagePunch = "stage.punch",
    /// `ftruncate` of the stage.
    StageSize = "stage.size",
    /// `fchown` of the stage.
    StageOwner = "stage.owner",
    /// `fchmod` of the stage.
    StageMode = "stage.mode",
    /// The journal of a kept stage.
    JournalCreate = "journal.create",
    /// `fdatasync` of a kept stage, before its journal speaks of it.
    StageSyncData = "stage.sync-data",
    /// A checkpoint.
    JournalWrite = "journal.write",
    /// `fdatasync` of a journal.
    JournalSync = "journal.sync",
    /// A journal that is not needed any more.
    JournalUnlink = "journal.unlink",
    /// A named stage that is given up.
    StageUnlink = "stage.unlink",
    /// A named stage that nobody owned any more.
    StageCollect = "stage.collect",
    /// A hidden directory beside the target, for several disks.
    DirectoryMake = "directory.make",
    /// A stage gets its name in that.
    DirectoryLink = "directory.link",
    /// The document that describes the disks.
    DirectoryFile = "directory.file",
    /// A write into that.
    DirectoryWrite = "directory.write",
    /// `fsync` of the directory of the disks.
    DirectorySync = "directory.sync",
    /// A name in a directory of disks that is given up.
    DirectoryUnlink = "directory.unlink",
    /// `rmdir` of such a directory.
    DirectoryRemove = "directory.remove",
    /// The remembered digest of a source.
    LedgerRemember = "ledger.remember",
    /// `fsync` of the stage.
    PublishSyncFile = "publish.sync-file",
    /// The intent to publish.
    LedgerIntent = "ledger.intent",
    /// The stage (or the store's file) gets its name.
    PublishLink = "publish.link",
    /// A hidden name becomes the target's, which must not exist.
    PublishRename = "publish.rename",
    /// A hidden name takes the place of the target's.
    PublishReplace = "publish.replace",
    /// A spare name that lost its use.
    PublishUnlink = "publish.unlink",
    /// `fsync` of the target's directory.
    PublishSyncDirectory = "publish.sync-directory",
    /// The placement is confirmed.
    LedgerConfirm = "ledger.confirm",
    /// An intent whose publication failed is dropped.
    LedgerDrop = "ledger.drop",
    /// A failed attempt is written to the history.
    LedgerHistory = "ledger.history",
    /// A handler's crash.
    LedgerCrash = "ledger.crash",
    /// The intent to remove.
    RemoveIntent = "remove.intent",
    /// A placed directory gets a hidden name.
    RemoveRename = "remove.rename",
    /// `unlink` of the placement.
    RemoveUnlink = "remove.unlink",
    /// `fsync` of its directory.
    RemoveSyncDirectory = "remove.sync-directory",
    /// The placement leaves the ledger.
    RemoveForget = "remove.forget",
    /// The intent to move.
    MoveIntent = "move.intent",
    /// `rename` without replacing.
    MoveRename = "move.rename",
    /// `fsync` of the new directory.
    MoveSyncTarget = "move.sync-target",
    /// `fsync` of the old directory.
    MoveSyncSource = "move.sync-source",
    /// The ledger takes the new path.
    MoveConfirm = "move.confirm",
    /// What a dead process left in the ledger is settled.
    LedgerReconcile = "ledger.reconcile",
    /// `fsync` of a directory, before the ledger says what is in it.
    LedgerSyncDirectory = "ledger.sync-directory",
    /// What an interrupted change of a catalog's record left.
    RecordCollect = "record.collect",
    /// The file that is to become a record.
    RecordCreate = "record.create",
    /// A write into that.
    RecordWrite = "record.write",
    /// `fsync` of that.
    RecordSync = "record.sync",
    /// It changes places with the record.
    RecordExchange = "record.exchange",
    /// It takes the record's place, where names cannot be exchanged.
    RecordReplace = "record.replace",
    /// `fsync` of the catalog's directory.
    RecordSyncDirectory = "record.sync-directory",
    /// What the record was before.
    RecordUnlink = "record.unlink",
}

#[cfg(not(feature = "fault-points"))]
mod inject {
    use super::Point;

    /// Runs `action`; this build injects nothing.
    #[inline(always)]
    pub(crate) fn effect(_: Point, action: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        action()
    }

    /// Runs `action`; this build injects nothing.
    #[inline(always)]
    pub(crate) fn call<T>(_: Point, action: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        action()
    }

    /// How much of `len` bytes to write at once: all of it.
    #[inline(always)]
    pub(crate) fn write_length(_: Point, len: usize) -> usize {
        len
    }
}

#[cfg(feature = "fault-points")]
mod inject {
    //! `LANDFALL_FAULTS` is a comma-separated list of `POINT[#N]=DEED`: at the N-th time (1 when absent, `*` for every
    //! time) POINT is met, DEED happens; the first that fits counts. Deeds: `kill-before`, `kill-after`, `stop-before`
    //! (until SIGCONT), `skip` (claim success), `short` (half a write), or an error: `enospc`, `eio`, `eintr`, `edquot`,
    //! `enosys`, `eopnotsupp`, `einval`, `eisdir`, `eperm`, `exdev`, `erofs`.
    //! `LANDFALL_FAULT_TRACE` names a file that gets a line for each point met: `POINT`, and ` DEED` where there is one.

    use std::collections::HashMap;
    use std::io::{self, Write};
    use std::sync::{LazyLock, Mutex};

    use super::Point;

    struct Fault {
        point: String,
        hit: Option<u64>,
        deed: String,
    }

    static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
        let text = std::env::var("LANDFALL_FAULTS").unwrap_or_default();
        text.split(',').filter(|part| !part.is_empty()).map(parse).collect()
    });
    static HITS: LazyLock<Mutex<HashMap<&'static str, u64>>> = LazyLock::new(Mutex::default);

    fn parse(text: &str) -> Fault {
        let (place, deed) = text.split_once('=').expect("LANDFALL_FAULTS: POINT[#N]=DEED");
        let (point, hit) = match place.split_once('#') {
            None => (place, Some(1)),
            Some((point, "*")) => (point, None),
            Some((point, hit)) => (point, Some(hit.parse().expect("LANDFALL_FAULTS: a number after #"))),
        };
        assert!(Point::ALL.iter().any(|known| known.name() == point), "LANDFALL_FAULTS: no point {point}");
        Fault { point: point.to_owned(), hit, deed: deed.to_owned() }
    }

    fn deed(point: Point) -> Option<&'static str> {
        let mut hits = HITS.lock().expect("no holder of this lock panics");
        let hit = *hits.entry(point.name()).and_modify(|count| *count += 1).or_insert(1);
        let deed = deed_at(point, hit);
        if let Some(path) = std::env::var_os("LANDFALL_FAULT_TRACE") {
            let line = deed.map_or_else(|| format!("{}\n", point.name()), |deed| format!("{} {deed}\n", point.name()));
            let mut trace = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("open the trace");
            trace.write_all(line.as_bytes()).expect("write the trace");
        }
        deed
    }

    fn deed_at(point: Point, hit: u64) -> Option<&'static str> {
        FAULTS
            .iter()
            .find(|fault| fault.point == point.name() && fault.hit.is_none_or(|wanted| wanted == hit))
            .map(|fault| fault.deed.as_str())
    }

    fn die() -> ! {
        // As sudden as a kill from outside: nothing is unwound, flushed or cleaned up.
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).expect("SIGKILL can be raised");
        unreachable!("SIGKILL is not survived")
    }

    fn errno(deed: &str) -> i32 {
        match deed {
            "enospc" => libc::ENOSPC,
            "eio" => libc::EIO,
            "eintr" => libc::EINTR,
            "edquot" => libc::EDQUOT,
            "enosys" => libc::ENOSYS,
            "eopnotsupp" => libc::EOPNOTSUPP,
            "einval" => libc::EINVAL,
            "eisdir" => libc::EISDIR,
            "eperm" => libc::EPERM,
            "exdev" => libc::EXDEV,
            "erofs" => libc::EROFS,
            other => panic!("LANDFALL_FAULTS: no deed {other}"),
        }
    }

    /// Runs `action`, with whatever the environment asks for at `point`; it may be left out.
    pub(crate) fn effect(point: Point, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match deed(point) {
            Some("skip") => Ok(()),
            deed => run(deed, action),
        }
    }

    /// Runs `action`, with whatever the environment asks for at `point`.
    pub(crate) fn call<T>(point: Point, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        run(deed(point), action)
    }

    fn run<T>(deed: Option<&str>, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match deed {
            None | Some("short") => action(),
            Some("kill-before") => die(),
            Some("kill-after") => {
                let _ = action();
                die()
            }
            Some("stop-before") => {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).expect("SIGSTOP can be raised");
                action()
            }
            Some(error) => Err(io::Error::from_raw_os_error(errno(error))),
        }
    }

    /// How much of `len` bytes to write at once. Asked inside [`call`], for the hit that it counted.
    pub(crate) fn write_length(point: Point, len: usize) -> usize {
        let hit = HITS.lock().expect("no holder of this lock panics").get(point.name()).copied().unwrap_or(0);
        if deed_at(point, hit) == Some("short") { len.div_ceil(2) } else { len }
    }
}

pub(crate) use inject::{call, effect, write_length};

#[cfg(test)]
mod tests {
    use super::Point;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
