//! What is wrong with a configuration, shown with the line and a caret.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use landfall_handler_api::{Error, ErrorKind, Scope};

/// More findings than this help nobody.
const SHOWN_MAX: usize = 20;

/// Why there is no configuration. `Display` gives the text for people, several lines without colours.
#[derive(Clone)]
pub struct ConfigError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    /// The file, for people.
    name: String,
    /// The file's text without its secrets, as long as the original so that spans fit.
    text: String,
    /// At least one, by position.
    findings: Vec<Finding>,
}

/// One thing that is wrong, and where. Nothing in it repeats a value that may be a secret.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    message: String,
    span: Option<Range<usize>>,
    label: String,
    help: Option<String>,
    related: Option<(Range<usize>, &'static str)>,
}

impl Finding {
    /// `message` is the headline, `label` stands at the caret.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span: Some(span), label: label.into(), ..Self::without_place(message) }
    }

    /// A finding that is not about a place in the text.
    pub(super) fn without_place(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, label: String::new(), help: None, related: None }
    }

    /// What TOML's parser or serde says, under the headline `message`.
    pub(super) fn from_toml(message: &str, error: &toml::de::Error) -> Self {
        Self::new(error.span().unwrap_or(0..0), message, error.message())
    }

    /// Adds what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do about it, where that is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Adds another place that has a part in it.
    pub(super) fn related(mut self, span: Range<usize>, label: &'static str) -> Self {
        self.related = Some((span, label));
        self
    }

    fn render(&self, renderer: &Renderer, name: &str, text: &str) -> String {
        // Keys come from the file and may hold anything.
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&self.message));
        let label = normalize_untrusted_str(&self.label);
        let mut group = match &self.span {
            None => Group::with_title(title),
            Some(span) => {
                let mark = AnnotationKind::Primary.span(within(text, span)).label(label.as_str());
                let related = self.related.as_ref();
                let related =
                    related.map(|(span, label)| AnnotationKind::Context.span(within(text, span)).label(*label));
                title.element(
                    Snippet::source(text).path(normalize_untrusted_str(name)).annotation(mark).annotations(related),
                )
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }

    /// `3:14: MESSAGE (LABEL)`
    fn line(&self, text: &str) -> String {
        let Some(span) = &self.span else { return self.message.clone() };
        let before = &text[..within(text, span).start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{line}:{column}: {} ({})", self.message, self.label)
    }
}

/// The part of `span` that is in `text`, at character boundaries: those of a parser's error need not be.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = boundary(span.start);
    start..boundary(span.end).max(start)
}

impl ConfigError {
    /// The file could not be read, or must not be.
    pub(super) fn unread(kind: ErrorKind, code: &'static str, name: String, finding: Finding) -> Self {
        Self(Box::new(Inner { kind, code, name, text: String::new(), findings: vec![finding] }))
    }

    /// The text is wrong in these places; at least one. Its secrets are blotted out already.
    pub(super) fn wrong(name: String, text: String, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
        Self(Box::new(Inner { kind: ErrorKind::Invalid, code: "config", name, text, findings }))
    }

    /// The text for people: for each finding the message, the line and a caret.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let Inner { name, text, findings, .. } = &*self.0;
        let shown = findings.iter().take(SHOWN_MAX).map(|finding| finding.render(&renderer, name, text));
        let mut parts: Vec<String> = shown.collect();
        if let Some(more @ 1..) = findings.len().checked_sub(SHOWN_MAX) {
            parts.push(format!("and {more} more"));
        }
        parts.join("\n\n")
    }

    /// The first finding in one line, for logs and JSON.
    pub fn summary(&self) -> String {
        let Inner { name, text, findings, .. } = &*self.0;
        let first = findings.first().expect("an error has a finding");
        let more = match findings.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let place = if first.span.is_some() { format!("{name}:") } else { String::new() };
        normalize_untrusted_str(&format!("{place}{}{more}", first.line(text)))
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The precise cause, kebab-case: `config`, `config-untrusted`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// As `Display`: the findings are unreadable without their text.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(error.kind(), error.code(), error.summary()).scoped(Scope::Request)
    }
}
