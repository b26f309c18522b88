//! Question: what does a decision cost compared with the minimum, one comparison in 128 bits?
//!
//! A thousand cameras have ten subscriptions each, and one frame comes from each camera: ten thousand
//! decisions. `Compare` multiplies and compares, on the same memory, without first frames or epochs.
//! `Gate` is `decide`. `Agents` asks the stream agents of Ruth AI Core for all subscriptions of each
//! camera. Half of the frames are due. States are read from memory last touched one round before.
//!
//!     cargo bench -p vas-bench --bench gate

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use ruth_core::{CameraId, FrameBinding, ModelId, Registry};
use vas_bench::measure;
use vas_gate::{Limit, Stamp, State, decide};

const CAMERAS: u64 = 1000;
const MODELS: u64 = 10;
const MS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Compare,
    Gate,
    Agents,
}

/// The bare comparison's data of a subscription, as large as the gate's.
struct Bare {
    last_ns: u64,
    num: u64,
    den_ns: u64,
    _rest: [u64; 4],
}

struct Subscriptions {
    bare: Vec<Bare>,
    gate: Vec<(State, Limit)>,
    agents: Registry,
}

/// The last dispatched frame, or the next one.
fn stamp(camera: u64, ms: u64) -> Stamp {
    let now_ns = (camera + ms) * MS;
    Stamp { epoch: 1, frame_id: ms, gate_ns: now_ns, published_ns: now_ns }
}

/// From 1 to 10 fps: 100 ms to a second apart.
fn limit(model: u64) -> (u32, Limit) {
    let fps = model as u32 + 1;
    (fps, Limit::per_second(fps, 1))
}

impl Subscriptions {
    fn new() -> Self {
        let mut all = Self { bare: Vec::new(), gate: Vec::new(), agents: Registry::default() };
        for camera in 0..CAMERAS {
            all.add_camera(camera);
        }
        all
    }

    fn add_camera(&mut self, camera: u64) {
        let last = stamp(camera, 0);
        let id = CameraId::new(format!("camera-{camera}")).expect("a fair name");
        let path = id.to_string();
        let agent = self.agents.create(id).expect("each has its own");
        agent.start().expect("a new agent");
        let binding = FrameBinding { path, epoch: 1, width: 1920, height: 1080 };
        agent.bind(binding).expect("its own export");
        for model in 0..MODELS {
            let (fps, limit) = limit(model);
            let (last_ns, den_ns) = (last.gate_ns, 1000 * MS);
            self.bare.push(Bare { last_ns, num: fps.into(), den_ns, _rest: [0; 4] });
            let mut state = State::default();
            state.dispatched(last);
            self.gate.push((state, limit));
            let id = ModelId::new(format!("model-{model}")).expect("a fair name");
            agent.subscribe(id.clone(), limit).expect("each model once");
            agent.record_dispatch(&id, last).expect("the agent runs");
        }
    }

    /// Decides on a frame of each camera, `ms` after the last; returns how many are allowed.
    fn round(&self, way: Way, ms: u64) -> usize {
        match way {
            Way::Compare => self.by_comparing(ms),
            Way::Gate => self.by_gate(ms),
            Way::Agents => self.by_agents(ms),
        }
    }

    fn by_comparing(&self, ms: u64) -> usize {
        let cameras = self.bare.chunks_exact(MODELS as usize).zip(0..);
        let due = |now: Stamp, one: &Bare| {
            let elapsed_ns = now.gate_ns - one.last_ns;
            u128::from(elapsed_ns) * u128::from(one.num) >= u128::from(one.den_ns)
        };
        cameras
            .map(|(bare, camera)| {
                let now = black_box(stamp(camera, ms));
                bare.iter().filter(|one| due(now, one)).count()
            })
            .sum()
    }

    fn by_gate(&self, ms: u64) -> usize {
        let cameras = self.gate.chunks_exact(MODELS as usize).zip(0..);
        cameras
            .map(|(gate, camera)| {
                let now = black_box(stamp(camera, ms));
                let due = |(state, limit): &&(State, Limit)| decide(state, limit, now).is_allow();
                gate.iter().filter(due).count()
            })
            .sum()
    }

    fn by_agents(&self, ms: u64) -> usize {
        let frame_of = |agent: &ruth_core::StreamAgent| {
            let id = agent.camera_id().as_str();
            id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        // In the order of ids, which are strings; each with its own frame.
        self.agents
            .agents()
            .map(|agent| {
                let now = black_box(stamp(frame_of(agent), ms));
                agent.decide_each(now).filter(|(_, verdict)| verdict.is_allow()).count()
            })
            .sum()
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let all = Subscriptions::new();
    // After 200 ms the subscriptions of 5 to 10 fps are due, in each way alike.
    let due = CAMERAS as usize * 6;
    let title = format!("one frame of {CAMERAS} cameras for {MODELS} subscriptions each");
    let ways = [Way::Compare, Way::Gate, Way::Agents];
    measure(&mut criterion, &title, &ways, &[Way::Compare], |way| {
        let start = Instant::now();
        let allowed = black_box(all.round(way, black_box(200)));
        let took = start.elapsed();
        assert_eq!(allowed, due, "{way:?}");
        took
    });
    println!("\nmemory of a subscription: gate {} bytes", size_of::<(State, Limit)>());
    criterion.final_summary();
}
