//! The channel between supervisor and shard: a pair of connected sockets, created before the shard.
//!
//! A message is its length in four bytes and JSON; open files may be sent along. Neither end ever
//! blocks: unsent data is kept, up to a limit, and received data until its message is complete. The
//! sockets have no name and never listen (contract V4).

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message: a report of 4096 cameras takes a third of it.
const MAX_MESSAGE: usize = 32 << 20;
/// Most data that waits to be sent. A peer that far behind is assumed dead.
const MAX_WAITING: usize = 2 * MAX_MESSAGE;
/// Most open files that are sent with one message.
const MAX_FILES: usize = 8;
const LENGTH: usize = size_of::<u32>();

/// Why nothing more can be received or sent.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other end is closed.
    #[error("the other end is closed")]
    Closed,
    /// A message is longer than allowed.
    #[error("a message of {0} bytes; expected at most {MAX_MESSAGE}")]
    TooLong(usize),
    /// The other end does not read.
    #[error("the other end does not read: {0} bytes wait for it")]
    NotRead(usize),
    /// It is no longer known which of the following files belong to which message.
    #[error(
        "open files that came with a message were lost; has this process reached its limit of open files?"
    )]
    FilesLost,
    /// A message is malformed.
    #[error("a malformed message: {0}")]
    Nonsense(#[from] serde_json::Error),
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One end of the channel.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    inbox: Vec<u8>,
    /// Files that were received, in order.
    files: VecDeque<OwnedFd>,
    outbox: VecDeque<Outgoing>,
    waiting: usize,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Sent with the first byte.
    files: Vec<OwnedFd>,
}

impl Channel {
    /// One end, and the socket for the other.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        Ok((Self::over(own)?, other.into()))
    }

    /// The end on a given socket.
    ///
    /// # Errors
    /// It is no socket.
    pub fn over(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            inbox: Vec::new(),
            files: VecDeque::new(),
            outbox: VecDeque::new(),
            waiting: 0,
        })
    }

    /// Whether data waits to be sent.
    pub fn is_waiting(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends as much of a message as the other end accepts; [`flush`](Self::flush) sends the rest.
    ///
    /// # Errors
    /// The other end is gone, or has not read for too long.
    pub fn send<M: Serialize>(
        &mut self,
        message: &M,
        files: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        let mut bytes = vec![0; LENGTH];
        serde_json::to_writer(&mut bytes, message)?;
        let len = bytes.len() - LENGTH;
        let stated = u32::try_from(len).ok().filter(|_| len <= MAX_MESSAGE);
        let stated = stated.ok_or(ChannelError::TooLong(len))?;
        bytes[..LENGTH].copy_from_slice(&stated.to_le_bytes());
        self.waiting += bytes.len();
        if self.waiting > MAX_WAITING {
            return Err(ChannelError::NotRead(self.waiting));
        }
        self.outbox.push_back(Outgoing { bytes, sent: 0, files });
        self.flush()
    }

    /// Sends as much of the waiting data as the other end accepts.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some(next) = self.outbox.front_mut() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let files: Vec<_> = next.files.iter().map(AsFd::as_fd).collect();
            if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
                return Err(ChannelError::TooLong(files.len()));
            }
            let rest = [IoSlice::new(&next.bytes[next.sent..])];
            match sendmsg(&self.socket, &rest, &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    next.sent += sent;
                    self.waiting -= sent;
                    next.files.clear();
                    if next.sent == next.bytes.len() {
                        self.outbox.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// The next complete message, `None` if there is none yet.
    ///
    /// # Errors
    /// The other end is gone and nothing is left to read, or its message is malformed.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(serde_json::from_slice(&message)?));
            }
            let mut bytes = [0; 64 << 10];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let got = recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(files) = message {
                    self.files.extend(files);
                }
            }
            match got {
                Ok(got) if got.flags.contains(ReturnFlags::CTRUNC) => {
                    return Err(ChannelError::FilesLost);
                }
                Ok(got) if got.bytes == 0 => return Err(ChannelError::Closed),
                Ok(got) => self.inbox.extend_from_slice(&bytes[..got.bytes]),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// The next file that was sent along.
    pub fn take_file(&mut self) -> Option<OwnedFd> {
        self.files.pop_front()
    }

    /// Removes a complete message from the inbox.
    fn next(&mut self) -> Result<Option<Vec<u8>>, ChannelError> {
        let Some(stated) = self.inbox.first_chunk::<LENGTH>() else { return Ok(None) };
        let len = u32::from_le_bytes(*stated) as usize;
        if len > MAX_MESSAGE {
            return Err(ChannelError::TooLong(len));
        }
        if self.inbox.len() < LENGTH + len {
            return Ok(None);
        }
        let rest = self.inbox.split_off(LENGTH + len);
        let mut message = std::mem::replace(&mut self.inbox, rest);
        message.drain(..LENGTH);
        Ok(Some(message))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    fn two() -> (Channel, Channel) {
        let (one, other) = Channel::pair().unwrap();
        (one, Channel::over(other.into()).unwrap())
    }

    #[test]
    fn messages_arrive_whole_in_order_and_with_their_files() {
        let (mut one, mut other) = two();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"words").unwrap();
        // More than a socket accepts at once.
        let long = "x".repeat(1 << 20);
        one.send(&long, vec![file.into()]).unwrap();
        one.send(&"short", Vec::new()).unwrap();
        assert!(one.is_waiting());
        let mut got: Vec<String> = Vec::new();
        while got.len() < 2 {
            one.flush().unwrap();
            got.extend(other.receive().unwrap());
        }
        assert_eq!(got, [long, "short".to_owned()]);
        let mut words = String::new();
        let mut file = File::from(other.take_file().unwrap());
        file.rewind().unwrap();
        file.read_to_string(&mut words).unwrap();
        assert_eq!(words, "words");
        assert!(!one.is_waiting() && other.take_file().is_none());
        assert!(other.receive::<String>().unwrap().is_none());
        drop(one);
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Closed)));
        assert!(matches!(other.send(&"a", Vec::new()), Err(ChannelError::Closed)));
    }

    #[test]
    fn oversized_and_malformed_messages_are_refused() {
        let (one, mut other) = two();
        (&one.socket).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(other.receive::<String>(), Err(ChannelError::TooLong(_))));
        let (one, mut other) = two();
        (&one.socket).write_all(b"\x01\0\0\0{").unwrap();
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Nonsense(_))));
    }

    #[test]
    fn lost_files_are_not_replaced_by_another_messages() {
        let (one, mut other) = two();
        let file = tempfile::tempfile().unwrap();
        let too_many = [file.as_fd(); MAX_FILES + 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES + 4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&too_many)));
        let bytes = [IoSlice::new(b"\x02\0\0\0\"\"")];
        sendmsg(&one.socket, &bytes, &mut control, SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(other.receive::<String>(), Err(ChannelError::FilesLost)));
    }

    #[test]
    fn a_peer_that_does_not_read_is_dropped() {
        let (mut one, _other) = two();
        let long = "x".repeat(MAX_MESSAGE - 2);
        one.send(&long, Vec::new()).unwrap();
        let refused = [(); 2].map(|()| one.send(&long, Vec::new()));
        assert!(matches!(refused[1], Err(ChannelError::NotRead(_))), "{refused:?}");
        assert!(matches!(one.send(&(long + "x"), Vec::new()), Err(ChannelError::TooLong(_))));
    }
}
