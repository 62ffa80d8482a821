//! Limits that all processes of a node share: how many connections at once, and how many bytes per second.
//!
//! One file in the state directory carries both. A connection is a locked byte of it: the kernel drops the lock with
//! the process, so nothing needs cleaning up. The bandwidth is a token bucket in the file's first bytes. Processes with
//! different settings stay together within the largest.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sha2::{Digest as _, Sha256};

use crate::cancel::Cancel;

/// The byte that is locked to change the bucket. No lock stands for bytes of the file, so all are far beyond its end.
const BUCKET_LOCK: i64 = 1 << 60;
/// The first of the node's slots.
const NODE_SLOTS: i64 = 1 << 61;
/// The first of all origins' slots.
const ORIGIN_SLOTS: i64 = 1 << 62;
/// The most slots that an origin can have, as a power of two.
const SLOT_BITS: u32 = 20;
/// How many bits of an origin's digest choose its slots. Two origins of the same bits only share their slots.
const ORIGIN_BITS: u32 = 40;
/// Who waits for a slot looks again after so many milliseconds.
const LOOK_AGAIN: u16 = 50;
/// The least that may be moved at once after a pause, in bytes.
const BURST_MIN: u64 = 1 << 20;
/// How often the bucket's lock is tried, and how long to pause in between.
const BUCKET_TRIES: u32 = 100;
const BUCKET_PAUSE: Duration = Duration::from_millis(1);
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// What all processes of a node may use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitSettings {
    /// Connections to all origins together. At least 1; above 2^20 counts as 2^20.
    pub(crate) connections: u32,
    /// Connections to one origin. At least 1; above 2^20 counts as 2^20.
    pub(crate) connections_per_origin: u32,
    /// Bytes per second, at least 1; `None` is no limit.
    pub(crate) bandwidth: Option<u64>,
}

/// What one node may use at once, over all processes that share a state directory.
#[derive(Debug)]
pub(crate) struct NodeLimits {
    path: PathBuf,
    settings: LimitSettings,
}

/// A slot for one connection. Given back when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct Connection {
    _locks: Locks,
}

impl NodeLimits {
    /// The limits of the node whose state is in `state_dir`. Fails with scope `node` when the file there cannot be
    /// opened or made, or when a limit is 0.
    pub(crate) fn open(state_dir: &Path, settings: LimitSettings) -> Result<Self> {
        if settings.connections == 0 || settings.connections_per_origin == 0 || settings.bandwidth == Some(0) {
            return Err(Error::new(ErrorKind::Invalid, "limit-zero", "a limit is 0").scoped(Scope::Node));
        }
        let limits = Self { path: state_dir.join("limits.lock"), settings };
        limits.locks()?;
        Ok(limits)
    }

    /// A slot for one connection to `origin` (scheme, host and port, or a store's id). `None` when all are taken now.
    pub(crate) fn try_connect(&self, origin: &str) -> Result<Option<Connection>> {
        let locks = self.locks()?;
        Ok(self.take_slots(&locks, origin)?.then_some(Connection { _locks: locks }))
    }

    /// As [`Self::try_connect`], but waits for a slot, in no order among those who wait. Fails when `cancel` fires.
    pub(crate) fn connect(&self, origin: &str, cancel: &Cancel) -> Result<Connection> {
        let locks = self.locks()?;
        loop {
            cancel.check()?;
            if self.take_slots(&locks, origin)? {
                return Ok(Connection { _locks: locks });
            }
            // An interrupted or failed poll only means looking again sooner.
            let _ = poll(&mut [PollFd::new(cancel.descriptor(), PollFlags::POLLIN)], PollTimeout::from(LOOK_AGAIN));
        }
    }

    /// How long the caller has to wait before it may move on, having just moved `bytes`. Zero without a bandwidth.
    /// Takes some system calls: meant for chunks, not for every read.
    pub(crate) fn spend(&self, bytes: u64) -> Result<Duration> {
        self.spend_at(bytes, now)
    }

    /// `clock` is asked under the lock, so that a stamp in the file is never later unless the clock was set back.
    fn spend_at(&self, bytes: u64, clock: impl FnOnce() -> u64) -> Result<Duration> {
        let Some(rate) = self.settings.bandwidth else { return Ok(Duration::ZERO) };
        let locks = self.locks()?;
        if !self.lock_bucket(&locks)? {
            // Somebody was stopped while holding it. The others do not stand still for that.
            return Ok(Duration::ZERO);
        }
        let before = Bucket::read(&locks.0).map_err(self.failed("read"))?;
        let (after, wait) = Bucket::spend(before, bytes, rate, clock());
        // In place and never synced: a bucket that does not survive a crash starts anew.
        locks.0.write_all_at(after.encode().as_flattened(), 0).map_err(self.failed("write"))?;
        Ok(wait)
    }

    /// Locks the bucket, which others do for microseconds; false if one of them does not give it back.
    fn lock_bucket(&self, locks: &Locks) -> Result<bool> {
        for _ in 0..BUCKET_TRIES {
            match fcntl(&locks.0, FcntlArg::F_OFD_SETLK(&byte(BUCKET_LOCK))) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => std::thread::sleep(BUCKET_PAUSE),
                Err(errno) => return Err(self.failed("lock the bandwidth in")(errno.into())),
            }
        }
        Ok(false)
    }

    fn failed(&self, what: &str) -> impl Fn(std::io::Error) -> Error {
        move |error| Error::os(&error, format_args!("{what} {}", self.path.display())).scoped(Scope::Node)
    }

    /// Locks belong to an open file description, so each holder has one of its own.
    fn locks(&self) -> Result<Locks> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        Ok(Locks(options.open(&self.path).map_err(self.failed("open"))?))
    }

    /// Takes a slot of the origin's and one of the node's, or neither. The origin's first: who finds that all taken
    /// keeps nobody else from the node's, not even for a moment.
    fn take_slots(&self, locks: &Locks, origin: &str) -> Result<bool> {
        let taken = self.take_any(locks, origin_slots(origin), self.settings.connections_per_origin)?
            && self.take_any(locks, NODE_SLOTS, self.settings.connections)?;
        if !taken {
            locks.release();
        }
        Ok(taken)
    }

    /// Locks one free byte of `count` from `first` on. Begins anywhere, since the first slots are the likeliest taken.
    fn take_any(&self, locks: &Locks, first: i64, count: u32) -> Result<bool> {
        let count = i64::from(count.min(1 << SLOT_BITS));
        let start = i64::try_from(crate::stage::random()? >> 1).unwrap_or(0).checked_rem(count).unwrap_or(0);
        for slot in (start..count).chain(0..start) {
            match fcntl(&locks.0, FcntlArg::F_OFD_SETLK(&byte(first.saturating_add(slot)))) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(self.failed("lock a slot in")(errno.into())),
            }
        }
        Ok(false)
    }
}

/// An open file description and the locks that it holds.
#[derive(Debug)]
struct Locks(File);

impl Locks {
    /// Gives all of them back.
    fn release(&self) {
        // Length 0 reaches to the end of all offsets. Where this fails, closing the file does the same.
        let all = libc::flock { l_type: libc::F_UNLCK as libc::c_short, l_len: 0, ..byte(0) };
        let _ = fcntl(&self.0, FcntlArg::F_OFD_SETLK(&all));
    }
}

impl Drop for Locks {
    /// Closing alone would not do while a child that is just being started has the description too.
    fn drop(&mut self) {
        self.release();
    }
}

fn byte(offset: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: 1,
        l_pid: 0,
    }
}

/// The first of the origin's own slots.
fn origin_slots(origin: &str) -> i64 {
    let bits = first_word(&Sha256::digest(origin)) >> (u64::BITS - ORIGIN_BITS);
    // 60 bits, so that nothing is lost and the last slot is still below 2^63.
    ORIGIN_SLOTS.saturating_add(i64::try_from(bits << SLOT_BITS).unwrap_or(0))
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Nanoseconds since 1970: the one clock that processes in different containers share. Setting it makes at most one
/// burst more, see [`Bucket::spend`].
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The bandwidth's state, as the generic cell rate algorithm (ITU-T I.371) keeps it: a virtual clock that each byte
/// moves on by the time that it takes. All times are in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    /// Bytes per second.
    rate: u64,
    /// When this was written.
    stamp: u64,
    /// When all that was spent is paid for.
    next_free: u64,
}

impl Bucket {
    /// The bucket after `bytes` more, and how long whoever moved them has to wait.
    fn spend(before: Option<Self>, bytes: u64, rate: u64, now: u64) -> (Self, Duration) {
        let burst = time_of(rate.max(BURST_MIN), rate);
        // A stamp in the future: the clock was set back, so nothing is known.
        let next_free = before.filter(|bucket| bucket.stamp <= now).map_or(0, |bucket| bucket.next_free_at(rate));
        let next_free = next_free.max(now.saturating_sub(burst)).saturating_add(time_of(bytes, rate));
        (Self { rate, stamp: now, next_free }, Duration::from_nanos(next_free.saturating_sub(now)))
    }

    /// When all is paid for at another rate, lest a debt that a tiny rate left outlives it.
    fn next_free_at(self, rate: u64) -> u64 {
        let debt = u128::from(self.next_free.saturating_sub(self.stamp)).saturating_mul(u128::from(self.rate));
        let debt = u64::try_from(debt.div_ceil(u128::from(rate.max(1)))).unwrap_or(u64::MAX);
        self.next_free.min(self.stamp).saturating_add(debt)
    }

    /// The file's bucket; `None` where there is none, or garbage.
    fn read(file: &File) -> std::io::Result<Option<Self>> {
        let mut words = [[0; 8]; 5];
        match file.read_exact_at(words.as_flattened_mut(), 0) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            done => done?,
        }
        let [_, rate, stamp, next_free, _] = words.map(u64::from_le_bytes);
        let bucket = Self { rate, stamp, next_free };
        Ok((bucket.encode() == words).then_some(bucket))
    }

    /// Magic, rate, stamp, next_free, and the first 8 bytes of their SHA-256; numbers are little-endian.
    fn encode(self) -> [[u8; 8]; 5] {
        let words @ [magic, rate, stamp, next_free] =
            [u64::from_le_bytes(*b"LFBUCKT1"), self.rate, self.stamp, self.next_free].map(u64::to_le_bytes);
        [magic, rate, stamp, next_free, first_word(&Sha256::digest(words.as_flattened())).to_le_bytes()]
    }
}

/// How long `bytes` take at `rate`, in nanoseconds, rounded up.
fn time_of(bytes: u64, rate: u64) -> u64 {
    let time = u128::from(bytes).saturating_mul(u128::from(SECOND)).div_ceil(u128::from(rate.max(1)));
    u64::try_from(time).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::OnceCell;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::thread;

    /// Tells a test that it runs as the process that is to die, and where.
    const DOOMED: &str = "LANDFALL_TEST_DOOMED";
    const MIB: u64 = 1 << 20;
    const T0: u64 = 1_800_000_000 * SECOND;

    fn limits(directory: &Path, connections: u32, connections_per_origin: u32, bandwidth: Option<u64>) -> NodeLimits {
        NodeLimits::open(directory, LimitSettings { connections, connections_per_origin, bandwidth }).unwrap()
    }

    #[test]
    fn slots_are_exclusive_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (limits(directory.path(), 3, 2, None), limits(directory.path(), 3, 2, None));
        assert_eq!(std::fs::metadata(&one.path).unwrap().permissions().mode() & 0o777, 0o600);
        for _ in 0..20 {
            let x = one.try_connect("x").unwrap().expect("a slot");
            let _x = two.try_connect("x").unwrap().expect("a slot");
            assert!(one.try_connect("x").unwrap().is_none() && two.try_connect("x").unwrap().is_none());
            let _y = two.try_connect("y").unwrap().expect("a slot: the refused took none of the node's");
            assert!(one.try_connect("y").unwrap().is_none() && two.try_connect("z").unwrap().is_none());
            let _inherited = x._locks.0.try_clone().unwrap();
            drop(x);
            let _z = one.try_connect("z").unwrap().expect("the slot given back");
        }
    }

    #[test]
    fn the_dead_hold_nothing() {
        if let Some(directory) = std::env::var_os(DOOMED) {
            let _held = limits(Path::new(&directory), 1, 1, None).try_connect("x").unwrap().expect("a slot");
            std::io::stdout().write_all(b"held\n").unwrap();
            // Until killed, or until the parent is gone.
            std::io::stdin().lines().count();
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let own = limits(directory.path(), 1, 1, None);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "engine::limits::tests::the_dead_hold_nothing"]);
        command.env(DOOMED, directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        assert!(BufReader::new(child.stdout.take().unwrap()).lines().any(|line| line.unwrap().ends_with("held")));
        assert!(own.try_connect("x").unwrap().is_none());
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(own.try_connect("x").unwrap().is_some());
    }

    #[test]
    fn who_waits_gets_the_slot_or_is_cancelled() {
        let directory = tempfile::tempdir().unwrap();
        let limits = limits(directory.path(), 1, 1, None);
        let (held, cancel) = (limits.try_connect("x").unwrap().expect("a slot"), Cancel::new().unwrap());
        let locks = limits.locks().unwrap();
        assert!(!limits.take_slots(&locks, "y").unwrap());
        assert!(limits.take_any(&limits.locks().unwrap(), origin_slots("y"), 1).unwrap(), "who waits holds nothing");
        let connect = || limits.connect("y", &cancel).map(drop);
        thread::scope(|scope| {
            let served = scope.spawn(connect);
            thread::sleep(Duration::from_millis(20));
            drop(held);
            served.join().unwrap().unwrap();
            let _held = limits.try_connect("x").unwrap().expect("the slot given back");
            let cancelled = scope.spawn(connect);
            cancel.cancel();
            assert_eq!(cancelled.join().unwrap().unwrap_err().code(), "cancelled");
        });
    }

    #[test]
    fn limits_of_zero_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (connections, connections_per_origin, bandwidth) in [(0, 1, None), (1, 0, None), (1, 1, Some(0))] {
            let settings = LimitSettings { connections, connections_per_origin, bandwidth };
            assert_eq!(NodeLimits::open(directory.path(), settings).unwrap_err().code(), "limit-zero");
        }
        assert_eq!(limits(directory.path(), 1, 1, None).spend(u64::MAX).unwrap(), Duration::ZERO);
    }

    #[test]
    fn no_more_is_granted_than_rate_and_burst_allow() {
        // A rate whose bytes take no whole nanoseconds, and one whose burst is the least.
        for (rate, burst) in [(3 * MIB + 7, 3 * MIB + 7), (MIB / 3, MIB)] {
            let directory = tempfile::tempdir().unwrap();
            let clock = AtomicU64::new(T0);
            let grant = |thread: u64| {
                let own = limits(directory.path(), 1, 1, Some(rate));
                let one = |index: u64| {
                    let (bytes, now) = ((index * 7919 + thread * 104_729) % 200_000, OnceCell::new());
                    let wait =
                        own.spend_at(bytes, || *now.get_or_init(|| clock.fetch_add(index * 1000, SeqCst))).unwrap();
                    (now.into_inner().unwrap() + u64::try_from(wait.as_nanos()).unwrap(), bytes)
                };
                (0..200).map(one).collect::<Vec<_>>()
            };
            let mut grants: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || grant(thread))).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            grants.sort_unstable();
            let mut sum = 0;
            for (free, bytes) in &grants {
                sum += bytes;
                let allowed = u128::from(free - T0) * u128::from(rate) / u128::from(SECOND) + u128::from(burst);
                assert!(u128::from(sum) <= allowed, "{sum} > {allowed}");
            }
            // Nor does anybody wait for longer than that, but for a nanosecond of rounding each.
            let needed = time_of(sum - burst, rate) + grants.len() as u64;
            assert!(grants.last().is_some_and(|(free, _)| free - T0 <= needed));
        }
    }

    #[test]
    fn what_is_not_a_bucket_starts_anew() {
        let directory = tempfile::tempdir().unwrap();
        let own = limits(directory.path(), 1, 1, Some(MIB));
        let spend = |bytes, now| own.spend_at(bytes, || now).unwrap();
        let debt = Duration::from_secs(4);
        assert_eq!((spend(5 * MIB, T0), spend(0, T0)), (debt, debt));
        let good = std::fs::read(&own.path).unwrap();
        // What waited for long has one burst, not more.
        assert_eq!(spend(2 * MIB, T0 + 100 * SECOND), Duration::from_secs(1));
        let truncated = (0..good.len()).map(|length| good[..length].to_vec());
        let flip = |bit: usize| good.iter().zip(0..).map(move |(byte, at)| byte ^ u8::from(at == bit / 8) << (bit % 8));
        let flipped = (0..good.len() * 8).map(|bit| flip(bit).collect());
        for bad in truncated.chain(flipped) {
            std::fs::write(&own.path, bad).unwrap();
            assert_eq!(spend(MIB, T0), Duration::ZERO);
        }
        // A rate that was changed, and a clock that was set back.
        std::fs::write(&own.path, &good).unwrap();
        assert_eq!(limits(directory.path(), 1, 1, Some(4 * MIB)).spend_at(0, || T0).unwrap(), debt / 4);
        assert_eq!(spend(MIB, T0 - 1), Duration::ZERO);
        // No number is too large.
        for (bytes, rate, now) in [(u64::MAX, 1, T0), (u64::MAX, u64::MAX, u64::MAX), (1, u64::MAX, 0)] {
            Bucket::spend(Some(Bucket::spend(None, bytes, rate, now).0), bytes, 1, now);
        }
    }
}
