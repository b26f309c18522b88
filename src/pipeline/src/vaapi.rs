//! A camera's VA-API decoders: which render node, and why none.

use std::sync::Arc;

use vas_config::{Decode, GpuChoice};
use vas_frame::CameraId;
use vas_media::{DecodeError, GpuError, RenderNode, StreamInfo, VaapiDevice, VaapiError};

use crate::decoders::Opened;
use crate::gpus::{NodeAssignment, NodeTurn, Nodes};
use crate::isolated::{IsolatedDecoder, WITHIN};
use crate::ladder::{Ladder, Next, Rung};

#[derive(Debug)]
pub(super) struct VaapiDecoders {
    camera: CameraId,
    choice: GpuChoice,
    nodes: Arc<Nodes>,
    /// Pictures that the sinks may hold at a time.
    held: u32,
    ladder: Ladder,
    /// Kept while the camera rests, and until its node fails.
    assigned: Option<NodeAssignment>,
    /// Held until it is known whether the node decodes.
    turn: Option<NodeTurn>,
    why: Option<GpuError>,
}

impl VaapiDecoders {
    pub(super) fn new(
        camera: CameraId,
        decode: Decode,
        choice: GpuChoice,
        nodes: Arc<Nodes>,
        held: u32,
    ) -> Self {
        let ladder = Ladder::new(decode);
        Self { camera, choice, nodes, held, ladder, assigned: None, turn: None, why: None }
    }

    pub(super) fn stream_begins(&mut self) {
        self.ladder.stream_begins();
    }

    /// Opens a decoder, if a node is due; `None`: why not is in [`why`](Self::why) and logged.
    ///
    /// # Errors
    /// FFmpeg can decode the stream nowhere.
    pub(super) fn open(
        &mut self,
        stream: &StreamInfo,
        now_ns: u64,
    ) -> Result<Option<Opened>, DecodeError> {
        self.turn = None;
        if self.ladder.rung(now_ns) != Rung::Gpu {
            return Ok(None);
        }
        match self.try_open(stream, now_ns) {
            Ok(opened) => Ok(Some(opened)),
            Err(DecodeError::Gpu(why)) => {
                self.failed(&why, now_ns);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// As [`open`](Self::open), at a key frame while the processor or nothing decodes: one camera at a time for each
    /// node.
    pub(super) fn climb(&mut self, stream: &StreamInfo, now_ns: u64) -> Option<Opened> {
        if self.assigned.is_some() || self.ladder.rung(now_ns) != Rung::Gpu {
            return None;
        }
        let turn = match self.nodes.turn(self.choice, now_ns) {
            Ok(turn) => turn?,
            Err(why) => {
                self.failed(&why, now_ns);
                return None;
            }
        };
        let opened = self.open(stream, now_ns).ok().flatten();
        self.turn = opened.is_some().then_some(turn);
        opened
    }

    fn try_open(&mut self, stream: &StreamInfo, now_ns: u64) -> Result<Opened, DecodeError> {
        // A stream that VA-API can't decode must not load a driver.
        vas_media::vaapi_takes(stream).map_err(GpuError::from)?;
        let mut refused = Vec::new();
        let mut why = None;
        loop {
            let assignment = match self.assigned.take() {
                Some(kept) => kept,
                None => self
                    .nodes
                    .assign(self.choice, &refused, now_ns)
                    .map_err(|none| why.take().unwrap_or(none))?,
            };
            match self.open_on(assignment.node(), stream) {
                Ok(opened) => {
                    self.assigned = Some(assignment);
                    return Ok(opened);
                }
                Err(DecodeError::Gpu(error)) if !error.is_of_stream() => {
                    assignment.failed(&error, now_ns);
                    refused.push(assignment.at());
                    why = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn open_on(&self, node: &RenderNode, stream: &StreamInfo) -> Result<Opened, DecodeError> {
        let (of_thread, stream, held) = (node.clone(), stream.clone(), self.held);
        let open = move || {
            let device = VaapiDevice::open(&of_thread).map_err(GpuError::from)?;
            vas_media::open_vaapi(&stream, &device, held)
        };
        let of_hang = node.clone();
        let hung = move || VaapiDevice::hangs(&of_hang, WITHIN).into();
        let no_thread = |error: std::io::Error| {
            let cause = format!("can't start a thread: {error}");
            VaapiError::Failed { node: node.to_string(), cause }.into()
        };
        let decoder = IsolatedDecoder::open(&self.camera, WITHIN, open, hung, no_thread)?;
        Ok(Opened { decoder: Box::new(decoder), on_gpu: true, on_vaapi: true })
    }

    /// The node delivered a picture.
    pub(super) fn decodes(&mut self, now_ns: u64) {
        self.ladder.decodes(now_ns);
        self.turn = None;
        let Some(assignment) = &self.assigned else { return };
        assignment.works();
        match self.why.take() {
            Some(_) => tracing::info!("decoding on {} again", assignment.node()),
            None => tracing::debug!("decoding on {}", assignment.node()),
        }
    }

    /// A decoder on a node failed, fell back to the processor, or is no longer usable.
    pub(super) fn fell(&mut self, why: &GpuError, now_ns: u64) {
        let assignment = self.assigned.take();
        self.turn = None;
        match assignment {
            Some(assignment) if why.is_loss() => {
                assignment.failed(why, now_ns);
                let next = self.ladder.lost();
                self.tell(why, next);
            }
            _ => self.failed(why, now_ns),
        }
    }

    /// The decode thread panicked while a node decoded.
    pub(super) fn panicked(&mut self, words: &str, now_ns: u64) {
        let node = self.node().map_or_else(|| "VA-API".into(), ToString::to_string);
        let cause = format!("internal error: {words}");
        self.fell(&VaapiError::Failed { node, cause }.into(), now_ns);
    }

    /// No decoder is open on a node. The camera keeps its node.
    pub(super) fn off_gpu(&mut self) {
        self.turn = None;
    }

    /// Another decoder took over.
    pub(super) fn leave(&mut self) {
        (self.assigned, self.turn) = (None, None);
    }

    /// As after a node has opened a decoder in a climb.
    #[cfg(test)]
    pub(super) fn simulate(&mut self) {
        self.turn = self.nodes.turn(self.choice, 0).unwrap();
        self.assigned = Some(self.nodes.assign(self.choice, &[], 0).unwrap());
    }

    /// The node that decodes, or is kept.
    pub(super) fn node(&self) -> Option<&RenderNode> {
        self.assigned.as_ref().map(NodeAssignment::node)
    }

    /// Why no node decodes.
    pub(super) fn why(&self) -> Option<&GpuError> {
        self.why.as_ref()
    }

    fn failed(&mut self, why: &GpuError, now_ns: u64) {
        let next = self.ladder.failed(why, now_ns);
        self.tell(why, next);
    }

    fn tell(&mut self, why: &GpuError, next: Next) {
        if self.why.replace(why.clone()).as_ref() == Some(why) {
            return;
        }
        let only = self.ladder.decode() == Decode::Vaapi;
        let below = if only { "nothing decodes" } else { "the processor decodes" };
        let next = match next {
            Next::NotForThisStream => format!("{below} this stream"),
            Next::AnotherGpu => "another render node is tried at the next key frame".to_owned(),
            Next::AgainAfter(wait_ns) => {
                let seconds = wait_ns / 1_000_000_000;
                format!("next try in {seconds} s, then less often; {below} until then")
            }
        };
        match why {
            // Most hosts have no render node, which is no fault.
            GpuError::Vaapi(VaapiError::NoNode) if !only => {}
            // What is wrong with a node is the same for all cameras.
            GpuError::Vaapi(
                VaapiError::NoDriver { node, .. } | VaapiError::NoPermission { node, .. },
            ) if !only => {
                if self.nodes.is_news(node, &why.to_string()) {
                    tracing::info!("{why}; {next} (logged once)");
                }
            }
            why if why.is_of_stream() && !only => tracing::info!("{why}; {next}"),
            _ => tracing::warn!("{why}; {next}"),
        }
    }
}
