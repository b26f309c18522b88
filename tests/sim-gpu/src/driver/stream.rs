//! Streams, each with a thread that does its work in order.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::context::{self, Context};
use super::event::EVENTS;
use super::order::{self, Order};
use crate::sim::abi::{Handle, Out};
use crate::sim::lock;
use crate::sim::registry::Registry;
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};
use crate::sim::thread::host_function;

/// `CU_STREAM_NON_BLOCKING`: no order with the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_STREAM_LEGACY`, another name of the default stream.
const LEGACY: Handle = Handle(1);

/// All live streams except the default ones, which end with their context.
pub(crate) static STREAMS: Registry<Stream> = Registry::new("stream");

/// One stream.
pub(crate) struct Stream {
    /// Its number in the log, from 1 on.
    pub(crate) number: u64,
    pub(crate) context: Arc<Context>,
    flags: u32,
    is_default: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    queued: u64,
    done: u64,
    /// The work known to have happened before the next.
    order: Order,
    closing: bool,
}

struct Job {
    after: Vec<Point>,
    order: Order,
    work: Work,
}

/// A piece of work. An error makes the context fail.
pub(crate) enum Work {
    /// Nothing; it marks a point in the order.
    Mark,
    /// Work of the device, skipped when the context has failed.
    Device(Box<dyn FnOnce() -> Result + Send>),
    /// Code of the program; gets the context's state, and is skipped if `unless_failed` and the
    /// context has failed.
    Host { run: Box<dyn FnOnce(Result) + Send>, unless_failed: bool },
}

/// A point in a stream's order.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) stream: Arc<Stream>,
    pub(crate) seq: u64,
    order: Order,
}

impl Point {
    /// Whether the stream has passed it.
    pub(crate) fn is_done(&self) -> bool {
        let done = lock(&self.stream.state).done >= self.seq;
        if done {
            order::host_saw(&self.order);
        }
        done
    }

    /// Waits until the stream has passed it.
    pub(crate) fn wait(&self) {
        self.stream.wait_done(self.seq);
        order::host_saw(&self.order);
    }
}

impl Stream {
    fn start(context: &Arc<Context>, flags: u32, is_default: bool) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            context: Arc::clone(context),
            flags,
            is_default,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// A context's default stream.
    pub(crate) fn start_default(context: &Arc<Context>) -> Arc<Self> {
        let stream = Arc::new(Self::start(context, 0, true));
        stream.spawn();
        stream
    }

    fn spawn(self: &Arc<Self>) {
        let stream = Arc::clone(self);
        let name = format!("sim-gpu-s{}", self.number);
        let thread = std::thread::Builder::new().name(name).spawn(move || stream.work());
        thread.expect("the simulated device needs a thread a stream");
    }

    /// Queues work after all before it here, after `after`, and after what the default stream's rule asks.
    pub(crate) fn submit(self: &Arc<Self>, after: Vec<Point>, work: Work) -> Point {
        let mut after = after;
        after.extend(self.implied());
        let mut state = lock(&self.state);
        state.queued += 1;
        let seq = state.queued;
        state.know(&after);
        state.order.cover(self.number, seq);
        let order = state.order.clone();
        state.jobs.push_back(Job { after, order: order.clone(), work });
        self.changed.notify_all();
        Point { stream: Arc::clone(self), seq, order }
    }

    /// Whether work queued now would come after that point.
    pub(crate) fn follows(self: &Arc<Self>, stream: u64, seq: u64) -> bool {
        let implied = self.implied();
        let mut state = lock(&self.state);
        state.know(&implied);
        state.order.covers(stream, seq)
    }

    /// The legacy default stream waits for all blocking streams, and they for it.
    fn implied(self: &Arc<Self>) -> Vec<Point> {
        let blocking = |stream: &Arc<Self>| stream.flags & NON_BLOCKING == 0;
        if self.is_default {
            let streams = self.context.streams();
            streams.iter().filter(|stream| blocking(stream)).map(Self::tail).collect()
        } else if blocking(self) {
            self.context.used_default_stream().map(Self::tail).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// The last work queued.
    pub(crate) fn tail(self: &Arc<Self>) -> Point {
        let state = lock(&self.state);
        Point { stream: Arc::clone(self), seq: state.queued, order: state.order.clone() }
    }

    /// Waits for all queued work.
    pub(crate) fn drain(self: &Arc<Self>) {
        self.tail().wait();
    }

    /// Ends its thread when its work is done.
    pub(crate) fn close(&self) {
        lock(&self.state).closing = true;
        self.changed.notify_all();
    }

    fn wait_done(&self, seq: u64) {
        let mut state = lock(&self.state);
        while state.done < seq {
            state = self.wait(state);
        }
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(self: Arc<Self>) {
        while let Some(job) = self.next() {
            for point in &job.after {
                point.stream.wait_done(point.seq);
            }
            if let Err(status) = job.run(&self.context) {
                self.context.fail(status);
            }
            lock(&self.state).done += 1;
            self.changed.notify_all();
        }
        self.context.remove_stream(&self);
    }

    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            match state.jobs.pop_front() {
                Some(job) => return Some(job),
                None if state.closing => return None,
                None => state = self.wait(state),
            }
        }
    }
}

impl State {
    fn know(&mut self, after: &[Point]) {
        order::join_host(&mut self.order);
        for point in after {
            self.order.join(&point.order);
        }
    }
}

impl Job {
    fn run(self, context: &Context) -> Result {
        let health = context.health();
        match self.work {
            Work::Mark => Ok(()),
            Work::Device(run) => {
                if health.is_ok() {
                    run()
                } else {
                    Ok(())
                }
            }
            Work::Host { run, unless_failed } => {
                order::host_saw(&self.order);
                if health.is_ok() || !unless_failed {
                    host_function(|| run(health));
                }
                Ok(())
            }
        }
    }
}

/// The stream of a handle, its context in working order.
///
/// # Errors
/// An unknown handle, no current context for the default stream, or the context's own error.
pub(crate) fn find(handle: Handle) -> Result<Arc<Stream>> {
    let stream = if handle == Handle::NULL || handle == LEGACY {
        context::current()?.default_stream()
    } else {
        STREAMS.get(handle)?
    };
    stream.context.health()?;
    Ok(stream)
}

fn create(out: &Out<Handle>, flags: u32) -> Result {
    let context = working_context()?;
    let (handle, stream) = STREAMS.insert_with(|_| Stream::start(&context, flags, false));
    stream.spawn();
    context.add_stream(stream);
    out.set(handle)
}

/// A pointer that only the program dereferences.
struct UserData(*mut c_void);

// SAFETY: it is passed to the thread that calls the program back, never dereferenced here.
unsafe impl Send for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

export! {
    fn cuStreamCreate(stream: Out<Handle>, flags: u32) |_call| {
        create(&stream, flags)
    }

    fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: u32, _priority: c_int) |_call| {
        create(&stream, flags)
    }

    fn cuStreamDestroy_v2(stream: Handle) |_call| {
        let stream = STREAMS.remove(stream)?;
        // Queued work is still done, and the context still waits for it.
        stream.close();
        stream.context.health()
    }

    fn cuStreamQuery(stream: Handle) |call| {
        let stream = find(stream)?;
        call.stream = stream.number;
        if stream.tail().is_done() { stream.context.health() } else { Err(Status::NOT_READY) }
    }

    fn cuStreamSynchronize(stream: Handle) |call| {
        let stream = find(stream)?;
        call.stream = stream.number;
        stream.drain();
        stream.context.health()
    }

    fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) |call| {
        let stream = find(stream)?;
        call.stream = stream.number;
        let point = EVENTS.get(event)?.point();
        if let Some(point) = point {
            stream.submit(vec![point], Work::Mark);
        }
        Ok(())
    }

    fn cuStreamGetFlags(stream: Handle, flags: Out<u32>) |_call| {
        flags.set(find(stream)?.flags)
    }

    fn cuStreamGetCtx(stream: Handle, context: Out<Handle>) |_call| {
        context.set(find(stream)?.context.handle)
    }

    fn cuLaunchHostFunc(
        stream: Handle, function: Option<extern "C" fn(*mut c_void)>, data: *mut c_void,
    ) |call| {
        let stream = find(stream)?;
        call.stream = stream.number;
        let function = function.ok_or(Status::INVALID_VALUE)?;
        let data = UserData(data);
        let run = Box::new(move |_: Result| function(data.get()));
        stream.submit(Vec::new(), Work::Host { run, unless_failed: true });
        Ok(())
    }

    fn cuStreamAddCallback(
        stream: Handle, callback: Option<extern "C" fn(Handle, Status, *mut c_void)>,
        data: *mut c_void, _flags: u32,
    ) |call| {
        let handle = stream;
        let stream = find(handle)?;
        call.stream = stream.number;
        let callback = callback.ok_or(Status::INVALID_VALUE)?;
        let data = UserData(data);
        let run = Box::new(move |health: Result| {
            callback(handle, health.err().unwrap_or(Status::SUCCESS), data.get());
        });
        stream.submit(Vec::new(), Work::Host { run, unless_failed: false });
        Ok(())
    }
}
