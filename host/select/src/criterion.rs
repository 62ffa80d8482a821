use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, Serializer};

use crate::error::StrategyError;
use crate::reason;
use crate::store_type::StoreType;

/// The longest name of an external criterion, in bytes.
pub const MAX_EXTERNAL_NAME: usize = 48;

const WEIGHT: &str = "weight";
const LOCATION_ORDER: &str = "location-order";
const STORE_TYPE: &str = "store-type";
const STORE: &str = "store";
const RULES: &str = "rules";
const FASTEST: &str = "fastest";

/// The longest id of a store, in bytes.
const STORE_ID_MAX: usize = 64;

/// What excludes by status is named in records as criteria are.
pub(crate) const STATUS: &str = "status";

/// The names that a configuration may use.
pub(crate) const CONFIGURED: [&str; 6] = [WEIGHT, LOCATION_ORDER, STORE_TYPE, STORE, RULES, FASTEST];

/// One step of a strategy.
///
/// In a configuration `"weight"`, `"location-order"`, `{ store-type = ["file", "swift"] }` or `{ store = ["fast"] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Criterion {
    /// The larger weight first. The first of these that is present decides:
    ///
    /// 1. `metrics.node-weights.NODE`
    /// 2. `metadata.metrics.node-weights.NODE`
    /// 3. `metrics.weight`
    /// 4. `metadata.metrics.weight`
    ///
    /// A weight is a finite number, or a string that holds one, possibly between blanks. It is
    /// compared as a 64-bit float: integers beyond 2^53 are rounded, and may tie. None at all counts
    /// as 0, and so does one that cannot be read, null included; a general weight never stands in for a node's own
    /// that cannot be read. What should be an object but is not counts as absent; the reason names it.
    Weight,
    /// As the record has them. Leaves no ties, so criteria after it can only exclude.
    LocationOrder,
    /// By kind of store, as the URL's scheme tells it; see [`StoreType::of_url`].
    StoreType {
        /// The store types, first choice first. Locations of other types come after all of these.
        prefer: Vec<StoreType>,
    },
    /// By the store that the location's metadata names: `store`, as Glance writes it, else `id`.
    Store {
        /// The stores' ids, first choice first. Locations of other stores, or of none that is named, come after all of these.
        prefer: Vec<String>,
    },
    /// By an operator's rules, `"rules"`: evaluated elsewhere, and given as an [`External`](crate::External) of that name.
    Rules,
    /// By the seconds that a disk may take, as this node has measured, `"fastest"`: predicted elsewhere, and given as an
    /// [`External`](crate::External) of that name.
    Fastest,
    /// As an [`External`](crate::External) of this name ranks them. Has no form in a configuration:
    /// callers that evaluate criteria put it into the list themselves.
    External {
        /// `[a-z0-9][a-z0-9-]*`, at most [`MAX_EXTERNAL_NAME`] bytes; no built-in criterion's name.
        name: String,
    },
}

impl Criterion {
    /// Its name in decision records, without settings.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Weight => WEIGHT,
            Self::LocationOrder => LOCATION_ORDER,
            Self::StoreType { .. } => STORE_TYPE,
            Self::Store { .. } => STORE,
            Self::Rules => RULES,
            Self::Fastest => FASTEST,
            Self::External { name } => name,
        }
    }

    /// Checks what the type alone does not.
    pub(crate) fn check(&self) -> Result<(), StrategyError> {
        match self {
            Self::Weight | Self::LocationOrder | Self::Rules | Self::Fastest => Ok(()),
            Self::StoreType { prefer } if prefer.is_empty() => Err(StrategyError::NoPreference),
            Self::Store { prefer } if prefer.is_empty() => Err(StrategyError::NoStores),
            Self::Store { prefer } => {
                let mut rest = prefer.iter();
                while let Some(id) = rest.next() {
                    if id.is_empty() || id.len() > STORE_ID_MAX {
                        return Err(StrategyError::StoreId(id.clone()));
                    }
                    if rest.as_slice().contains(id) {
                        return Err(StrategyError::DuplicateStore(id.clone()));
                    }
                }
                Ok(())
            }
            Self::StoreType { prefer } => {
                let mut rest = prefer.iter();
                while let Some(store) = rest.next() {
                    if rest.as_slice().contains(store) {
                        return Err(StrategyError::DuplicateStoreType(*store));
                    }
                }
                Ok(())
            }
            Self::External { name } if is_external_name(name) => Ok(()),
            Self::External { name } => Err(StrategyError::ExternalName(name.clone())),
        }
    }

    /// The criterion that a bare string names.
    fn from_name(name: &str) -> Result<Self, StrategyError> {
        match name {
            WEIGHT => Ok(Self::Weight),
            LOCATION_ORDER => Ok(Self::LocationOrder),
            RULES => Ok(Self::Rules),
            FASTEST => Ok(Self::Fastest),
            STORE_TYPE => Err(StrategyError::NoPreference),
            STORE => Err(StrategyError::NoStores),
            _ => Err(StrategyError::UnknownCriterion(name.to_owned())),
        }
    }
}

fn is_external_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    name.len() <= MAX_EXTERNAL_NAME
        && name.bytes().all(plain)
        && !name.is_empty()
        && !name.starts_with('-')
        && name != STATUS
        && !CONFIGURED.contains(&name)
}

/// With settings: `store-type [file, swift]`, `store [fast]`.
impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::StoreType { prefer } = self {
            let names: Vec<&str> = prefer.iter().map(|store| store.name()).collect();
            write!(f, " [{}]", names.join(", "))?;
        }
        if let Self::Store { prefer } = self {
            let names: Vec<String> = prefer.iter().map(|id| reason::name(id)).collect();
            write!(f, " [{}]", names.join(", "))?;
        }
        Ok(())
    }
}

impl Serialize for Criterion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Weight | Self::LocationOrder | Self::Rules | Self::Fastest => serializer.serialize_str(self.name()),
            Self::StoreType { prefer } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(STORE_TYPE, prefer)?;
                map.end()
            }
            Self::Store { prefer } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(STORE, prefer)?;
                map.end()
            }
            Self::External { name } => {
                Err(ser::Error::custom(format_args!("the external criterion {name} has no form in a configuration")))
            }
        }
    }
}

/// By hand, so that messages speak of criteria and an error keeps its place in the file.
impl<'de> Deserialize<'de> for Criterion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CriterionVisitor)
    }
}

struct CriterionVisitor;

impl<'de> Visitor<'de> for CriterionVisitor {
    type Value = Criterion;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a criterion: a string, or a table such as { store-type = [\"file\"] }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Criterion, E> {
        Criterion::from_name(name).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Criterion, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(de::Error::custom("a criterion's table is empty"));
        };
        let criterion = match name.as_str() {
            STORE_TYPE => Criterion::StoreType { prefer: map.next_value()? },
            STORE => Criterion::Store { prefer: map.next_value()? },
            _ => {
                let error = match Criterion::from_name(&name) {
                    Ok(_) => StrategyError::NeedlessSettings(name),
                    Err(error) => error,
                };
                return Err(de::Error::custom(error));
            }
        };
        if map.next_key::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::custom("a criterion's table has one member"));
        }
        criterion.check().map_err(de::Error::custom)?;
        Ok(criterion)
    }
}
