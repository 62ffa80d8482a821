//! Keys and types: the parsed text is walked beside the schema, and everything that does not fit is found at once.
//!
//! Serde would stop at the first. It still reads the values afterwards, so nothing depends on this walk being complete: it
//! knows the schema words that `raw.rs` brings forth, and passes over others.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::error::Finding;
use super::nearest::nearest;

/// What in `tree` does not fit `schema`.
pub(super) fn misfits(tree: &Spanned<DeTable<'_>>, schema: &Value) -> Vec<Finding> {
    let mut walk = Walk { findings: Vec::new() };
    walk.table(tree.get_ref(), tree.span(), schema);
    walk.findings
}

struct Walk {
    findings: Vec<Finding>,
}

impl Walk {
    /// `name` is what messages call the value: the key in quotes, or `each of` it.
    fn value(&mut self, name: &str, value: &Spanned<DeValue<'_>>, schema: &Value) {
        let types = types(schema);
        let found = type_of(value.get_ref());
        if !types.is_empty() && !types.contains(&found) {
            self.wrong_type(name, value, &types, schema);
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, value.span(), schema),
            DeValue::Array(array) => {
                if let Some(items) = schema.get("items") {
                    let name = format!("each of {name}");
                    array.iter().for_each(|item| self.value(&name, item, items));
                }
            }
            DeValue::String(text) => self.choice(name, text, value.span(), schema),
            DeValue::Integer(number) => self.range(name, number, value.span(), schema),
            // A literal that overflows reads as infinite; `inf` itself is a value.
            DeValue::Float(number) if number.as_str().parse().is_ok_and(f64::is_infinite) => {
                if !number.as_str().contains("inf") {
                    self.out_of_range(name, value.span(), "does not fit into 64 bits".to_owned());
                }
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, schema: &Value) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties").unwrap_or(&Value::Null);
        for (key, value) in table {
            let name: &str = key.get_ref();
            if let Some(schema) = known.get(name) {
                self.value(&format!("`{name}`"), value, schema);
            } else if others == &Value::Bool(false) {
                self.unknown_key(name, key.span(), known);
            } else {
                self.value(&format!("`{name}`"), value, others);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !table.contains_key(*name)) {
            let message = format!("`{name}` is missing");
            self.findings.push(Finding::new(span.clone(), message, format!("this table needs `{name}`")));
        }
    }

    fn unknown_key(&mut self, name: &str, span: Range<usize>, known: &Map<String, Value>) {
        let help = match nearest(name, known.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys of this table are {}", quoted(known.keys().map(String::as_str))),
        };
        self.findings.push(Finding::new(span, format!("unknown key `{name}`"), "there is no such key here").help(help));
    }

    fn wrong_type(&mut self, name: &str, value: &Spanned<DeValue<'_>>, types: &[&str], schema: &Value) {
        let wanted: Vec<&str> = types.iter().map(|wanted| type_in_words(wanted)).collect();
        let found = type_in_words(type_of(value.get_ref()));
        let finding =
            Finding::new(value.span(), format!("{name} must be {}", wanted.join(" or ")), format!("this is {found}"));
        let example = schema.get("examples").and_then(|examples| examples.get(0));
        let help = match value.get_ref() {
            _ if example.is_some() => example.map(|example| format!("write for instance {example}")),
            DeValue::Table(_) if types == ["array"] => {
                Some("write two brackets around its name, for instance `[[store]]`".to_owned())
            }
            DeValue::Integer(number) if types == ["string"] => Some(format!("write it in quotes: \"{number}\"")),
            DeValue::String(_) if types == ["array"] => Some("write it in brackets".to_owned()),
            _ => None,
        };
        self.findings.push(finding.maybe_help(help));
    }

    fn choice(&mut self, name: &str, text: &str, span: Range<usize>, schema: &Value) {
        let known = choices(schema);
        if known.is_empty() || known.contains(&text) {
            return;
        }
        let finding =
            Finding::new(span, format!("unknown {name}"), format!("known are {}", quoted(known.iter().copied())));
        let help = nearest(text, known).map(|near| format!("did you mean \"{near}\"?"));
        self.findings.push(finding.maybe_help(help));
    }

    fn range(&mut self, name: &str, number: &DeInteger<'_>, span: Range<usize>, schema: &Value) {
        let bound = |word| schema.get(word).and_then(Value::as_i64);
        let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) else {
            self.out_of_range(name, span, "does not fit into 64 bits".to_owned());
            return;
        };
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.out_of_range(name, span, format!("less than {least}"));
        } else if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.out_of_range(name, span, format!("more than {most}"));
        }
    }

    fn out_of_range(&mut self, name: &str, span: Range<usize>, label: String) {
        self.findings.push(Finding::new(span, format!("{name} is out of range"), label));
    }
}

/// The strings that a schema allows, if it names them.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    // Variants without a description of their own share one list.
    let described =
        described.flat_map(|form| form.get("const").map_or_else(|| choices(form), |value| vec![str_of(value)]));
    listed.map(str_of).chain(described).collect()
}

fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The types that a schema allows; none when it does not say.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().map(str_of).collect(),
        _ if choices(schema).is_empty() => Vec::new(),
        _ => vec!["string"],
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn type_in_words(name: &str) -> &str {
    match name {
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number with a point",
        "boolean" => "true or false",
        "date" => "a date or time",
        "array" => "an array",
        "object" => "a table",
        other => other,
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
