//! Which bytes of an image are there, and from which location each came.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint ranges, each of one origin. Neighbours of one origin are one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// By start: end and origin.
    ranges: BTreeMap<u64, (u64, u32)>,
}

impl Pieces {
    /// `range` is there now, from `origin`, whatever was there before.
    pub(super) fn put(&mut self, range: Range<u64>, origin: u32) {
        if range.is_empty() {
            return;
        }
        self.cut(&range);
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &(until, from))) = self.ranges.range(..start).next_back()
            && until == start
            && from == origin
        {
            self.ranges.remove(&before);
            start = before;
        }
        if let Some(&(until, from)) = self.ranges.get(&end)
            && from == origin
        {
            self.ranges.remove(&end);
            end = until;
        }
        self.ranges.insert(start, (end, origin));
    }

    /// `range` is not there any more.
    pub(super) fn cut(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touched: Vec<(u64, u64, u32)> = self
            .ranges
            .range(..range.end)
            .rev()
            .take_while(|(_, (end, _))| *end > range.start)
            .map(|(&start, &(end, origin))| (start, end, origin))
            .collect();
        for (start, end, origin) in touched {
            self.ranges.remove(&start);
            if start < range.start {
                self.ranges.insert(start, (range.start, origin));
            }
            if end > range.end {
                self.ranges.insert(range.end, (end, origin));
            }
        }
    }

    /// Every range, in order, with its origin.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u64>, u32)> + '_ {
        self.ranges.iter().map(|(&start, &(end, origin))| (start..end, origin))
    }

    /// What of `0..size` is not there, in order.
    pub(super) fn missing(&self, size: u64) -> Vec<Range<u64>> {
        self.missing_in(&(0..size))
    }

    /// What of `within` is not there, in order.
    pub(super) fn missing_in(&self, within: &Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = within.start;
        let before = self.ranges.range(..within.start).next_back();
        for (&start, &(end, _)) in before.into_iter().chain(self.ranges.range(within.clone())) {
            if start > at {
                missing.push(at..start);
            }
            at = at.max(end);
        }
        if at < within.end {
            missing.push(at..within.end);
        }
        missing
    }

    /// How far everything from `start` on is there.
    pub(super) fn reach(&self, start: u64) -> u64 {
        let mut at = start;
        while let Some((_, &(end, _))) = self.ranges.range(..=at).next_back()
            && end > at
        {
            at = end;
        }
        at
    }

    /// The origin of the byte at `offset`.
    pub(super) fn origin_at(&self, offset: u64) -> Option<u32> {
        let (_, &(end, origin)) = self.ranges.range(..=offset).next_back()?;
        (end > offset).then_some(origin)
    }

    /// The ranges of one origin, in order.
    pub(super) fn of(&self, origin: u32) -> Vec<Range<u64>> {
        self.iter().filter(|(_, from)| *from == origin).map(|(range, _)| range).collect()
    }

    /// The origins that something is there of.
    pub(super) fn origins(&self) -> std::collections::BTreeSet<u32> {
        self.iter().map(|(_, origin)| origin).collect()
    }

    /// Bytes that are there.
    pub(super) fn bytes(&self) -> u64 {
        self.iter().fold(0, |sum, (range, _)| sum.saturating_add(range.end.saturating_sub(range.start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_of_one_origin_are_one() {
        let mut pieces = Pieces::default();
        pieces.put(10..20, 0);
        pieces.put(30..40, 0);
        pieces.put(20..30, 0);
        assert_eq!(pieces.iter().collect::<Vec<_>>(), [(10..40, 0)]);
        pieces.put(15..20, 1);
        assert_eq!(pieces.iter().collect::<Vec<_>>(), [(10..15, 0), (15..20, 1), (20..40, 0)]);
        assert_eq!((pieces.reach(10), pieces.reach(0), pieces.bytes()), (40, 0, 30));
        assert_eq!(pieces.missing(50), [0..10, 40..50]);
    }

    proptest! {
        #[test]
        fn it_is_what_an_array_of_origins_would_be(
            steps in prop::collection::vec((0_u64..64, 0_u64..32, prop::option::of(0_u32..3)), 0..40)
        ) {
            let mut pieces = Pieces::default();
            let mut array = [None; 100];
            for (start, len, origin) in steps {
                let range = start..start + len;
                match origin {
                    Some(origin) => pieces.put(range.clone(), origin),
                    None => pieces.cut(&range),
                }
                array[start as usize..(start + len) as usize].fill(origin);
            }
            let mut again = [None; 100];
            let mut last: Option<(u64, u32)> = None;
            for (range, origin) in pieces.iter() {
                prop_assert!(!range.is_empty() && last != Some((range.start, origin)));
                last = Some((range.end, origin));
                again[range.start as usize..range.end as usize].fill(Some(origin));
            }
            prop_assert_eq!(array, again);
            for start in 0..100_u64 {
                prop_assert_eq!(pieces.origin_at(start), array[start as usize]);
                let reach = array.iter().skip(start as usize).take_while(|origin| origin.is_some()).count() as u64;
                prop_assert_eq!(pieces.reach(start), start + reach);
            }
            let missing: u64 = pieces.missing(100).iter().map(|range| range.end - range.start).sum();
            prop_assert_eq!(missing + pieces.bytes(), 100);
            for (start, end) in [(0, 100), (17, 18), (30, 60), (64, 95), (40, 40)] {
                let found: Vec<u64> = pieces.missing_in(&(start..end)).into_iter().flatten().collect();
                let gone: Vec<u64> = (start..end).filter(|&at| array[at as usize].is_none()).collect();
                prop_assert_eq!(found, gone);
            }
        }
    }
}
