//! Reads the surfaces that VA-API decoded, for an encoder: on a thread of its own, which is left behind when the driver
//! hangs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::frame::Frame;
use crate::vaapi::{VaapiDevice, VaapiError};

/// How long the driver may take for a picture, which usually takes milliseconds.
const WITHIN: Duration = Duration::from_secs(5);

/// A thread that reads the surfaces of one node.
pub(super) struct SurfaceReader {
    node: u32,
    requests: Option<Sender<Request>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    /// Empty frames, which each request moves over and back.
    spare: Option<Request>,
    /// The thread does not return from a call.
    gone: Option<VaapiError>,
}

struct Request {
    surface: Frame,
    picture: Frame,
}

/// FFmpeg's error, and the frames: the surface is released.
struct Answer(Result<(), String>, Request);

impl SurfaceReader {
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(node: u32) -> Result<Self, VaapiError> {
        let (requests, of_thread) = channel::<Request>();
        let (to_encoder, answers) = channel();
        let work = move || {
            for Request { mut surface, mut picture } in of_thread {
                let read = picture.download_from(&surface).map_err(|error| error.to_string());
                // Here, because it may be the last of its decoder.
                surface.clear();
                if to_encoder.send(Answer(read, Request { surface, picture })).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("vas-va-enc".into()).spawn(work);
        let thread = thread.map_err(|error| VaapiError::Failed {
            node: words_of(node),
            cause: format!("can't start a thread: {error}"),
        })?;
        let (requests, thread) = (Some(requests), Some(thread));
        Ok(Self { node, requests, answers, thread, spare: None, gone: None })
    }

    /// Whether it reads surfaces of this node.
    pub(super) fn reads(&self, node: u32) -> bool {
        self.node == node && self.requests.is_some()
    }

    /// Copies a picture to memory. If it fails, `frame` is empty afterwards. Waits a bounded time for the driver, and
    /// not at all once the node is lost.
    pub(super) fn read(&mut self, frame: &mut Frame) -> Result<(), VaapiError> {
        let health = VaapiDevice::find_health(self.node).map(|(_, health)| health);
        let known = health.as_ref().map_or(Ok(()), |health| health.known());
        if let Err(lost) = self.gone.clone().map_or(known, Err) {
            frame.release_apart();
            return Err(lost);
        }
        let spare = || Request { surface: Frame::new(), picture: Frame::new() };
        let mut request = self.spare.take().unwrap_or_else(spare);
        request.surface.take_from(frame);
        // If the thread panicked, there is no answer either.
        if let Some(requests) = &self.requests {
            let _sent = requests.send(request);
        }
        let failed = |cause| VaapiError::Failed { node: words_of(self.node), cause };
        match self.answers.recv_timeout(WITHIN) {
            Ok(Answer(read, mut request)) => {
                if read.is_ok() {
                    frame.take_from(&mut request.picture);
                }
                request.picture.clear();
                self.spare = Some(request);
                read.map_err(|error| failed(format!("the surface can't be read: {error}")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.requests = None;
                Err(failed("internal error: the thread that reads surfaces ended".into()))
            }
            Err(RecvTimeoutError::Timeout) => {
                let lost = match health {
                    Some(health) => VaapiDevice::hangs(health.node(), WITHIN),
                    // All its decoders are closed.
                    None => VaapiError::Lost {
                        node: words_of(self.node),
                        cause: "a call of its driver does not return".into(),
                    },
                };
                tracing::error!(
                    "{lost}; a thread that reads pictures for an encoder is left behind"
                );
                self.gone = Some(lost.clone());
                Err(lost)
            }
        }
    }
}

fn words_of(node: u32) -> String {
    format!("renderD{node}")
}

impl Drop for SurfaceReader {
    fn drop(&mut self) {
        self.requests = None;
        // Each picture was waited for, so the thread is idle unless it hangs.
        if let Some(thread) = self.thread.take()
            && self.gone.is_none()
        {
            let _panicked = thread.join();
        }
    }
}
