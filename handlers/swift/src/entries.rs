//! JSON lists of which no more is kept than an object may have segments.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use crate::segment::SEGMENTS_MAX;

/// A list that is refused once it is too long: `[{},{},...` needs fifty times the memory of its text.
pub(crate) struct Entries<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Bounded(PhantomData))
    }
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Entries<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {SEGMENTS_MAX} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() >= SEGMENTS_MAX {
                return Err(A::Error::invalid_length(entries.len().saturating_add(1), &self));
            }
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_end() {
        let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(serde_json::from_str::<Entries<u8>>(&list(SEGMENTS_MAX)).unwrap().0.len(), SEGMENTS_MAX);
        assert!(serde_json::from_str::<Entries<u8>>(&list(SEGMENTS_MAX + 1)).is_err());
        assert!(serde_json::from_str::<Entries<u8>>("[]").unwrap().0.is_empty());
        assert!(serde_json::from_str::<Entries<u8>>("{}").is_err());
    }
}
