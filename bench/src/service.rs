//! The release build of the service, as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// `vas run` with one camera, `cam`.
#[derive(Debug)]
pub struct Service {
    process: Child,
    dir: PathBuf,
}

impl Service {
    /// The binary; `bench/run.sh` builds it first.
    pub const VAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/vas");

    /// Starts the service in `dir`, with frame export on and `camera` as the rest of the camera's
    /// TOML.
    #[must_use]
    pub fn start(dir: &Path, camera: &str) -> Self {
        let config = dir.join("vas.toml");
        let text = format!(
            "[service]\nrun_dir = {:?}\n[export]\ndir = {:?}\n[[camera]]\nid = \"cam\"\n{camera}\n",
            dir.join("run"),
            dir.join("vas"),
        );
        std::fs::write(&config, text).expect("a config can be written");
        let process = Command::new(Self::VAS)
            .args(["run", "--config"])
            .arg(&config)
            .env("AI_FRAME_EXPORT_ENABLED", "true")
            .stderr(Stdio::null())
            .spawn()
            .expect("the service is built: cargo build --release -p vas");
        Self { process, dir: dir.into() }
    }

    /// The export directory.
    #[must_use]
    pub fn export_dir(&self) -> PathBuf {
        self.dir.join("vas")
    }

    /// `status.json`, which is up to a second old.
    #[must_use]
    pub fn status(&self) -> String {
        std::fs::read_to_string(self.dir.join("run/status.json")).unwrap_or_default()
    }

    /// A counter of the status.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let status = self.status();
        let value = status.split(&format!("\"{name}\": ")).nth(1).unwrap_or_default();
        value.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Waits until the status contains all of `wanted`.
    pub fn until(&self, wanted: &[&str]) {
        while !wanted.iter().all(|text| self.status().contains(text)) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
