//! Enlarges the receive buffers of the UDP sockets that retina opens.
//!
//! The first key frame of a 4K camera arrives as one burst; with the kernel's default of 208 KiB, part of it is lost.
//! retina neither sets the size nor exposes its sockets, but it reports the ports on which it receives. This module
//! searches the process's sockets for those ports once for each session, between SETUP and PLAY.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::sockopt;
use rustix::net::{SocketType, getsockname};

/// The requested size; the kernel grants at most net.core.rmem_max.
pub(super) const WANTED_BYTES: usize = 4 << 20;

/// Enlarges the buffers of the UDP sockets bound to one of `ports`. Returns the smallest size granted, comparable to the
/// requested one; `None` if there is no such socket.
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
    // The kernel doubles the value to allow for its bookkeeping (socket(7)).
    sockopt::socket_recv_buffer_size(socket).ok().map(|bytes| bytes / 2)
}

/// A duplicate of the descriptor `number` and its port, if it is a UDP socket.
fn udp_socket(number: RawFd) -> Option<(OwnedFd, u16)> {
    // SAFETY: the borrow lasts only for the call of dup, in which the kernel looks the number up.
    // Another thread may have closed it (EBADF) or opened another file under it; the duplicate then
    // refers to that file, and so do the checks below. Nothing is closed or written through the
    // borrowed number.
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
    fn udp_sockets_are_found_by_port() {
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
