//! Batches on a fixed number of threads.
//!
//! House rules. Workers reach the jobs of a batch through a pointer that is published under the lock and withdrawn,
//! under the same lock, before [`Pool::run`] returns: then no worker is [`State::working`], and none that comes later
//! finds a batch. Each job is given to the one thread that counted [`Shared::next`] past it.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vas_threads::{OwnedThread, StopRequest, caught};

use crate::error::PassError;
use crate::plan::{Output, Plan};
use crate::scratch::Scratch;
use crate::source::Source;

/// A picture of a batch, the plan for it, and the place of its tensor.
#[derive(Debug)]
pub struct Job<'a> {
    source: Source<'a>,
    plan: &'a Plan,
    output: Output<'a>,
    result: Result<(), PassError>,
}

impl<'a> Job<'a> {
    /// A job to be run.
    #[must_use]
    pub fn new(source: Source<'a>, plan: &'a Plan, output: Output<'a>) -> Self {
        Self { source, plan, output, result: Ok(()) }
    }

    /// How the last run went.
    ///
    /// # Errors
    /// As [`Plan::run`], and [`PassError::Panicked`].
    pub fn result(&self) -> Result<(), PassError> {
        self.result.clone()
    }

    fn run(&mut self, scratch: &mut Scratch) {
        let run = || self.plan.run(self.source, &mut self.output, scratch);
        self.result = caught(run).unwrap_or_else(|words| Err(PassError::Panicked(words)));
    }
}

/// A fixed number of threads that run the jobs of a batch together.
///
/// The caller's thread is one of them. Workers sleep between batches, and end when the pool is dropped. Once the pool
/// has run a plan, it allocates nothing for it.
///
/// A child process that was forked has no workers: make a pool there.
///
/// ```
/// use vas_tensor::{ColorSpace, Job, Matrix, Nv12, Output, Plan, Pool, Request};
///
/// let space = ColorSpace { matrix: Matrix::Bt709, full_range: false };
/// let plan = Plan::new((64, 36), space, &Request::new(32, 32))?;
/// let (luma, chroma) = (vec![235; 64 * 36], vec![128; 64 * 18]);
/// let picture = Nv12::new((64, 36), (&luma, 64), (&chroma, 64))?;
///
/// let mut pool = Pool::new(2.try_into()?)?;
/// let mut tensors = vec![0.0; 4 * plan.elements()];
/// let mut jobs: Vec<_> = tensors
///     .chunks_exact_mut(plan.elements())
///     .map(|tensor| Job::new(picture.into(), &plan, Output::F32(tensor)))
///     .collect();
/// pool.run(&mut jobs);
/// for job in &jobs {
///     job.result()?;
/// }
/// drop(jobs);
/// assert_eq!((tensors[0], tensors[16 * 32 + 16]), (114.0, 255.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    scratch: Scratch,
    workers: Vec<OwnedThread>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a batch, or the worker is to stop.
    begin: Condvar,
    /// No worker works any more, or all have started.
    end: Condvar,
    /// The next job of the batch.
    next: AtomicUsize,
    /// A worker's, while it does not work.
    scratches: Vec<Mutex<Scratch>>,
}

#[derive(Debug, Default)]
struct State {
    batch: Option<Batch>,
    /// Rises with each batch, so that a worker enters each once.
    number: u64,
    /// Workers in the batch.
    working: usize,
    /// Workers that have started.
    started: usize,
}

/// The jobs of a call of [`Pool::run`].
#[derive(Clone, Copy, Debug)]
struct Batch {
    jobs: *mut Job<'static>,
    len: usize,
}

// SAFETY: the pointer comes from an exclusive reference to jobs, which are `Send` (`assert_send`), and is used only
// while that borrow lasts (house rules).
unsafe impl Send for Batch {}

const fn assert_send<T: Send>() {}
const _: () = assert_send::<Job<'static>>();

impl Pool {
    /// A pool of so many threads, the caller's included: 1 starts none.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn new(threads: NonZeroUsize) -> io::Result<Self> {
        let workers = threads.get() - 1;
        let scratches = (0..workers).map(|_| Mutex::default()).collect();
        let shared = Arc::new(Shared { scratches, ..Shared::default() });
        let start = |index: usize| {
            let (of_worker, of_owner) = (Arc::clone(&shared), Arc::clone(&shared));
            let worker = OwnedThread::spawn(format!("vas-tensor-{index}"), move |stop| {
                of_worker.work(index, &stop);
            })?;
            Ok(worker.woken_by(move || {
                // With the lock, so that no worker is between its look at the request and its sleep.
                let _state = of_owner.lock();
                of_owner.begin.notify_all();
            }))
        };
        let workers = (0..workers).map(start).collect::<io::Result<Vec<_>>>()?;
        // A thread that starts allocates: not later, in a batch.
        let mut state = shared.lock();
        while state.started < workers.len() {
            state = shared.end.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Ok(Self { shared, scratch: Scratch::default(), workers })
    }

    /// Its threads, the caller's included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs all jobs and returns when all are done. Each has its own [result](Job::result).
    pub fn run(&mut self, jobs: &mut [Job<'_>]) {
        for job in &*jobs {
            self.scratch.prepare(job.plan);
            for scratch in &self.shared.scratches {
                scratch.lock().unwrap_or_else(PoisonError::into_inner).prepare(job.plan);
            }
        }
        let helpers = self.workers.len().min(jobs.len().saturating_sub(1));
        if helpers == 0 {
            for job in jobs {
                job.run(&mut self.scratch);
            }
            return;
        }
        let batch = Batch { jobs: jobs.as_mut_ptr().cast(), len: jobs.len() };
        let running = Running::begin(&self.shared, batch, helpers);
        // SAFETY: the jobs are borrowed until after `running` is dropped, which ends the batch.
        unsafe { self.shared.take_jobs(batch, &mut self.scratch) };
        drop(running);
    }
}

/// A batch that workers may enter. Ends it when dropped: afterwards no worker has a reference to a job.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared, batch: Batch, helpers: usize) -> Self {
        let mut state = shared.lock();
        // No worker is in a batch, so nobody counts.
        shared.next.store(0, Ordering::Relaxed);
        state.batch = Some(batch);
        state.number += 1;
        drop(state);
        for _ in 0..helpers {
            shared.begin.notify_one();
        }
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.batch = None;
        while state.working > 0 {
            state = self.0.end.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps with each batch until it is to stop.
    fn work(&self, index: usize, stop: &StopRequest) {
        let mut last = 0;
        let mut state = self.lock();
        state.started += 1;
        self.end.notify_one();
        while !stop.is_made() {
            let batch = match state.batch {
                Some(batch) if state.number != last => batch,
                _ => {
                    state = self.begin.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            last = state.number;
            state.working += 1;
            drop(state);
            let held = &self.scratches[index];
            let mut scratch =
                std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
            // SAFETY: this worker is counted as working, so `run` has not returned.
            unsafe { self.take_jobs(batch, &mut scratch) };
            *held.lock().unwrap_or_else(PoisonError::into_inner) = scratch;
            state = self.lock();
            state.working -= 1;
            if state.working == 0 {
                self.end.notify_one();
            }
        }
    }

    /// Runs jobs that no other thread has taken until there are none.
    ///
    /// # Safety
    /// `batch` is the current one, and its jobs are borrowed until this returns.
    unsafe fn take_jobs(&self, batch: Batch, scratch: &mut Scratch) {
        loop {
            // The lock orders the jobs themselves; the count only deals them.
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= batch.len {
                return;
            }
            // SAFETY: within the slice, guaranteed by the caller to be alive. No other thread got this number, so the
            // reference is exclusive. Lifetimes of jobs only get shorter: `Job::run` keeps nothing.
            let job = unsafe { &mut *batch.jobs.add(at) };
            job.run(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColorSpace, Matrix, Nv12, Request};

    #[test]
    fn a_panic_is_the_error_of_its_job() {
        let space = ColorSpace { matrix: Matrix::Bt709, full_range: false };
        let good = Plan::new((64, 36), space, &Request::new(32, 32)).unwrap();
        let mut bad = Plan::new((64, 36), space, &Request::new(32, 32)).unwrap();
        bad.rows[7].first = 1000;
        let (luma, chroma) = ([90; 64 * 36], [128; 64 * 18]);
        let picture = Nv12::new((64, 36), (&luma, 64), (&chroma, 64)).unwrap();
        for threads in [1, 2] {
            let mut pool = Pool::new(threads.try_into().unwrap()).unwrap();
            let mut tensors = vec![f32::NAN; 8 * good.elements()];
            let tensors = tensors.chunks_exact_mut(good.elements());
            let plans = [&good, &bad].into_iter().cycle();
            let mut jobs: Vec<_> = tensors
                .zip(plans)
                .map(|(to, plan)| Job::new(picture.into(), plan, Output::F32(to)))
                .collect();
            for _ in 0..2 {
                pool.run(&mut jobs);
                for pair in jobs.chunks_exact(2) {
                    assert_eq!(pair[0].result(), Ok(()));
                    assert!(matches!(pair[1].result(), Err(PassError::Panicked(_))));
                }
            }
        }
    }
}
