//! Events: a point in a stream's order, replaced by each new recording.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::context::Context;
use super::stream::{self, Point, Work};
use crate::sim::abi::{Handle, Out};
use crate::sim::lock;
use crate::sim::registry::Registry;
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;

/// All living events.
pub(crate) static EVENTS: Registry<Event> = Registry::new("event");

/// One event.
pub(crate) struct Event {
    context: Arc<Context>,
    flags: u32,
    recorded: Mutex<Option<Recording>>,
}

struct Recording {
    point: Point,
    time: Arc<OnceLock<Instant>>,
}

impl Event {
    /// The point where it was last recorded. A waiter keeps that point, whatever is recorded later.
    pub(crate) fn point(&self) -> Option<Point> {
        lock(&self.recorded).as_ref().map(|recording| recording.point.clone())
    }

    fn time(&self) -> Result<Instant> {
        if self.flags & DISABLE_TIMING != 0 {
            return Err(Status::INVALID_HANDLE);
        }
        let recorded = lock(&self.recorded);
        let time = &recorded.as_ref().ok_or(Status::INVALID_HANDLE)?.time;
        time.get().copied().ok_or(Status::NOT_READY)
    }
}

export! {
    fn cuEventCreate(event: Out<Handle>, flags: u32) |_call| {
        let context = working_context()?;
        event.set(EVENTS.insert(Event { context, flags, recorded: Mutex::new(None) }))
    }

    fn cuEventDestroy_v2(event: Handle) |_call| {
        EVENTS.remove(event)?.context.health()
    }

    fn cuEventRecord(event: Handle, stream: Handle) |call| {
        let event = EVENTS.get(event)?;
        let stream = stream::find(stream)?;
        call.stream = stream.number;
        if !Arc::ptr_eq(&event.context, &stream.context) {
            return Err(Status::INVALID_HANDLE);
        }
        let time = Arc::new(OnceLock::new());
        let stamp = Arc::clone(&time);
        let (device, troubles) = (stream.context.device, call.take_troubles());
        let work = Work::Device(Box::new(move || {
            troubles.befall(device, Duration::ZERO)?;
            // Set once: each recording has its own stamp.
            let _first = stamp.set(Instant::now());
            Ok(())
        }));
        let point = stream.submit(Vec::new(), work);
        *lock(&event.recorded) = Some(Recording { point, time });
        Ok(())
    }

    fn cuEventQuery(event: Handle) |_call| {
        let event = EVENTS.get(event)?;
        event.context.health()?;
        let done = event.point().is_none_or(|point| point.is_done());
        if done { event.context.health() } else { Err(Status::NOT_READY) }
    }

    fn cuEventSynchronize(event: Handle) |call| {
        let event = EVENTS.get(event)?;
        event.context.health()?;
        if let Some(point) = event.point() {
            call.stream = point.stream.number;
            point.wait();
        }
        event.context.health()
    }

    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) |_call| {
        let (start, end) = (EVENTS.get(start)?, EVENTS.get(end)?);
        let (from, to) = (start.time()?, end.time()?);
        let seconds = if to >= from { (to - from).as_secs_f32() } else { -(from - to).as_secs_f32() };
        milliseconds.set(seconds * 1e3)
    }
}
