//! Settings that are inherited: from `[defaults]` by cameras, from cameras by their inputs; and what they are where the
//! config says nothing.

use std::path::PathBuf;
use std::time::Duration;

use vas_gate::Rate;
use vas_request::{DecodeFrames, RtspClient, Transport};
use vas_scale::{Fit, Request};

use super::camera_url::CameraUrl;
use super::input::{Input, Roles};
use super::meaning::{Camera, Decode, GpuChoice, WhenIdle};
use super::record::{Keep, Record};

/// The settings of a camera that `[defaults]` may set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) connection: Connection,
    pub(super) decode: Decode,
    pub(super) gpu: GpuChoice,
    pub(super) decode_frames: DecodeFrames,
    pub(super) idle: WhenIdle,
    pub(super) max_fps: Option<Rate>,
    pub(super) export_size: Request,
}

/// The settings of an input that its camera may set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) rtsp_client: RtspClient,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
}

/// How a camera is recorded, once a folder is known.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) dir: Option<PathBuf>,
    pub(super) segment: Duration,
    pub(super) sound: bool,
    pub(super) keep: Keep,
}

/// Where no folder is named.
pub(super) const NOT_RECORDED: Recording =
    Recording { dir: None, segment: Record::DEFAULT_SEGMENT, sound: true, keep: Keep::DEFAULT };

impl Connection {
    pub(super) fn input(self, url: CameraUrl, roles: Roles) -> Input {
        let Self { transport, rtsp_client, connect_timeout, read_timeout } = self;
        Input { url, roles, transport, rtsp_client, connect_timeout, read_timeout }
    }
}

/// A camera's settings where the config has none.
pub(super) const DEFAULTS: Settings = Settings {
    connection: Connection {
        transport: Transport::Auto,
        rtsp_client: RtspClient::Auto,
        connect_timeout: Camera::DEFAULT_TIMEOUT,
        read_timeout: Camera::DEFAULT_TIMEOUT,
    },
    decode: Decode::Auto,
    gpu: GpuChoice::Auto,
    decode_frames: DecodeFrames::All,
    idle: WhenIdle::Stop,
    max_fps: None,
    export_size: Request { width: None, height: None, fit: Fit::Fit },
};
