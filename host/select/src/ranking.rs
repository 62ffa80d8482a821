use serde::{Deserialize, Serialize};

/// What one criterion says of one location.
///
/// As JSON: `{"index": 0, "key": 1.5, "keep": true, "reason": "..."}`; `key` may be null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The location, by its index in the record.
    pub index: usize,
    /// What to sort by, in any unit, finite. Lower comes first; none comes last.
    pub key: Option<f64>,
    /// Whether the location may be used at all.
    pub keep: bool,
    /// Why, for people. Without secrets: it is written down.
    pub reason: String,
}

impl Ranking {
    /// A ranking that excludes nothing.
    pub(crate) const fn keep(index: usize, key: Option<f64>, reason: String) -> Self {
        Self { index, key, keep: true, reason }
    }
}

/// A criterion that was evaluated elsewhere, for instance by a plugin; the input of
/// [`select_with`](crate::select_with).
///
/// It takes effect where the strategy holds [`Criterion::External`](crate::Criterion::External) of
/// the same name. There must be exactly one ranking for each location of the record, whatever its
/// status, in any order; otherwise the criterion is skipped and the selection notes why.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// The criterion's name in the strategy.
    pub name: String,
    /// Its rankings, or why there are none; then the criterion is skipped with that note.
    pub rankings: Result<Vec<Ranking>, String>,
}

/// Puts rankings in record order if there is exactly one, sortable, for each of `count` locations.
pub(crate) fn arrange(rankings: &[Ranking], count: usize) -> Result<Vec<Ranking>, String> {
    let given = rankings.len();
    if given != count {
        return Err(format!("{given} rankings for {count} locations"));
    }
    let mut slots: Vec<Option<Ranking>> = vec![None; count];
    for ranking in rankings {
        let index = ranking.index;
        let Some(slot) = slots.get_mut(index) else {
            return Err(format!("a ranking for location {index} of {count}"));
        };
        if ranking.key.is_some_and(|key| !key.is_finite()) {
            return Err(format!("the key of location {index} is not a finite number"));
        }
        if slot.replace(ranking.clone()).is_some() {
            return Err(format!("two rankings for location {index}"));
        }
    }
    // As many as slots and no slot twice: none is empty.
    Ok(slots.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(index: usize, key: f64) -> Ranking {
        Ranking::keep(index, Some(key), "r".to_owned())
    }

    #[test]
    fn rankings_come_back_in_record_order() {
        let given = [ranking(1, 5.0), ranking(0, 7.0)];
        let arranged = arrange(&given, 2).unwrap();
        assert_eq!(arranged, [ranking(0, 7.0), ranking(1, 5.0)]);
        assert_eq!(arrange(&[], 0), Ok(Vec::new()));
    }

    #[test]
    fn nonsense_is_named() {
        let table = [
            (vec![ranking(0, 1.0)], "1 rankings for 2 locations"),
            (vec![ranking(0, 1.0), ranking(2, 1.0)], "a ranking for location 2 of 2"),
            (vec![ranking(1, 1.0), ranking(1, 2.0)], "two rankings for location 1"),
            (vec![ranking(0, f64::NAN), ranking(1, 1.0)], "the key of location 0 is not a finite number"),
            (vec![ranking(0, 1.0), ranking(1, f64::INFINITY)], "the key of location 1 is not a finite number"),
        ];
        for (rankings, expected) in table {
            assert_eq!(arrange(&rankings, 2).unwrap_err(), expected);
        }
    }
}
