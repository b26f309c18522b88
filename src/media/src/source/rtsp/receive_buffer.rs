//! A larger receive buffer for the UDP sockets that retina opens.
//!
//! The first key frame of a 4K camera arrives as one burst; the kernel's default of 208 KiB loses part of it.
//! retina sets nothing and hands out no socket, but says on which ports it receives. So the process's own
//! sockets are looked through for those ports, once for each session, after SETUP and before PLAY.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::sockopt;
use rustix::net::{SocketType, getsockname};

/// What is asked for; the kernel grants at most net.core.rmem_max.
pub(super) const WANTED_BYTES: usize = 4 << 20;

/// Enlarges the buffers of the UDP sockets bound to one of `ports`; the smallest that was granted, in bytes
/// as asked for, `None` when no such socket was found.
pub(super) fn enlarge(ports: &[u16]) -> Option<usize> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    let numbers =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let sockets = numbers.filter_map(udp_socket).filter(|(_, port)| ports.contains(port));
    sockets.filter_map(|(socket, _)| grant(&socket)).min()
}

fn grant(socket: &OwnedFd) -> Option<usize> {
    if let Err(error) = sockopt::set_socket_recv_buffer_size(socket, WANTED_BYTES) {
        tracing::debug!("SO_RCVBUF: {error}");
    }
    // The kernel doubles what it grants, for its own bookkeeping (socket(7)).
    sockopt::socket_recv_buffer_size(socket).ok().map(|bytes| bytes / 2)
}

/// A handle of our own on descriptor `number`, and its port, if it is a UDP socket.
fn udp_socket(number: RawFd) -> Option<(OwnedFd, u16)> {
    // SAFETY: the borrow lasts for the call of dup alone, which looks the number up in the kernel:
    // another thread may have closed it (EBADF) or opened something else under it, which is then
    // what the copy stands for and what is looked at below. Nothing is closed or written through
    // the borrowed number.
    let socket = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()?;
    if sockopt::socket_type(socket.as_fd()).ok()? != SocketType::DGRAM {
        return None;
    }
    let address = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?;
    Some((socket, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn sockets_are_found_by_their_port_alone() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = sockopt::socket_recv_buffer_size(&other).unwrap();
        let granted = enlarge(&[socket.local_addr().unwrap().port()]).unwrap();
        assert_eq!(sockopt::socket_recv_buffer_size(&socket).unwrap() / 2, granted);
        assert_eq!(sockopt::socket_recv_buffer_size(&other).unwrap(), before);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, udp) = (tcp.local_addr().unwrap().port(), other.local_addr().unwrap().port());
        assert!(port == udp || enlarge(&[port]).is_none());
    }
}
