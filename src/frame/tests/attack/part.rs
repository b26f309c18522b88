//! Parts of an attack that run in processes of their own, in this same binary.
//!
//! A part writes one message per line to standard error: standard output belongs to the test
//! harness.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

const PART: &str = "VAS_ATTACK_PART";

/// Runs the part named in the environment. Without one, as in an ordinary test run, it does nothing.
#[test]
#[ignore = "started by other tests, each for a part"]
fn play() {
    let Some(part) = std::env::var_os(PART) else { return };
    let part = part.into_string().unwrap();
    let words: Vec<_> = part.split('\n').collect();
    let root = PathBuf::from(words[1]);
    match words[0] {
        "crash::write" => super::crash::write(&root, words[2].parse().unwrap()),
        "epochs::change" => super::epochs::change(&root, words[2].parse().unwrap()),
        "second_writer::try_again" => super::second_writer::try_again(&root),
        "sizes::stay" => super::sizes::stay(&root),
        "locks::grab" => super::locks::grab(&root),
        "memory::confined" => super::memory::confined(&root),
        "users::follow" => super::users::follow(&root),
        "users::intrude" => super::users::intrude(&root),
        "users::read" => super::users::read(&root),
        "syscalls::live" => super::syscalls::live(&root),
        other => panic!("no part {other}"),
    }
}

/// The command that runs a part with the export directory and `words` as arguments.
pub(crate) fn command(name: &str, root: &std::path::Path, words: &[&str]) -> Command {
    let part = [&[name, root.to_str().unwrap()], words].concat().join("\n");
    // Under this name another user can run it too, wherever the file is.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", "part::play", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Makes the child call `act` before it executes this binary.
pub(crate) fn before_exec(
    command: &mut Command,
    act: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: between fork and exec, `act` makes system calls and uses no locks but the allocator's, which
    // glibc keeps usable across fork.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, act) };
}

/// A running part; killed when dropped.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) process: Child,
    words: BufReader<ChildStderr>,
}

impl Part {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let words = BufReader::new(process.stderr.take().unwrap());
        Self { process, words }
    }

    /// Its next message; panics with its status and output if the part has ended.
    pub(crate) fn word(&mut self) -> String {
        let mut word = String::new();
        self.words.read_line(&mut word).unwrap();
        if word.is_empty() || word.trim().is_empty() || word.starts_with("thread ") {
            let mut rest = String::new();
            self.words.read_to_string(&mut rest).unwrap();
            panic!("a part ended: {:?}\n{word}{rest}", self.process.wait());
        }
        word.trim_end().to_owned()
    }

    /// Sends it a message.
    pub(crate) fn tell(&mut self, word: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    /// The number that follows `name` in its next message.
    pub(crate) fn number(&mut self, name: &str) -> u64 {
        let word = self.word();
        let number = word.strip_prefix(name).and_then(|n| n.trim().parse().ok());
        number.unwrap_or_else(|| panic!("expected `{name} NUMBER`, not {word:?}"))
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        self.process.wait().unwrap()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
