//! The programs that are installed beside this one.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The program that links FFmpeg.
const SHARD: &str = "vas-shard";
/// How a program starts.
const ELF: &[u8] = b"\x7fELF";

/// `vas-shard` can't be run.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run {}: {why}; vas needs it; install vas and vas-shard from the same build into one folder",
    program.display()
)]
pub(crate) struct NoShardProgram {
    program: PathBuf,
    why: Unusable,
}

/// Why a file can't be run as `vas-shard`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("this user may not execute it (mode {:o}): {source}", mode.as_raw_mode())]
    NotExecutable { mode: Mode, source: Errno },
    /// The kernel can't run one from a close-on-exec descriptor.
    #[error("it is a script, expected the program itself")]
    Script,
    #[error("it is not an ELF program")]
    NotElf,
}

impl NoShardProgram {
    pub(crate) fn new(program: &Path, source: io::Error) -> Self {
        Self { program: program.to_owned(), why: source.into() }
    }

    /// Whether another try gives the same.
    pub(crate) fn is_lasting(&self) -> bool {
        let Unusable::Io(error) = &self.why else { return true };
        let error = Errno::from_io_error(error);
        error.is_some_and(|error| [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC].contains(&error))
    }
}

/// The program `vas-shard` as it was when the service started: an open file, so that a shard that is restarted is of
/// this service's build even if a package manager has replaced the program on disk.
#[derive(Debug)]
pub(crate) enum ShardProgram {
    Open {
        file: OwnedFd,
        /// Where it was, for messages.
        path: PathBuf,
    },
    /// Tests only: another program. The kernel can't run a script from a close-on-exec descriptor.
    Stand(PathBuf),
}

impl ShardProgram {
    /// The one beside this program, or `in_its_place`.
    ///
    /// # Errors
    /// The program can't be opened, or can't be executed.
    pub(crate) fn open(in_its_place: Option<&Path>) -> Result<Self, NoShardProgram> {
        if let Some(path) = in_its_place {
            return Ok(Self::Stand(path.to_owned()));
        }
        let path = beside_this(SHARD);
        match open_program(&path) {
            Ok(file) => Ok(Self::Open { file, path }),
            Err(why) => Err(NoShardProgram { program: path, why }),
        }
    }

    /// Where it is, or was when the service started.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Open { path, .. } | Self::Stand(path) => path,
        }
    }

    /// A command that runs it.
    pub(crate) fn command(&self) -> Command {
        with_our_build(match self {
            // The child has the descriptor until the program is in place.
            Self::Open { file, .. } => Command::new(path_of(file)),
            Self::Stand(path) => Command::new(path),
        })
    }
}

/// Opens a program, and checks that the kernel will execute it.
fn open_program(path: &Path) -> Result<OwnedFd, Unusable> {
    // Enough to run it, and needs no right to read it.
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(io::Error::from)?;
    let stat = rustix::fs::fstat(&file).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Unusable::NotRegular);
    }
    if let Err(source) = rustix::fs::access(path_of(&file), Access::EXEC_OK) {
        return Err(Unusable::NotExecutable { mode: Mode::from_raw_mode(stat.st_mode), source });
    }
    let mut start = Vec::new();
    // A program that can't be read can be run all the same.
    if let Ok(readable) = File::open(path_of(&file)) {
        readable.take(ELF.len() as u64).read_to_end(&mut start)?;
        match start.as_slice() {
            ELF => {}
            [b'#', b'!', ..] => return Err(Unusable::Script),
            _ => return Err(Unusable::NotElf),
        }
    }
    Ok(file)
}

/// The file behind a descriptor of this process.
fn path_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Runs `vas-shard` in place of this program, with the same arguments.
pub(crate) fn become_shard_program() -> NoShardProgram {
    let program = match ShardProgram::open(None) {
        Ok(program) => program,
        Err(error) => return error,
    };
    // Returns only if the program can't be run.
    let source = program.command().args(env::args_os().skip(1)).exec();
    NoShardProgram::new(program.path(), source)
}

/// `vas-shard` compares the build. The name is that of the command that people know.
fn with_our_build(mut command: Command) -> Command {
    command.arg0("vas").env(vas_channel::CALLER, build());
    command
}

/// The build of this program.
fn build() -> String {
    vas_channel::build(env!("VAS_SOURCES"), cfg!(feature = "frame-export"))
}

/// The path of a program beside this one; only its name if this program's own path is unknown.
fn beside_this(name: &str) -> PathBuf {
    env::current_exe().map_or_else(|_| name.into(), |own| own.with_file_name(name))
}

/// Runs a program that may be installed beside this one, or else in PATH, in place of this one.
pub(crate) fn become_program(name: &str, arguments: &[OsString]) -> (PathBuf, io::Error) {
    let program = beside_or_in_path(name, env::current_exe().ok().as_deref());
    // Returns only if the program can't be run.
    let source = Command::new(&program).args(arguments).exec();
    (program, source)
}

/// The program beside this one; if this program's path is unknown or there is none, only its name,
/// to be found in PATH.
fn beside_or_in_path(name: &str, own: Option<&Path>) -> PathBuf {
    let beside = own.map(|own| own.with_file_name(name));
    beside.filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_beside_us_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("vas");
        assert_eq!(beside_or_in_path("vas-gate", Some(&own)), PathBuf::from("vas-gate"));
        std::fs::write(folder.path().join("vas-gate"), "").unwrap();
        let beside = folder.path().join("vas-gate");
        assert_eq!(beside_or_in_path("vas-gate", Some(&own)), beside);
        assert_eq!(beside_or_in_path("vas-gate", None), PathBuf::from("vas-gate"));
    }
}
