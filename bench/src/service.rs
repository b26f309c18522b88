//! The release build of the service, as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// `vas run` with cameras `cam0` and so on.
#[derive(Debug)]
pub struct Service {
    process: Child,
    dir: PathBuf,
}

impl Service {
    /// The binary; `bench/run.sh` builds it first.
    pub const VAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/vas");

    /// Starts the service in `dir`, with frame export on, that many cameras, and `camera` as the rest
    /// of each camera's TOML.
    #[must_use]
    pub fn start(dir: &Path, cameras: usize, camera: &str) -> Self {
        let config = dir.join("vas.toml");
        let (run, export) = (dir.join("run"), dir.join("vas"));
        let mut text = format!("[service]\nrun_dir = {run:?}\n[export]\ndir = {export:?}\n");
        for index in 0..cameras {
            text += &format!("[[camera]]\nid = \"cam{index}\"\n{camera}\n");
        }
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

    /// Waits until the status of camera `cam{camera}` contains all of `wanted`.
    pub fn until(&self, camera: usize, wanted: &[&str]) {
        let of_camera = |status: String| {
            let from = status.split(&format!("\"id\": \"cam{camera}\"")).nth(1)?;
            from.split("\"id\": \"cam").next().map(str::to_owned)
        };
        let there = |status: &str| wanted.iter().all(|text| status.contains(text));
        while !of_camera(self.status()).is_some_and(|status| there(&status)) {
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
