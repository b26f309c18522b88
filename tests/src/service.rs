//! The service as a process, and its readers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest that a test waits for what must come; reaching it is a failure, with words.
const PATIENCE: Duration = Duration::from_secs(60);

/// `vas run` with a config of its own.
#[derive(Debug)]
pub struct Service {
    process: Child,
    work: tempfile::TempDir,
    /// Unmounted before its directory is removed.
    _tmpfs: Option<Tmpfs>,
    export: tempfile::TempDir,
    arguments: Vec<String>,
}

/// The binary under test; `make test` builds it first.
pub fn vas() -> PathBuf {
    if let Some(path) = std::env::var_os("VAS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("vas");
    assert!(path.exists(), "{} is not there: run `cargo build -p vas` first", path.display());
    path
}

impl Service {
    /// Starts the service with the flag at `flag` and `cameras` as TOML.
    pub fn start(flag: &str, export: &str, cameras: &str) -> Self {
        Self::start_with(flag, export, cameras, &[])
    }

    /// Starts it with further arguments of `vas run`.
    pub fn start_with(flag: &str, export: &str, cameras: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        Self::start_in(dir, None, flag, export, cameras, arguments)
    }

    /// Starts it with an export directory on a tmpfs of its own, mounted with `options`. Takes root.
    pub fn start_on_tmpfs(options: &str, export: &str, cameras: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let tmpfs = Tmpfs::mount(dir.path(), options);
        Self::start_in(dir, Some(tmpfs), "true", export, cameras, &[])
    }

    fn start_in(
        dir: tempfile::TempDir,
        tmpfs: Option<Tmpfs>,
        flag: &str,
        export: &str,
        cameras: &str,
        arguments: &[&str],
    ) -> Self {
        let work = tempfile::tempdir().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let config = format!(
            "[service]\nrun_dir = {:?}\n[export]\ndir = {:?}\n{export}\n{cameras}",
            work.path().join("run"),
            dir.path().join("vas"),
        );
        std::fs::write(work.path().join("vas.toml"), config).unwrap();
        let process = spawn(work.path(), flag, &arguments);
        Self { process, work, _tmpfs: tmpfs, export: dir, arguments }
    }

    /// Kills the process as a crash would, and starts another in its place.
    pub fn crash_and_restart(&mut self, flag: &str) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.work.path(), flag, &self.arguments);
    }

    /// The export directory, which the service itself makes.
    pub fn dir(&self) -> PathBuf {
        self.export.path().join("vas")
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the service logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.work.path().join("log")).unwrap_or_default()
    }

    /// `status.json`, if it is there.
    pub fn status(&self) -> Option<Value> {
        let text = std::fs::read(self.work.path().join("run/status.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Waits until the first camera's status is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until_of(0, what, wanted)
    }

    /// Waits until a camera's status is as wanted; cameras count from 0, in the config's order.
    pub fn until_of(
        &mut self,
        camera: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()
                && wanted(&status["cameras"][camera])
            {
                return status["cameras"][camera].clone();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "vas ended ({ended:?}) before {what}:\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "no {what}: {:?}\n{}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until readers can attach to a camera; its ring comes with the first of them.
    pub fn until_exported(&mut self, camera: &str) {
        let readers = self.dir().join(camera).join("readers");
        let start = Instant::now();
        while !readers.exists() {
            assert!(start.elapsed() < PATIENCE, "no {}\n{}", readers.display(), self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks for a clean stop; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        self.process.wait().unwrap().code()
    }

    /// Starts a reader process: `vas watch CAMERA --json ...`.
    pub fn watch(&self, camera: &str, arguments: &[&str]) -> Child {
        Command::new(vas())
            .args(["watch", camera, "--json", "--dir"])
            .arg(self.dir())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts a reader that stays, and waits until frames are exported for it.
    pub fn until_read(&mut self, camera: &str) -> Reader {
        self.until_exported(camera);
        let reader = Reader(self.watch(camera, &["--timeout", "3600"]));
        self.until("frames", |camera| camera["exported"].as_u64() > Some(0));
        reader
    }

    /// What is left in the export's parent and in the run directory.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let list = |dir: &Path| {
            let entries = std::fs::read_dir(dir).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        [list(self.export.path()), list(&self.work.path().join("run"))].concat()
    }
}

/// A tmpfs that is unmounted when this is dropped.
#[derive(Debug)]
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, options: &str) -> Self {
        let mount = ["-t", "tmpfs", "-o", options, "tmpfs"];
        crate::clip::run(Command::new("mount").args(mount).arg(at));
        Self(at.into())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A reader process that is killed when this is dropped.
#[derive(Debug)]
pub struct Reader(pub Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(work: &Path, flag: &str, arguments: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(work.join("log")).unwrap();
    Command::new(vas())
        .args(["run", "--config"])
        .arg(work.join("vas.toml"))
        .args(arguments)
        .env("AI_FRAME_EXPORT_ENABLED", flag)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    crate::clip::run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}

/// Parses what a reader printed, a line a frame.
pub fn frames(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
