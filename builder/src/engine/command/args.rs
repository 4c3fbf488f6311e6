//! Collects arguments in the order in which a person reads the command.

use std::ffi::OsString;

use super::filter::Filter;

/// Collects arguments; keeps the `args` functions below in the order in which one reads the command.
#[derive(Debug, Default)]
pub(super) struct Args(pub(super) Vec<OsString>);

impl Args {
    pub(super) fn of(words: &[&str]) -> Self {
        Self(words.iter().map(OsString::from).collect())
    }

    pub(super) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.0.push(word.into());
        self
    }

    pub(super) fn words(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.0.extend(words.into_iter().map(Into::into));
        self
    }

    pub(super) fn flag(self, name: &str, set: bool) -> Self {
        if set { self.word(name) } else { self }
    }

    pub(super) fn option(self, name: &str, value: Option<impl Into<OsString>>) -> Self {
        match value {
            Some(value) => self.word(name).word(value),
            None => self,
        }
    }

    pub(super) fn each(mut self, name: &str, values: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        for value in values {
            self = self.word(name).word(value);
        }
        self
    }

    pub(super) fn pairs(self, name: &str, pairs: &[(String, String)]) -> Self {
        self.each(name, pairs.iter().map(|(key, value)| format!("{key}={value}")))
    }

    pub(super) fn filters(self, filters: &[Filter]) -> Self {
        self.each("--filter", filters.iter().map(Filter::to_string))
    }
}
