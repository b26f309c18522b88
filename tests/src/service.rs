//! The service as a process, and its readers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vas_harness::waiting;
use vas_sim_gpu::testing::Devices;

/// Longest wait of a test; a test that reaches it fails with a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan<'a> {
    /// The program; if empty, the one under test.
    pub program: &'a str,
    /// `AI_FRAME_EXPORT_ENABLED`.
    pub flag: &'a str,
    /// Lines of `[service]`, without `run_dir`.
    pub service: &'a str,
    /// The export directory; if empty, a new one.
    pub dir: &'a str,
    /// Lines of `[export]`, without `dir`.
    pub export: &'a str,
    /// The rest of the config.
    pub cameras: &'a str,
    /// Further arguments of `vas run`.
    pub arguments: &'a [&'a str],
    /// Further environment variables.
    pub variables: &'a [(&'a str, &'a str)],
    /// A program that runs the service, with that program's arguments.
    pub tracer: &'a [&'a str],
}

/// `vas run` with its own config.
#[derive(Debug)]
pub struct Service {
    process: Child,
    program: PathBuf,
    /// The config before the cameras.
    tables: String,
    variables: Vec<(String, String)>,
    tracer: Vec<String>,
    work: tempfile::TempDir,
    /// Unmounted before its directory is removed.
    _tmpfs: Option<Tmpfs>,
    export: tempfile::TempDir,
    exported: PathBuf,
    arguments: Vec<String>,
}

/// The binary under test; `make test` builds it first.
pub fn vas() -> PathBuf {
    if let Some(path) = std::env::var_os("VAS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("vas");
    assert!(path.exists(), "{} does not exist: run `cargo build -p vas` first", path.display());
    path
}

impl Service {
    /// Starts the service with the flag at `flag` and `cameras` as TOML.
    pub fn start(flag: &str, export: &str, cameras: &str) -> Self {
        Self::launch(Plan { flag, export, cameras, ..Plan::default() })
    }

    /// Starts the service with further arguments of `vas run`.
    pub fn start_with(flag: &str, export: &str, cameras: &str, arguments: &[&str]) -> Self {
        Self::launch(Plan { flag, export, cameras, arguments, ..Plan::default() })
    }

    /// Starts the service on simulated GPUs or render nodes.
    pub fn start_on(
        devices: &impl Devices,
        flag: &str,
        export: &str,
        cameras: &str,
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::new("vas");
        let set = devices.configure(&mut command).get_envs();
        let variables: Vec<_> =
            set.filter_map(|(name, to)| name.to_str().zip(to?.to_str())).collect();
        let variables = variables.as_slice();
        Self::launch(Plan { flag, export, cameras, arguments, variables, ..Plan::default() })
    }

    /// Starts the service with its export directory on a new tmpfs, mounted with `options`. Needs
    /// root.
    pub fn start_on_tmpfs(options: &str, export: &str, cameras: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let tmpfs = Tmpfs::mount(dir.path(), options);
        Self::launch_in(dir, Some(tmpfs), Plan { flag: "true", export, cameras, ..Plan::default() })
    }

    /// Starts the service as `plan` states.
    pub fn launch(plan: Plan<'_>) -> Self {
        Self::launch_in(tempfile::tempdir_in("/dev/shm").unwrap(), None, plan)
    }

    fn launch_in(dir: tempfile::TempDir, tmpfs: Option<Tmpfs>, plan: Plan<'_>) -> Self {
        let work = tempfile::tempdir().unwrap();
        let Plan {
            program,
            flag,
            service,
            dir: given,
            export,
            cameras,
            arguments,
            variables,
            tracer,
        } = plan;
        let program = if program.is_empty() { vas() } else { program.into() };
        let tracer: Vec<_> = tracer.iter().map(|&word| word.to_owned()).collect();
        let exported = match given {
            "" => dir.path().join("vas"),
            given => given.into(),
        };
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let tables = format!(
            "[service]\nrun_dir = {:?}\n{service}\n[export]\ndir = {:?}\n{export}\n",
            work.path().join("run"),
            exported,
        );
        std::fs::write(work.path().join("vas.toml"), format!("{tables}{cameras}")).unwrap();
        let process = spawn(&program, work.path(), flag, &arguments, &variables, &tracer);
        Self {
            process,
            program,
            tables,
            variables,
            tracer,
            work,
            _tmpfs: tmpfs,
            export: dir,
            exported,
            arguments,
        }
    }

    /// Writes other cameras into the config, and sends SIGHUP.
    pub fn reload(&self, cameras: &str) {
        std::fs::write(self.work.path().join("vas.toml"), format!("{}{cameras}", self.tables))
            .unwrap();
        signal(self.pid(), "HUP");
    }

    /// Kills the service as a crash would, and starts it again.
    pub fn crash_and_restart(&mut self, flag: &str) {
        self.kill();
        self.process = spawn(
            &self.program,
            self.work.path(),
            flag,
            &self.arguments,
            &self.variables,
            &self.tracer,
        );
    }

    /// The export directory, which the service itself creates.
    pub fn dir(&self) -> PathBuf {
        self.exported.clone()
    }

    /// The config's folder; `run` in it holds the status.
    pub fn work(&self) -> &Path {
        self.work.path()
    }

    /// The folder of `status.json`.
    pub fn run_dir(&self) -> PathBuf {
        self.work.path().join("run")
    }

    /// Kills all processes of the service as a crash would.
    pub fn kill(&mut self) {
        let shards = self.shards();
        self.process.kill().unwrap();
        shards.iter().for_each(|shard| kill(*shard));
        self.process.wait().unwrap();
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Process ids of the running shards, from the kernel, in the order of their starts.
    pub fn shards(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Process ids of the shards and the supervisor.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = self.shards();
        all.push(self.pid());
        all
    }

    /// Process id of the shard that runs a camera.
    pub fn shard_of(&mut self, camera: &str) -> u32 {
        let status = self.until_status("a shard", |status| pid_of(status, camera).is_some());
        pid_of(&status, camera).unwrap()
    }

    /// The service's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.work.path().join("log")).unwrap_or_default()
    }

    /// `status.json`, if it exists.
    pub fn status(&self) -> Option<Value> {
        let text = std::fs::read(self.work.path().join("run/status.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Waits until the first camera's status is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until_of(0, what, wanted)
    }

    /// Waits until a camera's status is as wanted; `number` counts from 0, in the config's order within a
    /// shard.
    pub fn until_of(
        &mut self,
        camera: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.until_status(what, |status| wanted(&status["cameras"][camera]))["cameras"][camera]
            .clone()
    }

    /// Waits until a camera's status is as wanted.
    pub fn until_camera(&mut self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let status = self.until_status(what, |status| camera_in(status, id).is_some_and(&wanted));
        camera_in(&status, id).unwrap().clone()
    }

    /// Waits until a camera's status is as wanted; false if it is not within `limit`.
    pub fn comes_to(&self, id: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> bool {
        let start = Instant::now();
        loop {
            if self.status().as_ref().and_then(|all| camera_in(all, id)).is_some_and(&wanted) {
                return true;
            }
            if start.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the status is as wanted.
    pub fn until_status(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()
                && wanted(&status)
            {
                return status;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "vas ended ({ended:?}) before {what}:\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "no {what}: {:?}\n{}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the service has logged `words`; returns the line.
    pub fn until_logged(&self, words: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no {words:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until readers can attach to a camera; its ring opens with the first of them.
    pub fn until_exported(&mut self, camera: &str) {
        self.until_can_be_read(camera);
    }

    /// The same.
    pub(crate) fn until_can_be_read(&self, camera: &str) {
        let readers = self.dir().join(camera).join("readers");
        let start = Instant::now();
        while !readers.exists() {
            assert!(start.elapsed() < PATIENCE, "no {}\n{}", readers.display(), self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the process has ended; returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let _wait = waiting("the service to end");
        self.process.wait().unwrap().code()
    }

    /// Sends SIGTERM and waits; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let _wait = waiting("the service to end on SIGTERM");
        signal(self.pid(), "TERM");
        self.process.wait().unwrap().code()
    }

    /// Stops a service that runs under a tracer, and waits for the tracer's end.
    pub fn stop_traced(&mut self) {
        let _wait = waiting("a traced service to end on SIGTERM");
        let status = self.status().expect("it has run");
        signal(u32::try_from(status["pid"].as_u64().unwrap()).unwrap(), "TERM");
        assert!(self.process.wait().unwrap().success(), "{}", self.log());
    }

    /// The parent of the export directory.
    pub fn export_home(&self) -> &Path {
        self.export.path()
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

    /// Starts a reader that stays attached, and waits until frames are exported for it.
    pub fn until_read(&mut self, camera: &str) -> Reader {
        self.until_exported(camera);
        let reader = Reader(self.watch(camera, &["--timeout", "3600"]));
        self.until("frames", |camera| camera["exported"].as_u64() > Some(0));
        reader
    }

    /// The remaining files in the export's parent and in the run directory.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let list = |dir: &Path| {
            let entries = std::fs::read_dir(dir).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        [list(self.export.path()), list(&self.work.path().join("run"))].concat()
    }
}

fn camera_in<'a>(status: &'a Value, id: &str) -> Option<&'a Value> {
    status["cameras"].as_array()?.iter().find(|camera| camera["id"] == id)
}

fn pid_of(status: &Value, camera: &str) -> Option<u32> {
    let number = &camera_in(status, camera)?["shard"];
    let shard = status["shards"].as_array()?.iter().find(|shard| shard["shard"] == *number)?;
    u32::try_from(shard["pid"].as_u64()?).ok()
}

/// A tmpfs that is unmounted when this is dropped.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one with `options`. Needs root.
    pub fn mount(at: &Path, options: &str) -> Self {
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
        if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // Otherwise the shards would still be stopping cleanly when the next test starts.
        let shards = self.shards();
        let _ = self.process.kill();
        shards.iter().for_each(|shard| kill(*shard));
        let _ = self.process.wait();
    }
}

fn spawn(
    program: &Path,
    work: &Path,
    flag: &str,
    arguments: &[String],
    variables: &[(String, String)],
    tracer: &[String],
) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(work.join("log")).unwrap();
    let mut command = match tracer {
        [] => Command::new(program),
        [tracer, its @ ..] => {
            let mut command = Command::new(tracer);
            command.args(its).arg(program);
            command
        }
    };
    command
        .args(["run", "--config"])
        .arg(work.join("vas.toml"))
        .args(arguments)
        .env("AI_FRAME_EXPORT_ENABLED", flag)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Sends a signal by number to one thread, as a fault in that thread would.
pub fn signal_thread(pid: u32, thread: u32, number: i32) {
    let call = format!("import ctypes; exit(ctypes.CDLL(None).tgkill({pid}, {thread}, {number}))");
    crate::clip::run(Command::new("/usr/bin/python3").args(["-c", &call]));
}

/// Kills a process that may have ended already.
fn kill(pid: u32) {
    let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    crate::clip::run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}

/// Parses a reader's output, one line per frame.
pub fn frames(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
