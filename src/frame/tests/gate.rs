//! A reader with a gate gets its maximum, whatever the camera's rate, by metadata alone.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, FrameMeta, FrameRate, Geometry, Notifier,
    OpenRing, PublishMeta, ReadError, Reader, RingOptions, monotonic_ns,
};
use vas_gate::{Limit, State, decide};

/// A reader with a maximum rate.
struct Model {
    reader: Reader,
    limit: Limit,
    state: State,
    last: u64,
    given: Vec<u64>,
}

fn stamp(meta: &FrameMeta) -> vas_gate::Stamp {
    // As if each frame had been published at its own time instead of as fast as this test can.
    vas_gate::Stamp { published_ns: meta.gate_ns, ..meta.into() }
}

impl Model {
    fn new(reader: Reader, limit: Limit) -> Self {
        Self { reader, limit, state: State::default(), last: 0, given: Vec::new() }
    }

    /// Takes every frame that is due for it now.
    fn look(&mut self) {
        let (state, limit) = (self.state, self.limit);
        let wanted = |meta: &FrameMeta| decide(&state, &limit, stamp(meta)).is_allow();
        match self.reader.seek(self.last).set_timeout(Duration::ZERO).newer_if(wanted) {
            Ok(frame) => {
                self.last = frame.meta().frame_id;
                self.given.push(self.last);
                self.state.dispatched(stamp(frame.meta()));
            }
            Err(ReadError::TimedOut { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn readers_with_a_gate_get_their_maximum_each() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let camera = CameraId::new("gate").unwrap();
    let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
    let notifier = Arc::new(Notifier::start().unwrap());
    let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
    let options = RingOptions {
        slots: 4,
        lease: Duration::ZERO,
        frame_rate: Some(FrameRate { num: 30, den: 1 }),
    };
    let geometry = Geometry::new(16, 16, Color::default(), 8).unwrap();
    let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
        panic!("no lease to wait for")
    };
    let mut models = [Limit::per_second(5, 1), Limit::per_second(7, 1), Limit::UNLIMITED]
        .map(|limit| Model::new(Reader::options().dir(dir.path()).open(&camera).unwrap(), limit));
    // Two seconds at 30 fps, published as fast as possible: only the frames' own time counts.
    for id in 1..=60 {
        let slot = writer.claim(monotonic_ns()).unwrap();
        let gate_ns = (id - 1) * 1_000_000_000 / 30;
        slot.publish(&PublishMeta { frame_id: id, gate_ns, ..PublishMeta::default() });
        models.iter_mut().for_each(Model::look);
    }
    let [five, seven, all] = models.map(|model| model.given);
    // A frame exactly a second after the fifth before it may fall into the same second: then the next
    // one is due.
    let each_sixth = (1..=25).step_by(6).chain((32..=60).step_by(6));
    assert_eq!(five, each_sixth.collect::<Vec<_>>());
    assert_eq!(seven, (1..=60).step_by(5).collect::<Vec<_>>());
    assert_eq!(all, (1..=60).collect::<Vec<_>>());
}
