//! Inputs of every kind: sound, odd and hostile.

use landfall_select::{Criterion, External, Location, Node, Ranking, Selection, StoreType, Strategy, select_with};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select as one_of, subsequence};
use proptest::strategy::Strategy as Generate;
use serde_json::{Map, Value, json};

/// Stands in every URL, so it may stand in no decision record.
pub(crate) const CANARY: &str = "canary7f3a";

pub(crate) const NODE: &str = "novahost1";

/// A location that owns what the views need.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) url: String,
    status: Option<Value>,
    metadata: Option<Map<String, Value>>,
    metrics: Option<Value>,
}

impl Stored {
    fn view(&self) -> Location<'_> {
        Location {
            url: &self.url,
            status: self.status.as_ref(),
            metadata: self.metadata.as_ref(),
            metrics: self.metrics.as_ref(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) stored: Vec<Stored>,
    pub(crate) node: String,
    pub(crate) strategy: Strategy,
    pub(crate) external: Vec<External>,
    /// Sorting the locations by these shuffles them.
    pub(crate) shuffle: Vec<u32>,
}

impl Input {
    pub(crate) fn select(&self) -> Selection {
        let locations: Vec<Location<'_>> = self.stored.iter().map(Stored::view).collect();
        let node = Node { name: &self.node };
        select_with(&locations, &node, &self.strategy, &self.external)
    }

    /// The same locations in another order, and where each one came from.
    pub(crate) fn shuffled(&self) -> (Self, Vec<usize>) {
        let mut from: Vec<usize> = (0..self.stored.len()).collect();
        from.sort_by_key(|index| self.shuffle.get(*index));
        let to = |old: usize| from.iter().position(|index| *index == old);
        let mut shuffled = self.clone();
        shuffled.stored = from.iter().map(|old| self.stored[*old].clone()).collect();
        for ranking in shuffled.external.iter_mut().flat_map(|e| &mut e.rankings).flatten() {
            ranking.index = to(ranking.index).unwrap_or(ranking.index);
        }
        (shuffled, from)
    }
}

fn url() -> impl Generate<Value = String> {
    let schemes = ["file", "HTTP", "swift+config", "rbd", "s3+https", "vsphere", "nfs", "", CANARY];
    prop_oneof![
        4 => (one_of(schemes.to_vec()), any::<String>(), any::<String>())
            .prop_map(|(scheme, a, b)| format!("{scheme}://{a}{CANARY}{b}")),
        1 => any::<String>().prop_map(|text| format!("/{text}{CANARY}")),
    ]
}

fn text() -> impl Generate<Value = String> {
    let known = ["", "active", "pending", "2", " 1.5 ", "NaN", "-inf", "1e999", "-0", "a\u{1b}[1m\n"];
    prop_oneof![
        3 => one_of(known.to_vec()).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[a\u{7}\u{202e}\"]{300,400}",
        1 => url().prop_filter("a path may be shown", |url| url.contains("://")),
    ]
}

fn number() -> impl Generate<Value = Value> {
    prop_oneof![
        3 => (-2_i64..3).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ]
}

pub(crate) fn value() -> impl Generate<Value = Value> {
    let names = [NODE, "weight", "node-weights", "metrics", "other"];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => number(),
        3 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let member = (one_of(names.to_vec()).prop_map(str::to_owned), inner.clone());
        prop_oneof![
            1 => vec(inner, 0..3).prop_map(Value::from),
            3 => vec(member.clone(), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            // An object in a string.
            1 => vec(member, 0..4).prop_map(|members| {
                Value::String(Value::Object(members.into_iter().collect()).to_string())
            }),
        ]
    })
}

fn metrics() -> impl Generate<Value = Value> {
    let weight = || prop_oneof![3 => number(), 1 => value()];
    prop_oneof![
        2 => (weight(), weight())
            .prop_map(|(own, all)| json!({"weight": all, "node-weights": {NODE: own}})),
        2 => weight().prop_map(|all| json!({"weight": all})),
        1 => value(),
    ]
}

fn stored() -> impl Generate<Value = Stored> {
    let status = prop_oneof![
        4 => Just(None),
        2 => Just(Some(json!("active"))),
        2 => option::of(value()),
        1 => text().prop_map(|text| Some(Value::from(text))),
    ];
    let metadata = prop_oneof![
        1 => Just(None),
        2 => metrics().prop_map(|metrics| Some(Map::from_iter([("metrics".to_owned(), metrics)]))),
    ];
    (url(), status, metadata, option::of(metrics())).prop_map(|(url, status, metadata, metrics)| Stored {
        url,
        status,
        metadata,
        metrics,
    })
}

fn strategy() -> impl Generate<Value = Strategy> {
    let prefer = subsequence(StoreType::ALL.to_vec(), 1..=StoreType::ALL.len()).prop_shuffle();
    let external = |name: &str| Criterion::External { name: name.to_owned() };
    let criteria = move |prefer| {
        let all = vec![
            Criterion::Weight,
            Criterion::LocationOrder,
            Criterion::StoreType { prefer },
            Criterion::Store { prefer: vec!["a".to_owned(), "b".to_owned()] },
            external("a"),
            external("b"),
        ];
        subsequence(all, 1..=6).prop_shuffle()
    };
    let strategy = prefer.prop_flat_map(criteria).prop_map(Strategy::new);
    strategy.prop_filter_map("a valid strategy", Result::ok)
}

/// Rankings of `count` locations: sound ones, odd ones, none.
fn external(name: &'static str, count: usize) -> impl Generate<Value = External> {
    let key = prop_oneof![
        2 => Just(None),
        6 => (-1_i8..2).prop_map(|key| Some(f64::from(key))),
        2 => Just(Some(-0.0)),
        1 => any::<f64>().prop_map(Some),
    ];
    let ranking = (key, prop::bool::weighted(0.8), text(), 0..count + 2);
    let ranking = ranking.prop_map(|(key, keep, reason, index)| Ranking { index, key, keep, reason }).boxed();
    let sound = vec(ranking.clone(), count).prop_map(|mut rankings| {
        for (index, ranking) in rankings.iter_mut().enumerate() {
            ranking.index = index;
            ranking.key = ranking.key.filter(|key| key.is_finite());
        }
        rankings
    });
    let rankings = prop_oneof![
        4 => sound.prop_shuffle().prop_map(Ok),
        2 => vec(ranking, 0..count + 2).prop_map(Ok),
        1 => text().prop_map(Err),
    ];
    rankings.prop_map(|rankings| External { name: name.to_owned(), rankings })
}

pub(crate) fn input() -> impl Generate<Value = Input> {
    vec(stored(), 0..8).prop_flat_map(|stored| {
        let count = stored.len();
        let external = (external("a", count), external("b", count), 0..3_usize);
        let external = external.prop_map(|(a, b, given)| Vec::from_iter([a, b].into_iter().take(given)));
        let node = prop_oneof![3 => Just(NODE.to_owned()), 1 => any::<String>()];
        (Just(stored), node, strategy(), external, vec(any::<u32>(), count))
            .prop_map(|(stored, node, strategy, external, shuffle)| Input { stored, node, strategy, external, shuffle })
    })
}
