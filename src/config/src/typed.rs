//! What was typed: the structure of a config file, before it is interpreted.
//!
//! Read by hand from TOML's spanned tree: deserialising into structs stops at the first problem and
//! loses the positions of keys, while a user wants all problems of a file at once, each with its
//! line.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::files::ConfigFiles;
use super::nearest::nearest;
use super::problem::{Fault, Place};

/// A config file by its keys.
#[derive(Debug)]
pub(crate) struct Typed {
    pub service: TypedService,
    pub export: TypedExport,
    pub record: TypedRecord,
    pub defaults: TypedSettings,
    /// In the order of the file.
    pub cameras: Vec<TypedCamera>,
    /// The tables that exist, and their positions.
    tables: HashMap<String, Range<usize>>,
}

/// `[service]`.
#[derive(Debug)]
pub(crate) struct TypedService {
    pub run_dir: Field<String>,
    pub shards: Field<i64>,
}

/// `[export]`.
#[derive(Debug)]
pub(crate) struct TypedExport {
    pub dir: Field<String>,
    pub slots: Field<i64>,
    pub hold: Field<String>,
    pub group: Field<String>,
    pub mode: Field<String>,
}

/// `[record]`, or a camera's own.
#[derive(Debug)]
pub(crate) struct TypedRecord {
    pub dir: Field<String>,
    pub segment: Field<String>,
    pub sound: Field<bool>,
    pub keep_for: Field<String>,
    pub keep_bytes: Field<String>,
    pub keep_free: Field<String>,
}

/// One `[[camera]]`.
#[derive(Debug)]
pub(crate) struct TypedCamera {
    /// Its name in messages.
    pub place: Place,
    /// The bytes of its heading.
    pub heading: Range<usize>,
    pub id: Field<String>,
    /// The source of its only input.
    pub url: Field<String>,
    /// `[camera.producer]`.
    pub producer: Option<TypedProducer>,
    /// `[[camera.input]]`, in the order of the file.
    pub inputs: Vec<TypedInput>,
    /// `None` when it is `false`.
    pub record: Option<TypedRecord>,
    pub settings: TypedSettings,
}

/// One `[[camera.input]]`.
#[derive(Debug)]
pub(crate) struct TypedInput {
    /// The bytes of its heading.
    pub heading: Range<usize>,
    pub url: Field<String>,
    pub roles: Field<Vec<Spanned<String>>>,
    pub connection: TypedConnection,
}

/// How an input is connected, which a camera may set for all of its inputs.
#[derive(Debug)]
pub(crate) struct TypedConnection {
    pub transport: Field<String>,
    pub rtsp_client: Field<String>,
    pub connect_timeout: Field<String>,
    pub read_timeout: Field<String>,
}

/// `[camera.producer]`.
#[derive(Debug)]
pub(crate) struct TypedProducer {
    pub rtp: Field<String>,
    pub rtcp: Field<String>,
    pub ssrc: Field<i64>,
    pub payload_type: Field<i64>,
    pub video: Field<String>,
    pub max_width: Field<i64>,
    pub max_height: Field<i64>,
    pub bitrate_kbit: Field<i64>,
    pub key_interval: Field<String>,
}

/// Settings that `[defaults]` and each camera may have.
#[derive(Debug)]
pub(crate) struct TypedSettings {
    pub connection: TypedConnection,
    pub decode_frames: Field<String>,
    pub decode: Field<String>,
    pub gpu: Field<String>,
    pub idle: Field<String>,
    /// From its `[export]`.
    pub max_fps: Field<String>,
}

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

impl Typed {
    /// Reads `text`, which begins at position `base` among all texts. Unknown parts are added to
    /// `findings` and left out. `None` when the text is not TOML: what is missing from it then
    /// would be a guess.
    pub(crate) fn read(text: &str, base: usize, findings: &mut Vec<Finding>) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            findings.extend(errors.into_iter().map(|error| Finding {
                span: error.span().or(Some(0..0)).map(|span| moved(span, base)),
                place: Place::File,
                fault: Fault::Syntax(error.message().to_owned()),
            }));
            return None;
        }
        let tables = root.get_ref().iter().filter(|(_, value)| value.get_ref().is_table());
        let tables = tables.map(|(key, _)| (key.get_ref().to_string(), moved(key.span(), base)));
        let tables = tables.collect();
        let mut root = Section::new(Some(root.get_ref()), Place::File, base, findings);
        let service = root.table("service", TypedService::read);
        let export = root.table("export", TypedExport::read);
        let record = root.table("record", TypedRecord::read);
        let defaults = root.table("defaults", TypedSettings::read);
        let cameras = root.cameras("camera", TypedCamera::read);
        root.finish();
        Some(Self { service, export, record, defaults, cameras, tables })
    }

    /// Adds another file's contents: its cameras, and the tables that are not here yet.
    pub(crate) fn join(&mut self, next: Self, files: &ConfigFiles, findings: &mut Vec<Finding>) {
        let Self { service, export, record, defaults, cameras, tables } = next;
        let here = |table: &str| self.tables.contains_key(table) || !tables.contains_key(table);
        let [keep_service, keep_export, keep_record, keep_defaults] =
            ["service", "export", "record", "defaults"].map(here);
        replace_unless(keep_service, &mut self.service, service);
        replace_unless(keep_export, &mut self.export, export);
        replace_unless(keep_record, &mut self.record, record);
        replace_unless(keep_defaults, &mut self.defaults, defaults);
        self.cameras.extend(cameras);
        for (table, at) in tables {
            match self.tables.get(&table) {
                Some(first) => {
                    let first = files.words(first.start, at.start);
                    let fault = Fault::TableTwice { table, first };
                    findings.push(Finding { span: Some(at), place: Place::File, fault });
                }
                None => {
                    self.tables.insert(table, at);
                }
            }
        }
    }
}

impl TypedService {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            run_dir: section.string("run_dir", "a folder such as \"/run/vas\""),
            shards: section.integer("shards", "a whole number such as 2"),
        }
    }
}

impl TypedExport {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            dir: section.string("dir", "a folder such as \"/dev/shm/vas\""),
            slots: section.integer("slots", "a whole number such as 16"),
            hold: section.string("hold", "a duration such as \"500ms\""),
            group: section.string("group", "the name of a group such as \"video\""),
            mode: section.string("mode", "an octal string such as \"0640\""),
        }
    }
}

impl TypedRecord {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            dir: section.string("dir", "a folder such as \"/var/lib/vas/recordings\""),
            segment: section.string("segment", "a duration such as \"60s\""),
            sound: section.boolean("sound", "true or false"),
            keep_for: section.string("keep_for", "a duration such as \"7d\", or \"forever\""),
            keep_bytes: section.string("keep_bytes", "an amount such as \"500GiB\""),
            keep_free: section.string("keep_free", "an amount such as \"1GiB\""),
        }
    }
}

impl TypedCamera {
    /// What a `url` is, for messages.
    pub(crate) const URL: &str = "a string such as \"rtsp://10.0.0.2/stream\"";
    /// What an `id` is, for messages.
    pub(crate) const ID: &str = "a name such as \"gate\"";

    fn read(section: &mut Section<'_>, heading: Range<usize>) -> Self {
        Self {
            id: section.string("id", Self::ID),
            url: section.string("url", Self::URL),
            producer: section.inner_table("producer", TypedProducer::read),
            inputs: section.inner_tables("input", TypedInput::read),
            record: section.inner_table_unless_false("record", TypedRecord::read),
            settings: TypedSettings::read(section),
            place: section.place.clone(),
            heading,
        }
    }
}

impl TypedProducer {
    /// What an address is, for messages.
    pub(crate) const ADDRESS: &str =
        "an address such as \"127.0.0.1:40000\" or \"mediasoup:40000\"";

    /// `None` when the table is missing.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let pixels = "a number of pixels such as 1280";
        let typed = Self {
            rtp: section.string("rtp", Self::ADDRESS),
            rtcp: section.string("rtcp", Self::ADDRESS),
            ssrc: section.integer("ssrc", "a whole number such as 22222222"),
            payload_type: section.integer("payload_type", "a whole number such as 96"),
            video: section.string("video", "\"copy\" or \"h264\""),
            max_width: section.integer("max_width", pixels),
            max_height: section.integer("max_height", pixels),
            bitrate_kbit: section.integer("bitrate_kbit", "a whole number such as 2500"),
            key_interval: section.string("key_interval", "a duration such as \"2s\""),
        };
        section.table.is_some().then_some(typed)
    }
}

impl TypedInput {
    fn read(section: &mut Section<'_>, heading: Range<usize>) -> Self {
        Self {
            url: section.string("url", TypedCamera::URL),
            roles: section.strings("roles", "a list such as [\"record\", \"export\"]"),
            connection: TypedConnection::read(section),
            heading,
        }
    }
}

impl TypedConnection {
    fn read(section: &mut Section<'_>) -> Self {
        let duration = "a duration such as \"10s\"";
        Self {
            transport: section.string("transport", "\"auto\", \"tcp\" or \"udp\""),
            rtsp_client: section.string("rtsp_client", "\"auto\", \"retina\" or \"ffmpeg\""),
            connect_timeout: section.string("connect_timeout", duration),
            read_timeout: section.string("read_timeout", duration),
        }
    }
}

impl TypedSettings {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            connection: TypedConnection::read(section),
            decode: section.string("decode", "\"auto\", \"nvdec\" or \"software\""),
            gpu: section.text_or_number("gpu", "\"auto\" or the number of a GPU such as 0"),
            decode_frames: section.string("decode_frames", "\"all\", \"reference\" or \"key\""),
            idle: section.string("idle", "\"stop\" or \"decode\""),
            max_fps: section.inner_table("export", |export| {
                export.text_or_number("max_fps", "a frame rate such as 5, 12.5 or \"30000/1001\"")
            }),
        }
    }
}

/// One table being read. Every key that is asked for is valid; all others are unknown.
struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    place: Place,
    /// Position at which the text begins.
    base: usize,
    asked: Vec<&'static str>,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Section<'a> {
    /// A section of `table`; without one it has no keys.
    fn new(
        table: Option<&'a DeTable<'a>>,
        place: Place,
        base: usize,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { table, place, base, asked: Vec::new(), findings }
    }

    fn string(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        self.field(key, expected, |value| value.as_str().map(str::to_owned))
    }

    fn strings(
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

    fn integer(&mut self, key: &'static str, expected: &'static str) -> Field<i64> {
        self.field(key, expected, |value| value.as_integer().and_then(to_i64))
    }

    fn boolean(&mut self, key: &'static str, expected: &'static str) -> Field<bool> {
        self.field(key, expected, |value| value.as_bool())
    }

    /// A string, or a number in the digits that were typed.
    fn text_or_number(&mut self, key: &'static str, expected: &'static str) -> Field<String> {
        self.field(key, expected, |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => None,
        })
    }

    fn field<T>(
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
    fn table<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.table_at(name, Place::Table(name), read)
    }

    /// Reads a nested table; its faults are reported as this table's.
    fn inner_table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        self.table_at(name, self.place.clone(), read)
    }

    /// Reads a nested table; `None` when it is `false` instead.
    fn inner_table_unless_false<T>(
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

    fn table_at<T>(
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
    fn cameras<T>(
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
    fn inner_tables<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Section<'_>, Range<usize>) -> T,
    ) -> Vec<T> {
        let place = self.place.clone();
        let expected = "a [[camera.input]] table for each input";
        self.tables(name, expected, read, |_, _| place.clone())
    }

    fn tables<T>(
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
    fn finish(self) {
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
fn moved(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

fn replace_unless<T>(keep: bool, own: &mut T, other: T) {
    if !keep {
        *own = other;
    }
}

fn to_i64(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
