//! A decoder on a thread of its own, for drivers that may hang: whoever uses the decoder waits a bounded time for each of
//! its answers. After that, thread and decoder are left behind, and the camera goes on without them.
//!
//! A call moves a packet or an empty frame over and gets it back: nothing is allocated.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vas_frame::CameraId;
use vas_media::{
    DecodeError, DecodeFrames, Decoder, DecoderKind, Frame, GpuError, Packet, Received,
    SurfaceMemory,
};
use vas_threads::caught;

/// How long a driver may take for a call. Decoding a picture takes milliseconds, opening a driver a fraction of a second.
pub(super) const WITHIN: Duration = Duration::from_secs(5);

/// A decoder that another thread runs.
pub(super) struct IsolatedDecoder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    within: Duration,
    /// An empty frame, which each call for a picture moves over and back.
    spare: Option<Frame>,
    seen: Seen,
    /// Which pictures are decoded.
    frames: DecodeFrames,
    /// Notes that the driver hangs, and returns the error.
    hung: Box<dyn Fn() -> GpuError + Send>,
    /// The decoder hangs and was left behind.
    gone: Option<GpuError>,
}

/// What the decoder said of itself after its last call.
#[derive(Clone)]
struct Seen {
    kind: DecoderKind,
    fallback: Option<GpuError>,
    memory: Option<SurfaceMemory>,
}

struct Shared {
    exchange: Mutex<Exchange>,
    asked: Condvar,
    answered: Condvar,
}

#[derive(Default)]
struct Exchange {
    request: Option<Request>,
    answer: Option<(Answer, Seen)>,
    /// Why there is no decoder.
    failed: Option<DecodeError>,
    /// The decoder is to be closed.
    closing: bool,
    /// It is closed, and the thread ends.
    ended: bool,
}

enum Request {
    Send(Packet),
    Finish,
    Receive(Frame),
    DecodeOnly(DecodeFrames),
    LeavesOut(Packet),
}

enum Answer {
    Opened,
    Done(Result<(), DecodeError>),
    Received(Result<Received, DecodeError>, Frame),
    LeavesOut(bool),
    Panicked(String),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what `ready` finds; `None`: it did not come in time.
    fn wait<T>(
        &self,
        within: Duration,
        mut ready: impl FnMut(&mut Exchange) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let exchange = self.lock();
        let missing = |exchange: &mut Exchange| {
            found = ready(exchange);
            found.is_none()
        };
        let (exchange, _) = self
            .answered
            .wait_timeout_while(exchange, within, missing)
            .unwrap_or_else(PoisonError::into_inner);
        drop(exchange);
        found
    }

    /// The next request; `None`: close the decoder.
    fn next(&self) -> Option<Request> {
        let mut exchange = self.lock();
        loop {
            if exchange.closing {
                return None;
            }
            if let Some(request) = exchange.request.take() {
                return Some(request);
            }
            exchange = self.asked.wait(exchange).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn answer(&self, answer: Answer, decoder: &dyn Decoder) {
        self.lock().answer = Some((answer, Seen::of(decoder)));
        self.answered.notify_one();
    }

    /// The thread's work.
    fn run(&self, open: impl FnOnce() -> Result<Box<dyn Decoder>, DecodeError>) {
        match caught(open) {
            Ok(Ok(mut decoder)) => {
                self.answer(Answer::Opened, decoder.as_ref());
                while let Some(request) = self.next() {
                    let answer = caught(|| perform(decoder.as_mut(), request));
                    self.answer(answer.unwrap_or_else(Answer::Panicked), decoder.as_ref());
                }
                // An answer that came too late has a picture, which nobody else may release.
                let too_late = self.lock().answer.take();
                let _ = caught(|| drop((decoder, too_late)));
            }
            Ok(Err(error)) => {
                self.lock().failed = Some(error);
                self.answered.notify_one();
            }
            Err(words) => {
                self.lock().answer = Some((Answer::Panicked(words), Seen::nothing()));
                self.answered.notify_one();
            }
        }
        self.lock().ended = true;
        self.answered.notify_one();
    }
}

impl Seen {
    fn nothing() -> Self {
        Self { kind: DecoderKind::Software, fallback: None, memory: None }
    }

    fn of(decoder: &dyn Decoder) -> Self {
        Self {
            kind: decoder.kind(),
            fallback: decoder.fallback(),
            memory: decoder.surface_memory(),
        }
    }
}

fn perform(decoder: &mut dyn Decoder, request: Request) -> Answer {
    match request {
        Request::Send(packet) => Answer::Done(decoder.send(&packet)),
        Request::Finish => Answer::Done(decoder.finish()),
        Request::Receive(mut frame) => {
            let received = decoder.receive(&mut frame);
            Answer::Received(received, frame)
        }
        Request::DecodeOnly(frames) => {
            decoder.decode_only(frames);
            Answer::Done(Ok(()))
        }
        Request::LeavesOut(packet) => Answer::LeavesOut(decoder.leaves_out(&packet)),
    }
}

impl IsolatedDecoder {
    /// Opens a decoder on a thread of its own. `hung` is called when the driver has not answered for `within`.
    ///
    /// # Errors
    /// Those of `open`; what `hung` returns; [`GpuError::Failed`] without a thread.
    pub(super) fn open(
        camera: &CameraId,
        within: Duration,
        open: impl FnOnce() -> Result<Box<dyn Decoder>, DecodeError> + Send + 'static,
        hung: impl Fn() -> GpuError + Send + 'static,
        no_thread: impl FnOnce(std::io::Error) -> GpuError,
    ) -> Result<Self, DecodeError> {
        let shared = Arc::new(Shared {
            exchange: Mutex::default(),
            asked: Condvar::new(),
            answered: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let run = move || of_thread.run(open);
        let thread = crate::spawn("vaapi", camera, run, || ()).map_err(no_thread)?;
        let mut this = Self {
            shared,
            thread: Some(thread),
            within,
            spare: None,
            seen: Seen::nothing(),
            frames: DecodeFrames::All,
            hung: Box::new(hung),
            gone: None,
        };
        let opened = this.shared.wait(within, |exchange| {
            let failed = exchange.failed.take().map(Err);
            exchange.answer.take().map(Ok).or(failed)
        });
        match opened {
            Some(Ok((Answer::Panicked(words), _))) => panic!("{words}"),
            Some(Ok((_, seen))) => {
                this.seen = seen;
                Ok(this)
            }
            Some(Err(error)) => Err(error),
            None => Err(this.leave_behind().into()),
        }
    }

    fn call(&mut self, request: Request) -> Result<Answer, GpuError> {
        if let Some(gone) = &self.gone {
            return Err(gone.clone());
        }
        self.shared.lock().request = Some(request);
        self.shared.asked.notify_one();
        match self.shared.wait(self.within, |exchange| exchange.answer.take()) {
            Some((Answer::Panicked(words), _)) => panic!("{words}"),
            Some((answer, seen)) => {
                self.seen = seen;
                Ok(answer)
            }
            None => Err(self.leave_behind()),
        }
    }

    fn done(&mut self, request: Request) -> Result<(), DecodeError> {
        match self.call(request)? {
            Answer::Done(result) => result,
            _ => unreachable!("each request has its answer"),
        }
    }

    fn leave_behind(&mut self) -> GpuError {
        let why = (self.hung)();
        self.gone = Some(why.clone());
        why
    }
}

impl Decoder for IsolatedDecoder {
    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        self.done(Request::Send(packet.clone()))
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        self.done(Request::Finish)
    }

    fn receive(&mut self, into: &mut Frame) -> Result<Received, DecodeError> {
        into.clear();
        let spare = self.spare.take().unwrap_or_default();
        match self.call(Request::Receive(spare))? {
            Answer::Received(received, mut frame) => {
                into.take_from(&mut frame);
                self.spare = Some(frame);
                received
            }
            _ => unreachable!("each request has its answer"),
        }
    }

    fn decode_only(&mut self, frames: DecodeFrames) {
        self.frames = frames;
        // If the driver hangs, the next packet reports it.
        let _ = self.done(Request::DecodeOnly(frames));
    }

    fn leaves_out(&mut self, packet: &Packet) -> bool {
        if self.frames == DecodeFrames::All {
            return false;
        }
        matches!(self.call(Request::LeavesOut(packet.clone())), Ok(Answer::LeavesOut(true)))
    }

    fn kind(&self) -> DecoderKind {
        self.seen.kind
    }

    fn fallback(&self) -> Option<GpuError> {
        self.seen.fallback.clone()
    }

    fn surface_memory(&self) -> Option<SurfaceMemory> {
        self.seen.memory
    }
}

impl Drop for IsolatedDecoder {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.asked.notify_one();
        let ended = |exchange: &mut Exchange| exchange.ended.then_some(());
        if self.gone.is_none() && self.shared.wait(self.within, ended).is_none() {
            self.leave_behind();
        }
        match self.thread.take() {
            Some(_) if self.gone.is_some() => {
                tracing::error!("a decoder does not end; its thread is left behind");
            }
            // A panic was caught and logged in the thread itself.
            Some(thread) => drop(thread.join()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use vas_media::VaapiError;

    use super::*;

    /// Hangs in the call that the test chooses, until the test drops its end.
    struct Hangs {
        on: &'static str,
        until: Receiver<()>,
        closed: Sender<()>,
    }

    impl Hangs {
        fn reach(&self, call: &str) {
            assert_ne!(self.on, "panic", "injected by a test");
            if self.on == call {
                let _ = self.until.recv();
            }
        }
    }

    impl Decoder for Hangs {
        fn send(&mut self, _: &Packet) -> Result<(), DecodeError> {
            Ok(())
        }

        fn finish(&mut self) -> Result<(), DecodeError> {
            self.reach("finish");
            Ok(())
        }

        fn receive(&mut self, _: &mut Frame) -> Result<Received, DecodeError> {
            self.reach("receive");
            Ok(Received::NeedPacket)
        }

        fn decode_only(&mut self, _: DecodeFrames) {}

        fn leaves_out(&mut self, _: &Packet) -> bool {
            true
        }

        fn kind(&self) -> DecoderKind {
            DecoderKind::Vaapi
        }
    }

    impl Drop for Hangs {
        fn drop(&mut self) {
            if self.on != "panic" {
                self.reach("drop");
            }
            let _ = self.closed.send(());
        }
    }

    fn lost() -> GpuError {
        VaapiError::Lost { node: "renderD128".into(), cause: "it hangs".into() }.into()
    }

    /// The decoder, what releases it, and what tells that it is closed.
    fn open(
        on: &'static str,
        within: Duration,
    ) -> (Result<IsolatedDecoder, DecodeError>, Sender<()>, Receiver<()>) {
        let (release, until) = channel();
        let (closed, seen) = channel();
        let open = move || {
            if on == "open" {
                let _ = until.recv();
            }
            Ok(Box::new(Hangs { on, until, closed }) as Box<dyn Decoder>)
        };
        let camera = CameraId::new("cam").unwrap();
        let no_thread = |error: std::io::Error| panic!("{error}");
        (IsolatedDecoder::open(&camera, within, open, lost, no_thread), release, seen)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn calls_reach_the_decoder_and_its_end_is_waited_for() {
        let (decoder, _release, closed) = open("nothing", LONG);
        let mut decoder = decoder.unwrap();
        let mut frame = Frame::new();
        assert_eq!(decoder.kind(), DecoderKind::Vaapi);
        assert_eq!(decoder.receive(&mut frame).unwrap(), Received::NeedPacket);
        decoder.finish().unwrap();
        drop(decoder);
        assert!(closed.try_recv().is_ok());
    }

    #[test]
    fn a_call_that_hangs_is_left_behind() {
        for on in ["receive", "finish"] {
            let (decoder, release, closed) = open(on, LONG);
            let mut decoder = decoder.unwrap();
            decoder.within = Duration::ZERO;
            let failed = match on {
                "receive" => decoder.receive(&mut Frame::new()).map(|_| ()),
                _ => decoder.finish(),
            };
            assert!(matches!(failed, Err(DecodeError::Gpu(why)) if why == lost()), "{on}");
            // Nothing is asked of it any more.
            assert!(decoder.finish().is_err());
            drop(decoder);
            assert!(closed.try_recv().is_err(), "{on}: nobody waited");
            // Once the call returns, the decoder is closed.
            drop(release);
            closed.recv().unwrap();
        }
    }

    #[test]
    fn an_opening_that_hangs_is_left_behind() {
        let (decoder, release, closed) = open("open", Duration::ZERO);
        assert!(matches!(decoder, Err(DecodeError::Gpu(why)) if why == lost()));
        drop(release);
        closed.recv().unwrap();
    }

    #[test]
    fn a_panic_is_the_callers() {
        let (decoder, _release, closed) = open("panic", LONG);
        let mut decoder = decoder.unwrap();
        let words = caught(|| decoder.finish()).unwrap_err();
        assert!(words.contains("injected by a test"), "{words}");
        drop(decoder);
        assert!(closed.try_recv().is_ok());
    }
}
