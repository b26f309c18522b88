//! Frames of several cameras, of about the same time.

use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use vas_frame::{Frame, WaitSet};

use crate::member::{Member, Why};
use crate::pool::Pool;
use crate::time::SIGNALS;

/// A camera whose newest frame lies further than this behind the others' does not set the time.
const LAGGING_NS: i64 = 1_000_000_000;

/// A frame of each camera, all of about the same time.
#[pyclass(frozen, module = "vas_frames")]
pub(crate) struct Aligned {
    frames: Vec<Option<Py<crate::frame::Frame>>>,
    whys: Vec<Option<Why>>,
    names: Vec<Arc<str>>,
    wall: bool,
    at_ns: Option<i64>,
    spread_ns: i64,
}

#[pymethods]
impl Aligned {
    /// The frames, in the site's order; None for a camera that has none within the tolerance.
    #[getter]
    fn frames(&self, py: Python<'_>) -> Vec<Option<Py<crate::frame::Frame>>> {
        self.frames.iter().map(|frame| frame.as_ref().map(|f| f.clone_ref(py))).collect()
    }

    /// Why a camera has no frame, in the site's order: "quiet", "gone", "apart" (none within the tolerance),
    /// "overwritten" or "unreadable"; None for a camera that has one.
    #[getter]
    fn whys(&self) -> Vec<Option<&'static str>> {
        self.whys.iter().map(|why| why.map(Why::word)).collect()
    }

    /// Whether each camera has a frame.
    #[getter]
    fn complete(&self) -> bool {
        self.whys.iter().all(Option::is_none)
    }

    /// The clock by which the frames were aligned: "wall", the cameras' own, if all of them state one; otherwise
    /// "arrival", this host's.
    #[getter]
    fn clock(&self) -> &'static str {
        if self.wall { "wall" } else { "arrival" }
    }

    /// The time that the frames were searched for, in seconds of that clock; None if no camera has a frame.
    #[getter]
    fn at(&self) -> Option<f64> {
        self.at_ns.map(|ns| ns as f64 * 1e-9)
    }

    /// Seconds between the first and the last of the frames.
    #[getter]
    fn spread(&self) -> f64 {
        self.spread_ns as f64 * 1e-9
    }

    fn __bool__(&self) -> bool {
        self.complete()
    }

    fn __repr__(&self) -> String {
        let here = self.frames.iter().flatten().count();
        let mut text = format!(
            "<vas.Aligned {here} of {} cameras by {} clock, {:.1} ms apart",
            self.names.len(),
            self.clock(),
            self.spread_ns as f64 * 1e-6
        );
        for (name, why) in self.names.iter().zip(&self.whys) {
            if let Some(why) = why {
                text.push_str(&format!(", {name} {}", why.word()));
            }
        }
        text.push('>');
        text
    }
}

/// What to search for.
pub(crate) struct Search {
    /// A time of the clock by which frames are aligned; `None` is the latest that all cameras have reached.
    pub(crate) at_ns: Option<i64>,
    /// The largest distance from that time.
    pub(crate) tolerance_ns: i64,
    /// When the search ends; `None` is once all cameras have a frame.
    pub(crate) deadline: Option<Instant>,
}

/// The frames that were chosen.
struct Choice {
    frames: Vec<Result<Frame, Why>>,
    wall: bool,
    at_ns: Option<i64>,
}

fn time_of(frame: &Frame, wall: bool) -> i64 {
    let meta = frame.meta();
    match meta.wall_clock_ns.filter(|_| wall) {
        Some(ns) => ns,
        None => meta.arrival_ns.cast_signed(),
    }
}

/// Chooses, of each camera's frames, the one nearest to `at`, or to the latest time that all cameras have reached.
fn choose(rings: Vec<Result<Vec<Frame>, Why>>, at_ns: Option<i64>, tolerance_ns: i64) -> Choice {
    let wall = rings.iter().flatten().flatten().all(|frame| frame.meta().wall_clock_ns.is_some());
    let newest = |ring: &Vec<Frame>| ring.iter().map(|frame| time_of(frame, wall)).max();
    let latest = rings.iter().flatten().filter_map(newest).max();
    let at_ns = at_ns.or_else(|| {
        let latest = latest?;
        let current = rings.iter().flatten().filter_map(newest);
        current.filter(|newest| latest.saturating_sub(*newest) <= LAGGING_NS).min()
    });
    let frames = rings.into_iter().map(|ring| {
        let (ring, at_ns) = (ring?, at_ns.ok_or(Why::Quiet)?);
        let distance = |frame: &Frame| time_of(frame, wall).abs_diff(at_ns);
        let nearest = ring.into_iter().min_by_key(distance).ok_or(Why::Quiet)?;
        if distance(&nearest) > tolerance_ns.unsigned_abs() { Err(Why::Apart) } else { Ok(nearest) }
    });
    Choice { frames: frames.collect(), wall, at_ns }
}

/// Searches until all cameras have a frame, at least one of them new, or `deadline` has come; then copies what there is.
pub(crate) fn pull(
    py: Python<'_>,
    cameras: &mut [Member],
    wait_set: &mut WaitSet,
    images: &Arc<Pool>,
    names: &[Arc<str>],
    search: &Search,
) -> PyResult<Aligned> {
    let Search { at_ns, tolerance_ns, deadline } = *search;
    let choice = loop {
        let (choice, done) = py.detach(|| {
            let slice = Instant::now() + SIGNALS;
            let until = deadline.map_or(slice, |deadline| deadline.min(slice));
            loop {
                // Before the look: what is published after it ends the wait.
                let points: Vec<_> = cameras.iter().filter_map(Member::wait_point).collect();
                let rings = cameras.iter_mut().map(Member::frames).collect();
                let choice = choose(rings, at_ns, tolerance_ns);
                // What is gone holds nobody up.
                let complete =
                    choice.frames.iter().all(|frame| matches!(frame, Ok(_) | Err(Why::Gone)));
                let is_new = |(camera, frame): (&Member, &Result<Frame, Why>)| {
                    frame.as_ref().is_ok_and(|frame| frame.id() > camera.cursor())
                };
                let new = at_ns.is_some() || cameras.iter().zip(&choice.frames).any(is_new);
                if complete && new {
                    return (choice, true);
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return (choice, deadline.is_some_and(|deadline| deadline <= until));
                }
                wait_set.wait(&points, left);
            }
        });
        py.check_signals()?;
        if done {
            break choice;
        }
    };
    let Choice { frames, wall, at_ns } = choice;
    let (mut copies, mut whys, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for ((frame, camera), name) in frames.into_iter().zip(cameras).zip(names) {
        let copied = frame.and_then(|frame| {
            let mut image = images.take();
            let copied = py.detach(|| frame.copy_if_valid(&mut image.image));
            copied.map(|()| (frame, image)).map_err(|_| {
                camera.overwritten();
                Why::Overwritten
            })
        });
        match copied {
            Ok((frame, image)) => {
                camera.given(&frame);
                camera.advance(&frame);
                times.push(time_of(&frame, wall));
                let (meta, geometry) = (frame.meta(), frame.geometry());
                copies.push(Some(crate::frame::Frame::create(py, name, meta, geometry, image)?));
                whys.push(None);
            }
            Err(why) => {
                copies.push(None);
                whys.push(Some(why));
            }
        }
    }
    let spread =
        times.iter().max().zip(times.iter().min()).map(|(last, first)| last.saturating_sub(*first));
    Ok(Aligned {
        frames: copies,
        whys,
        names: names.to_vec(),
        wall,
        at_ns,
        spread_ns: spread.unwrap_or(0),
    })
}
