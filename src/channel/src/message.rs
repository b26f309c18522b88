//! The messages between supervisor and shard.

use serde::{Deserialize, Serialize};
use vas_config::{Config, ConfigFiles, Destinations, Environment, Problems, understand};

use super::packed::PackedReport;
use super::test_hooks::TestHooks;

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToShard {
    /// The first message, sent with the file for a crash's last words.
    Start(Start),
    /// Run these cameras and no others. Unchanged ones are not interrupted.
    Cameras {
        /// The config that contains them.
        given: Given,
        /// Their ids.
        ids: Vec<String>,
    },
    /// A producer's sockets and stream state, which are sent along: for a camera of the next
    /// [`Cameras`](Self::Cameras), or for one that runs without its producer.
    Endpoint {
        /// Its id.
        camera: String,
        /// What the sockets are bound for.
        to: Destinations,
        /// How many files are sent along.
        files: usize,
    },
    /// End cleanly.
    Stop,
}

/// What stays the same as long as the shard runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The shard's number.
    pub shard: u32,
    /// The GPU that its cameras get while it is usable; otherwise the one with the fewest cameras.
    pub preferred_gpu: Option<usize>,
    /// `AI_FRAME_EXPORT_ENABLED`, as the supervisor read it.
    pub frame_export: bool,
    /// `[service]` and `[export]`; its cameras are ignored.
    pub settings: Given,
    /// For tests only.
    pub test_hooks: TestHooks,
}

/// A config in the form in which it was read: the shard interprets it with the same code as the
/// supervisor. **Contains the cameras' passwords.**
#[derive(Clone, Serialize, Deserialize)]
pub struct Given {
    files: ConfigFiles,
    environment: Environment,
}

impl Given {
    /// `files`, and the part of the environment that they refer to.
    pub fn new(files: ConfigFiles, environment: &Environment) -> Self {
        let environment = environment.only(&files.variables());
        Self { files, environment }
    }

    /// Interprets it.
    ///
    /// # Errors
    /// All problems in it.
    pub fn understand(&self) -> Result<Config, Problems> {
        understand(&self.files, &self.environment)
    }

    /// Its files.
    pub fn files(&self) -> &ConfigFiles {
        &self.files
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Given").field(&self.files).finish()
    }
}

/// From the shard.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromShard {
    /// Sent each second: it lives, and this is the state of its cameras.
    Report(PackedReport),
    /// It can't work, and ends.
    Failed(String),
    /// It ends, but these cameras did not.
    Hanging(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_means_the_same_at_the_other_end_and_carries_only_what_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vas.toml");
        let text = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://u:${PASSWORD}@cam/\"\n";
        std::fs::write(&path, text).unwrap();
        let variables = [("PASSWORD", "s3cret"), ("OTHER", "0ther"), ("XDG_RUNTIME_DIR", "/run/u")];
        let environment = Environment {
            variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
            ..Environment::default()
        };
        let given = Given::new(ConfigFiles::read(&path).unwrap(), &environment);
        let sent = serde_json::to_string(&given).unwrap();
        assert!(!sent.contains("0ther"), "{sent}");
        let got: Given = serde_json::from_str(&sent).unwrap();
        let config = got.understand().unwrap();
        assert_eq!(config, understand(&given.files, &environment).unwrap());
        assert_eq!(config.cameras[0].inputs[0].url.to_secret_string(), "rtsp://u:s3cret@cam/");
        assert!(!format!("{got:?} {environment:?}").contains("s3cret"));
    }
}
