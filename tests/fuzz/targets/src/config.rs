//! The configuration: shown as it is meant, it means the same; what is wrong with it can be shown.

use std::path::Path;

use landfall::config::{Config, parse_duration, parse_size, render_effective};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = Path::new("landfall.toml");
    match Config::from_toml(text, name) {
        Ok(config) => {
            let shown = render_effective(&config);
            // A secret is not shown, and so not read again.
            if !shown.contains("***") {
                let again = Config::from_toml(&shown, name);
                let again = again.unwrap_or_else(|error| panic!("{}\n{shown}", error.render(false)));
                assert!(again == config, "as it is shown:\n{shown}");
            }
        }
        Err(error) => assert!(!error.render(false).is_empty() && !error.summary().is_empty()),
    }
    if let Ok(bytes) = parse_size(text) {
        assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
    }
    let _ = parse_duration(text);
}
