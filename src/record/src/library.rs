//! All recordings of this process, and the thread that deletes the oldest of them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use vas_config::Record;
use vas_frame::CameraId;
use vas_threads::OwnedThread;

use super::housekeeping::Housekeeping;
use super::index::RecordingIndex;
use super::recorder::Recorder;
use super::stats::RecorderStats;

/// Starts recorders, and deletes recordings that need not be kept.
#[derive(Debug, Default)]
pub struct Library {
    housekeeping: Arc<Housekeeping>,
    /// Started with the first recorder.
    housekeeper: Mutex<Option<OwnedThread>>,
}

impl Library {
    /// Makes a camera's recorder and its stats.
    ///
    /// # Errors
    /// The system has no thread for the housekeeper.
    pub fn recorder(
        &self,
        camera: &CameraId,
        record: &Record,
    ) -> io::Result<(Recorder, Arc<RecorderStats>)> {
        let mut housekeeper = self.housekeeper.lock().unwrap_or_else(PoisonError::into_inner);
        if housekeeper.is_none() {
            let housekeeping = Arc::clone(&self.housekeeping);
            let thread = OwnedThread::spawn("vas-record", move |stop| housekeeping.run(&stop))?;
            self.housekeeping.is_run_by(thread.thread());
            *housekeeper = Some(thread);
        }
        drop(housekeeper);
        let index = Arc::new(RecordingIndex::new(record.keep));
        let stats = Arc::new(RecorderStats::default());
        self.housekeeping.add(&index);
        let housekeeping = Arc::clone(&self.housekeeping);
        let recorder = Recorder::new(camera.clone(), record.clone(), index, housekeeping, &stats);
        Ok((recorder, stats))
    }

    /// Ends the housekeeper, after its recorders.
    pub fn stop(self) {
        drop(self);
    }
}
