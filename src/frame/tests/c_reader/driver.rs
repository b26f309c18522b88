//! Drives the reader in C over a pipe.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use vas_frame::telemetry::DIR_VARIABLE;
use vas_frame::{Frame, layout};

use crate::build::Build;

const PROGRAM: [&str; 2] = ["tests/driver.c", "vas_frame.c"];

/// A running `src/c/tests/driver.c`.
pub(crate) struct CReader {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    build: Build,
}

impl CReader {
    pub(crate) fn start(build: Build) -> Self {
        Self::run(build, build.program(&PROGRAM))
    }

    /// Runs it with a readers directory.
    pub(crate) fn start_stating(build: Build, readers: &Path) -> Self {
        let mut command = build.program(&PROGRAM);
        command.env(DIR_VARIABLE, readers);
        Self::run(build, command)
    }

    /// Runs it as another user and group, if this process may. Not for [`Build::Aarch64`].
    pub(crate) fn start_as(build: Build, user: u32) -> Self {
        let program = File::open(build.program(&PROGRAM).get_program()).unwrap();
        // Under this name another user can run it, wherever the file is.
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.uid(user).gid(user);
        Self::run(build, command)
    }

    fn run(build: Build, mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, to, from, build }
    }

    /// The process that has the reader.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it with its reader, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // `drop` would expect an orderly end.
        std::mem::forget(self);
    }

    /// A reader of the camera `gate`.
    pub(crate) fn open(build: Build, dir: &Path) -> Self {
        let mut reader = Self::start(build);
        assert_eq!(reader.attach(dir), "OK");
        reader
    }

    pub(crate) fn attach(&mut self, dir: &Path) -> String {
        self.ask("open", &[&dir.display(), &"gate", &0])
    }

    /// Sends a command and returns the answer.
    pub(crate) fn ask(&mut self, command: &str, arguments: &[&dyn Display]) -> String {
        self.tell(command, arguments);
        self.answer()
    }

    /// Sends a command without waiting for the answer.
    pub(crate) fn tell(&mut self, command: &str, arguments: &[&dyn Display]) {
        let mut line = command.to_owned();
        for argument in arguments {
            line += &format!("\t{argument}");
        }
        line.push('\n');
        self.to.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(
            line.ends_with('\n'),
            "{:?}: the driver ended: {:?}",
            self.build,
            self.process.wait()
        );
        line.pop();
        line
    }

    /// Sends a command and returns the pixels of its answer.
    pub(crate) fn pixels(&mut self, command: &str, arguments: &[&dyn Display]) -> Vec<u8> {
        let answer = self.ask(command, arguments);
        let size = answer.strip_prefix("OK ").unwrap_or_else(|| panic!("{answer}"));
        let mut bytes = vec![0; size.parse().unwrap()];
        self.from.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The id of the frame that a command returned, or the name of its error.
    pub(crate) fn id(&mut self, command: &str, arguments: &[&dyn Display]) -> Result<u64, String> {
        let answer = self.ask(command, arguments);
        let (name, rest) = answer.split_once(' ').unwrap();
        let id = rest.strip_prefix("frame_id=").and_then(|rest| rest.split(' ').next());
        id.map(|id| id.parse().unwrap()).ok_or(name.to_owned())
    }
}

impl Drop for CReader {
    /// Ends the program, which the sanitizers make fail after a leak or an invalid access.
    fn drop(&mut self) {
        drop(self.to.take());
        let status = self.process.wait().unwrap();
        if !std::thread::panicking() {
            assert!(status.success(), "{:?}: {status}", self.build);
        }
    }
}

/// The driver's line for a frame, from the same frame read in Rust.
pub(crate) fn line(frame: &Frame) -> String {
    let (m, s, g) = (frame.meta(), frame.meta().publish_meta(), frame.geometry());
    let (c, content) = (g.color(), m.content);
    let numbers = [
        ("frame_id", m.frame_id.to_string()),
        ("epoch", m.epoch.to_string()),
        ("pts_ns", s.pts_ns.unwrap_or(layout::PTS_UNKNOWN).to_string()),
        ("arrival_ns", s.arrival_ns.to_string()),
        ("decoded_ns", s.decoded_ns.to_string()),
        ("gate_ns", s.gate_ns.to_string()),
        ("published_ns", m.published_ns.to_string()),
        ("reuse_not_before_ns", m.reuse_not_before_ns.to_string()),
        ("wall_clock_ns", s.wall_clock_ns.unwrap_or(0).to_string()),
        ("wall_quality", u32::from(s.wall_clock_ns.is_some()).to_string()),
        ("flags", s.flags.bits().to_string()),
        ("size", format!("{}x{}", m.width, m.height)),
        ("coded", format!("{}x{}", s.coded.width, s.coded.height)),
        ("crop", format!("{},{}", s.crop.left, s.crop.top)),
        ("content", format!("{},{},{},{}", content.x, content.y, content.width, content.height)),
        ("source", format!("{}x{}", m.source.width, m.source.height)),
        ("decoder", (s.decoder as u32).to_string()),
        ("stride", g.stride().to_string()),
        ("range", (c.range as u32).to_string()),
        ("primaries", c.primaries.to_string()),
        ("transfer", c.transfer.to_string()),
        ("matrix", c.matrix.to_string()),
        ("chroma", c.chroma_location.to_string()),
        ("depth", g.bit_depth().to_string()),
        ("tight", g.tight_bytes().to_string()),
    ];
    numbers.iter().fold("OK".to_owned(), |line, (name, value)| format!("{line} {name}={value}"))
}
