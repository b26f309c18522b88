//! On which time should a maximum hold? The trial behind docs/design/gate.md, and its tables.
//!
//! Recordings of a camera behind a bad network (tests/rig/cadence.py) pass an interval on each time that
//! could be stored with a frame, the gate, and the throttles that peers have. What a model is given is
//! judged by publication: frames a second, and the most within any second.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;

use ruth_core::ModelId;
use vas_gate::{Limit, Rate, Stamp, State, Timeline, decide};
use vas_replay::{Frame, Recording, Replay, Wanted, highest_in_a_second, mean_rate};

const LIMITS: [u32; 7] = [1, 5, 7, 10, 15, 24, 30];
const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

struct Trial {
    name: &'static str,
    rate: Rate,
    frames: Vec<Frame>,
}

/// A row of the table: what it is, and which frames it gives at a limit, by publication.
struct Row<'a> {
    name: &'a str,
    given: Box<dyn Fn(u32) -> Vec<u64> + 'a>,
}

fn trials() -> [Trial; 4] {
    let files = [("25", 25, 1), ("30", 30, 1), ("29.97", 30000, 1001), ("30-plain", 30, 1)];
    files.map(|(name, num, den)| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/gate");
        let file = File::open(format!("{folder}/{name}.jsonl")).unwrap();
        let frames = Recording::new(BufReader::new(file)).collect::<Result<_, _>>().unwrap();
        Trial { name, rate: Rate::new(num, den).unwrap(), frames }
    })
}

impl Trial {
    fn times(&self, of: impl Fn(&Frame) -> u64) -> Vec<u64> {
        self.frames.iter().map(of).collect()
    }

    fn published(&self) -> Vec<u64> {
        self.times(|frame| frame.stamp.published_ns)
    }

    fn admitted(&self) -> Vec<u64> {
        self.times(|frame| frame.decoded_ns.unwrap())
    }

    fn pts(&self, tick_ns: i64) -> Vec<i64> {
        let pts = self.frames.iter().map(|frame| frame.pts_ns.unwrap());
        pts.map(|pts| pts / tick_ns * tick_ns).collect()
    }

    /// What the tap is to store.
    fn timeline(&self, tick_ns: i64) -> Vec<u64> {
        let mut timeline = Timeline::default();
        let frames = self.pts(tick_ns).into_iter().zip(self.admitted());
        frames.map(|(pts, admitted)| timeline.admit(Some(pts), admitted)).collect()
    }

    /// The camera's time moved by the least delay of the last five seconds, without a bound.
    fn mapped(&self) -> Vec<u64> {
        let delays: Vec<(u64, i64)> = self
            .admitted()
            .into_iter()
            .zip(self.pts(1))
            .map(|(admitted, pts)| (admitted, admitted as i64 - pts))
            .collect();
        let mut last = 0;
        let least = |at: usize| {
            let now = delays[at].0;
            let recent = delays[..=at].iter().rev().take_while(|(then, _)| now - then < 5 * SECOND);
            recent.map(|(_, delay)| *delay).min().unwrap()
        };
        let pts = self.pts(1).into_iter().enumerate();
        pts.map(|(at, pts)| {
            last = last.max((pts + least(at)) as u64);
            last
        })
        .collect()
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let interval = |name, times: Vec<u64>| Row {
            name,
            given: Box::new(move |limit| self.publication(&spaced(&times, limit))),
        };
        let gate = |name, times: Vec<u64>| Row {
            name,
            given: Box::new(move |limit| {
                self.publication(&gated(&times, &self.published(), limit))
            }),
        };
        let positive = |pts: Vec<i64>| pts.into_iter().map(|pts| pts as u64).collect::<Vec<_>>();
        vec![
            Row { name: "best of any rule", given: Box::new(|limit| self.windowed(limit)) },
            interval("interval on publication", self.published()),
            interval("interval on admission", self.admitted()),
            interval("interval on arrival", self.times(|frame| frame.arrival_ns.unwrap())),
            interval("interval on PTS", positive(self.pts(1))),
            interval("interval on PTS mapped, no bound", self.mapped()),
            interval("interval on the time line (before)", self.timeline(1)),
            gate("**gate** (after)", self.timeline(1)),
            interval("interval on PTS of whole ms", positive(self.pts(MS as i64))),
            interval("time line of whole ms (before)", self.timeline(MS as i64)),
            gate("**gate**, whole ms (after)", self.timeline(MS as i64)),
            Row { name: "integer ratio", given: Box::new(|limit| self.ratio(limit)) },
            Row { name: "grid", given: Box::new(|limit| self.grid(limit)) },
            Row {
                name: "sleep",
                given: Box::new(|limit| self.sleeping(limit).iter().map(|(at, _)| *at).collect()),
            },
        ]
    }

    fn publication(&self, chosen: &[usize]) -> Vec<u64> {
        chosen.iter().map(|at| self.frames[*at].stamp.published_ns).collect()
    }

    /// As many frames as can be without more than `limit` in any second of publication, bursts and all.
    fn windowed(&self, limit: u32) -> Vec<u64> {
        let mut given: Vec<u64> = Vec::new();
        for now in self.published() {
            let before = given.len().checked_sub(limit as usize);
            if before.is_none_or(|before| now - given[before] >= SECOND) {
                given.push(now);
            }
        }
        given
    }

    /// Every so many-eth frame, the camera's rate over the limit rounded (Viseron).
    fn ratio(&self, limit: u32) -> Vec<u64> {
        let ratio = f64::from(self.rate.num()) / f64::from(self.rate.den()) / f64::from(limit);
        self.published().into_iter().step_by(ratio.round().max(1.0) as usize).collect()
    }

    /// The first frame in each cell of the camera's time (FFmpeg's fps filter, less its repeats).
    fn grid(&self, limit: u32) -> Vec<u64> {
        let mut last = None;
        let mut first_in_its_cell = |pts: i64| {
            let cell = Some(pts * i64::from(limit) / SECOND as i64);
            std::mem::replace(&mut last, cell) != cell
        };
        let chosen: Vec<_> = self
            .pts(1)
            .into_iter()
            .enumerate()
            .filter(|(_, pts)| first_in_its_cell(*pts))
            .collect();
        chosen.into_iter().map(|(at, _)| self.frames[at].stamp.published_ns).collect()
    }

    /// Take the newest frame, or wait for one; then sleep for an interval. When each was taken, and how
    /// long it had been there.
    fn sleeping(&self, limit: u32) -> Vec<(u64, u64)> {
        let published = self.published();
        let mut taken = Vec::new();
        let (mut now, mut next) = (0, 0);
        while next < published.len() {
            now = published[next].max(now);
            let newest = published.partition_point(|time| *time <= now) - 1;
            taken.push((now, now - published[newest]));
            next = newest + 1;
            now += SECOND.div_ceil(u64::from(limit));
        }
        taken
    }

    fn table(&self) -> String {
        let mut table = format!("| {}.jsonl, limit |", self.name);
        for limit in LIMITS {
            write!(table, " {limit} |").unwrap();
        }
        table += "\n|---|---|---|---|---|---|---|---|\n| an even camera, nothing delayed |";
        let camera = f64::from(self.rate.num()) / f64::from(self.rate.den());
        for limit in LIMITS {
            let whole = (camera / f64::from(limit)).ceil();
            write!(table, " {:.2} |", camera / whole).unwrap();
        }
        table += "\n";
        for Row { name, given } in self.rows() {
            write!(table, "| {name} |").unwrap();
            for limit in LIMITS {
                let given = given(limit);
                let rate = mean_rate(given.iter().copied()).unwrap();
                write!(table, " {rate:.2} / {} |", highest_in_a_second(given)).unwrap();
            }
            table += "\n";
        }
        table
    }
}

/// Frames that are an interval apart on `times`: by the gate, as if they were published so far apart
/// that no second is ever full.
fn spaced(times: &[u64], limit: u32) -> Vec<usize> {
    let apart: Vec<_> = (0..times.len() as u64).map(|at| at * 2 * SECOND).collect();
    gated(times, &apart, limit)
}

/// Frames that the gate allows at `limit`, which keep their distance on `times`.
fn gated(times: &[u64], published: &[u64], limit: u32) -> Vec<usize> {
    let mut state = State::default();
    let limit = Limit::per_second(limit, 1);
    let mut allow = |(at, gate_ns): (usize, u64)| {
        let published_ns = published[at];
        let stamp = Stamp { epoch: 1, frame_id: at as u64, gate_ns, published_ns };
        let allowed = decide(&state, &limit, stamp).is_allow();
        if allowed {
            state.dispatched(stamp);
        }
        allowed.then_some(at)
    };
    times.iter().copied().enumerate().filter_map(&mut allow).collect()
}

#[test]
fn the_documented_tables_are_what_comes_out() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/gate.md");
    let page = std::fs::read_to_string(page).expect("docs/design/gate.md is there");
    let mut all = String::new();
    for trial in trials() {
        all += &trial.table();
        all += "\n";
    }
    let stated =
        all.split("\n\n").filter(|table| !table.is_empty()).all(|table| page.contains(table));
    assert!(stated, "docs/design/gate.md should have:\n{all}");
}

/// Contract R3.2, and what it costs beside the interval alone.
#[test]
fn no_second_holds_more_than_the_maximum_and_few_frames_are_lost() {
    for trial in trials() {
        let published = trial.published();
        for tick_ns in [1, MS as i64] {
            let timeline = trial.timeline(tick_ns);
            for limit in LIMITS {
                let before = spaced(&timeline, limit).len();
                // Readers know when a frame was published; the tap, when it was admitted.
                for known in [&published, &trial.admitted()] {
                    let chosen = gated(&timeline, known, limit);
                    let most = highest_in_a_second(chosen.iter().map(|at| known[*at]));
                    assert!(most <= limit as usize, "{} at {limit}: {most}", trial.name);
                    let after = chosen.len();
                    let kept = after * 100 >= before * 95;
                    assert!(kept, "{} at {limit}: {after} of {before}", trial.name);
                }
            }
        }
    }
}

/// The same by way of the agents of Ruth AI Core.
#[test]
fn no_second_of_a_subscription_holds_more_than_its_maximum() {
    for trial in trials() {
        let wanted = LIMITS.map(|limit| Wanted {
            camera: trial.frames[0].camera.clone(),
            model: ModelId::new(format!("model-{limit}")).unwrap(),
            limit: Limit::per_second(limit, 1),
            active: true,
        });
        let mut replay = Replay::new(&wanted);
        trial.frames.iter().for_each(|frame| replay.show(frame, |_, _| {}));
        let tallies: Vec<_> = replay.tallies().map(|(_, tally)| tally).collect();
        assert_eq!(tallies.len(), LIMITS.len());
        for (tally, limit) in tallies.into_iter().zip(LIMITS) {
            let most = tally.highest_published();
            assert!((1..=limit as usize).contains(&most), "{} at {limit}: {most}", trial.name);
        }
    }
}

#[test]
fn why_it_is_no_other_time() {
    for trial in trials() {
        let count = |times: &[u64], limit| spaced(times, limit).len();
        // A burst is given whole to those who judge by the camera's time.
        let pts: Vec<_> = trial.pts(1).into_iter().map(|pts| pts as u64).collect();
        let burst = highest_in_a_second(trial.publication(&spaced(&pts, 10)));
        assert!(burst > 12 || trial.name == "30-plain", "{}: {burst}", trial.name);
        // Jitter takes frames away from those who judge by ours.
        let (ours, admitted) = (trial.timeline(1), trial.admitted());
        assert!(count(&ours, 30) * 10 > count(&admitted, 30) * 11, "{}", trial.name);
        assert!(count(&ours, 5) > count(&admitted, 5), "{}", trial.name);
    }
}

/// How much older frames are that a sleeping throttle takes, for docs/design/gate.md.
#[test]
fn sleeping_takes_old_frames() {
    let added_ms = trials().map(|trial| {
        let taken = trial.sleeping(10);
        let added: u64 = taken.iter().map(|(_, age)| age).sum();
        added as f64 / taken.len() as f64 / MS as f64
    });
    println!("added at 10 fps, ms: {added_ms:.1?}");
    assert!(added_ms.iter().all(|ms| *ms > 5.0), "{added_ms:?}");
}
