//! The origins that gave bytes to a fetch, by number.

use std::sync::Mutex;

use landfall_handler_api::{Error, ErrorKind, Result};

use super::lane::locked;
use super::supply::Origin;
use crate::plugin::SourceInfo;

/// Numbers origins, and remembers the order in which they joined. Those of an earlier run come first and are not those of
/// this one, even where they have their names.
pub(super) struct Origins {
    earlier: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By number: the name, the key, and which version of the bytes it has. Another version counts as another origin.
    names: Vec<(String, String, Option<String>)>,
    /// In the order in which they joined.
    joined: Vec<u32>,
}

impl Origins {
    /// Begins with those of an earlier run, of which those with bytes are `joined`.
    pub(super) fn new(names: Vec<String>, joined: Vec<u32>) -> Self {
        let earlier = names.len();
        let names = names.into_iter().map(|name| (name, String::new(), None)).collect();
        Self { earlier, known: Mutex::new(Known { names, joined }) }
    }

    /// The number of an origin that joins now, or joined before.
    pub(super) fn number(&self, origin: &Origin, info: &SourceInfo) -> Result<u32> {
        let mut known = locked(&self.known);
        let mut ours = known.names.iter().enumerate().skip(self.earlier);
        let same =
            |(_, key, validator): &(String, String, Option<String>)| *key == origin.key && *validator == info.validator;
        let at = ours.find(|(_, known)| same(known)).map(|(at, _)| at).unwrap_or_else(|| {
            known.names.push((origin.name.clone(), origin.key.clone(), info.validator.clone()));
            known.names.len().saturating_sub(1)
        });
        let number = u32::try_from(at);
        let number = number.map_err(|_| Error::new(ErrorKind::Limit, "origins", "too many locations"))?;
        if !known.joined.contains(&number) {
            known.joined.push(number);
        }
        Ok(number)
    }

    /// The name of this number.
    pub(super) fn name(&self, number: u32) -> Option<String> {
        locked(&self.known).names.get(number as usize).map(|(name, ..)| name.clone())
    }

    /// Whether it is of an earlier run.
    pub(super) fn is_earlier(&self, number: u32) -> bool {
        (number as usize) < self.earlier
    }

    /// All names, by number.
    pub(super) fn names(&self) -> Vec<String> {
        locked(&self.known).names.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// Their numbers, in the order in which they joined.
    pub(super) fn joined(&self) -> Vec<u32> {
        locked(&self.known).joined.clone()
    }

    /// None has given anything that is still there.
    pub(super) fn forget_joined(&self) {
        locked(&self.known).joined.clear();
    }
}
