//! Reads TOML's spanned tree by hand, table by table: deserialising into structs stops at the first problem and loses the
//! positions of keys, while a user wants all problems of a file at once, each with its line.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::nearest::nearest;
use super::problem::{Fault, Place};

/// The value of one key.
#[derive(Debug)]
pub(crate) enum Field<T> {
    /// The key is missing.
    Absent,
    /// It has a value of another type; this has been reported.
    Wrong,
    /// It has this value, at these bytes.
    Given(Spanned<T>),
}

/// A fault found while reading, and the bytes that it concerns.
#[derive(Debug)]
pub(crate) struct Finding {
    /// `None` when it concerns the whole file.
    pub span: Option<Range<usize>>,
    pub place: Place,
    pub fault: Fault,
}

/// One table being read. Every key that is asked for is valid; all others are unknown.
pub(super) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    place: Place,
    /// Position at which the text begins.
    base: usize,
    asked: Vec<&'static str>,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Section<'a> {
    /// A section of `table`; without one it has no keys.
    pub(super) fn new(
        table: Option<&'a DeTable<'a>>,
        place: Place,
        base: usize,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { table, place, base, asked: Vec::new(), findings }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the file has this table.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn string(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        self.field(key, expected, |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn strings(
        &mut self,
        key: &'static str,
        expected: &'static str,
    ) -> Field<Vec<Spanned<String>>> {
        let base = self.base;
        self.field(key, expected, |value| {
            let string = |item: &Spanned<DeValue<'_>>| {
                let text = item.get_ref().as_str()?;
                Some(Spanned::new(moved(item.span(), base), text.to_owned()))
            };
            value.as_array()?.iter().map(string).collect()
        })
    }

    pub(super) fn integer(&mut self, key: &'static str, expected: &'static str) -> Field<i64> {
        self.field(key, expected, |value| value.as_integer().and_then(to_i64))
    }

    pub(super) fn boolean(&mut self, key: &'static str, expected: &'static str) -> Field<bool> {
        self.field(key, expected, |value| value.as_bool())
    }

    /// A string, or a number in the digits that were typed.
    pub(super) fn text_or_number(
        &mut self,
        key: &'static str,
        expected: &'static str,
    ) -> Field<String> {
        self.field(key, expected, |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => None,
        })
    }

    pub(super) fn field<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Field<T> {
        let Some(value) = self.value(key) else { return Field::Absent };
        match read(value.get_ref()) {
            Some(read) => Field::Given(Spanned::new(moved(value.span(), self.base), read)),
            None => {
                self.wrong_type(key, expected, value);
                Field::Wrong
            }
        }
    }

    /// Reads the table `[name]`.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        self.table_at(name, Place::Table(name), read)
    }

    /// Reads a nested table; its faults are reported as this table's.
    pub(super) fn inner_table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        self.table_at(name, self.place.clone(), read)
    }

    /// Reads a nested table; `None` when it is `false` instead.
    pub(super) fn inner_table_unless_false<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        let value = self.table.and_then(|table| table.get(name));
        if value.and_then(|value| value.get_ref().as_bool()) == Some(false) {
            self.asked.push(name);
            return None;
        }
        Some(self.inner_table(name, read))
    }

    pub(super) fn table_at<T>(
        &mut self,
        name: &'static str,
        place: Place,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let value = self.value(name);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong_type(name, "a table", value);
        }
        let mut section = Section::new(table, place, self.base, self.findings);
        let typed = read(&mut section);
        section.finish();
        typed
    }

    /// Reads the tables `[[name]]`, each of which is a camera.
    pub(super) fn cameras<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Section<'_>, Range<usize>) -> T,
    ) -> Vec<T> {
        let expected = "a [[camera]] table for each camera";
        self.tables(name, expected, read, |table, index| {
            match table.get("id").and_then(|id| id.get_ref().as_str()) {
                Some(id) if !id.is_empty() => Place::Camera(id.to_owned()),
                _ => Place::NthCamera(index + 1),
            }
        })
    }

    /// Reads nested tables; their faults are reported as this table's.
    pub(super) fn inner_tables<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Section<'_>, Range<usize>) -> T,
    ) -> Vec<T> {
        let place = self.place.clone();
        let expected = "a [[camera.input]] table for each input";
        self.tables(name, expected, read, |_, _| place.clone())
    }

    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&mut Section<'_>, Range<usize>) -> T,
        place: impl Fn(&DeTable<'_>, usize) -> Place,
    ) -> Vec<T> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(name, expected, value);
            return Vec::new();
        };
        let mut typed = Vec::with_capacity(array.len());
        for (index, item) in array.iter().enumerate() {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong_type(name, expected, item);
                continue;
            };
            let place = place(table, index);
            let mut section = Section::new(Some(table), place, self.base, self.findings);
            let heading = moved(item.span(), section.base);
            typed.push(read(&mut section, heading));
            section.finish();
        }
        typed
    }

    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table?.get(key)
    }

    pub(super) fn wrong_type(
        &mut self,
        key: &'static str,
        expected: &'static str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(integer) if to_i64(integer).is_none() => "a number beyond 64 bits",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let fault = Fault::WrongType { key, expected, found };
        let span = Some(moved(value.span(), self.base));
        self.findings.push(Finding { span, place: self.place.clone(), fault });
    }

    /// Reports the keys that were never asked for.
    pub(super) fn finish(self) {
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
            self.findings.push(Finding {
                span: Some(moved(key.span(), self.base)),
                place: self.place.clone(),
                fault,
            });
        }
    }
}

/// Shifts a span within one text to its position among all.
pub(super) fn moved(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

fn to_i64(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
