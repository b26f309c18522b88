//! The recorder branch: packets to files, one file for each segment.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use vas_config::Record;
use vas_frame::CameraId;
use vas_media::monotonic_ns;
use vas_media::{
    Moment, Mp4Writer, MuxError, Packet, ParameterSets, Placed, RawTimes, Sound, SoundLine,
    StreamInfo, Timeline,
};
use vas_pipeline::{Branch, BranchStats, Item, Limits, Packets};
use vas_status::{NotRecorded, RecorderState};

use super::camera_dir::CameraDir;
use super::error::RecordError;
use super::housekeeping::Housekeeping;
use super::index::RecordingIndex;
use super::name::Name;
use super::retention::{Kept, now_ns};
use super::stats::RecorderStats;

/// What may wait while a disk is slow: 40 s at 6 Mbit/s. Dropping earlier gains nothing.
const LIMITS: Limits = Limits { bytes: 32 << 20, wait: None };
/// The most that a crash loses.
const FRAGMENT: Duration = Duration::from_secs(1);
/// The delay before a retry, which begins at the next key frame.
const RETRY_NS: u64 = 2_000_000_000;
/// A file that has been open for this many segment lengths ends, whatever its timeline says: a
/// camera whose timestamps stand still would otherwise never have a closed file.
const MOST_OPEN: u32 = 2;
/// How often to check whether the file still exists.
const CHECK_NS: u64 = 1_000_000_000;

/// All that the thread needs.
#[derive(Debug)]
pub struct Recorder {
    camera: CameraId,
    record: Record,
    index: Arc<RecordingIndex>,
    housekeeping: Arc<Housekeeping>,
    stats: Arc<RecorderStats>,
    camera_dir: Option<CameraDir>,
    stream: Option<Stream>,
    open: Option<Segment>,
    /// No retry before this time.
    retry_ns: u64,
}

/// The stream that is recorded.
#[derive(Debug)]
struct Stream {
    info: StreamInfo,
    line: Timeline,
    /// The first packets, until their times are known.
    lead: Option<Vec<Packet>>,
    sets: Option<ParameterSets>,
    /// The parameter sets in effect, where packets carry them.
    current: Option<Vec<u8>>,
    /// The timeline restarted since the last key frame.
    jumped: bool,
}

/// A file that is written.
#[derive(Debug)]
struct Segment {
    name: Name,
    file: Arc<File>,
    mp4: Mp4Writer,
    began_ns: i64,
    /// Where its first packet lies.
    first: Placed,
    sets: Option<Vec<u8>>,
    /// Places sound, if there is any.
    sound: Option<SoundLine>,
    checked_ns: u64,
}

/// A file whose bytes are counted.
struct Counted(Arc<File>, Arc<RecorderStats>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.0).write(bytes)?;
        self.1.wrote(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Branch for Recorder {
    fn job(&self) -> &'static str {
        "record"
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn takes_sound(&self) -> bool {
        self.record.sound
    }

    fn stats(&self) -> Arc<dyn BranchStats> {
        Arc::clone(&self.stats) as _
    }

    fn run(mut self: Box<Self>, packets: Arc<Packets>) {
        // At once: files that a crash left open get their names, and expired ones are deleted, with
        // or without a camera.
        if let Err(error) = self.take_camera_dir() {
            self.failed(&error);
        }
        while let Some(item) = packets.pop() {
            match item {
                Item::Stream(info) => self.begin(*info),
                Item::Packet(packet) if packet.is_sound() => self.sound(&packet),
                Item::Packet(packet) => self.packet(packet),
                Item::End => self.end(),
            }
        }
        self.end();
    }
}

impl Recorder {
    pub(super) fn new(
        camera: CameraId,
        record: Record,
        index: Arc<RecordingIndex>,
        housekeeping: Arc<Housekeeping>,
        stats: &Arc<RecorderStats>,
    ) -> Self {
        let stats = Arc::clone(stats);
        let (camera_dir, stream, open) = (None, None, None);
        Self { camera, record, index, housekeeping, stats, camera_dir, stream, open, retry_ns: 0 }
    }

    fn begin(&mut self, info: StreamInfo) {
        self.end();
        let sets = ParameterSets::of(&info.parameters).unwrap_or_else(|error| {
            // Fall back to the stream's own description.
            tracing::warn!("can't read parameter sets from packets: {error}");
            None
        });
        self.stats.set_sound(&self.words_on_sound(&info.sound));
        let line = Timeline::new(info.time_base, info.fps, info.parameters.reorder_delay());
        let lead = Some(Vec::new());
        self.stream = Some(Stream { info, line, lead, sets, current: None, jumped: false });
    }

    /// The status word for sound; a reason for leaving it out is also logged.
    fn words_on_sound(&self, sound: &Sound) -> String {
        match sound {
            Sound::Comes(sound) => sound.codec.to_owned(),
            Sound::None => "none".to_owned(),
            Sound::LeftOut { why } => {
                let words = format!("left out: {why}");
                if words != self.stats.sound() {
                    tracing::warn!("sound is {words}");
                }
                words
            }
        }
    }

    fn end(&mut self) {
        if let Some(lead) = self.stream.as_mut().and_then(|stream| stream.lead.take()) {
            self.lead(lead);
        }
        self.close();
        self.stream = None;
        if self.stats.state() == RecorderState::Recording {
            self.stats.set_state(RecorderState::Waiting, String::new(), None);
        }
    }

    /// Adds sound to the open file. There is none before the first key frame, or while none can be
    /// written.
    fn sound(&mut self, packet: &Packet) {
        let Some(open) = &mut self.open else { return };
        let Some(line) = &mut open.sound else { return };
        let Some(ticks) = line.place(packet.raw_times().pts, moment(packet)) else { return };
        let placed = Placed { pts: ticks, dts: ticks, jump: false };
        let written = open.mp4.write(packet, placed, packet.duration_ticks().unwrap_or(0));
        if let (Err(error), Some(camera_dir)) = (written, &self.camera_dir) {
            let error = RecordError::mux(&camera_dir.dir().join(open.name.unfinished()), error);
            self.abandon();
            self.failed(&error);
        }
    }

    fn packet(&mut self, packet: Packet) {
        let Some(stream) = &mut self.stream else { return };
        let Some(mut lead) = stream.lead.take() else {
            return self.timed(&packet, packet.raw_times());
        };
        lead.push(packet);
        let times: Vec<_> = lead.iter().map(Packet::raw_times).collect();
        if !Timeline::lead_is_known(&times) {
            stream.lead = Some(lead);
            return;
        }
        self.lead(lead);
    }

    /// Records the packets with which a stream began.
    fn lead(&mut self, lead: Vec<Packet>) {
        let Some(stream) = &self.stream else { return };
        let mut times: Vec<_> = lead.iter().map(Packet::raw_times).collect();
        stream.line.fill_lead(&mut times);
        for (packet, times) in lead.iter().zip(times) {
            self.timed(packet, times);
        }
    }

    fn timed(&mut self, packet: &Packet, times: RawTimes) {
        let Some(stream) = &mut self.stream else { return };
        let placed = stream.line.place(times, packet.arrival_ns());
        stream.jumped |= placed.jump;
        if packet.is_key() {
            stream.read_sets(packet);
            if self.is_over(placed) {
                self.close();
            }
            if let Some(stream) = &mut self.stream {
                stream.jumped = false;
            }
        }
        if self.open.is_none() {
            if !packet.is_key() {
                let why = match self.stats.state() {
                    RecorderState::Full | RecorderState::Failed => NotRecorded::Unwritable,
                    RecorderState::Waiting | RecorderState::Recording => NotRecorded::BeforeKey,
                };
                return self.stats.not_recorded(why, 1);
            }
            if monotonic_ns() < self.retry_ns {
                return self.stats.not_recorded(NotRecorded::Unwritable, 1);
            }
            if let Err(error) = self.open(packet, placed) {
                let why = match error {
                    RecordError::Mux(MuxError::Unsupported { .. }) => NotRecorded::Unsupported,
                    _ => NotRecorded::Unwritable,
                };
                self.stats.not_recorded(why, 1);
                return self.failed(&error);
            }
        }
        match self.write(packet, placed) {
            Ok(()) => self.stats.recorded_packet(),
            Err(error) => {
                self.stats.not_recorded(NotRecorded::Unwritable, 1);
                self.abandon();
                self.failed(&error);
            }
        }
    }

    /// Whether the open file ends before the key frame at `placed`.
    fn is_over(&self, placed: Placed) -> bool {
        let (Some(open), Some(stream)) = (&self.open, &self.stream) else { return false };
        let length = stream.line.duration(placed.dts.saturating_sub(open.first.dts));
        let open_for = u64::try_from(now_ns().saturating_sub(open.began_ns)).unwrap_or(0);
        let is_old =
            Duration::from_nanos(open_for) >= self.record.segment.saturating_mul(MOST_OPEN);
        let is_long = length >= self.record.segment || is_old;
        stream.jumped || stream.current != open.sets || is_long
    }

    fn take_camera_dir(&mut self) -> Result<(), RecordError> {
        let camera_dir = CameraDir::take(&self.record.dir, &self.camera)?;
        let found = camera_dir.list()?;
        self.index.fill(&camera_dir, found, Timestamp::now(), now_ns());
        self.camera_dir = Some(camera_dir);
        Ok(())
    }

    fn open(&mut self, packet: &Packet, placed: Placed) -> Result<(), RecordError> {
        if let Some(stream) = &self.stream {
            Mp4Writer::takes(&stream.info.codec).map_err(RecordError::Mux)?;
        }
        // While no file was open, the folder may have been replaced, or another disk mounted there.
        if self.camera_dir.as_ref().is_some_and(|camera_dir| !camera_dir.is_there()) {
            self.leave_camera_dir();
        }
        if self.camera_dir.is_none() {
            self.take_camera_dir()?;
        }
        let (Some(camera_dir), Some(stream)) = (&self.camera_dir, &self.stream) else {
            return Ok(());
        };
        // Its time of arrival, by the wall clock's current setting.
        let waited = monotonic_ns().saturating_sub(packet.arrival_ns());
        let waited = SignedDuration::from_nanos(i64::try_from(waited).unwrap_or(0));
        let began = Timestamp::now().checked_sub(waited).map_err(|_| RecordError::NoName)?;
        let (name, file) = camera_dir.create(began)?;
        let path = camera_dir.dir().join(name.unfinished());
        let file = Arc::new(file);
        let writer = Box::new(Counted(Arc::clone(&file), Arc::clone(&self.stats)));
        let sets = stream.current.clone();
        let mp4 =
            Mp4Writer::begin(&stream.info, sets.as_deref(), FRAGMENT, &name.rfc3339(), writer);
        let mp4 = match mp4 {
            Ok(mp4) => mp4,
            Err(error) => {
                // The file is still empty. If it can't be removed, the next start finds it.
                let _ = std::fs::remove_file(&path);
                return Err(RecordError::mux(&path, error));
            }
        };
        let checked_ns = monotonic_ns();
        let began_ns = now_ns();
        let sound = match &stream.info.sound {
            Sound::Comes(sound) => {
                let stats = stream.line.duration(placed.pts.saturating_sub(placed.dts));
                let shown_ns = i64::try_from(stats.as_nanos()).unwrap_or(0);
                Some(SoundLine::new(sound.time_base, sound.same_scale, moment(packet), shown_ns))
            }
            Sound::None | Sound::LeftOut { .. } => None,
        };
        let first = placed;
        self.open = Some(Segment { name, file, mp4, began_ns, first, sets, sound, checked_ns });
        let path = path.display().to_string();
        if self.stats.set_state(RecorderState::Recording, String::new(), Some(path)) {
            tracing::info!("recording into {}", camera_dir.dir().display());
        }
        Ok(())
    }

    fn write(&mut self, packet: &Packet, placed: Placed) -> Result<(), RecordError> {
        let (Some(open), Some(camera_dir), Some(stream)) =
            (&mut self.open, &self.camera_dir, &self.stream)
        else {
            return Ok(());
        };
        let path = || camera_dir.dir().join(open.name.unfinished());
        let first = open.first.dts;
        let placed = Placed { pts: placed.pts - first, dts: placed.dts - first, ..placed };
        let written = open.mp4.write(packet, placed, stream.line.nominal());
        written.map_err(|error| RecordError::mux(&path(), error))?;
        let now = monotonic_ns();
        if now.saturating_sub(open.checked_ns) >= CHECK_NS {
            open.checked_ns = now;
            if !camera_dir.still_has(&open.file, open.name) {
                return Err(RecordError::Gone { path: path() });
            }
        }
        Ok(())
    }

    /// Closes the open file properly.
    fn close(&mut self) {
        let Some(Segment { name, file, mp4, began_ns, .. }) = self.open.take() else { return };
        let Some(camera_dir) = &self.camera_dir else { return };
        let path = camera_dir.dir().join(name.unfinished());
        let finished = mp4.finish().map_err(|error| RecordError::mux(&path, error));
        match finished.and_then(|()| camera_dir.close(&file, name)) {
            Ok(name) => self.keep(name, began_ns, file.metadata().map_or(0, |meta| meta.len())),
            Err(error) => {
                self.mend(name, began_ns);
                self.failed(&error);
            }
        }
    }

    /// Ends the open file as it is.
    fn abandon(&mut self) {
        let Some(Segment { name, mp4, began_ns, .. }) = self.open.take() else { return };
        drop(mp4);
        self.mend(name, began_ns);
    }

    /// Keeps the complete part of a file that could not be written to its end. If that fails too,
    /// the folder is locked again, which retries it.
    fn mend(&mut self, name: Name, began_ns: i64) {
        let Some(camera_dir) = &self.camera_dir else { return };
        match camera_dir.mend(name) {
            Ok(Some(name)) => {
                let path = camera_dir.dir().join(name.path());
                let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
                self.keep(name, began_ns, bytes);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!("{error}");
                self.leave_camera_dir();
            }
        }
    }

    fn leave_camera_dir(&mut self) {
        self.index.leave();
        self.camera_dir = None;
    }

    fn keep(&self, name: Name, began_ns: i64, bytes: u64) {
        self.stats.closed_file();
        self.index.add(name, Kept { began_ns, bytes });
    }

    /// Reports the failure and schedules a retry.
    fn failed(&mut self, error: &RecordError) {
        self.retry_ns = monotonic_ns().saturating_add(RETRY_NS);
        let state = if error.is_full() { RecorderState::Full } else { RecorderState::Failed };
        if error.is_full() {
            self.housekeeping.need_room();
        }
        if self.stats.set_state(state, error.to_string(), None) {
            tracing::warn!("not recorded: {error}");
        }
    }
}

/// A packet's time, by all clocks that are known.
fn moment(packet: &Packet) -> Moment {
    let (pts_ns, wall_clock_ns) = (packet.pts_ns(), packet.wall_clock_ns());
    Moment { pts_ns, wall_clock_ns, arrival_ns: packet.arrival_ns() }
}

impl Stream {
    /// Reads the parameter sets of a key frame that has them.
    fn read_sets(&mut self, packet: &Packet) {
        let Some(sets) = &mut self.sets else { return };
        match sets.read(packet) {
            Ok(Some(found)) => self.current = Some(found),
            Ok(None) => {}
            Err(error) => tracing::debug!("can't read parameter sets from a packet: {error}"),
        }
    }
}
