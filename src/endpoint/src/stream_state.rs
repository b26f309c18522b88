//! A stream's state, for the process that continues it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::MemfdFlags;
use rustix::rand::{GetRandomFlags, getrandom};
use vas_rtp::Continuity;

/// Keeps a stream's [`Continuity`] in memory that outlives the writing process: a file without a
/// name, of which the supervisor holds a second descriptor.
#[derive(Debug)]
pub struct StreamState(File);

impl StreamState {
    /// A stream that begins at random numbers (RFC 3550, 5.1).
    ///
    /// # Errors
    /// The system has none, or no memory.
    pub fn beginning() -> io::Result<Self> {
        let mut random = [0; 6];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let [a, b, c, d, e, f] = random;
        let (sequence, offset) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f]));
        let file = rustix::fs::memfd_create("vas-stream", MemfdFlags::CLOEXEC)?;
        let stream_state = Self(file.into());
        stream_state.store(Continuity::beginning(sequence, offset))?;
        Ok(stream_state)
    }

    /// A page that another process created.
    pub fn of(file: OwnedFd) -> Self {
        Self(file.into())
    }

    /// Duplicates its descriptor.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }

    /// Where the stream has got to.
    ///
    /// # Errors
    /// The file is too short.
    pub fn load(&self) -> io::Result<Continuity> {
        let mut bytes = [0; Continuity::BYTES];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(Continuity::from_bytes(bytes))
    }

    /// One write of a few bytes to memory: all or nothing, even if the process is killed during it.
    ///
    /// # Errors
    /// The system refuses the write.
    pub fn store(&self, continuity: Continuity) -> io::Result<()> {
        self.0.write_all_at(&continuity.to_bytes(), 0)
    }
}
