//! One table of the file while it is read. Every key that is asked for is a valid one; the rest are
//! unknown.

use std::fmt::Display;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use vas_gate::Rate;

use super::problem::Finding;

/// Similarity (Jaro-Winkler, 0 to 1) from which a key is worth suggesting, as for the service's config.
const WORTH_SAYING: f64 = 0.7;

/// A value, and the bytes that it stands at.
#[derive(Debug)]
pub(super) struct Spanned<T> {
    pub(super) span: Range<usize>,
    pub(super) value: T,
}

/// What `max_fps` was.
#[derive(Debug)]
pub(super) enum Maximum {
    Absent,
    Rate(Rate),
    /// Something else, which has been reported.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// Begins every message: empty, or `subscription 2: `.
    place: String,
    heading: Range<usize>,
    asked: Vec<&'static str>,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        table: &'a DeTable<'a>,
        place: String,
        heading: Range<usize>,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { table, place, heading, asked: Vec::new(), findings }
    }

    /// The bytes of its heading.
    pub(super) fn heading(&self) -> Spanned<()> {
        Spanned { span: self.heading.clone(), value: () }
    }

    /// Reads the tables `[[name]]`.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.asked.push(name);
        let Some(value) = self.table.get(name) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|array| array.iter());
        let tables: Option<Vec<_>> = items.and_then(|items| {
            items.map(|item| Some((item.get_ref().as_table()?, item.span()))).collect()
        });
        let Some(tables) = tables else {
            let words = format!("`{name}`: expected a [[{name}]] table for each");
            self.report(Some(value.span()), words);
            return Vec::new();
        };
        let mut typed = Vec::with_capacity(tables.len());
        for (index, (table, span)) in tables.into_iter().enumerate() {
            let place = format!("{name} {}: ", index + 1);
            let mut section = Section::new(table, place, span, self.findings);
            typed.push(read(&mut section));
            section.finish();
        }
        typed
    }

    /// Reads a string that has to be there.
    pub(super) fn string(&mut self, key: &'static str, expected: &str) -> Option<Spanned<String>> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            let heading = self.heading.clone();
            self.report(Some(heading), format!("`{key}` is missing; expected {expected}"));
            return None;
        }
        self.value(key, expected, |value| value.as_str().map(str::to_owned))
    }

    /// Reads a whole number from 1 to 65535, if it is there.
    pub(super) fn count(&mut self, key: &'static str, expected: &str) -> Option<Spanned<u16>> {
        self.value(key, expected, |value| {
            let number = value.as_integer()?;
            u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number > 0)
        })
    }

    /// Reads `true` or `false`, if it is there.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        self.value(key, "true or false", DeValue::as_bool)
    }

    /// Reads a rate as it was written, never by way of a floating point number.
    pub(super) fn maximum(&mut self, key: &'static str) -> Maximum {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            return Maximum::Absent;
        }
        let expected = "a number above 0 such as 5, 12.5 or \"30000/1001\"";
        let rate = self.value(key, expected, |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        });
        rate.map_or(Maximum::Wrong, |rate| Maximum::Rate(rate.value))
    }

    /// Makes a value of what was read, or reports why it is none.
    pub(super) fn convert<T, V, E: Display>(
        &mut self,
        key: &'static str,
        typed: Spanned<T>,
        convert: impl FnOnce(T) -> Result<V, E>,
    ) -> Option<V> {
        let refused = |why: E| self.report(Some(typed.span), format!("`{key}`: {why}"));
        convert(typed.value).map_err(refused).ok()
    }

    pub(super) fn report(&mut self, span: Option<Range<usize>>, words: impl Display) {
        self.findings.push(Finding::new(span, format!("{}{words}", self.place)));
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<Spanned<T>> {
        self.asked.push(key);
        let value = self.table.get(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            let found = found(value.get_ref());
            self.report(Some(value.span()), format!("`{key}`: expected {expected}, found {found}"));
        }
        read.map(|read| Spanned { span: value.span(), value: read })
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(mut self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = match nearest(name, &self.asked) {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("valid here: {}", self.asked.join(", ")),
            };
            self.report(Some(key.span()), format!("unknown key `{name}`; {hint}"));
        }
    }
}

/// A value as it was written, or what kind of value it is.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    words
        .iter()
        .map(|word| (strsim::jaro_winkler(typed, word), *word))
        .filter(|(similarity, _)| *similarity > WORTH_SAYING)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
