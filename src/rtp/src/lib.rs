//! H.264 over RTP (RFC 6184, packetization mode 1) for a MediaSoup PlainTransport: one stream with one SSRC that
//! continues when the camera reconnects and when the sending process restarts.
//!
//! Nothing here has a socket, a clock or a thread. A [`Sender`] takes access units and the time, and returns which
//! bytes to send and when. The state that it needs after a restart is a [`Continuity`].
//!
//! ```
//! use vas_rtp::{AccessUnit, Continuity, Framing, Identity, Now, Poll, Sender};
//!
//! let identity = Identity { ssrc: 7, payload_type: 96, cname: "vas-gate".into() };
//! let mut sender = Sender::new(identity, Continuity::beginning(1000, 0));
//! sender.begin_stream();
//! sender.learn(&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0x95, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80])?;
//! let picture = [0, 0, 0, 1, 0x65, 0x88, 0x84, 0x00];
//! let now = Now { monotonic_ns: 1_000_000, unix_ns: 0 };
//! sender.push(AccessUnit {
//!     data: &picture[..],
//!     framing: Framing::AnnexB,
//!     is_key: true,
//!     pts_ns: Some(0),
//!     arrival_ns: now.monotonic_ns,
//! })?;
//! let mut sent = 0;
//! while let Poll::Rtp(packet, _) = sender.poll(now) {
//!     assert!(packet.len() <= vas_rtp::MAX_PACKET);
//!     sent += 1;
//! }
//! assert_eq!(sent, 1, "parameter sets and picture fit in one packet");
//! # Ok::<(), vas_rtp::Refusal>(())
//! ```
#![forbid(unsafe_code)]

mod continuity;
mod feedback;
mod key_frames;
mod pace;
mod packetize;
mod report;
mod sender;
mod timeline;

pub use continuity::Continuity;
pub use feedback::{Feedback, Reception};
pub use key_frames::KeyFrames;
pub use packetize::MAX_PACKET;
pub use sender::{AccessUnit, Identity, Now, Poll, Refusal, Sender};
pub use vas_nal::{Framing, NalCodec, ParameterSets, Profile, ProfileLevelId};
