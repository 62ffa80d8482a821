use std::error;
use std::fmt;

use crate::criterion::{self, MAX_EXTERNAL_NAME};
use crate::reason;
use crate::store_type::StoreType;

/// Why a list of criteria is not a strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyError {
    /// There is no criterion in the list.
    Empty,
    /// A criterion of this name stands more than once in the list.
    Duplicate(String),
    /// There is no criterion of this name.
    UnknownCriterion(String),
    /// The criterion of this name takes no settings, but was given some.
    NeedlessSettings(String),
    /// `store-type` stands alone, or with an empty preference.
    NoPreference,
    /// This store type stands more than once in a preference.
    DuplicateStoreType(StoreType),
    /// `store` stands alone, or with an empty preference.
    NoStores,
    /// This store stands more than once in a preference.
    DuplicateStore(String),
    /// This cannot be the id of a store.
    StoreId(String),
    /// There is no store type of this name.
    UnknownStoreType(String),
    /// This cannot be the name of an external criterion.
    ExternalName(String),
}

impl fmt::Display for StrategyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |name: &String| reason::quote(name);
        match self {
            Self::Empty => write!(f, "the list of criteria is empty"),
            Self::Duplicate(name) => {
                write!(f, "criterion {} stands more than once", quote(name))
            }
            Self::UnknownCriterion(name) => {
                let known = criterion::CONFIGURED.join(", ");
                write!(f, "unknown criterion {}, known are {known}", quote(name))
            }
            Self::NeedlessSettings(name) => {
                write!(f, "criterion {} takes no settings: write it as a string", quote(name))
            }
            Self::NoPreference => {
                write!(f, "criterion \"store-type\" needs a list of store types: {{ store-type = [\"file\"] }}")
            }
            Self::DuplicateStoreType(store) => {
                write!(f, "store type \"{store}\" stands more than once")
            }
            Self::NoStores => {
                write!(f, "criterion \"store\" needs a list of the ids of stores: {{ store = [\"fast\"] }}")
            }
            Self::DuplicateStore(id) => write!(f, "store {} stands more than once", quote(id)),
            Self::StoreId(id) => write!(f, "{} cannot be the id of a store: at most 64 bytes", quote(id)),
            Self::UnknownStoreType(name) => {
                let known: Vec<&str> = StoreType::ALL.iter().map(|store| store.name()).collect();
                let known = known.join(", ");
                write!(f, "unknown store type {}, known are {known}", quote(name))
            }
            Self::ExternalName(name) => write!(
                f,
                "{} cannot name an external criterion: at most {MAX_EXTERNAL_NAME} of a-z, 0-9 and \
                 -, the first not -, and not the name of a built-in one",
                quote(name)
            ),
        }
    }
}

impl error::Error for StrategyError {}

/// Why something is no status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusError {
    /// There is no status of this name, which is quoted, and printable.
    Unknown(String),
    /// It is this, and no string.
    Unreadable(String),
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(quoted) => write!(f, "status unknown: {quoted}"),
            Self::Unreadable(what) => write!(f, "status unreadable: {what}"),
        }
    }
}

impl error::Error for StatusError {}
