//! The reference, the sample and the schema say the same as the program.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{project_file, read};
use crate::config::schema;

/// Every key that holds a value, with its schema: `node`, `limits.disks`, `store.id`, `handler.NAME.isolation`.
fn keys(schema: &Value, before: &str, found: &mut BTreeMap<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, schema) in properties.into_iter().flatten() {
        let path = format!("{before}{key}");
        let items = schema.get("items").filter(|items| items.get("properties").is_some());
        let others = schema.get("additionalProperties").filter(|others| others.get("properties").is_some());
        if schema.get("properties").is_some() {
            keys(schema, &format!("{path}."), found);
        } else if let Some(items) = items {
            keys(items, &format!("{path}."), found);
        } else if let Some(others) = others {
            keys(others, &format!("{path}.NAME."), found);
        } else {
            found.insert(path, schema.clone());
        }
    }
}

fn all_keys() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    keys(&schema(), "", &mut found);
    found
}

/// The reference's pages, one after the other.
fn reference() -> String {
    let page = |path| fs::read_to_string(project_file(path)).unwrap();
    page("docs/config.md") + &page("docs/agent.md") + &page("docs/rules.md")
}

#[test]
fn the_schema_is_the_committed_one() {
    let path = project_file("docs/schemas/config.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(committed == text, "{} is out of date: run the test with UPDATE_GOLDEN=1", path.display());
}

#[test]
fn every_key_is_described_in_the_schema() {
    for (key, schema) in all_keys() {
        assert!(schema.get("description").is_some(), "{key}");
    }
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let text = reference();
    let sections = text.split("\n### `").skip(1).map(|section| section.split_once("`\n").unwrap());
    let sections: BTreeMap<&str, &str> = sections.collect();
    let keys = all_keys();
    let (described, known): (Vec<_>, Vec<_>) = (sections.keys().copied().collect(), keys.keys().collect());
    assert_eq!(described, known);

    for (key, section) in sections {
        let facts = section.trim_start().lines().next().unwrap();
        assert!(facts.starts_with("Type: "), "{key}: {facts}");
        if let Some(default) = keys[key].get("default") {
            let default = toml::Value::try_from(default).unwrap().to_string();
            assert!(facts.contains(&format!("Default: `{default}`.")), "{key}: {facts}, not {default}");
        }
        for name in keys[key].get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(section.contains(&format!("`{}`", name)), "{key}: {name}");
        }
        for form in keys[key].get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            assert!(section.contains(&format!("`{}`", form["const"])), "{key}: {form}");
        }
        assert!(section.contains("```toml\n"), "{key} has no example");
    }
}

#[test]
fn the_reference_s_examples_load() {
    let text = reference();
    let examples = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for example in examples {
        read(example).unwrap_or_else(|error| panic!("{error}\nin:\n{example}"));
    }
}

#[test]
fn the_sample_loads_and_has_every_key() {
    let text = fs::read_to_string(project_file("examples/landfall.toml")).unwrap();
    read(&text).unwrap_or_else(|error| panic!("{error}"));

    // A `#` right before a setting turns it off; one before a blank begins an explanation.
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    let all: Vec<String> = text.lines().map(switch_on).collect();
    read(&all.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    for key in all_keys().keys() {
        let name = key.rsplit('.').next().unwrap();
        let sets = |line: &String| {
            line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
                || *line == format!("[{key}]")
        };
        assert!(all.iter().any(sets), "{key} is not in the sample");
    }
}
