//! The image's status over every combination of locations, against the table that the documentation shows.

use landfall_select::{ImageStatus, LocationStatus, Overlay};

/// The rows of a table: what the status is without an overlay, deactivated, and killed. The last is that of an image without
/// locations.
fn documented(text: &str) -> Vec<(Option<LocationStatus>, [String; 3])> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("/// "));
    let table = lines.skip_while(|line| !line.starts_with("| at least one location is")).skip(2);
    let rows = table.map_while(|line| line.strip_prefix('|'));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].parse().ok(), [cells[1].clone(), cells[2].clone(), cells[3].clone()])).collect()
}

/// All lists of `count` statuses.
fn lists(count: usize) -> Vec<Vec<LocationStatus>> {
    (0..count).fold(vec![Vec::new()], |lists, _| {
        let longer = |list: Vec<LocationStatus>| {
            LocationStatus::ALL.map(|status| list.iter().copied().chain([status]).collect())
        };
        lists.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn all_combinations_follow_the_table() {
    let table = documented(include_str!("../src/image_status.rs"));
    assert_eq!(table.len(), 5, "{table:?}");
    assert_eq!(table, documented(include_str!("../../../docs/locations.md")));
    let overlays = [None, Some(Overlay::Deactivated), Some(Overlay::Killed)];
    let mut cases = 0;
    for list in (0..=4).flat_map(lists) {
        let row = table.iter().find(|(status, _)| status.is_none_or(|status| list.contains(&status))).unwrap();
        for (overlay, expected) in overlays.into_iter().zip(&row.1) {
            assert_eq!(ImageStatus::of(&list, overlay).name(), expected, "{list:?} {overlay:?}");
            cases += 1;
        }
    }
    assert_eq!(cases, (1 + 4 + 16 + 64 + 256) * 3);
}

/// More locations of a status that is there already, and another order, change nothing.
#[test]
fn only_which_statuses_there_are_counts() {
    for list in lists(4) {
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        for overlay in [None, Some(Overlay::Deactivated), Some(Overlay::Killed)] {
            assert_eq!(ImageStatus::of(&list, overlay), ImageStatus::of(&sorted, overlay), "{list:?}");
        }
    }
}

/// An image is active exactly where a location may be used and nobody says otherwise.
#[test]
fn active_means_that_there_are_bytes() {
    for list in (0..=4).flat_map(lists) {
        let usable = list.contains(&LocationStatus::Active);
        assert_eq!(ImageStatus::of(&list, None) == ImageStatus::Active, usable, "{list:?}");
        for overlay in Overlay::ALL {
            assert_ne!(ImageStatus::of(&list, Some(overlay)), ImageStatus::Active, "{list:?}");
        }
    }
}
