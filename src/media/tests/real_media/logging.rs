//! FFmpeg's log lines reach `tracing`, with the camera's id and without secrets.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use vas_media::{RtspClient, SourceRequest, StopFlag};

use crate::clips::request;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn lines_name_their_camera_and_mask_secrets() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let _name = vas_media::log::name_thread("front-door");
        // Port 9 of loopback (discard) has no server on a test machine.
        let url = "rtsp://admin:s3cret@127.0.0.1:9/live?password=s3cret";
        let ffmpeg = SourceRequest { client: RtspClient::Ffmpeg, ..request(url) };
        assert!(vas_media::open(&ffmpeg, &StopFlag::new()).is_err());
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = text.lines().filter(|line| line.contains(" ffmpeg: ")).collect();
    assert!(!ours.is_empty(), "{text}");
    assert!(ours.iter().all(|line| line.contains("camera=\"front-door\"")), "{text}");
    assert!(ours.iter().any(|line| line.contains("Connection to tcp://")), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
