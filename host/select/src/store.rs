use serde_json::Value;

use crate::location::Location;
use crate::ranking::Ranking;
use crate::reason;

/// Where a record names the store, the first that is there.
const KEYS: [&str; 2] = ["store", "id"];

fn store_of<'a>(location: &Location<'a>) -> Option<&'a str> {
    let metadata = location.metadata?;
    KEYS.iter().find_map(|key| metadata.get(*key).and_then(Value::as_str)).filter(|id| !id.is_empty())
}

/// Ranks by place in `prefer`; what is not in it has no key, and so comes after all that is.
pub(crate) fn rank(locations: &[Location<'_>], prefer: &[String]) -> Vec<Ranking> {
    let rank = |location: &Location<'_>| {
        let Some(store) = store_of(location) else { return (None, "no store named (not preferred)".to_owned()) };
        let shown = reason::quote(store);
        match prefer.iter().position(|preferred| preferred == store) {
            Some(at) => {
                let place = reason::ordinal(at);
                (Some(at as f64), format!("store {shown} ({place} of {} preferred)", prefer.len()))
            }
            None => (None, format!("store {shown} (not preferred)")),
        }
    };
    let ranked = locations.iter().map(rank).enumerate();
    ranked.map(|(index, (key, reason))| Ranking::keep(index, key, reason)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_stores_have_keys_in_order_of_preference() {
        let metadata = [
            json!({"store": "slow"}),
            json!({"store": "fast", "id": "slow"}),
            json!({"id": "mount"}),
            json!({"store": 7}),
            json!({"store": "https://u:p@h\u{1b}"}),
        ];
        let metadata: Vec<_> = metadata.iter().filter_map(Value::as_object).collect();
        let locations: Vec<_> =
            metadata.into_iter().map(|metadata| Location { metadata: Some(metadata), ..Location::default() }).collect();
        let ranked = rank(&locations, &["fast".to_owned(), "mount".to_owned()]);
        let shown: Vec<_> = ranked.iter().map(|ranking| (ranking.key, ranking.reason.as_str())).collect();
        assert_eq!(
            shown,
            [
                (None, "store \"slow\" (not preferred)"),
                (Some(0.0), "store \"fast\" (1st of 2 preferred)"),
                (Some(1.0), "store \"mount\" (2nd of 2 preferred)"),
                (None, "no store named (not preferred)"),
                (None, "store \"[url]\" (not preferred)"),
            ]
        );
    }
}
