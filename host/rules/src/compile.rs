//! From a text to an expression that is known to be small, total in what it speaks of, and of the right type.

use std::ops::Range;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::parser::Parser;
use cel::{Context, Env, ExecutionError, Value};

use crate::error::RuleError;
use crate::rule::Effect;
use crate::schema::{self, Kind, ROOTS};

/// The longest expression, in bytes.
pub const EXPRESSION_MAX: usize = 4 * 1024;
/// How deep expressions are nested at most.
const DEPTH_MAX: u16 = 64;
/// Nodes of an expression.
const NODES_MAX: usize = 512;
/// The parser's stack. It needs up to half of that for the deepest expression that is let through.
const STACK: usize = 16 << 20;
/// How often the parser looks for a way to go on behind a mistake: the first is told, so never.
const RECOVERIES: u32 = 1;

/// What an expression may call, besides operators. None takes long, or more memory than its arguments.
const FUNCTIONS: [&str; 8] = ["size", "contains", "startsWith", "endsWith", "double", "int", "string", "has"];
const OPERATORS: [&str; 17] = [
    "_?_:_", "_&&_", "_||_", "!_", "_-_", "_+_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_>=_", "_<=_", "_>_", "_<_",
    "-_", "@in",
];
const INDEX: &str = "_[_]";

/// Parses `text` on a thread of its own, whose stack the parser may fill.
pub(crate) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), RuleError> {
    if text.len() > EXPRESSION_MAX {
        return Err(RuleError::whole(format!("it has {} bytes, {EXPRESSION_MAX} are the most", text.len())));
    }
    // The generated parser descends before it counts: what cannot be within bounds is not shown to it.
    let (depth, at) = nesting(text);
    if depth > usize::from(DEPTH_MAX) {
        return Err(RuleError::new(at..at + 1, format!("it is nested more than {DEPTH_MAX} deep")));
    }
    let parse = || {
        let parser = Parser::new().max_recursion_depth(DEPTH_MAX).error_recovery_limit(RECOVERIES);
        // What this thread gives back must not hold what is bound to it.
        parser.parse_with_source_info(text).map_err(|errors| {
            let first = errors.errors.into_iter().next();
            first.map(|error| (error.pos, error.msg)).unwrap_or_default()
        })
    };
    let parsed = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("rules".to_owned()).stack_size(STACK);
        builder.spawn_scoped(scope, parse).map(std::thread::ScopedJoinHandle::join)
    });
    match parsed {
        Ok(Ok(Ok(parsed))) => Ok(parsed),
        Ok(Ok(Err((position, message)))) => Err(RuleError::new(place(text, position), message)),
        Ok(Err(_)) => Err(RuleError::whole("the parser cannot make anything of it")),
        Err(error) => Err(RuleError::whole(format!("no thread to parse it on: {error}"))),
    }
}

/// How deep brackets and operators in front of operands are nested, and where it is deepest. Text in quotes does not count.
fn nesting(text: &str) -> (usize, usize) {
    let (mut open, mut prefix, mut quoted) = (0_usize, 0_usize, None);
    let (mut deepest, mut at) = (0, 0);
    let mut escaped = false;
    for (index, c) in text.chars().enumerate() {
        if let Some(quote) = quoted {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => quoted = None,
                _ => {}
            }
            continue;
        }
        match c {
            '"' | '\'' => quoted = Some(c),
            '(' | '[' | '{' | '?' => open = open.saturating_add(1),
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' => prefix = prefix.saturating_add(1),
            _ if c.is_whitespace() => {}
            _ => prefix = 0,
        }
        let depth = open.saturating_add(prefix);
        if depth > deepest {
            (deepest, at) = (depth, index);
        }
    }
    (deepest, at)
}

/// A position of the parser, a line and a column, in characters of the whole.
fn place(text: &str, (line, column): (isize, isize)) -> Range<usize> {
    let before = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    let lines: usize = text.split_inclusive('\n').take(before).map(|line| line.chars().count()).sum();
    let at = lines.saturating_add(usize::try_from(column).unwrap_or(0).saturating_sub(1));
    let at = at.min(text.chars().count().saturating_sub(1));
    at..at.saturating_add(1)
}

/// Finds what is not known, or not allowed.
pub(crate) struct Checker<'a> {
    pub(crate) source: &'a SourceInfo,
    pub(crate) labels: &'a [String],
    pub(crate) nodes: usize,
}

/// What a checked part is, as far as it matters for what may be done with it.
enum Found {
    Attribute(&'static Kind),
    /// Whatever an open attribute has.
    Dynamic,
    Computed,
}

impl Checker<'_> {
    pub(crate) fn check(&mut self, expression: &IdedExpr) -> Result<(), RuleError> {
        match self.part(expression, false)? {
            Found::Attribute(Kind::Closed(members)) => {
                let message = format!("this has members, and is none itself: {}", schema::names(members));
                Err(self.error(expression, message))
            }
            _ => Ok(()),
        }
    }

    /// `tested`: as what `has()` asks for.
    fn part(&mut self, expression: &IdedExpr, tested: bool) -> Result<Found, RuleError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            return Err(self.error(expression, format!("it has more than {NODES_MAX} parts")));
        }
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Bytes(_) => Err(self.error(expression, "there are no attributes of bytes".to_owned())),
                _ => Ok(Found::Computed),
            },
            Expr::Ident(name) => match ROOTS.iter().find(|(known, _)| known == name) {
                Some((_, kind)) => Ok(Found::Attribute(kind)),
                None => {
                    let known = schema::names(ROOTS);
                    Err(self.error(expression, format!("there is no {name} here, but: {known}")))
                }
            },
            Expr::Select(select) => {
                let of = self.part(&select.operand, tested || select.test)?;
                self.member(expression, of, &select.field, tested || select.test)
            }
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.check(element))?;
                Ok(Found::Computed)
            }
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(_) => {
                Err(self
                    .error(expression, "all, exists, exists_one, map and filter are not allowed in rules".to_owned()))
            }
            Expr::Map(_) | Expr::Struct(_) => Err(self.error(expression, "rules make no maps".to_owned())),
            Expr::Unspecified => Err(self.error(expression, "it is empty".to_owned())),
        }
    }

    fn call(&mut self, expression: &IdedExpr, call: &cel::common::ast::CallExpr) -> Result<Found, RuleError> {
        let name = call.func_name.as_str();
        if name == INDEX {
            let [of, key] = call.args.as_slice() else {
                return Err(self.error(expression, "an index has one key".to_owned()));
            };
            let found = self.part(of, false)?;
            self.check(key)?;
            return match (found, &key.expr) {
                (Found::Attribute(Kind::Labels), Expr::Literal(LiteralValue::String(label))) => {
                    self.member(expression, Found::Attribute(&Kind::Labels), label.inner(), false)
                }
                (Found::Attribute(Kind::Closed(_)), _) => {
                    Err(self.error(expression, "write its members with a dot".to_owned()))
                }
                _ => Ok(Found::Dynamic),
            };
        }
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.join(", ");
            return Err(self.error(expression, format!("there is no {name}() in rules, but: {known}")));
        }
        for part in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
            self.check(part)?;
        }
        Ok(Found::Computed)
    }

    fn member(&self, at: &IdedExpr, of: Found, field: &str, tested: bool) -> Result<Found, RuleError> {
        match of {
            Found::Dynamic | Found::Attribute(Kind::Open) => Ok(Found::Dynamic),
            Found::Attribute(Kind::Labels) => {
                if tested || self.labels.iter().any(|label| label == field) {
                    return Ok(Found::Dynamic);
                }
                let message = format!("this node has no label {field}; has(node.labels.{field}) asks whether it has");
                Err(self.error(at, message))
            }
            Found::Attribute(Kind::Closed(members)) => match members.iter().find(|(name, _)| *name == field) {
                Some((_, kind)) => Ok(Found::Attribute(kind)),
                None => Err(self.error(at, format!("there is no {field} there, but: {}", schema::names(members)))),
            },
            Found::Attribute(_) | Found::Computed => Err(self.error(at, "this has no members".to_owned())),
        }
    }

    fn error(&self, at: &IdedExpr, message: String) -> RuleError {
        let span = self.source.offset_for(at.id).map_or(0..0, |(start, stop)| {
            let (start, stop) = (start as usize, stop as usize);
            match &at.expr {
                // Of a member the parser gives the dot.
                Expr::Select(select) if !select.test => {
                    let name = start.saturating_add(1);
                    name..name.saturating_add(select.field.chars().count())
                }
                _ => start..stop.saturating_add(1).max(start.saturating_add(1)),
            }
        });
        RuleError::new(span, message)
    }
}

/// Tries the expression out on attributes of the right types: a mistake of types is found now, and not at the first image.
pub(crate) fn try_out(
    expression: &IdedExpr,
    effect: Effect,
    env: &Arc<Env>,
    labels: &[String],
) -> Result<(), RuleError> {
    let mut context = Context::with_env(Arc::clone(env));
    for (name, value) in schema::sample(labels) {
        context.add_variable_from_value(name, crate::facts::value(&value));
    }
    match context.resolve(expression) {
        // An open attribute has nothing here; what it will have is not known.
        Err(ExecutionError::NoSuchKey(_)) => Ok(()),
        Err(
            ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::IndexOutOfBounds(_),
        ) => Ok(()),
        Err(error) => Err(RuleError::whole(error.to_string())),
        Ok(value) => match (effect, &value) {
            (Effect::Deny | Effect::Prefer, Value::Bool(_)) => Ok(()),
            (Effect::Score, Value::Int(_) | Value::UInt(_) | Value::Float(_)) => Ok(()),
            (Effect::Score, other) => Err(RuleError::whole(format!("a score is a number, not {}", other.type_of()))),
            (_, other) => {
                let message = format!("{} needs true or false, not {}", effect.name(), other.type_of());
                Err(RuleError::whole(message))
            }
        },
    }
}
