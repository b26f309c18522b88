//! The camera and the lossy network, each a process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use vas_harness::waiting;
use vas_media::{RtspClient, SourceRequest, Transport};

/// A process of the rig that prints JSON lines.
pub(crate) struct Rig {
    process: Child,
    lines: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Rig {
    fn start(script: &str, arguments: &[String]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/rig").join(script);
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut rig = Self { process, lines, port: 0 };
        rig.port = rig.line()["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap();
        rig
    }

    /// A camera that plays `clip` as `/cam`, separately for each client, with additional arguments.
    pub(crate) fn camera(clip: &Path, flags: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["--mount".to_owned(), format!("cam={}{flags}", clip.display())];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        Self::start("camera.py", &all)
    }

    /// A network in front of the camera, with the impairments in `arguments`.
    pub(crate) fn network(camera: &Rig, arguments: &[String]) -> Self {
        let to = ["--to".to_owned(), format!("127.0.0.1:{}", camera.port)];
        Self::start("lossy.py", &[&to, arguments].concat())
    }

    /// Reads the next line that the process prints.
    pub(crate) fn line(&mut self) -> Value {
        let _wait = waiting("a line of the rig");
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    pub(crate) fn url(&self, login: &str) -> String {
        format!("rtsp://{login}127.0.0.1:{}/cam", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn request(url: String, client: RtspClient, transport: Transport) -> SourceRequest {
    SourceRequest {
        url,
        transport,
        client,
        connect_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_secs(30),
        sound: false,
    }
}
