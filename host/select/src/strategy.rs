use std::fmt;

use serde::{Deserialize, Serialize};

use crate::criterion::Criterion;
use crate::error::StrategyError;

/// The criteria to order locations by, the most significant first.
///
/// In a configuration a list: `["weight", "location-order"]`, which is also the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Criterion>")]
pub struct Strategy(Vec<Criterion>);

impl Strategy {
    /// A strategy of these criteria.
    ///
    /// # Errors
    ///
    /// For an empty list, one that names a criterion twice (with whatever settings), and settings that
    /// mean nothing.
    pub fn new(criteria: Vec<Criterion>) -> Result<Self, StrategyError> {
        if criteria.is_empty() {
            return Err(StrategyError::Empty);
        }
        for criterion in &criteria {
            criterion.check()?;
        }
        let mut rest = criteria.iter();
        while let Some(criterion) = rest.next() {
            let name = criterion.name();
            if rest.as_slice().iter().any(|other| other.name() == name) {
                return Err(StrategyError::Duplicate(name.to_owned()));
            }
        }
        Ok(Self(criteria))
    }

    /// The criteria, at least one.
    #[must_use]
    pub fn criteria(&self) -> &[Criterion] {
        &self.0
    }
}

impl Default for Strategy {
    fn default() -> Self {
        Self(vec![Criterion::Weight, Criterion::LocationOrder])
    }
}

impl TryFrom<Vec<Criterion>> for Strategy {
    type Error = StrategyError;

    fn try_from(criteria: Vec<Criterion>) -> Result<Self, StrategyError> {
        Self::new(criteria)
    }
}

/// `weight, location-order`
impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}
