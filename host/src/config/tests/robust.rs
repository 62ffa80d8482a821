//! Nothing that a file can hold makes the agent panic.

use proptest::prelude::*;

use super::read;
use crate::config::render_effective;

/// Everything that is done with a text, whatever it is.
fn exercise(text: &str) {
    match read(text) {
        Ok(config) => {
            let _ = (render_effective(&config), format!("{config:?}"));
        }
        Err(error) => {
            let _ = (error.render(true), error.render(false), error.summary());
        }
    }
}

/// What lines of a configuration are made of, and a little of what they are not.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "node",
        "labels",
        "handlers",
        "plugin_dirs",
        "plugin_sha256",
        "route",
        "selection",
        "rule",
        "state_dir",
        "stage_keep",
        "limits",
        "disk_bytes",
        "grace",
        "stall",
        "connections",
        "bandwidth",
        "worker_memory",
        "bench",
        "store",
        "id",
        "type",
        "root",
        "mountpoint",
        "hardlink",
        "verify",
        "catalog.a",
        "path",
        "handler.b",
        "isolation",
        "agent",
        "socket",
        "socket_mode",
        "linger",
        "uids",
        "gids",
        "catalogs",
        "targets",
        "password",
        " = ",
        "=",
        "[",
        "]",
        "[[store]]",
        "[limits]",
        "[catalog.a]",
        "[handler.b]",
        "[agent]",
        "[[agent.caller]]",
        "{ ",
        " }",
        ", ",
        "\n",
        "\r\n",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "#",
        ".",
        "\"file\"",
        "\"/a\"",
        "\"worker\"",
        "\"16TiB\"",
        "\"24h\"",
        "\"weight\"",
        "\"0660\"",
        "\"1-4294967295\"",
        "\"*\"",
        "{ store-type = [\"file\"] }",
        "7",
        "-1",
        "1e999",
        "nan",
        "0x10",
        "true",
        "2026-01-02",
        "://u:p@h?q",
        "é",
        "\u{1b}",
        "\u{0}",
        "\u{feff}",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,3}"]
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn anything_like_a_configuration(pieces in prop::collection::vec(piece(), 0..40)) {
        exercise(&pieces.concat());
    }

    #[test]
    fn any_value_for_any_key(
        key in prop::sample::select(vec![
            "node",
            "handlers",
            "isolation",
            "selection",
            "rule",
            "never_fallback",
            "stage_keep",
            "limits.grace",
            "limits.bandwidth",
            "limits.worker_memory",
            "store",
            "handler.a.x",
            "handler.a.isolation",
            "agent",
            "agent.socket",
            "agent.socket_mode",
            "agent.stop",
            "agent.caller",
        ]),
        pieces in prop::collection::vec(piece(), 0..6),
    ) {
        exercise(&format!("{key} = {}\n", pieces.concat()));
    }

    #[test]
    fn no_error_shows_a_password(
        before in prop::collection::vec(piece(), 0..12),
        after in prop::collection::vec(piece(), 0..12),
    ) {
        let (before, after) = (before.concat(), after.concat());
        // Within a string of several lines it would be no key.
        prop_assume!(!before.contains("\"\"\"") && !before.contains("'''"));
        let text = format!("{before}\npassword = \"geheim\"{after}");
        if let Err(error) = read(&text) {
            prop_assert!(!error.render(false).contains("geheim"), "{}", error);
        }
    }
}

#[test]
fn what_is_deep_or_long() {
    exercise(&"[".repeat(100_000));
    exercise(&format!("handler.a.x = {}", "[".repeat(100_000)));
    exercise(&format!("handler.a.x = {}{}", "[".repeat(60), "]".repeat(60)));
    exercise(&"a.".repeat(100_000));
    exercise(&format!("node = \"{}\"", "x".repeat(1 << 20)));
    let many: String = (0..20_000).map(|number| format!("key{number} = 1\n")).collect();
    let shown = read(&many).unwrap_err().to_string();
    assert!(shown.ends_with("and 19980 more"), "{shown}");
}
