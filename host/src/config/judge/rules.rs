//! Rules of selection: which text is one, and which character of it is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use landfall_rules::{Effect, RULES_MAX, Rule};
use landfall_select::{Criterion, Strategy};

use super::Judge;
use crate::config::error::Finding;
use crate::config::raw::RawRule;
use crate::config::tree::At;

const NAME_MAX: usize = 64;

impl Judge<'_> {
    pub(super) fn rules(
        &mut self,
        written: Vec<RawRule>,
        labels: &BTreeMap<String, String>,
        selection: &Strategy,
    ) -> Vec<Rule> {
        let at = At::top().key("rule");
        if written.len() > RULES_MAX {
            self.bad(&at.index(RULES_MAX), "there are too many rules", format!("{RULES_MAX} are the most"));
            return Vec::new();
        }
        let labels: Vec<String> = labels.keys().cloned().collect();
        let mut rules = Vec::new();
        for (index, raw) in written.into_iter().enumerate() {
            let at = at.index(index);
            rules.extend(self.rule(&at, index, raw, &labels));
        }
        let orders = |rule: &&Rule| rule.effect() != Effect::Deny;
        let is_used = selection.criteria().contains(&Criterion::Rules);
        if let (Some(rule), false) = (rules.iter().find(orders), is_used) {
            let message = format!("the rule {:?} has no effect on the order", rule.name());
            let help = "add \"rules\" to `selection` where they are to count; a rule that denies counts in any case";
            self.bad_with_help(&At::top().key("selection"), message, "does not have \"rules\"", help);
        }
        rules
    }

    fn rule(&mut self, at: &At, index: usize, raw: RawRule, labels: &[String]) -> Option<Rule> {
        let name = raw.name.clone().unwrap_or_else(|| format!("rule {}", index.saturating_add(1)));
        if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
            self.bad(&at.key("name"), "`name` is not a name", "1 to 64 printable bytes");
        }
        let effects = [(Effect::Deny, &raw.deny), (Effect::Prefer, &raw.prefer), (Effect::Score, &raw.score)];
        let mut given = effects.into_iter().filter_map(|(effect, text)| Some((effect, text.as_ref()?)));
        let (Some((effect, text)), None) = (given.next(), given.next()) else {
            self.bad(at, "a rule has one of `deny`, `prefer` and `score`", "this has none or several");
            return None;
        };
        match Rule::new(&name, effect, text, labels) {
            Ok(rule) => Some(rule),
            Err(error) => {
                let whole = self.span(&at.key(effect.name()));
                let span = within(&whole, text, &error.span);
                self.findings.push(Finding::new(span, format!("`{}` is no rule", effect.name()), error.message));
                None
            }
        }
    }
}

/// Where in the file some characters of a string are; the whole string where it is written with escapes.
fn within(literal: &Range<usize>, text: &str, chars: &Range<usize>) -> Range<usize> {
    // Quotes, or three of them with or without a line's end behind the first ones.
    let quotes = match literal.len().checked_sub(text.len()) {
        Some(2) => 1,
        Some(6) => 3,
        Some(7) => 4,
        _ => return literal.clone(),
    };
    if chars.is_empty() {
        return literal.clone();
    }
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let start = literal.start.saturating_add(quotes);
    start.saturating_add(byte(chars.start))..start.saturating_add(byte(chars.end))
}
