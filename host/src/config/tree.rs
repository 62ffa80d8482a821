//! The parsed text, with the position of every key and value.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The way to one value: `At::top().key("store").index(2).key("root")`.
#[derive(Debug, Clone, Default)]
pub(super) struct At(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl At {
    /// The whole file.
    pub(super) fn top() -> Self {
        Self::default()
    }

    /// The value of `key` in this table.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The value at `index` of this array.
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// The bytes of the value at `at`; of the innermost table or array around it when it is not written.
pub(super) fn value_span(tree: &Spanned<DeTable<'_>>, at: &At) -> Range<usize> {
    find(tree, at).1
}

/// The bytes of the key that names the value at `at`; of the value when no key names it.
pub(super) fn key_span(tree: &Spanned<DeTable<'_>>, at: &At) -> Range<usize> {
    let (key, value) = find(tree, at);
    key.unwrap_or(value)
}

fn find(tree: &Spanned<DeTable<'_>>, at: &At) -> (Option<Range<usize>>, Range<usize>) {
    let mut found = (None, tree.span());
    let mut table = Some(tree.get_ref());
    let mut array = None;
    for step in &at.0 {
        let next = match step {
            Step::Key(key) => {
                table.and_then(|table| table.get_key_value(key.as_str())).map(|(k, v)| (Some(k.span()), v))
            }
            Step::Index(index) => {
                array.and_then(|array: &toml::de::DeArray<'_>| array.get(*index)).map(|value| (None, value))
            }
        };
        let Some((key, value)) = next else { break };
        found = (key, value.span());
        (table, array) = match value.get_ref() {
            DeValue::Table(inner) => (Some(inner), None),
            DeValue::Array(inner) => (None, Some(inner)),
            _ => (None, None),
        };
    }
    found
}
