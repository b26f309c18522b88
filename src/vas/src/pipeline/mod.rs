//! One camera: a demux thread that never waits for decode, a bounded queue, a decode thread.
//!
//! Without a taker of decoded frames there is neither queue nor decode thread nor decoder: the demux
//! thread counts what it receives, and that is all.

mod backoff;
mod counters;
mod decode;
mod demand;
mod demux;
mod queue;
mod state;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use vas_media::StopFlag;

pub(crate) use counters::{Counters, DropReason};
pub(crate) use decode::Taker;
pub(crate) use demand::Demand;
use state::{State, StateCell};

use crate::config::Camera;
use queue::PacketQueue;

/// What a camera shows of itself.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) counters: Counters,
    pub(crate) state: StateCell,
}

/// The running threads of a camera.
#[derive(Debug)]
pub(crate) struct Pipeline {
    stop: StopFlag,
    queue: Option<Arc<PacketQueue>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts a camera. `taker` gets its decoded frames; with none, nothing is decoded. With a `demand`,
    /// nothing is decoded either while there is none.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(
        camera: &Camera,
        shown: &Arc<Shown>,
        taker: Option<Box<dyn Taker>>,
        demand: Option<Arc<Demand>>,
    ) -> io::Result<Self> {
        let stop = StopFlag::new();
        let queue = taker.is_some().then(|| Arc::new(PacketQueue::new()));
        let mut pipeline = Self { stop: stop.clone(), queue: queue.clone(), threads: Vec::new() };
        if let (Some(taker), Some(queue)) = (taker, queue.clone()) {
            if let Some(demand) = &demand {
                demand.wakes(&queue);
            }
            let decode = decode::Decode::new(queue, Arc::clone(shown), taker, demand);
            pipeline.spawn("decode", camera, shown, move || decode.run())?;
        }
        let demux = demux::Demux::new(camera, stop, queue, Arc::clone(shown));
        pipeline.spawn("demux", camera, shown, move || demux.run())?;
        Ok(pipeline)
    }

    /// Starts a thread that carries the camera's id into FFmpeg's log, and whose panic ends the camera
    /// in words and nobody else.
    fn spawn(
        &mut self,
        job: &'static str,
        camera: &Camera,
        shown: &Arc<Shown>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let (id, shown, stop) = (camera.id.clone(), Arc::clone(shown), self.stop.clone());
        let queue = self.queue.clone();
        let thread =
            std::thread::Builder::new().name(thread_name(job, id.as_str())).spawn(move || {
                let _named = vas_media::log::name_thread(id.as_str());
                let _span = tracing::info_span!("camera", camera = %id).entered();
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                if outcome.is_err() {
                    tracing::error!(
                        "the {job} thread panicked; this camera stays off until a restart"
                    );
                    shown.state.set(State::Failed, format!("internal error in the {job} thread"));
                    stop.stop();
                    if let Some(queue) = queue {
                        queue.close();
                    }
                }
            })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Asks the threads to end; does not wait.
    pub(crate) fn stop(&self) {
        self.stop.stop();
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }

    /// Waits for the threads to end.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic was caught and told in the thread itself.
            let _ = thread.join();
        }
    }
}

/// The kernel keeps 15 bytes of a thread's name: the job in short, then as much of the id as fits.
fn thread_name(job: &str, camera: &str) -> String {
    format!("{}:{camera}", &job[..3]).chars().take(15).collect()
}
