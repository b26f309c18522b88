//! The sockets of a producer: bound once, connected to the transport, never blocking.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use vas_config::{Destination, Producer};

/// The addresses of the other end for RTP and, if it has one of its own, for RTCP.
pub type Peer = (SocketAddr, Option<SocketAddr>);

/// The sockets that a producer sends from. They are connected, so that the kernel accepts packets
/// from the transport only and reports when nothing listens there (ICMP).
#[derive(Debug)]
pub struct RtpSockets {
    rtp: UdpSocket,
    /// `None`: RTCP goes over the first.
    rtcp: Option<UdpSocket>,
    /// Whether the destination is known.
    connected: AtomicBool,
}

/// What was received from the transport.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A datagram; empty if it came from a stranger.
    Datagram(&'a [u8]),
    /// Nothing listened for an earlier RTP packet. Reading this error clears it for the next send.
    Refused,
    /// Nothing waits.
    Nothing,
}

/// Why a datagram was not sent.
#[derive(Debug)]
pub enum NotSent {
    /// The socket's buffer is full.
    Full,
    /// The destination is not known yet.
    NoPeer,
    /// Nothing listens at the other end.
    PeerGone,
    /// Something else.
    Failed(io::Error),
}

impl RtpSockets {
    /// Binds to ports that the system chooses. Names are connected once looked up, and addresses
    /// that can't be reached yet (a host without network while it boots) once they can.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn bind(producer: &Producer) -> io::Result<Self> {
        let (rtp, rtcp) = (&producer.rtp, producer.rtcp.as_ref());
        let addresses = match (rtp, rtcp) {
            (Destination::Address(rtp), None) => Some((*rtp, None)),
            (Destination::Address(rtp), Some(Destination::Address(rtcp))) => {
                Some((*rtp, Some(*rtcp)))
            }
            _ => None,
        };
        if let Some((rtp, rtcp)) = addresses {
            let bind = |peer: SocketAddr| {
                let socket = match peer {
                    SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
                    SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
                }?;
                socket.set_nonblocking(true)?;
                Ok::<_, io::Error>(socket)
            };
            let sockets = Self {
                rtp: bind(rtp)?,
                rtcp: rtcp.map(bind).transpose()?,
                connected: AtomicBool::new(false),
            };
            // The sending thread retries and logs why.
            let _ = sockets.connect((rtp, rtcp));
            return Ok(sockets);
        }
        let (rtp, rtcp) = (bind_for_any()?, rtcp.map(|_| bind_for_any()).transpose()?);
        Ok(Self { rtp, rtcp, connected: AtomicBool::new(false) })
    }

    /// Sockets that another process has bound, and connected if it could.
    pub fn of(rtp: OwnedFd, rtcp: Option<OwnedFd>) -> Self {
        let rtp = UdpSocket::from(rtp);
        let is_open = |error: &io::Error| error.kind() == ErrorKind::NotConnected;
        let connected = AtomicBool::new(!rtp.peer_addr().is_err_and(|error| is_open(&error)));
        Self { rtp, rtcp: rtcp.map(Into::into), connected }
    }

    /// Sends to this peer and receives from no other, in all processes that have the sockets.
    ///
    /// # Errors
    /// It can't be reached.
    pub fn connect(&self, (rtp, rtcp): Peer) -> io::Result<()> {
        let connect = |socket: &UdpSocket, peer: SocketAddr| {
            let peer = match (socket.local_addr()?, peer) {
                (SocketAddr::V6(_), SocketAddr::V4(peer)) => {
                    SocketAddr::from((peer.ip().to_ipv6_mapped(), peer.port()))
                }
                (_, peer) => peer,
            };
            socket.connect(peer)
        };
        connect(&self.rtp, rtp)?;
        if let Some((socket, peer)) = self.rtcp.as_ref().zip(rtcp) {
            connect(socket, peer)?;
        }
        // Discard what strangers sent before.
        while [Some(&self.rtp), self.rtcp.as_ref()]
            .into_iter()
            .flatten()
            .any(|socket| socket.recv(&mut []).is_ok())
        {}
        self.connected.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The peer; `None` before its name was looked up.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.rtp.peer_addr().ok().map(canonical)
    }

    /// Duplicates the descriptors of the sockets.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let sockets = [Some(&self.rtp), self.rtcp.as_ref()];
        sockets.into_iter().flatten().map(|socket| Ok(socket.try_clone()?.into())).collect()
    }

    /// The address that packets come from, which a transport without comedia needs.
    pub fn local(&self) -> Option<SocketAddr> {
        self.peer().and_then(|_| self.rtp.local_addr().ok()).map(canonical)
    }

    /// Sends a packet of RTP.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn send_rtp(&self, packet: &[u8]) -> Result<(), NotSent> {
        if !self.connected.load(Ordering::Relaxed) {
            return Err(NotSent::NoPeer);
        }
        send(&self.rtp, packet)
    }

    /// Sends a packet of RTCP.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn send_rtcp(&self, packet: &[u8]) -> Result<(), NotSent> {
        if !self.connected.load(Ordering::Relaxed) {
            return Err(NotSent::NoPeer);
        }
        send(self.rtcp.as_ref().unwrap_or(&self.rtp), packet)
    }

    /// Receives the next datagram or error.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Received<'a> {
        let refused = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
        let length = match (self.rtp.recv(buffer), &self.rtcp) {
            (Ok(length), _) => length,
            (Err(error), _) if refused(&error) => return Received::Refused,
            (Err(_), None) => return Received::Nothing,
            // A fault of RTCP's route shows in the media's sends.
            (Err(_), Some(rtcp)) => match rtcp.recv(buffer) {
                Ok(length) => length,
                Err(error) if refused(&error) => match rtcp.recv(buffer) {
                    Ok(length) => length,
                    Err(_) => return Received::Nothing,
                },
                Err(_) => return Received::Nothing,
            },
        };
        match self.connected.load(Ordering::Relaxed) {
            true => Received::Datagram(&buffer[..length]),
            // From a stranger.
            false => Received::Datagram(&[]),
        }
    }

    /// The descriptors to poll for reading.
    pub fn descriptors(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.rtp.as_fd(), self.rtcp.as_ref().map(AsFd::as_fd))
    }
}

/// A socket for a peer of either family: IPv4 in IPv6 where the system supports that.
fn bind_for_any() -> io::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let both = || {
        let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
        sockopt::set_ipv6_v6only(&socket, false)?;
        rustix::net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
        Ok::<_, rustix::io::Errno>(UdpSocket::from(socket))
    };
    both().or_else(|_| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn send(socket: &UdpSocket, packet: &[u8]) -> Result<(), NotSent> {
    let mut refused = false;
    loop {
        return match socket.send(packet) {
            // The error of an earlier packet: this one was not sent, and the error is now cleared.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && !refused => {
                refused = true;
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(_) if refused => Err(NotSent::PeerGone),
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                ErrorKind::WouldBlock => NotSent::Full,
                ErrorKind::ConnectionRefused => NotSent::PeerGone,
                // ENOBUFS: the interface's queue is full.
                _ if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    NotSent::Full
                }
                _ => NotSent::Failed(error),
            }),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::time::Duration;
    use vas_config::Video;

    fn producer(rtp: Destination, rtcp: Option<SocketAddr>) -> Producer {
        Producer {
            rtp,
            rtcp: rtcp.map(Destination::Address),
            ssrc: 7,
            payload_type: 96,
            video: Video::Copy,
            max_width: None,
            max_height: None,
            bitrate_kbit: None,
            key_interval: Duration::from_secs(2),
        }
    }

    fn until_readable(fd: BorrowedFd<'_>) {
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], None).unwrap();
    }

    fn peer() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[test]
    fn two_ports_are_two_sockets() {
        let (rtp, rtcp) = (peer(), peer());
        let sockets =
            RtpSockets::bind(&producer(Destination::Address(rtp.1), Some(rtcp.1))).unwrap();
        sockets.send_rtp(b"media").unwrap();
        sockets.send_rtcp(b"report").unwrap();
        let mut buffer = [0; 100];
        let (length, from) = rtcp.0.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"report");
        rtcp.0.send_to(b"feedback", from).unwrap();
        until_readable(sockets.descriptors().1.unwrap());
        assert_eq!(sockets.receive(&mut buffer), Received::Datagram(b"feedback"));
        assert_eq!(sockets.receive(&mut buffer), Received::Nothing);
    }

    #[test]
    fn who_has_a_name_is_sent_to_once_its_address_is_known_and_until_another_is() {
        let name = Destination::Name { host: "sfu".into(), port: 1 };
        let sockets = RtpSockets::bind(&producer(name, None)).unwrap();
        assert!(matches!(sockets.send_rtp(b"1"), Err(NotSent::NoPeer)));
        assert_eq!((sockets.peer(), sockets.local()), (None, None));
        let mut buffer = [0; 100];
        let (one, two) = (peer(), peer());
        // A stranger, whose packets are never received.
        let port = sockets.rtp.local_addr().unwrap().port();
        two.0.send_to(b"pli", (Ipv4Addr::LOCALHOST, port)).unwrap();
        until_readable(sockets.descriptors().0);
        assert_eq!(sockets.receive(&mut buffer), Received::Datagram(&[]));
        two.0.send_to(b"pli", (Ipv4Addr::LOCALHOST, port)).unwrap();
        until_readable(sockets.descriptors().0);
        for (socket, address) in [&one, &two] {
            sockets.connect((*address, None)).unwrap();
            assert_eq!(sockets.receive(&mut buffer), Received::Nothing);
            assert_eq!(sockets.peer(), Some(*address));
            sockets.send_rtp(b"media").unwrap();
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], Some(from)), (&b"media"[..], sockets.local()));
            socket.send_to(b"feedback", from).unwrap();
            until_readable(sockets.descriptors().0);
            assert_eq!(sockets.receive(&mut buffer), Received::Datagram(b"feedback"));
        }
        // A process that is given the sockets goes on.
        let mut files = sockets.share().unwrap().into_iter();
        let other = RtpSockets::of(files.next().unwrap(), files.next());
        assert_eq!(other.peer(), Some(two.1));
        other.send_rtp(b"more").unwrap();
    }

    #[test]
    fn who_can_not_be_reached_yet_is_connected_to_later() {
        // Fails without SO_BROADCAST.
        let nowhere = Destination::Address("255.255.255.255:5000".parse().unwrap());
        let sockets = RtpSockets::bind(&producer(nowhere, None)).unwrap();
        assert!(matches!(sockets.send_rtp(b"1"), Err(NotSent::NoPeer)));
        assert_eq!(sockets.peer(), None);
        let (socket, address) = peer();
        sockets.connect((address, None)).unwrap();
        sockets.send_rtp(b"2").unwrap();
        let mut buffer = [0; 100];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 1);
    }

    #[test]
    fn strangers_are_not_heard() {
        let (known, stranger) = (peer(), peer());
        let sockets = RtpSockets::bind(&producer(Destination::Address(known.1), None)).unwrap();
        let port = sockets.local().unwrap().port();
        stranger.0.send_to(b"pli", (Ipv4Addr::LOCALHOST, port)).unwrap();
        known.0.send_to(b"pli of the peer", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut buffer = [0; 100];
        until_readable(sockets.descriptors().0);
        assert_eq!(sockets.receive(&mut buffer), Received::Datagram(b"pli of the peer"));
        assert_eq!(sockets.receive(&mut buffer), Received::Nothing);
    }

    #[test]
    fn a_peer_that_is_gone_is_reported_and_may_come_back() {
        let (socket, address) = peer();
        let sockets = RtpSockets::bind(&producer(Destination::Address(address), None)).unwrap();
        drop(socket);
        sockets.send_rtp(b"1").unwrap();
        // Over loopback the ICMP error has arrived when the call returns.
        assert!(matches!(sockets.send_rtp(b"2"), Err(NotSent::PeerGone)));
        // Whichever call comes first gets the error, and the other does not.
        assert_eq!(sockets.receive(&mut [0; 9]), Received::Refused);
        sockets.send_rtp(b"2").unwrap();
        let back = UdpSocket::bind(address).unwrap();
        let _ = sockets.send_rtp(b"3");
        sockets.send_rtp(b"4").unwrap();
        let mut buffer = [0; 10];
        let length = back.recv(&mut buffer).unwrap();
        assert!(length == 1);
    }
}
