//! Reads TOML's spanned tree, table by table.

use std::error::Error;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::nearest::nearest;
use crate::problem::{Fault, Finding, Place};

/// The value of one key.
#[derive(Debug)]
pub enum Field<T> {
    /// The key is missing.
    Absent,
    /// It has a value of another type; this has been reported.
    Wrong,
    /// It has this value, at these bytes.
    Given(Spanned<T>),
}

/// How messages describe a value of the wrong type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By its type alone, in files that may hold secrets.
    Kind,
    /// As it was written.
    Value,
}

/// One table being read. Every key that is asked for is valid; all others are unknown.
#[derive(Debug)]
pub struct Section<'a, F> {
    table: Option<&'a DeTable<'a>>,
    place: Place,
    heading: Range<usize>,
    asked: Vec<&'static str>,
    document: Document<'a, F>,
}

/// What all sections of a text share.
#[derive(Debug)]
struct Document<'a, F> {
    /// Position at which the text begins.
    base: usize,
    found: Found,
    findings: &'a mut Vec<Finding<F>>,
}

/// Reads `text`, which begins at position `base` among all texts; every span counts from the first of them.
///
/// Problems go to `findings`, and what has one is left out. `None` when the text is not TOML: what is missing from it then
/// would be a guess.
pub fn read<T, F: From<Fault>>(
    text: &str,
    base: usize,
    found: Found,
    findings: &mut Vec<Finding<F>>,
    read: impl FnOnce(&mut Section<'_, F>) -> T,
) -> Option<T> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut document = Document { base, found, findings };
    if !errors.is_empty() {
        for error in errors {
            let span = document.moved(error.span().unwrap_or(0..0));
            document.report(Some(span), &Place::FILE, Fault::Syntax(error.message().to_owned()));
        }
        return None;
    }
    let heading = document.moved(0..0);
    Some(document.section(Some(root.get_ref()), Place::FILE, heading, read))
}

/// A string, or a number in the digits that were typed, never by way of a floating point number.
pub fn text_or_number<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    match value {
        DeValue::String(text) => Some(text),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
        DeValue::Float(number) => Some(number.as_str()),
        _ => None,
    }
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn given(self) -> Option<Spanned<T>> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

impl<F: From<Fault>> Document<'_, F> {
    fn moved(&self, span: Range<usize>) -> Range<usize> {
        moved(span, self.base)
    }

    fn report(&mut self, span: Option<Range<usize>>, place: &Place, fault: impl Into<F>) {
        self.findings.push(Finding { span, place: place.clone(), fault: fault.into() });
    }

    /// Reads one table; without one it has no keys. Then reports the keys that were never asked for.
    fn section<T>(
        &mut self,
        table: Option<&DeTable<'_>>,
        place: Place,
        heading: Range<usize>,
        read: impl FnOnce(&mut Section<'_, F>) -> T,
    ) -> T {
        let document = Document { findings: self.findings, ..*self };
        let mut section = Section { table, place, heading, asked: Vec::new(), document };
        let read = read(&mut section);
        section.finish();
        read
    }
}

impl<'a, F: From<Fault>> Section<'a, F> {
    /// The name of this table in messages.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Changes the name for the messages that follow.
    pub fn set_place(&mut self, place: Place) {
        self.place = place;
    }

    /// The bytes of the table's heading.
    pub fn heading(&self) -> Range<usize> {
        self.heading.clone()
    }

    /// Whether the file has this table.
    pub fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The tables in this one, each with the bytes of its name.
    pub fn table_names(&self) -> impl Iterator<Item = (String, Range<usize>)> {
        let keys = self.table.into_iter().flat_map(|table| table.iter());
        keys.filter(|(_, value)| value.get_ref().is_table())
            .map(|(key, _)| (key.get_ref().to_string(), self.document.moved(key.span())))
    }

    /// Reads a string.
    pub fn string(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        self.field(key, expected, |value| value.as_str().map(str::to_owned))
    }

    /// Reads a string and reports it if it is missing.
    pub fn required_string(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        let field = self.string(key, expected);
        if matches!(field, Field::Absent) {
            self.report(Some(self.heading()), Fault::Missing { key, expected });
        }
        field
    }

    /// Reads an array of strings.
    pub fn strings(
        &mut self,
        key: &'static str,
        expected: &'static str,
    ) -> Field<Vec<Spanned<String>>> {
        let base = self.document.base;
        self.field(key, expected, |value| {
            let string = |item: &Spanned<DeValue<'_>>| {
                let text = item.get_ref().as_str()?;
                Some(Spanned::new(moved(item.span(), base), text.to_owned()))
            };
            value.as_array()?.iter().map(string).collect()
        })
    }

    /// Reads a whole number.
    pub fn integer(&mut self, key: &'static str, expected: &'static str) -> Field<i64> {
        self.field(key, expected, |value| value.as_integer().and_then(to_i64))
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Field<bool> {
        self.field(key, "true or false", |value| value.as_bool())
    }

    /// Reads a string, or a number in the digits that were typed.
    pub fn text_or_number(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        self.field(key, expected, |value| text_or_number(value).map(str::to_owned))
    }

    /// Reads a value; one for which `read` returns `None` is reported.
    pub fn field<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Field<T> {
        let Some(value) = self.value(key) else { return Field::Absent };
        match read(value.get_ref()) {
            Some(read) => Field::Given(Spanned::new(self.document.moved(value.span()), read)),
            None => {
                self.wrong_type(key, expected, value);
                Field::Wrong
            }
        }
    }

    /// Makes a value of what was read, or reports why that is impossible.
    pub fn convert<T, V, E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        key: &'static str,
        typed: Spanned<T>,
        convert: impl FnOnce(T) -> Result<V, E>,
    ) -> Option<V> {
        let span = typed.span();
        convert(typed.into_inner())
            .map_err(|why| self.report(Some(span), Fault::Value { key, source: why.into() }))
            .ok()
    }

    /// Reads the table `[name]`.
    pub fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, F>) -> T,
    ) -> T {
        self.table_at(name, Place::table(name), read)
    }

    /// Reads a nested table; its faults are reported as this table's.
    pub fn inner_table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, F>) -> T,
    ) -> T {
        self.table_at(name, self.place.clone(), read)
    }

    /// Reads a nested table; `None` when it is `false` instead.
    pub fn inner_table_unless_false<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, F>) -> T,
    ) -> Option<T> {
        let value = self.table.and_then(|table| table.get(name));
        if value.and_then(|value| value.get_ref().as_bool()) == Some(false) {
            self.asked.push(name);
            return None;
        }
        Some(self.inner_table(name, read))
    }

    fn table_at<T>(
        &mut self,
        name: &'static str,
        place: Place,
        read: impl FnOnce(&mut Section<'_, F>) -> T,
    ) -> T {
        let value = self.value(name);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong_type(name, "a table", value);
        }
        let heading = self.document.moved(value.map_or(0..0, Spanned::span));
        self.document.section(table, place, heading, read)
    }

    /// Reads the tables `[[name]]`, which messages call `name 1` and so on.
    pub fn tables<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&mut Section<'_, F>) -> T,
    ) -> Vec<T> {
        self.tables_at(name, expected, |number| Place::new(format!("{name} {number}")), read)
    }

    /// Reads nested tables; their faults are reported as this table's.
    pub fn inner_tables<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&mut Section<'_, F>) -> T,
    ) -> Vec<T> {
        let place = self.place.clone();
        self.tables_at(name, expected, |_| place.clone(), read)
    }

    fn tables_at<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        place: impl Fn(usize) -> Place,
        read: impl Fn(&mut Section<'_, F>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(name, expected, value);
            return Vec::new();
        };
        let mut typed = Vec::with_capacity(array.len());
        for (item, number) in array.iter().zip(1..) {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong_type(name, expected, item);
                continue;
            };
            let heading = self.document.moved(item.span());
            typed.push(self.document.section(Some(table), place(number), heading, &read));
        }
        typed
    }

    /// Reports a fault in this table; `span` as [`Field`] and [`Section::heading`] have it.
    pub fn report(&mut self, span: Option<Range<usize>>, fault: impl Into<F>) {
        self.document.report(span, &self.place, fault);
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table?.get(key)
    }

    fn wrong_type(
        &mut self,
        key: &'static str,
        expected: &'static str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let found = self.document.found.describe(value.get_ref());
        let span = self.document.moved(value.span());
        self.report(Some(span), Fault::WrongType { key, expected, found });
    }

    /// Reports the keys that were never asked for.
    fn finish(mut self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let fault = Fault::UnknownKey {
                key: name.to_owned(),
                nearest: nearest(name, self.asked.iter().copied()),
                valid: self.asked.clone(),
            };
            let span = self.document.moved(key.span());
            self.report(Some(span), fault);
        }
    }
}

impl Found {
    fn describe(self, value: &DeValue<'_>) -> String {
        match (self, value) {
            (Self::Value, DeValue::String(text)) => format!("{text:?}"),
            (Self::Value, DeValue::Integer(number)) => number.to_string(),
            (Self::Value, DeValue::Float(number)) => number.to_string(),
            (Self::Value, DeValue::Boolean(truth)) => truth.to_string(),
            (Self::Kind, DeValue::String(_)) => "a string".into(),
            (Self::Kind, DeValue::Integer(number)) if to_i64(number).is_none() => {
                "a number beyond 64 bits".into()
            }
            (Self::Kind, DeValue::Integer(_)) => "a whole number".into(),
            (Self::Kind, DeValue::Float(_)) => "a fraction".into(),
            (Self::Kind, DeValue::Boolean(_)) => "true or false".into(),
            (_, DeValue::Datetime(_)) => "a date".into(),
            (_, DeValue::Array(_)) => "an array".into(),
            (_, DeValue::Table(_)) => "a table".into(),
        }
    }
}

/// Shifts a span within one text to its position among all.
fn moved(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

fn to_i64(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, Problems};

    fn problems(text: &str, base: usize, found: Found) -> String {
        let mut findings: Vec<Finding<Fault>> = Vec::new();
        read(text, base, found, &mut findings, |root| {
            root.tables("camera", "a [[camera]] table for each camera", |camera| {
                camera.required_string("id", "a name");
                camera.strings("roles", "a list of strings");
                camera.table("export", |export| export.integer("slots", "a number"));
            })
        });
        let position = |at: usize| Position::of(text.as_bytes(), at - base);
        Problems::new(findings, |at| ("f".into(), position(at))).to_string()
    }

    #[test]
    fn values_are_shown_only_where_they_may_be() {
        let text = "[[camera]]\nid = \"a\"\nroles = \"s3cret\"\nexport = { slots = 99999999999999999999 }\n";
        assert_eq!(
            problems(text, 0, Found::Kind),
            "f:3:9: camera 1: `roles`: expected a list of strings, found a string\n\
             f:4:20: [export]: `slots`: expected a number, found a number beyond 64 bits"
        );
        assert_eq!(
            problems(text, 0, Found::Value),
            "f:3:9: camera 1: `roles`: expected a list of strings, found \"s3cret\"\n\
             f:4:20: [export]: `slots`: expected a number, found 99999999999999999999"
        );
    }

    #[test]
    fn every_span_counts_from_the_first_text() {
        let text = "x = 1\n[[camera]]\nexprot = 1\n[[camera]]\nid = 1\nroles = [1]\n[camera.export]\nslot = 1\n";
        let lines = problems(text, 0, Found::Kind);
        assert_eq!(lines.lines().count(), 6, "{lines}");
        // A span without the base would lie before it, and the subtraction would panic.
        assert_eq!(problems(text, 1000, Found::Kind), lines);
        assert!(problems("x = ", 1000, Found::Kind).starts_with("f:1:"));
    }
}
