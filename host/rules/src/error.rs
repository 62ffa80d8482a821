use std::error;
use std::fmt;
use std::ops::Range;

/// Why an expression is no rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// What of the expression is wrong, in characters of it; empty where it is the whole.
    pub span: Range<usize>,
    /// For people, in one line of at most [`RuleError::MOST`] characters.
    pub message: String,
}

impl RuleError {
    /// The longest message, in characters.
    pub const MOST: usize = 300;

    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let line = message.lines().next().unwrap_or_default();
        Self { span, message: line.chars().take(Self::MOST).collect() }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self::new(0..0, message)
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for RuleError {}
