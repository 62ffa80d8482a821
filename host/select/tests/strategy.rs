//! Strategies as a configuration writes them, in TOML and JSON, and what is said of wrong ones.

use landfall_select::{Criterion, StoreType, Strategy, StrategyError};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    selection: Strategy,
}

fn parse(toml: &str) -> Result<Strategy, toml::de::Error> {
    toml::from_str(toml).map(|config: Config| config.selection)
}

#[test]
fn without_configuration_weight_decides_and_then_the_record() {
    let expected = [Criterion::Weight, Criterion::LocationOrder];
    assert_eq!(parse("").unwrap().criteria(), expected);
    assert_eq!(Strategy::default().to_string(), "weight, location-order");
}

#[test]
fn a_strategy_is_a_list_of_names_and_tables() {
    let written = r#"selection = [{ store-type = ["file", "s3"] }, "weight", "location-order"]"#;
    let prefer = vec![StoreType::File, StoreType::S3];
    let expected =
        Strategy::new(vec![Criterion::StoreType { prefer }, Criterion::Weight, Criterion::LocationOrder]).unwrap();
    let strategy = parse(written).unwrap();
    assert_eq!(strategy, expected);
    assert_eq!(strategy.to_string(), "store-type [file, s3], weight, location-order");

    let json = serde_json::to_string(&expected).unwrap();
    assert_eq!(json, r#"[{"store-type":["file","s3"]},"weight","location-order"]"#);
    assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), expected);
}

#[test]
fn stores_are_preferred_by_their_ids() {
    let strategy = parse(r#"selection = [{ store = ["fast", "slow"] }, "weight"]"#).unwrap();
    assert_eq!(strategy.to_string(), "store [fast, slow], weight");
    let json = serde_json::to_string(&strategy).unwrap();
    assert_eq!(json, r#"[{"store":["fast","slow"]},"weight"]"#);
    assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), strategy);
}

#[test]
fn every_store_type_has_its_name() {
    for store in StoreType::ALL {
        let strategy = parse(&format!("selection = [{{ store-type = [\"{store}\"] }}]")).unwrap();
        let prefer = vec![*store];
        assert_eq!(strategy.criteria(), [Criterion::StoreType { prefer }]);
    }
}

#[test]
fn a_wrong_list_is_refused_with_what_is_wrong() {
    let table = [
        ("[]", "the list of criteria is empty"),
        (r#"["wieght"]"#, r#"unknown criterion "wieght", known are weight, location-order, store-type, store"#),
        (r#"[{ fastest = [] }]"#, r#"criterion "fastest" takes no settings: write it as a string"#),
        (r#"[{ quickest = [] }]"#, r#"unknown criterion "quickest", known are weight, location-order"#),
        (r#"["weight", "weight"]"#, r#"criterion "weight" stands more than once"#),
        (r#"[{ store-type = ["file"] }, { store-type = ["s3"] }]"#, r#"criterion "store-type" stands more than once"#),
        (r#"["store"]"#, r#"criterion "store" needs a list of the ids of stores: { store = ["fast"] }"#),
        (r#"[{ store = [] }]"#, r#"criterion "store" needs a list of the ids of stores: { store = ["fast"] }"#),
        (r#"[{ store = ["a", "a"] }]"#, r#"store "a" stands more than once"#),
        (r#"[{ store = [""] }]"#, r#""" cannot be the id of a store: at most 64 bytes"#),
        (r#"["store-type"]"#, r#"criterion "store-type" needs a list of store types: { store-type = ["file"] }"#),
        (
            r#"[{ store-type = [] }]"#,
            r#"criterion "store-type" needs a list of store types: { store-type = ["file"] }"#,
        ),
        (
            r#"[{ store-type = ["nfs"] }]"#,
            "unknown store type \"nfs\", known are file, http, rbd, swift, cinder, vmware, s3",
        ),
        (r#"[{ store-type = ["s3", "file", "s3"] }]"#, r#"store type "s3" stands more than once"#),
        (r#"[{ weight = 1 }]"#, r#"criterion "weight" takes no settings: write it as a string"#),
        ("[{}]", "a criterion's table is empty"),
        (r#"[{ store-type = ["file"], weight = 1 }]"#, "a criterion's table has one member"),
        ("[1]", "expected a criterion: a string, or a table such as"),
        (r#""weight""#, "expected a sequence"),
    ];
    for (written, expected) in table {
        let error = parse(&format!("selection = {written}")).unwrap_err();
        let message = error.message();
        assert!(message.contains(expected), "{written}: {message}");
        assert!(error.span().is_some(), "{written}: no place in the file");
    }
}

#[test]
fn an_external_criterion_is_checked_and_has_no_written_form() {
    let strategy = |name: &str| {
        let name = name.to_owned();
        Strategy::new(vec![Criterion::Weight, Criterion::External { name }])
    };
    let fine = strategy("prefer-local").unwrap();
    assert_eq!(fine.to_string(), "weight, prefer-local");
    assert!(serde_json::to_string(&fine).is_err());

    let long = "x".repeat(49);
    for name in ["", "-x", "X", "a b", "a\n", "weight", "status", long.as_str()] {
        let expected = StrategyError::ExternalName(name.to_owned());
        assert_eq!(strategy(name).unwrap_err(), expected);
    }
}
