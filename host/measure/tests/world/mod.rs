//! A world that changes, in which a node places images from several sources: what it would take to place them by one policy or
//! another. Seeded: the same seed is the same world for every policy.

use std::collections::VecDeque;

use landfall_measure::{Credit, Estimate, GRACE, Prior, Sample, Way as Known, choose, should_leave};

/// How a source is, nominally.
struct Nominal {
    /// Bytes a second.
    rate: f64,
    /// Seconds to the first byte.
    first_byte: f64,
    /// The share of the images that it has.
    has: f64,
    /// Whether an outage lets whoever comes wait, instead of refusing them.
    hangs: bool,
    /// Whether it is a stream of the image's own bytes, that another one can go on with.
    stream: bool,
    /// The weight that an operator gave it, once.
    weight: i32,
}

/// A store next door that has a few images, a site's Swift, a mirror, an object store far away, an image that must be unpacked, and a
/// slow line.
const SOURCES: [Nominal; 6] = [
    Nominal { rate: 2e10, first_byte: 0.01, has: 0.2, hangs: false, stream: false, weight: 100 },
    Nominal { rate: 4e8, first_byte: 0.2, has: 1.0, hangs: false, stream: true, weight: 80 },
    Nominal { rate: 3e8, first_byte: 0.1, has: 0.9, hangs: true, stream: true, weight: 70 },
    Nominal { rate: 1.2e8, first_byte: 0.3, has: 1.0, hangs: false, stream: true, weight: 50 },
    Nominal { rate: 1.5e8, first_byte: 1.0, has: 0.8, hangs: false, stream: false, weight: 60 },
    Nominal { rate: 1e7, first_byte: 2.0, has: 1.0, hangs: true, stream: true, weight: 10 },
];
/// What is thought of a source before it is used: the same of all but the first, which is a file.
const PRIORS: [Prior; 2] = [Prior { first_byte: 0.01, rate: 1e9 }, Prior { first_byte: 0.2, rate: 1e8 }];

/// Mean seconds between placements on a node.
const BETWEEN: f64 = 90.0;
/// Mean seconds between outages of a source, and how long they are.
const OUTAGES: f64 = 12.0 * 3600.0;
const OUTAGE: f64 = 900.0;
/// Seconds that an outage costs whoever comes: refused at once, or left to wait.
const REFUSED: f64 = 0.1;
const WAITED: f64 = 10.0;
/// How often a placement goes over to another source before it stays.
const LEAVES_MOST: u32 = 3;

/// How a world changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Mean hours between changes of a source's rate and of its time to the first byte.
    pub(crate) hours: f64,
    /// By how much they change: the standard deviation of the logarithm of the rate, around what it nominally is.
    pub(crate) spread: f64,
}

/// Each source changes twice a day, typically by a factor of nearly two.
pub(crate) const USUAL: Weather = Weather { hours: 12.0, spread: 0.6 };
/// Each source changes twelve times a day, typically by a factor of more than two.
pub(crate) const STORMY: Weather = Weather { hours: 2.0, spread: 0.8 };

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Knows how every source is now; not how this attempt will vary.
    Oracle,
    /// As the product does.
    Fastest,
    /// By the operator's weights.
    Weights,
    /// Each in turn.
    RoundRobin,
    /// The one whose average has been best, after trying each once.
    Greedy,
}

impl Policy {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Oracle, Self::Fastest, Self::Weights, Self::RoundRobin, Self::Greedy];
}

/// Splitmix, `https://prng.di.unimi.it/splitmix64.c`.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Between 0 and 1, neither of them.
    fn part(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn waiting(&mut self, mean: f64) -> f64 {
        -mean * self.part().ln()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.part().ln()).sqrt() * (std::f64::consts::TAU * self.part()).cos()
    }
}

/// A source over time.
struct Source {
    rate: f64,
    first_byte: f64,
    changes: f64,
    fails_from: f64,
    fails_until: f64,
}

/// A placement to be made, and how each source would do it.
struct Task {
    at: f64,
    bytes: u64,
    /// For each source that has the image.
    ways: Vec<Way>,
}

struct Way {
    source: usize,
    /// Seconds that it may be expected to take now, and that it will take.
    expected: f64,
    actual: f64,
    first_byte: f64,
    fails: bool,
}

/// The tasks of one node, from its first day on.
fn tasks(weather: Weather, seed: u64, count: usize) -> Vec<Task> {
    let every = weather.hours * 3600.0;
    let mut random = Random(seed);
    let mut at = 1.7e9;
    let mut sources: Vec<Source> = SOURCES
        .iter()
        .map(|nominal| Source {
            rate: nominal.rate * (0.4 * random.normal()).exp(),
            first_byte: nominal.first_byte,
            changes: at + random.waiting(every),
            fails_from: at + random.waiting(OUTAGES),
            fails_until: 0.0,
        })
        .collect();
    let mut tasks = Vec::with_capacity(count);
    for _ in 0..count {
        at += random.waiting(BETWEEN);
        for (source, nominal) in sources.iter_mut().zip(&SOURCES) {
            while source.changes < at {
                source.rate = nominal.rate * (weather.spread * random.normal()).exp();
                source.first_byte = nominal.first_byte * (weather.spread * random.normal()).exp();
                source.changes += random.waiting(every);
            }
            while source.fails_from < at {
                source.fails_until = source.fails_from + random.waiting(OUTAGE);
                source.fails_from = source.fails_until + random.waiting(OUTAGES);
            }
        }
        let bytes = 1.5e9 * (0.8 * random.normal()).exp();
        let mut ways = Vec::new();
        for (index, (source, nominal)) in sources.iter().zip(&SOURCES).enumerate() {
            let (has, noise) = (random.part() < nominal.has, (0.15 * random.normal()).exp());
            let fails = at < source.fails_until;
            if has {
                let expected = source.first_byte + bytes / source.rate;
                let first_byte = source.first_byte * noise;
                let actual = first_byte + bytes / source.rate * noise;
                ways.push(Way { source: index, expected, actual, first_byte, fails });
            }
        }
        tasks.push(Task { at, bytes: bytes as u64, ways });
    }
    tasks
}

/// What a policy remembers.
#[derive(Default)]
struct Memory {
    estimates: Vec<Estimate>,
    credit: Credit,
    turn: usize,
    seen: [(f64, f64); SOURCES.len()],
}

impl Memory {
    /// The ways in the order in which they are tried, and, where the first is to be found out about, what the best would cost.
    fn order(&mut self, policy: Policy, task: &Task) -> (Vec<usize>, Option<f64>) {
        let by = |key: &dyn Fn(&Way) -> f64| {
            let mut order: Vec<usize> = (0..task.ways.len()).collect();
            order.sort_by(|a, b| key(&task.ways[*a]).total_cmp(&key(&task.ways[*b])));
            order
        };
        match policy {
            Policy::Oracle => (by(&|way| if way.fails { f64::INFINITY } else { way.expected }), None),
            Policy::Weights => (by(&|way| f64::from(-SOURCES[way.source].weight)), None),
            Policy::RoundRobin => {
                self.turn += 1;
                let mut order: Vec<usize> = (0..task.ways.len()).collect();
                order.rotate_left(self.turn % task.ways.len());
                (order, None)
            }
            Policy::Greedy => {
                let seen = self.seen;
                let average = |way: &Way| {
                    let (bytes, seconds) = seen[way.source];
                    if bytes == 0.0 { 0.0 } else { seconds / bytes }
                };
                (by(&average), None)
            }
            Policy::Fastest => {
                let known = |way: &Way| Known {
                    prediction: self.estimates[way.source].predict(task.bytes, task.at),
                    can_be_left: SOURCES[way.source].stream,
                };
                let ways: Vec<Known> = task.ways.iter().map(known).collect();
                let choice = choose(&ways, self.credit);
                (choice.order, choice.instead_of)
            }
        }
    }

    fn learn(&mut self, task: &Task, way: &Way, bytes: f64, seconds: f64) {
        let first_byte = (!way.fails).then_some(way.first_byte);
        let sample = Sample { at: task.at, bytes: bytes as u64, first_byte, seconds, failed: way.fails };
        self.estimates[way.source].learn(&sample);
        self.seen[way.source].0 += task.bytes as f64;
        self.seen[way.source].1 += seconds;
    }

    /// Whether the attempt is left after a while, for the next one that can go on with its bytes.
    fn leaves(&self, task: &Task, way: &Way, left: f64, rate: f64, rest: &VecDeque<usize>) -> bool {
        let streams = |at: &&usize| SOURCES[task.ways[**at].source].stream;
        let Some(next) = rest.iter().find(streams).filter(|_| SOURCES[way.source].stream) else { return false };
        let other = self.estimates[task.ways[*next].source].predict(left as u64, task.at);
        left > 0.0 && should_leave(left as u64, rate, &other)
    }
}

/// Seconds that all placements of one node take by a policy: its attempts, failed ones too, until the disk is there.
pub(crate) fn seconds(policy: Policy, weather: Weather, seed: u64, count: usize) -> f64 {
    let estimates = (0..SOURCES.len()).map(|source| Estimate::of(&[], PRIORS[source.min(1)])).collect();
    let mut memory = Memory { estimates, ..Memory::default() };
    let mut all = 0.0;
    for task in tasks(weather, seed, count) {
        let (order, instead_of) = memory.order(policy, &task);
        let (mut rest, mut left, mut taken, mut leaves) = (VecDeque::from(order), task.bytes as f64, 0.0, 0);
        while let Some(at) = rest.pop_front() {
            let way = &task.ways[at];
            if way.fails {
                let lost = if SOURCES[way.source].hangs { WAITED } else { REFUSED };
                memory.learn(&task, way, 0.0, lost);
                taken += lost;
                continue;
            }
            let rate = task.bytes as f64 / (way.actual - way.first_byte);
            let after = left - GRACE * rate;
            if policy == Policy::Fastest && leaves < LEAVES_MOST && memory.leaves(&task, way, after, rate, &rest) {
                memory.learn(&task, way, GRACE * rate, way.first_byte + GRACE);
                taken += way.first_byte + GRACE;
                (left, leaves) = (after, leaves + 1);
                rest.push_back(at);
                continue;
            }
            let cost = way.first_byte + left / rate;
            memory.learn(&task, way, left, cost);
            taken += cost;
            break;
        }
        memory.credit.spent(taken, instead_of);
        all += taken;
    }
    all
}
