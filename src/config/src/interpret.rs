//! From what was typed to what it means: checks every value, fills in every default.

mod export_size;

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use vas_frame::CameraId;
use vas_gate::Rate;
use vas_request::DecodeFrames;
use vas_toml::{Fault as TomlFault, Field, Place, Spanned};

use super::camera_url::CameraUrl;
use super::defaults::{Connection, DEFAULTS, NOT_RECORDED, Recording, Settings};
use super::duration;
use super::environment::Environment;
use super::file_mode::FileMode;
use super::files::ConfigFiles;
use super::group::Group;
use super::input::{Input, Role, Roles};
use super::meaning::{Camera, Config, Decode, Export, GpuChoice, SettingError, WhenIdle};
use super::problem::{Fault, Finding};
use super::producer::{self, Producer, Video};
use super::record::{Keep, Record};
use super::rtsp_client;
use super::size;
use super::transport;
use super::typed::{
    Typed, TypedCamera, TypedConnection, TypedExport, TypedInput, TypedProducer, TypedRecord,
    TypedSettings,
};

/// Makes a config from what was typed in `files`. Adds each problem to `findings` and puts a
/// default in its place, so the result is usable only if nothing was added.
pub(super) fn interpret(
    typed: Typed,
    files: &ConfigFiles,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> Config {
    let mut interpreter = Interpreter { files, environment, findings };
    let run_dir = interpreter.run_dir(&typed.service.run_dir);
    let shards = interpreter.shards(&typed.service.shards);
    let export = interpreter.export(&typed.export);
    let readers_dir = interpreter.readers_dir(&typed.readers.dir);
    let record = interpreter.record(&Place::table("record"), &typed.record, &NOT_RECORDED);
    let defaults = interpreter.settings(&Place::table("defaults"), &typed.defaults, DEFAULTS);
    let cameras: Vec<_> = typed
        .cameras
        .iter()
        .filter_map(|camera| interpreter.camera(camera, defaults, &record))
        .collect();
    interpreter.refuse_duplicates(&typed.cameras);
    interpreter.refuse_shared_transports(&typed.cameras);
    if typed.cameras.is_empty() && interpreter.findings.is_empty() {
        interpreter.report(&Place::FILE, None, Fault::NoCamera);
    }
    Config { run_dir, shards, export, readers_dir, cameras }
}

/// Only the run directory.
pub(super) fn run_dir(
    typed: &Typed,
    files: &ConfigFiles,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> PathBuf {
    let mut interpreter = Interpreter { files, environment, findings };
    interpreter.run_dir(&typed.service.run_dir)
}

struct Interpreter<'a> {
    files: &'a ConfigFiles,
    environment: &'a Environment,
    findings: &'a mut Vec<Finding>,
}

impl Interpreter<'_> {
    fn run_dir(&mut self, typed: &Field<String>) -> PathBuf {
        let place = Place::table("service");
        if let Some(run_dir) = self.value(&place, "run_dir", typed, absolute_folder) {
            return run_dir;
        }
        let default = self.environment.default_run_dir();
        if matches!(typed, Field::Absent) && default.is_none() {
            self.report(&Place::FILE, None, Fault::NoRunDir);
        }
        default.unwrap_or_default()
    }

    fn export(&mut self, typed: &TypedExport) -> Export {
        let place = Place::table("export");
        let groups = &self.environment.groups;
        Export {
            dir: self
                .value(&place, "dir", &typed.dir, absolute_folder)
                .unwrap_or_else(|| Export::DEFAULT_DIR.into()),
            slots: self.slots(&place, &typed.slots),
            hold: self
                .value(&place, "hold", &typed.hold, |typed| duration::parse(typed, Export::HOLD))
                .unwrap_or(Export::DEFAULT_HOLD),
            group: self.value(&place, "group", &typed.group, |name| Group::parse(name, groups)),
            mode: self
                .value(&place, "mode", &typed.mode, FileMode::from_str)
                .unwrap_or(FileMode::DEFAULT),
        }
    }

    fn readers_dir(&mut self, typed: &Field<String>) -> PathBuf {
        let place = Place::table("readers");
        let given = self.value(&place, "dir", typed, absolute_folder);
        given.unwrap_or_else(|| vas_frame::telemetry::DEFAULT_DIR.into())
    }

    fn shards(&mut self, field: &Field<i64>) -> Option<NonZeroU32> {
        let place = Place::table("service");
        self.number(&place, "shards", field, Config::SHARDS).and_then(NonZeroU32::new)
    }

    fn slots(&mut self, place: &Place, field: &Field<i64>) -> Option<u32> {
        self.number(place, "slots", field, Export::SLOTS)
    }

    /// A whole number within `range`.
    fn number(
        &mut self,
        place: &Place,
        key: &'static str,
        field: &Field<i64>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let Field::Given(number) = field else { return None };
        let typed = *number.get_ref();
        let meant = u32::try_from(typed).ok().filter(|number| range.contains(number));
        if meant.is_none() {
            let error = SettingError::OutOfRange { typed, range };
            self.report_value(place, key, number.span(), error);
        }
        meant
    }

    fn record(&mut self, place: &Place, typed: &TypedRecord, defaults: &Recording) -> Recording {
        let keep = defaults.keep;
        Recording {
            dir: self
                .value(place, "dir", &typed.dir, absolute_folder)
                .or_else(|| defaults.dir.clone()),
            segment: self
                .value(place, "segment", &typed.segment, |typed| {
                    duration::parse(typed, Record::SEGMENTS)
                })
                .unwrap_or(defaults.segment),
            sound: match &typed.sound {
                Field::Given(given) => *given.get_ref(),
                _ => defaults.sound,
            },
            keep: Keep {
                time: self
                    .value(place, "keep_for", &typed.keep_for, Keep::parse_time)
                    .unwrap_or(keep.time),
                bytes: self
                    .value(place, "keep_bytes", &typed.keep_bytes, size::parse)
                    .or(keep.bytes),
                free_bytes: self
                    .value(place, "keep_free", &typed.keep_free, size::parse)
                    .unwrap_or(keep.free_bytes),
            },
        }
    }

    fn camera(
        &mut self,
        typed: &TypedCamera,
        defaults: Settings,
        record: &Recording,
    ) -> Option<Camera> {
        let TypedCamera { place, .. } = typed;
        self.require(typed, "id", TypedCamera::ID, &typed.id);
        let id = self.value(place, "id", &typed.id, CameraId::from_str);
        let settings = self.settings(place, &typed.settings, defaults);
        self.check_export_size(typed, &settings);
        self.check_gpu(typed, &settings);
        let inputs = self.inputs(typed, settings.connection);
        let record = typed.record.as_ref().map(|typed| self.record(place, typed, record));
        let Recording { dir, segment, sound, keep } = record.unwrap_or(NOT_RECORDED);
        let name = id.as_ref().map_or("", CameraId::as_str);
        let producer = typed.producer.as_ref().map(|it| self.producer(typed, name, it));
        let is_fed = inputs.iter().flatten().any(|input| input.roles.has(Role::Producer));
        if producer.is_some() && inputs.is_some() && !is_fed {
            self.report(place, Some(typed.heading.clone()), Fault::NoInputFor { role: "producer" });
        }
        let encodes = matches!(&producer, Some(Some(Producer { video: Video::H264, .. })));
        if encodes && settings.decode_frames != DecodeFrames::All {
            let at = match &typed.settings.decode_frames {
                Field::Given(given) => given.span(),
                _ => typed.heading.clone(),
            };
            self.report(place, Some(at), Fault::NotWhenEncoding { key: "decode_frames" });
        }
        Some(Camera {
            id: id?,
            inputs: inputs?,
            record: dir.map(|dir| Record { dir, segment, sound, keep }),
            producer: producer.flatten(),
            decode: settings.decode,
            gpu: settings.gpu,
            decode_frames: settings.decode_frames,
            idle: settings.idle,
            max_fps: settings.max_fps,
            export_size: settings.export_size,
        })
    }

    /// The inputs of a camera; `None` when none is usable.
    fn inputs(&mut self, camera: &TypedCamera, defaults: Connection) -> Option<Vec<Input>> {
        let TypedCamera { place, heading, .. } = camera;
        if camera.inputs.is_empty() {
            self.require(camera, "url", TypedCamera::URL, &camera.url);
            let url = self.url(place, heading, &camera.url)?;
            return Some(vec![defaults.input(url, Roles::ALL)]);
        }
        if let Field::Given(url) = &camera.url {
            self.report(place, Some(url.span()), Fault::UrlAndInputs);
        }
        let mut taken = [None; Role::ALL.len()];
        let inputs = camera.inputs.iter().map(|input| {
            let roles = self.roles(place, input, &mut taken);
            if matches!(input.url, Field::Absent) {
                let fault = TomlFault::Missing { key: "url", expected: TypedCamera::URL };
                self.report(place, Some(input.heading.clone()), fault);
            }
            let connection = self.connection(place, &input.connection, defaults);
            Some(connection.input(self.url(place, &input.heading, &input.url)?, roles))
        });
        // Checks all of them, even after a faulty one.
        inputs.collect::<Vec<_>>().into_iter().collect()
    }

    /// The roles of an input; `taken` holds where earlier inputs claim theirs.
    fn roles(
        &mut self,
        place: &Place,
        input: &TypedInput,
        taken: &mut [Option<usize>; Role::ALL.len()],
    ) -> Roles {
        let mut roles = Roles::default();
        let at = input.heading.start;
        let mut take = |this: &mut Self, role: Role, span: Range<usize>| {
            let first = *taken[role as usize].get_or_insert(at);
            if first == at {
                return roles.add(role);
            }
            let first = this.files.words(first, span.start);
            this.report(place, Some(span), Fault::DuplicateRole { role: role.word(), first });
        };
        match &input.roles {
            Field::Given(list) if list.get_ref().is_empty() => {
                self.report(place, Some(list.span()), Fault::NoRole);
            }
            Field::Given(list) => {
                for word in list.get_ref() {
                    match self.parse_complete(word, Role::from_str) {
                        Ok(role) => take(self, role, word.span()),
                        Err(error) => self.report_value(place, "roles", word.span(), error),
                    }
                }
            }
            Field::Absent => {
                Role::ALL.into_iter().for_each(|role| take(self, role, input.heading.clone()));
            }
            Field::Wrong => {}
        }
        roles
    }

    /// Where a camera's video is sent; `None` when that is not determined.
    fn producer(
        &mut self,
        camera: &TypedCamera,
        id: &str,
        typed: &TypedProducer,
    ) -> Option<Producer> {
        let place = &camera.place;
        if matches!(typed.rtp, Field::Absent) {
            let fault = TomlFault::Missing { key: "rtp", expected: TypedProducer::ADDRESS };
            self.report(place, Some(camera.heading.clone()), fault);
        }
        let video = self.value(place, "video", &typed.video, Video::from_str).unwrap_or_default();
        let mut number = |key, field, range| self.number(place, key, field, range);
        let ssrc = number("ssrc", &typed.ssrc, Producer::SSRCS);
        let payload_type = number("payload_type", &typed.payload_type, Producer::PAYLOAD_TYPES);
        let max_width = number("max_width", &typed.max_width, Producer::PIXELS);
        let max_height = number("max_height", &typed.max_height, Producer::PIXELS);
        let bitrate_kbit = number("bitrate_kbit", &typed.bitrate_kbit, Producer::BITRATES_KBIT);
        let interval = |typed: &str| duration::parse(typed, Producer::KEY_INTERVALS);
        let key_interval = self.value(place, "key_interval", &typed.key_interval, interval);
        let numbers = [
            ("max_width", &typed.max_width),
            ("max_height", &typed.max_height),
            ("bitrate_kbit", &typed.bitrate_kbit),
        ];
        let given = numbers.into_iter().find_map(|(key, field)| match field {
            Field::Given(value) => Some((key, value.span())),
            _ => None,
        });
        let interval = match &typed.key_interval {
            Field::Given(value) => Some(("key_interval", value.span())),
            _ => None,
        };
        if let (Video::Copy, Some((key, span))) = (video, given.or(interval)) {
            self.report(place, Some(span), Fault::OnlyWhenEncoding { key });
        }
        let rtcp = self.value(place, "rtcp", &typed.rtcp, producer::destination);
        Some(Producer {
            rtp: self.value(place, "rtp", &typed.rtp, producer::destination)?,
            rtcp,
            ssrc: ssrc.unwrap_or_else(|| producer::default_ssrc(id)),
            payload_type: payload_type
                .map_or(Producer::DEFAULT_PAYLOAD_TYPE, |number| number as u8),
            video,
            max_width,
            max_height,
            bitrate_kbit,
            key_interval: key_interval.unwrap_or(Producer::DEFAULT_KEY_INTERVAL),
        })
    }

    /// A url in the table at `heading`; relative paths start at the folder of its file.
    fn url(
        &mut self,
        place: &Place,
        heading: &Range<usize>,
        field: &Field<String>,
    ) -> Option<CameraUrl> {
        let folder = &self.files.at(heading.start).folder;
        self.value(place, "url", field, |url| CameraUrl::parse(url, folder))
    }

    fn connection(
        &mut self,
        place: &Place,
        typed: &TypedConnection,
        defaults: Connection,
    ) -> Connection {
        let timeout = |typed: &str| duration::parse(typed, Camera::TIMEOUTS);
        Connection {
            transport: self
                .value(place, "transport", &typed.transport, transport::parse)
                .unwrap_or(defaults.transport),
            rtsp_client: self
                .value(place, "rtsp_client", &typed.rtsp_client, rtsp_client::parse)
                .unwrap_or(defaults.rtsp_client),
            connect_timeout: self
                .value(place, "connect_timeout", &typed.connect_timeout, timeout)
                .unwrap_or(defaults.connect_timeout),
            read_timeout: self
                .value(place, "read_timeout", &typed.read_timeout, timeout)
                .unwrap_or(defaults.read_timeout),
        }
    }

    fn settings(&mut self, place: &Place, typed: &TypedSettings, defaults: Settings) -> Settings {
        Settings {
            connection: self.connection(place, &typed.connection, defaults.connection),
            decode: self
                .value(place, "decode", &typed.decode, Decode::from_str)
                .unwrap_or(defaults.decode),
            gpu: self.value(place, "gpu", &typed.gpu, GpuChoice::from_str).unwrap_or(defaults.gpu),
            decode_frames: self
                .value(place, "decode_frames", &typed.decode_frames, decode_frames)
                .unwrap_or(defaults.decode_frames),
            idle: self
                .value(place, "idle", &typed.idle, WhenIdle::from_str)
                .unwrap_or(defaults.idle),
            max_fps: self
                .value(place, "max_fps", &typed.export.max_fps, Rate::from_str)
                .or(defaults.max_fps),
            export_size: self.export_size(place, &typed.export, defaults.export_size),
        }
    }

    /// Compares ids after `${NAME}` was replaced, whether or not the rest of a camera is valid.
    fn refuse_duplicates(&mut self, cameras: &[TypedCamera]) {
        let mut firsts = HashMap::new();
        for camera in cameras {
            let Field::Given(typed) = &camera.id else { continue };
            let Ok(id) = self.environment.complete(typed.get_ref()) else { continue };
            let at = typed.span();
            match firsts.get(&id) {
                Some(&first) => {
                    let first = self.files.words(first, at.start);
                    self.report(&camera.place, Some(at), Fault::DuplicateId { first });
                }
                None => {
                    firsts.insert(id, at.start);
                }
            }
        }
    }

    /// A PlainTransport takes packets only from the first address that sends any.
    fn refuse_shared_transports(&mut self, cameras: &[TypedCamera]) {
        let mut firsts = HashMap::new();
        for camera in cameras {
            let Some(Field::Given(typed)) = camera.producer.as_ref().map(|it| &it.rtp) else {
                continue;
            };
            let Ok(to) = self.parse_complete(typed, producer::destination) else { continue };
            let at = typed.span();
            let first = *firsts.entry(to).or_insert(at.start);
            if first != at.start {
                let first = self.files.words(first, at.start);
                self.report(&camera.place, Some(at), Fault::SharedTransport { first });
            }
        }
    }

    fn require(
        &mut self,
        camera: &TypedCamera,
        key: &'static str,
        expected: &'static str,
        field: &Field<String>,
    ) {
        if matches!(field, Field::Absent) {
            let fault = TomlFault::Missing { key, expected };
            self.report(&camera.place, Some(camera.heading.clone()), fault);
        }
    }

    /// Completes a string from the environment and parses it; reports errors.
    fn value<T, E: Error + Send + Sync + 'static>(
        &mut self,
        place: &Place,
        key: &'static str,
        field: &Field<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Field::Given(typed) = field else { return None };
        self.parse_complete(typed, parse)
            .map_err(|error| self.report_value(place, key, typed.span(), error))
            .ok()
    }

    fn parse_complete<T, E: Error + Send + Sync + 'static>(
        &self,
        typed: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(parse(&self.environment.complete(typed.get_ref())?)?)
    }

    fn report_value(
        &mut self,
        place: &Place,
        key: &'static str,
        span: Range<usize>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) {
        self.report(place, Some(span), TomlFault::Value { key, source: source.into() });
    }

    fn report(&mut self, place: &Place, span: Option<Range<usize>>, fault: impl Into<Fault>) {
        self.findings.push(Finding { span, place: place.clone(), fault: fault.into() });
    }
}

/// Folders must be absolute: the service and its readers must mean the same one.
fn absolute_folder(typed: &str) -> Result<PathBuf, SettingError> {
    match Path::new(typed) {
        path if path.is_absolute() => Ok(path.into()),
        _ => Err(SettingError::RelativeFolder { typed: typed.into() }),
    }
}

fn decode_frames(typed: &str) -> Result<DecodeFrames, SettingError> {
    match typed {
        "all" => Ok(DecodeFrames::All),
        "reference" => Ok(DecodeFrames::Reference),
        "key" => Ok(DecodeFrames::Key),
        _ => Err(SettingError::DecodeFrames { typed: typed.into() }),
    }
}
