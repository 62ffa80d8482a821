//! What a command answered: status, document, error.

use std::fmt;

use serde_json::Value;

use super::schema::faults_of_place;

/// Stands in for every secret that a test plants; no output may hold it.
pub(crate) const CANARY: &str = "c4n4ry-S3cret";

/// The exit status of each kind of error, as the command line promises.
pub(crate) const STATUS: [(&str, i32); 14] = [
    ("unsupported", 10),
    ("invalid", 11),
    ("not-found", 12),
    ("denied", 13),
    ("unavailable", 14),
    ("corrupt", 15),
    ("limit", 16),
    ("no-space", 17),
    ("io", 18),
    ("cancelled", 19),
    ("exists", 20),
    ("unhashed", 21),
    ("crashed", 22),
    ("internal", 23),
];

/// The exit status that goes with this kind.
pub(crate) fn status_of(kind: &str) -> i32 {
    STATUS.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no such kind: {kind}")).1
}

/// The end of a command.
pub(crate) struct Answer {
    line: String,
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    document: Option<Value>,
}

/// As a person would have seen it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, stdout, stderr, .. } = self;
        write!(f, "{line}\nstatus {status}\nstandard output:\n{stdout}\nstandard error:\n{stderr}")
    }
}

impl Answer {
    /// Takes it apart, and holds it to what every answer owes: no control characters, no secret, and one document by its
    /// schema when JSON was asked for.
    pub(crate) fn new(line: String, status: i32, stdout: Vec<u8>, stderr: Vec<u8>, json: bool, terminal: bool) -> Self {
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{line}: not UTF-8: {error}"));
        let (stdout, stderr) = (text(stdout), text(stderr));
        for (name, text) in [("standard output", &stdout), ("standard error", &stderr)] {
            if let Some(found) = control_character(text).filter(|_| !terminal) {
                panic!("{line}: {name} has the control character {found:?}: {text:?}");
            }
            assert!(!has_secret(text), "{line}: {name} has the planted secret: {text}");
        }
        // A command line that is not understood is told of on standard error alone.
        let document = (json && !(status == 2 && stdout.is_empty())).then(|| -> Value {
            serde_json::from_str(&stdout)
                .unwrap_or_else(|error| panic!("{line}: not one JSON document: {error}\n{stdout}\n{stderr}"))
        });
        if let Some(document) = document.as_ref().filter(|document| document["schema"] == "landfall.place/0") {
            let faults = faults_of_place(document);
            assert!(faults.is_empty(), "{line}: {faults:#?}");
        }
        Self { line, status, stdout, stderr, document }
    }

    /// The document that `--json` printed.
    pub(crate) fn document(&self) -> &Value {
        self.document.as_ref().unwrap_or_else(|| panic!("no document: {self:#?}"))
    }

    /// Everything that was printed.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Fails unless the command succeeded; gives the document.
    #[track_caller]
    pub(crate) fn success(&self) -> &Value {
        assert_eq!(self.status, 0, "{self:#?}");
        let Some(document) = &self.document else { return &Value::Null };
        if let Some(ok) = document.get("ok") {
            assert_eq!(ok, true, "{self:#?}");
            assert!(document.get("error").is_none_or(Value::is_null), "{self:#?}");
        }
        document
    }

    /// Fails unless the command failed with exactly this error, in the document and in the exit status.
    #[track_caller]
    pub(crate) fn failure(&self, kind: &str, code: &str, scope: &str) -> &Value {
        let document = self.document();
        assert_eq!(document["ok"], false, "{self:#?}");
        let error = &document["error"];
        let found = [&error["kind"], &error["code"], &error["scope"]].map(|value| value.as_str().unwrap_or("?"));
        assert_eq!(found, [kind, code, scope], "kind, code and scope of {self:#?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:#?}");
        assert_eq!(self.status, status_of(kind), "{self:#?}");
        assert_eq!(document["targets"].as_array().map_or(0, Vec::len), 0, "a failure has no targets: {self:#?}");
        document
    }

    /// Fails unless the command refused its arguments or its configuration, with this in what it says.
    #[track_caller]
    pub(crate) fn usage(&self, said: &str) {
        assert_eq!(self.status, 2, "{self:#?}");
        assert!(self.stderr.contains(said), "{said:?} is not said: {self:#?}");
        assert!(self.stdout.is_empty(), "standard output carries the answer only: {self:#?}");
    }
}

/// The first character that a terminal or a log would act on; a line end is none.
pub(crate) fn control_character(text: &str) -> Option<char> {
    text.chars().find(|&c| c != '\n' && c.is_control())
}

/// Whether the planted secret is there, plain or percent-encoded or escaped.
pub(crate) fn has_secret(text: &str) -> bool {
    text.contains(CANARY)
}
