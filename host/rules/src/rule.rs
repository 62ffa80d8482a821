//! One rule, and all of a node's.

use std::fmt;
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::{Context, Env, Value};
use landfall_select::Ranking;

use crate::compile::{Checker, parse, try_out};
use crate::error::RuleError;
use crate::facts::{Facts, value};

/// The most rules that a node may have.
pub const RULES_MAX: usize = 64;
/// What a rule that prefers adds, where it does not say.
pub const PREFERENCE: f64 = 1.0;

/// What a rule does with its expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Where it is true, the location is not used, whatever else there is.
    Deny,
    /// Where it is true, the location comes before those of which fewer such rules are true.
    Prefer,
    /// The larger the number, the sooner the location comes.
    Score,
}

impl Effect {
    /// All effects.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Prefer, Self::Score];

    /// Its key in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Prefer => "prefer",
            Self::Score => "score",
        }
    }
}

/// A rule that was checked.
#[derive(Clone)]
pub struct Rule {
    name: String,
    effect: Effect,
    text: String,
    expression: IdedExpr,
    env: Arc<Env>,
}

impl Rule {
    /// Reads a rule. `name` is for reasons, `labels` are those that the node has.
    ///
    /// # Errors
    ///
    /// Text that is no expression, speaks of what there is not, does what rules may not, or is of the wrong type.
    pub fn new(name: &str, effect: Effect, text: &str, labels: &[String]) -> Result<Self, RuleError> {
        let (expression, source) = parse(text)?;
        Checker { source: &source, labels, nodes: 0 }.check(&expression)?;
        let env = Arc::new(Env::stdlib());
        try_out(&expression, effect, &env, labels)?;
        Ok(Self { name: name.to_owned(), effect, text: text.to_owned(), expression, env })
    }

    /// What it does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Its name in reasons.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The expression, as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it may speak of what was measured: where no rule does, nobody need know it.
    #[must_use]
    pub fn may_read_measured(&self) -> bool {
        self.text.contains("measured")
    }

    fn verdict(&self, context: &Context<'_, '_>) -> Verdict {
        let value = match context.resolve(&self.expression) {
            Ok(value) => value,
            Err(error) => return Verdict::Unknown(error.to_string()),
        };
        match (self.effect, value) {
            (Effect::Deny | Effect::Prefer, Value::Bool(truth)) => Verdict::Truth(truth),
            (Effect::Score, Value::Int(number)) => Verdict::Number(number as f64),
            (Effect::Score, Value::UInt(number)) => Verdict::Number(number as f64),
            (Effect::Score, Value::Float(number)) if number.is_finite() => Verdict::Number(number),
            (_, other) => Verdict::Unknown(format!("it gives {}", other.type_of())),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("name", &self.name)
            .field("effect", &self.effect)
            .field("text", &self.text)
            .finish()
    }
}

/// By what was written.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.effect, &self.text) == (&other.name, other.effect, &other.text)
    }
}

enum Verdict {
    Truth(bool),
    Number(f64),
    /// It could not be evaluated, for this reason.
    Unknown(String),
}

/// One ranking for each location, in the record's order, as the criterion `rules` takes them.
///
/// A location that a `deny` is true of is not kept, nor one that a `deny` cannot be evaluated for: nobody knows then that it is
/// harmless. The others are sorted by the sum of what `prefer` (one each) and `score` give, the larger first; what of these
/// cannot be evaluated adds nothing, and the reason says so.
#[must_use]
pub fn rank(rules: &[Rule], facts: &Facts) -> Vec<Ranking> {
    let Some(first) = rules.first() else {
        let neutral = |index| Ranking { index, key: Some(0.0), keep: true, reason: "there are no rules".to_owned() };
        return (0..facts.locations.len()).map(neutral).collect();
    };
    let mut shared = Context::with_env(Arc::clone(&first.env));
    for (name, json) in [("node", &facts.node), ("image", &facts.image), ("request", &facts.request)] {
        shared.add_variable_from_value(name, value(json));
    }
    let rank = |(index, location): (usize, &serde_json::Value)| {
        let mut context = shared.new_inner_scope();
        context.add_variable_from_value("location", value(location));
        // With no members where nothing was measured, so that `has()` is false of each.
        let nothing = serde_json::Value::Object(serde_json::Map::new());
        let measured = facts.measured.get(index).filter(|measured| measured.is_object()).unwrap_or(&nothing);
        context.add_variable_from_value("measured", value(measured));
        rank_one(rules, index, &context)
    };
    facts.locations.iter().enumerate().map(rank).collect()
}

fn rank_one(rules: &[Rule], index: usize, context: &Context<'_, '_>) -> Ranking {
    let (mut sum, mut parts) = (0.0_f64, Vec::new());
    for rule in rules {
        let name = rule.name();
        match (rule.effect, rule.verdict(context)) {
            (Effect::Deny, Verdict::Truth(true)) => return denied(index, format!("denied by {name}")),
            (Effect::Deny, Verdict::Unknown(why)) => {
                return denied(index, format!("denied, since {name} cannot be evaluated: {why}"));
            }
            (Effect::Prefer, Verdict::Truth(true)) => {
                sum += PREFERENCE;
                parts.push(format!("preferred by {name}"));
            }
            (Effect::Score, Verdict::Number(number)) => {
                sum += number;
                parts.push(format!("{name} {number}"));
            }
            (_, Verdict::Unknown(why)) => parts.push(format!("{name} cannot be evaluated: {why}")),
            _ => {}
        }
    }
    let reason = if parts.is_empty() { "no rule speaks of it".to_owned() } else { parts.join("; ") };
    // Sums of finite numbers may still be none.
    let key = if sum.is_finite() { -sum } else { 0.0 };
    Ranking { index, key: Some(key), keep: true, reason }
}

fn denied(index: usize, reason: String) -> Ranking {
    Ranking { index, key: None, keep: false, reason }
}
