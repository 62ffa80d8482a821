//! "Did you mean ...?"

/// The candidate that `written` most likely stands for, if any is near enough.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    // Nothing that long is a slip of the finger, and the distance takes time in its square.
    if written.len() > 64 {
        return None;
    }
    let written = plain(written);
    let allowed = written.chars().count().max(3) / 3;
    let measured = candidates.into_iter().map(|candidate| (distance(&written, &plain(candidate)), candidate));
    measured.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, near)| near)
}

/// How many characters must be changed, added, removed or swapped with their neighbour to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, in_a) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, in_b) in b.iter().enumerate() {
            let changed = last[j] + usize::from(in_a != *in_b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous_a == Some(*in_b) && b[j - 1] == in_a {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous_a = Some(in_a);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let keys = ["handlers", "plugin_dirs", "route", "state_dir", "id"];
        let table = [
            ("handler", Some("handlers")),
            ("hanlders", Some("handlers")),
            ("plugin-dirs", Some("plugin_dirs")),
            ("Route", Some("route")),
            ("statedir", Some("state_dir")),
            ("di", Some("id")),
            ("verify", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(nearest(written, keys), expected, "{written}");
        }
        assert_eq!(nearest(&"route".repeat(20), keys), None);
    }
}
