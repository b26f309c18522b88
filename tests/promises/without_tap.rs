//! With the flag off, the service is like a build without the tap: compared with such a build.
//!
//! `make test-long` makes that build. Instructions and allocations are compared by `bench/run.sh idle`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vas_harness::Outcome as _;
use vas_tests::service::vas;

/// Longest wait for a state of the service; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Packets after which the camera has started.
const RUNNING: u64 = 60;

/// The build without the feature `frame-export`.
fn vas_without() -> PathBuf {
    if let Some(path) = std::env::var_os("VAS_WITHOUT_BIN") {
        return path.into();
    }
    let with = vas();
    let (profile, target) = (with.parent().unwrap(), with.ancestors().nth(2).unwrap());
    let path = target.join("no-export").join(profile.file_name().unwrap()).join("vas");
    assert!(path.exists(), "{} does not exist: `make test-long` builds it", path.display());
    path
}

/// A service with the flag off that records one camera, with or without a tracer.
struct Run {
    process: Child,
    work: tempfile::TempDir,
}

impl Run {
    fn start(vas: &Path, tracer: &[&str]) -> Self {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path();
        std::fs::create_dir(folder.join("recordings")).unwrap();
        // The same names for both builds, so that paths have the same length.
        for name in ["vas", "vas-shard"] {
            std::fs::copy(vas.with_file_name(name), folder.join(name)).unwrap();
        }
        let clip = folder.join("clip.mp4");
        let encode =
            ["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "120"];
        let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50"];
        let made = Command::new("ffmpeg").args(encode).args(codec).arg(&clip).status().unwrap();
        assert!(made.success());
        let config = format!(
            "[service]\nrun_dir = {:?}\nshards = 1\n[record]\ndir = {:?}\n[[camera]]\nid = \"cam\"\nurl = {clip:?}\n",
            folder.join("run"),
            folder.join("recordings"),
        );
        std::fs::write(folder.join("vas.toml"), config).unwrap();
        let mut command = tracer.iter().map(|word| word.replace("OUT", folder.to_str().unwrap()));
        let program = folder.join("vas").to_str().unwrap().to_owned();
        let first = command.next().unwrap_or_else(|| program.clone());
        let mut words: Vec<_> = command.collect();
        if !tracer.is_empty() {
            words.push(program);
        }
        let process = Command::new(first)
            .args(words)
            .args(["run", "--config"])
            .arg(folder.join("vas.toml"))
            .env("AI_FRAME_EXPORT_ENABLED", "false")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut run = Self { process, work };
        run.until_running();
        run
    }

    fn until_running(&mut self) {
        let start = Instant::now();
        let running = |run: &Self| {
            Some(run.status()?["cameras"][0]["recorder"]["packets"].as_u64()? > RUNNING)
        };
        while running(self) != Some(true) {
            assert!(self.process.try_wait().unwrap().is_none(), "the service ended");
            assert!(start.elapsed() < PATIENCE, "no packets were recorded");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn status(&self) -> Option<serde_json::Value> {
        let status = std::fs::read(self.work.path().join("run/status.json")).ok()?;
        serde_json::from_slice(&status).ok()
    }

    /// The supervisor and its shard, from the status.
    fn processes(&self) -> Vec<u64> {
        let status = self.status().unwrap();
        vec![status["pid"].as_u64().unwrap(), status["shards"][0]["pid"].as_u64().unwrap()]
    }

    /// A path that is the same in each run.
    fn plain(&self, path: &str) -> String {
        let path = path.replace(self.work.path().to_str().unwrap(), "WORK");
        // Without numbers of sockets and processes, and times in names.
        path.chars().filter(|c| !c.is_ascii_digit()).collect()
    }

    fn names(&self, folder: &str, name: impl Fn(&Path) -> String) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for pid in self.processes() {
            for entry in std::fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap() {
                *names.entry(self.plain(&name(&entry.unwrap().path()))).or_default() += 1;
            }
        }
        names
    }

    fn threads(&self) -> BTreeMap<String, usize> {
        self.names("task", |task| std::fs::read_to_string(task.join("comm")).unwrap())
    }

    fn descriptors(&self) -> BTreeMap<String, usize> {
        self.names("fd", |fd| {
            std::fs::read_link(fd).map_or_else(|_| String::new(), |to| to.to_string_lossy().into())
        })
    }

    /// Mappings, by file and permissions. Anonymous memory depends on the allocator, so only its
    /// permissions count.
    fn mappings(&self) -> BTreeSet<String> {
        let maps = self
            .processes()
            .into_iter()
            .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap());
        let line = |line: &str| {
            let mut fields = line.split_whitespace();
            let rights = fields.nth(1).unwrap();
            format!("{rights} {}", self.plain(fields.nth(3).unwrap_or_default()))
        };
        maps.flat_map(|maps| maps.lines().map(line).collect::<Vec<_>>()).collect()
    }

    fn stop(&mut self) {
        let supervisor = self.processes()[0].to_string();
        assert!(Command::new("kill").arg(supervisor).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // A killed tracer detaches from its processes; a shard ends with its supervisor.
        if let Some(supervisor) = self.status().and_then(|status| status["pid"].as_u64()) {
            let _ = Command::new("kill").args(["-9", &supervisor.to_string()]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs a build without the tap: make test-long"]
fn off_has_the_threads_files_and_mappings_of_a_build_without_the_tap() {
    let [off, without] = [vas(), vas_without()].map(|vas| Run::start(&vas, &[]));
    assert_eq!(off.threads(), without.threads());
    assert_eq!(off.descriptors(), without.descriptors());
    assert_eq!(off.mappings(), without.mappings());
}

#[test]
#[ignore = "needs a build without the tap, and strace: make test-long"]
fn off_makes_the_system_calls_of_a_build_without_the_tap() {
    let calls = [vas(), vas_without()].map(|vas| {
        let mut run = Run::start(&vas, &["strace", "-f", "-qq", "-o", "OUT/calls"]);
        run.stop();
        let trace = std::fs::read_to_string(run.work.path().join("calls")).unwrap();
        // `PID name(arguments...`; an interrupted call continues in a line of another form.
        let name = |line: &str| {
            let call = line.split_whitespace().nth(1)?.split_once('(')?.0.to_owned();
            call.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                .then_some(call)
        };
        // These depend on what a tracer or another process interrupts.
        let timing = ["restart_syscall", "sched_yield"];
        let calls: BTreeSet<_> = trace.lines().filter_map(name).collect();
        calls.into_iter().filter(|call| !timing.contains(&call.as_str())).collect::<BTreeSet<_>>()
    });
    assert!(calls[0].contains("futex") && calls[0].len() > 20, "{calls:?}");
    assert_eq!(calls[0], calls[1]);
}

#[test]
#[ignore = "needs a build without the tap: make test-long"]
fn a_build_without_the_tap_refuses_the_flag() {
    let output = Command::new(vas_without())
        .args(["run", "--config", "/nonexistent"])
        .env("AI_FRAME_EXPORT_ENABLED", "true")
        .outcome();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("built without the feature `frame-export`"), "{words}");
}
