//! What was typed: the structure of a config file, before it is interpreted.

use std::collections::HashMap;
use std::ops::Range;

use vas_toml::{Field, Found, Place, Spanned};

use super::files::ConfigFiles;
use super::problem::{Fault, Finding};

type Section<'a> = vas_toml::Section<'a, Fault>;

/// A config file by its keys.
#[derive(Debug)]
pub(crate) struct Typed {
    pub service: TypedService,
    pub export: TypedExport,
    /// `[readers]`.
    pub readers: TypedReaders,
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

/// `[readers]`.
#[derive(Debug)]
pub(crate) struct TypedReaders {
    pub dir: Field<String>,
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
    pub export: TypedCameraExport,
}

/// `[camera.export]`, `[defaults.export]`.
#[derive(Debug)]
pub(crate) struct TypedCameraExport {
    pub max_fps: Field<String>,
    pub width: Field<i64>,
    pub height: Field<i64>,
    pub fit: Field<String>,
}

impl Typed {
    /// Reads `text`, which begins at position `base` among all texts; `None` when it is not TOML.
    pub(crate) fn read(text: &str, base: usize, findings: &mut Vec<Finding>) -> Option<Self> {
        // A url may hold a password: messages describe values by their type.
        vas_toml::read(text, base, Found::Kind, findings, |root| Self {
            service: root.table("service", TypedService::read),
            export: root.table("export", TypedExport::read),
            readers: root.table("readers", TypedReaders::read),
            record: root.table("record", TypedRecord::read),
            defaults: root.table("defaults", TypedSettings::read),
            cameras: root.tables("camera", "a [[camera]] table for each camera", TypedCamera::read),
            tables: root.table_names().collect(),
        })
    }

    /// Adds another file's contents: its cameras, and the tables that are not here yet.
    pub(crate) fn join(&mut self, next: Self, files: &ConfigFiles, findings: &mut Vec<Finding>) {
        let Self { service, export, readers, record, defaults, cameras, tables } = next;
        let here = |table: &str| self.tables.contains_key(table) || !tables.contains_key(table);
        let [keep_service, keep_export, keep_readers, keep_record, keep_defaults] =
            ["service", "export", "readers", "record", "defaults"].map(here);
        replace_unless(keep_service, &mut self.service, service);
        replace_unless(keep_export, &mut self.export, export);
        replace_unless(keep_readers, &mut self.readers, readers);
        replace_unless(keep_record, &mut self.record, record);
        replace_unless(keep_defaults, &mut self.defaults, defaults);
        self.cameras.extend(cameras);
        for (table, at) in tables {
            match self.tables.get(&table) {
                Some(first) => {
                    let first = files.words(first.start, at.start);
                    let fault = Fault::TableTwice { table, first };
                    findings.push(Finding { span: Some(at), place: Place::FILE, fault });
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

impl TypedReaders {
    fn read(section: &mut Section<'_>) -> Self {
        Self { dir: section.string("dir", "a folder such as \"/run/vas-readers\"") }
    }
}

impl TypedRecord {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            dir: section.string("dir", "a folder such as \"/var/lib/vas/recordings\""),
            segment: section.string("segment", "a duration such as \"60s\""),
            sound: section.boolean("sound"),
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

    fn read(section: &mut Section<'_>) -> Self {
        let id = section.string("id", Self::ID);
        if let Field::Given(id) = &id
            && !id.get_ref().is_empty()
        {
            section.set_place(Place::new(format!("camera {:?}", id.get_ref())));
        }
        Self {
            id,
            url: section.string("url", Self::URL),
            producer: section.inner_table("producer", TypedProducer::read),
            inputs: section.inner_tables(
                "input",
                "a [[camera.input]] table for each input",
                TypedInput::read,
            ),
            record: section.inner_table_unless_false("record", TypedRecord::read),
            settings: TypedSettings::read(section),
            place: section.place().clone(),
            heading: section.heading(),
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
        section.is_there().then_some(typed)
    }
}

impl TypedInput {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            url: section.string("url", TypedCamera::URL),
            roles: section.strings("roles", "a list such as [\"record\", \"export\"]"),
            connection: TypedConnection::read(section),
            heading: section.heading(),
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
            gpu: section.text_or_number("gpu", "\"auto\", the number of a GPU such as 0 or a render node such as \"/dev/dri/renderD128\""),
            decode_frames: section.string("decode_frames", "\"all\", \"reference\" or \"key\""),
            idle: section.string("idle", "\"stop\" or \"decode\""),
            export: section.inner_table("export", TypedCameraExport::read),
        }
    }
}

impl TypedCameraExport {
    fn read(section: &mut Section<'_>) -> Self {
        let pixels = "a number of pixels such as 640";
        Self {
            max_fps: section
                .text_or_number("max_fps", "a frame rate such as 5, 12.5 or \"30000/1001\""),
            width: section.integer("width", pixels),
            height: section.integer("height", pixels),
            fit: section.string("fit", "\"fit\", \"stretch\" or \"letterbox\""),
        }
    }
}

fn replace_unless<T>(keep: bool, own: &mut T, other: T) {
    if !keep {
        *own = other;
    }
}
