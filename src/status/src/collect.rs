//! From what cameras show of themselves to a report of them.

use std::sync::Arc;
use std::time::Instant;

use vas_frame::{CameraId, Demanded};

use super::age::AgeWindow;
use super::memory::rss_anon_bytes;
use super::report::{
    CameraReport, DecoderReport, DemandReport, DownloadReport, ExportReport, InputFacts,
    InputReport, MemoryReport, ProducerReport, RecorderReport, ShardReport, StreamReport,
};
use crate::config::{Role, Roles};
use crate::export::ExportFacts;
use crate::pipeline::{DecoderFacts, DropReason, Shown, State};
use crate::producer;
use crate::record::RecordFacts;

/// What the status looks at for one camera.
#[derive(Debug)]
pub(crate) struct CameraStatus {
    id: CameraId,
    /// At least one.
    inputs: Vec<InputStatus>,
    record: Option<Arc<RecordFacts>>,
    export: Option<Export>,
    producer: Option<Arc<producer::Shown>>,
}

#[derive(Debug)]
struct Export {
    facts: Arc<ExportFacts>,
    ages: AgeWindow,
}

/// What the status looks at for one input.
#[derive(Debug)]
pub(crate) struct InputStatus {
    pub(crate) roles: Roles,
    pub(crate) shown: Arc<Shown>,
}

/// What this process, shard `shard`, has to say of itself and of `cameras`.
/// Its frame path got over so many `panics`.
pub(crate) fn report(shard: u32, cameras: &mut [CameraStatus], panics: u64) -> ShardReport {
    let now = Instant::now();
    let cameras: Vec<_> = cameras.iter_mut().map(|camera| camera.report(shard, now)).collect();
    let exports = || cameras.iter().filter_map(|camera| camera.export.as_ref());
    let memory = MemoryReport {
        rss_anon_bytes: rss_anon_bytes(),
        ring_bytes: exports().map(|export| export.ring_bytes + export.retired_bytes).sum(),
        pinned_bytes: exports().filter_map(|export| export.pinned_bytes).reduce(|a, b| a + b),
    };
    ShardReport { shard, pid: std::process::id(), memory, frame_path_panics: panics, cameras }
}

impl CameraStatus {
    pub(crate) fn new(
        id: CameraId,
        inputs: Vec<InputStatus>,
        record: Option<Arc<RecordFacts>>,
        export: Option<Arc<ExportFacts>>,
        producer: Option<Arc<producer::Shown>>,
    ) -> Self {
        let export = export.map(|facts| Export { facts, ages: AgeWindow::default() });
        Self { id, inputs, record, export, producer }
    }

    /// Says why the camera has not started, and that it is tried again.
    pub(crate) fn waits(&self, words: &str) {
        for input in &self.inputs {
            input.shown.state.set(State::Waiting, words);
        }
    }

    /// Says why there is no export; whether that is news.
    pub(crate) fn refuse_export(&self, words: &str) -> bool {
        self.export.as_ref().is_some_and(|export| export.facts.refuse(words))
    }

    /// What the export was refused for is over.
    pub(crate) fn no_longer_refuse_export(&self) {
        if let Some(export) = &self.export {
            export.facts.no_longer_refuse();
        }
    }

    fn report(&mut self, shard: u32, now: Instant) -> CameraReport {
        let exported = self.inputs.iter().position(|input| input.roles.has(Role::Export));
        let main = &self.inputs[exported.unwrap_or(0)];
        let counters = &main.shown.counters;
        let inputs = self
            .inputs
            .iter()
            .map(|input| InputReport { input: input.roles.to_string(), facts: input.facts() });
        CameraReport {
            id: self.id.to_string(),
            shard,
            inputs: inputs.collect(),
            input: main.facts(),
            decoder: main.shown.state.get().decoder.map(decoder),
            decoded: counters.decoded(),
            marked: counters.marked(),
            exported: counters.exported(),
            dropped: DropReason::ALL
                .iter()
                .map(|(why, name)| ((*name).to_owned(), counters.drops(*why)))
                .collect(),
            export: self.export.as_mut().map(|export| export.report(now)),
            recorder: self.record.as_deref().map(|facts| recorder(facts, &self.inputs)),
            producer: self.producer.as_ref().map(|shown| producer_report(&shown.facts())),
        }
    }
}

impl InputStatus {
    fn facts(&self) -> InputFacts {
        let state = self.shown.state.get();
        let counters = &self.shown.counters;
        InputFacts {
            state: state.state.word().to_owned(),
            // Whoever set it should have left secrets out; a status that shows one is worse than a mask too many.
            reason: vas_media::redact(&state.reason),
            since_s: state.since.map(|since| since.elapsed().as_secs()),
            stream: state.stream.map(|stream| StreamReport {
                codec: stream.codec,
                width: stream.size.map(|size| size.0),
                height: stream.size.map(|size| size.1),
                fps: stream.fps.map(|fps| fps.as_f64()),
                over: stream.carrier,
                client: stream.client.map(|client| client.name().to_owned()),
                client_why: stream.client_why.map(|why| vas_media::redact(&why)),
                loss: if stream.knows_loss { "known" } else { "unknown" }.into(),
            }),
            received: counters.received(),
            received_bytes: counters.received_bytes(),
            reconnects: counters.reconnects(),
        }
    }
}

fn recorder(facts: &RecordFacts, inputs: &[InputStatus]) -> RecorderReport {
    let told = facts.told();
    let input = inputs.iter().find(|input| input.roles.has(Role::Record));
    RecorderReport {
        state: told.state.word().into(),
        reason: vas_media::redact(&told.reason),
        input: input.map(|input| input.roles.to_string()).unwrap_or_default(),
        file: told.file,
        sound: vas_media::redact(&facts.sound()),
        files: facts.files(),
        written_bytes: facts.written_bytes(),
        packets: facts.packets(),
        dropped: facts.dropped(),
    }
}

fn decoder(facts: DecoderFacts) -> DecoderReport {
    DecoderReport {
        kind: facts.kind.into(),
        gpu: facts.gpu.map(|gpu| gpu.to_string()),
        gpu_bytes: facts.gpu_bytes,
        why: facts.why.map(|why| vas_media::redact(&why)),
    }
}

impl Export {
    fn report(&mut self, now: Instant) -> ExportReport {
        let facts = self.facts.get();
        ExportReport {
            state: facts.state.into(),
            detail: facts.detail,
            slots: facts.slots,
            ring_bytes: facts.ring_bytes,
            lease_ms: facts.lease_ms,
            retired_bytes: facts.retired_bytes,
            pinned_bytes: facts.download.pins_ring().then_some(facts.ring_bytes),
            readers: facts.demanded != Demanded::Nothing,
            demand: demand(&facts.demanded),
            age: self.ages.report(self.facts.ages(), now),
            download: Some(DownloadReport {
                engine: facts.download.engine.into(),
                longest_ms: self.facts.take_longest_ns().map(|longest_ns| longest_ns as f64 / 1e6),
                why: facts.download.why,
            }),
        }
    }
}

fn producer_report(facts: &producer::Facts) -> ProducerReport {
    ProducerReport {
        state: facts.state.word().into(),
        reason: facts.reason.clone(),
        video: facts.video.to_string(),
        to: facts.to.to_string(),
        from: facts.from.map(|from| from.to_string()),
        ssrc: facts.ssrc,
        payload_type: facts.payload_type,
        profile_level_id: facts.profile.map(|profile| profile.to_string()),
        encoder: facts.encoder.clone(),
        encoded: facts.encoded,
        pictures: facts.pictures,
        key_frames: facts.key_frames,
        packets: facts.packets,
        sent_bytes: facts.bytes,
        dropped: facts.lost.clone(),
        pli: facts.pli,
        fir: facts.fir,
        receiver_lost: facts.reception.map(|reception| reception.lost),
    }
}

fn demand(demanded: &Demanded) -> DemandReport {
    let max_fps = match demanded {
        Demanded::Nothing | Demanded::EveryFrame => Vec::new(),
        Demanded::Rates(rates) => {
            rates.iter().map(|rate| f64::from(rate.millihertz()) / 1000.0).collect()
        }
    };
    DemandReport { every_frame: *demanded == Demanded::EveryFrame, max_fps }
}
