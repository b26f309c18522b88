use std::sync::atomic::{AtomicU64, Ordering};

use vas_config::{ConfigFiles, Environment, GpuChoice, Roles};
use vas_media::{GpuError, RtspClient, SourceRequest, StopFlag, Transport, VaapiError};
use vas_status::DecodedBy;

use super::*;
use crate::gpus::Gpus;

/// Panics at some frames; counts those that it took, and how often decoding began.
#[derive(Clone, Default)]
struct Fragile {
    panics_at: Vec<u64>,
    seen: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
}

impl FrameSink for Fragile {
    fn begin(&mut self, _: &StreamInfo, _: DecoderKind) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&mut self, _: &mut Frame) {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics_at.contains(&number), "injected by a test");
    }
}

struct Rig {
    decode: Decode,
    stats: Arc<InputStats>,
    sink: Fragile,
    packets: Vec<Packet>,
}

impl Rig {
    /// A decode thread's work that has begun a stream of key frames.
    fn new(panics_at: &[u64], after_panic: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vas.toml");
        let url = "testsrc:64x64@200";
        let text = "[service]\nrun_dir = \"/run/vas\"\n[[camera]]\nid = \"gate\"";
        std::fs::write(&path, format!("{text}\nurl = {url:?}\n")).unwrap();
        let files = ConfigFiles::read(&path).unwrap();
        let config = vas_config::understand(&files, &Environment::default()).unwrap();
        let request = SourceRequest {
            url: url.into(),
            transport: Transport::Auto,
            client: RtspClient::Auto,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            sound: false,
        };
        let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
        let packets = (0..5).map(|_| source.next_packet().unwrap().unwrap()).collect();
        let stats = Arc::new(InputStats::default());
        let sink = Fragile { panics_at: panics_at.into(), ..Fragile::default() };
        let decoders = Decoders::new(&config.cameras[0], Roles::ALL, Arc::new(Gpus::default()), 4);
        let mut decode =
            Decode::new(&stats, Box::new(sink.clone()), None, decoders, DecodeFrames::All);
        decode.after_panic = Cooldown::new(after_panic, after_panic);
        decode.guard(|this| this.item(Item::Stream(Box::new(source.stream().clone()))));
        Self { decode, stats, sink, packets }
    }

    /// Decodes all packets; returns frames seen by the sink, beginnings, panics and drops.
    fn play(&mut self) -> [u64; 4] {
        for packet in self.packets.clone() {
            self.decode.guard(|this| this.item(Item::Packet(packet)));
        }
        let counters = &self.stats.counters;
        let dropped = counters.drops().get(DropReason::Undecodable);
        let [seen, begun] =
            [&self.sink.seen, &self.sink.begun].map(|count| count.load(Ordering::Relaxed));
        [seen, begun, counters.decode_panics(), dropped]
    }
}

#[test]
fn a_panic_costs_the_decoder_and_another_begins_at_a_key_frame() {
    let mut rig = Rig::new(&[1, 3], Duration::ZERO);
    assert_eq!(rig.play(), [5, 3, 2, 0]);
    assert_eq!(rig.stats.counters.decoded(), 5);
    assert_eq!(rig.stats.decoder().unwrap().kind, DecodedBy::Software);
}

#[test]
fn after_a_panic_decoding_waits_in_words_and_what_it_misses_is_counted() {
    let mut rig = Rig::new(&[1], Duration::from_secs(3600));
    assert_eq!(rig.play(), [2, 1, 1, 3]);
    let decoder = rig.stats.decoder().unwrap();
    let why = decoder.why.unwrap();
    assert_eq!(decoder.kind, DecodedBy::None);
    assert!(why.contains("injected by a test") && why.contains("3600 s"), "{why}");
    // A new stream does not shorten the wait.
    let stream = rig.decode.stream.clone().unwrap();
    rig.decode.guard(|this| this.item(Item::Stream(Box::new(stream))));
    assert_eq!(rig.play(), [2, 1, 1, 8]);
    // Nor does a rest, after which the reason is there again.
    rig.stats.state.set_decoder(None);
    assert_eq!(rig.play(), [2, 1, 1, 13]);
    assert!(rig.stats.decoder().unwrap().why.unwrap().contains("injected by a test"));
}

#[test]
fn a_packet_at_hand_is_counted_once() {
    let mut rig = Rig::new(&[], Duration::from_secs(3600));
    let held = 2;
    rig.decode.guard(|this| {
        this.held = held;
        this.counted = false;
        panic!("before the packet was taken");
    });
    let dropped = |rig: &Rig| rig.stats.counters.drops().get(DropReason::Undecodable);
    assert_eq!(dropped(&rig), held + 1);
    rig.decode.guard(|_| panic!("between packets"));
    assert_eq!((dropped(&rig), rig.stats.counters.decode_panics()), (held + 1, 2));
}

/// A decoder on a GPU, which holds a number of pictures back, then fails.
struct Failing {
    kind: DecoderKind,
    pictures: u32,
    error: GpuError,
}

impl Decoder for Failing {
    fn send(&mut self, _: &Packet) -> Result<(), DecodeError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn receive(&mut self, _: &mut Frame) -> Result<Received, DecodeError> {
        match self.pictures.checked_sub(1) {
            Some(left) => self.pictures = left,
            None => return Err(self.error.clone().into()),
        }
        Ok(Received::Frame)
    }

    fn decode_only(&mut self, _: DecodeFrames) {}

    fn leaves_out(&mut self, _: &Packet) -> bool {
        false
    }

    fn kind(&self) -> DecoderKind {
        self.kind
    }
}

#[test]
fn what_the_old_decoder_reports_while_it_ends_is_not_the_new_ones() {
    let mut rig = Rig::new(&[], Duration::ZERO);
    let (decoders, gpus) = crate::decoders::tests::decoders();
    let this = &mut rig.decode;
    this.decoders = decoders;
    let error: GpuError = VaapiError::Failed { node: "x".into(), cause: "y".into() }.into();
    let failing = |kind| Box::new(Failing { kind, pictures: 1, error: error.clone() });
    this.decoders.simulate_vaapi();
    let old = Opened { decoder: failing(DecoderKind::Vaapi), on_gpu: true, on_vaapi: true };
    this.begin(old);
    this.decoders.simulate_nvdec();
    assert_eq!(gpus.cameras(), (vec![1], vec![0, 1]));
    let new = Opened { decoder: failing(DecoderKind::Nvdec), on_gpu: true, on_vaapi: false };
    this.change_to(new);
    assert_eq!(this.decoders.reasons(), (None, Some(&error)));
    assert_eq!(gpus.cameras(), (vec![1], vec![0, 0]));
    assert!(gpus.turn(GpuChoice::Auto, 0).unwrap().is_none(), "NVDEC has yet to deliver");
    let decoder = this.stats.decoder().unwrap();
    assert_eq!((decoder.kind, decoder.gpu.as_deref()), (DecodedBy::Nvdec, Some("0")));
    assert!(this.on_gpu && !this.seen_picture);
}

#[test]
fn a_camera_that_nvdec_decodes_leaves_its_render_node() {
    let (mut decoders, gpus) = crate::decoders::tests::decoders();
    decoders.simulate_vaapi();
    decoders.simulate_nvdec();
    let error = GpuError::NoDevice { cause: String::new() };
    let decoder = Box::new(Failing { kind: DecoderKind::Nvdec, pictures: 0, error });
    decoders.begins(&Opened { decoder, on_gpu: true, on_vaapi: false });
    assert_eq!(gpus.cameras(), (vec![1], vec![0, 0]));
}
