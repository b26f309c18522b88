//! Processes that die in each way, and what they leave.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

use vas_crash::{LastWords, install, name_thread};

const WAY: &str = "VAS_CRASH_WAY";
const FILE: &str = "VAS_CRASH_FILE";

/// Not a test: the process that the tests start.
#[test]
fn child() {
    let Some(way) = std::env::var_os(WAY) else { return };
    let path = std::env::var_os(FILE).unwrap();
    install(File::options().write(true).open(path).unwrap().into()).unwrap();
    let way = way.into_string().unwrap();
    let dies = move || {
        let _named = (!way.starts_with("nameless")).then(|| name_thread("gate"));
        match way.as_str() {
            "overflow" => println!("{}", overflow(1)),
            "abort" => std::process::abort(),
            // SAFETY: none; to crash is what this process is for.
            "fault" => unsafe { std::ptr::null_mut::<u8>().write_volatile(1) },
            // SAFETY: raise has no conditions.
            _ => unsafe {
                assert_eq!(libc::raise(way.rsplit('-').next().unwrap().parse().unwrap()), 0)
            },
        }
    };
    std::thread::spawn(dies).join().unwrap();
    unreachable!("this process is dead");
}

#[allow(unconditional_recursion, reason = "to overflow the stack")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + frame[7]
}

struct Death {
    status: ExitStatus,
    said: String,
    words: Option<LastWords>,
}

fn die(way: &str) -> Death {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(WAY, way)
        .env(FILE, file.path())
        .output()
        .unwrap();
    Death {
        status: output.status,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        words: LastWords::read(file.as_file()).unwrap(),
    }
}

#[test]
fn the_name_is_left_and_the_signal_takes_its_course() {
    let mut ways = vec![("fault".to_owned(), libc::SIGSEGV), ("abort".into(), libc::SIGABRT)];
    for signal in [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV] {
        ways.push((format!("raise-{signal}"), signal));
    }
    for (way, signal) in ways {
        let death = die(&way);
        assert_eq!(death.status.signal(), Some(signal), "{way}: {}", death.said);
        let words = death.words.unwrap_or_else(|| panic!("{way} left no words: {}", death.said));
        assert_eq!((words.name.as_str(), words.signal), ("gate", signal), "{way}");
        assert!(words.thread > 0);
    }
}

#[test]
fn a_stack_overflow_is_reported_as_usual_and_named() {
    let death = die("overflow");
    assert_eq!(death.status.signal(), Some(libc::SIGABRT), "{}", death.said);
    assert!(death.said.contains("has overflowed its stack"), "{}", death.said);
    assert_eq!(death.words.unwrap().name, "gate");
}

#[test]
fn a_thread_without_a_name_leaves_no_camera() {
    let death = die(&format!("nameless-{}", libc::SIGSEGV));
    assert_eq!(death.status.signal(), Some(libc::SIGSEGV));
    assert_eq!(death.words.unwrap().name, "");
}
