use serde::{Deserialize, Serialize};

/// The decision record: the order of an image's locations for one node, with reasons.
///
/// Every index of the record's locations stands once, in `order` or in `excluded`. No URL stands
/// anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// The node's name, as it was given.
    pub node: String,
    /// The strategy, criterion by criterion, as [`Criterion`](crate::Criterion) displays itself.
    pub strategy: Vec<String>,
    /// The usable locations, first choice first.
    pub order: Vec<Place>,
    /// The locations that may not be used, in record order.
    pub excluded: Vec<Excluded>,
    /// What is to be known about the criteria themselves, for instance that one was skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// A usable location in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The location, by its index in the record.
    pub location: usize,
    /// One for each criterion that was applied, in the strategy's order. Places are sorted by the
    /// first key, their ties by the second, and so on.
    pub keys: Vec<Key>,
}

/// What a criterion sorted a location by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The criterion's name.
    pub criterion: String,
    /// The number sorted by: lower comes first, none comes last. The unit is the criterion's: for
    /// `weight` the weight below zero, so that the larger comes first; for `store-type` the place in
    /// the preference and for `location-order` the index in the record, both from 0.
    pub key: Option<f64>,
    /// Why, in one line of at most [`MAX_REASON`](crate::MAX_REASON) characters.
    pub reason: String,
}

/// A location that may not be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Excluded {
    /// The location, by its index in the record.
    pub location: usize,
    /// The name of the criterion that excluded it; `status` for the location's own status.
    pub criterion: String,
    /// Why, in one line of at most [`MAX_REASON`](crate::MAX_REASON) characters.
    pub reason: String,
}

/// Something about a criterion rather than a location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The criterion's name.
    pub criterion: String,
    /// One line of at most [`MAX_REASON`](crate::MAX_REASON) characters.
    pub text: String,
}
