//! Camera sources, packets, decoders and decoded frames, on FFmpeg 5.1 and later.
//!
//! A [`Source`] reads the packets of one camera, file or test picture; a [`Decoder`] decodes them
//! to [`Frame`]s, on the processor, on an NVIDIA GPU ([`CudaDevice`]), whose frames stay in GPU
//! memory as [`Surface`]s, or on a GPU with a VA-API driver ([`VaapiDevice`]); an [`Nv12Converter`] converts less common software formats to NV12. An
//! [`Mp4Writer`] records packets unchanged.
//! Nothing here reconnects, queues or starts a thread: each object runs on the thread that holds it,
//! and a [`StopFlag`] makes blocking calls return.
//!
//! ```no_run
//! use std::time::Duration;
//! use vas_media::{Frame, Received, SourceRequest, StopFlag, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = SourceRequest {
//!     url: "rtsp://camera.example/stream".into(),
//!     transport: Transport::Auto,
//!     client: vas_media::RtspClient::Auto,
//!     connect_timeout: Duration::from_secs(10),
//!     read_timeout: Duration::from_secs(5),
//!     sound: false,
//! };
//! let stop = StopFlag::new();
//! let mut source = vas_media::open(&request, &stop)?;
//! let mut decoder = vas_media::open_software(source.stream(), 1)?;
//! let mut frame = Frame::new();
//! while let Some(packet) = source.next_packet()? {
//!     if let Err(error) = decoder.send(&packet) {
//!         if error.is_fatal() {
//!             return Err(error.into());
//!         }
//!     }
//!     while let Received::Frame = decoder.receive(&mut frame)? {
//!         println!("{}x{} at {:?}", frame.width(), frame.height(), frame.pts_ns());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Unsafe code follows the house rules at the top of the private module `av`.

mod av;
mod clock;
mod coalescing;
mod codec;
mod color;
mod compat;
mod convert;
mod cuda;
mod decode;
mod devices;
mod encode;
mod error;
mod fraction;
mod frame;
pub mod log;
mod mux;
mod packet;
mod parameters;
mod sound;
mod source;
mod stop;
mod stream;
mod surface;
mod unit;
mod vaapi;

pub use av::{AvError, init};
pub use clock::monotonic_ns;
pub use coalescing::Coalescing;
pub use codec::Codec;
pub use color::{Color, PixelLayout, Range};
pub use convert::{ConvertError, Nv12Converter};
pub use cuda::{CudaDevice, GpuError, GpuLedger, GpuMemory, GpuUsage, Room};
pub use decode::{
    DecodeError, Decoder, DecoderKind, Received, nvdec_takes, open_nvdec, open_software,
    open_vaapi, vaapi_takes,
};
pub use encode::{Encoder, EncoderRequest, fit, open_x264};
pub use error::{Cause, EncodeError, SourceError, SourceErrorKind};
pub use frame::Frame;
pub use mux::{Moment, Mp4Writer, MuxError, ParameterSets, Placed, RawTimes, SoundLine, Timeline};
pub use packet::Packet;
pub use parameters::CodecParameters;
pub use sound::{Sound, SoundInfo};
pub use source::{ClientLadder, Source, open, open_again};
pub use stop::StopFlag;
pub use stream::{Carrier, StreamInfo};
pub use surface::{Crop, DevicePlane, Surface, SurfaceFormat};
pub use vaapi::{NodeHealth, RenderNode, VaapiDevice, VaapiError, render_node_of, render_nodes};
pub use vas_cuda::{Format, Limits, NvdecCaps};
pub use vas_request::{DecodeFrames, Fraction, RtspClient, SourceRequest, Transport, redact};
pub use vas_surfaces::SurfaceMemory;
