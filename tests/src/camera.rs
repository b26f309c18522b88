//! A camera: GStreamer's RTSP server with prepared video.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use vas_harness::waiting;

/// A running server with one mount point, `cam`.
#[derive(Debug)]
pub struct Camera {
    server: Child,
    port: u16,
}

impl Camera {
    /// Starts a server that plays `files` one after the other; `options` as in `rig/camera.py`.
    pub fn start(files: &[&Path], options: &str) -> Self {
        Self::start_with(files, options, &[])
    }

    /// Starts a server with further arguments of `rig/camera.py`.
    pub fn start_with(files: &[&Path], options: &str, arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/camera.py");
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let mut server = Command::new("/usr/bin/python3")
            .arg(script)
            .args(["--mount", &format!("cam={}{options}", files.join("+"))])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _wait = waiting("the camera's server to be ready");
        let mut ready = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap_or_else(|e| {
            panic!("the camera's server did not report that it is ready: {ready:?}: {e}")
        });
        let port = ready["port"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap();
        Self { server, port }
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Its url, with a user and a password.
    pub fn url_for(&self, login: &str) -> String {
        format!("rtsp://{login}@127.0.0.1:{}/cam", self.port)
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        crate::service::signal(self.server.id(), name);
    }

    /// Its url.
    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
