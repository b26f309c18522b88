//! A camera's URL with its address in the place of its name. Pure.
//!
//! FFmpeg and retina would look a name up themselves, without a limit. A camera does not care by which of its
//! names it is asked.

use std::net::IpAddr;

/// `url` with `address` as its host; the rest stays as it is, byte for byte.
pub(super) fn at(url: &str, address: IpAddr) -> String {
    let Some(begin) = url.find("://").map(|at| at + 3) else { return url.to_owned() };
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    let host = url[begin..end].rfind('@').map_or(begin, |at| begin + at + 1);
    let port = match url[host..end].rfind(']').map(|at| host + at) {
        Some(bracket) => bracket + 1,
        None => url[host..end].find(':').map_or(end, |at| host + at),
    };
    let address = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    format!("{}{address}{}", &url[..host], &url[port..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_alone_is_replaced() {
        for (url, expected) in [
            ("rtsp://cam/live", "rtsp://10.0.0.2/live"),
            ("rtsp://cam", "rtsp://10.0.0.2"),
            ("rtsps://u:p%40@cam:8554/a?b=@c:1", "rtsps://u:p%40@10.0.0.2:8554/a?b=@c:1"),
            ("rtsp://u:p@x@cam:1", "rtsp://u:p@x@10.0.0.2:1"),
            ("rtsp://u@[::1]:99/a", "rtsp://u@10.0.0.2:99/a"),
            ("rtsp://[::1]/a", "rtsp://10.0.0.2/a"),
        ] {
            assert_eq!(at(url, "10.0.0.2".parse().unwrap()), expected);
        }
        assert_eq!(at("rtsp://cam:1/x", "::1".parse().unwrap()), "rtsp://[::1]:1/x");
    }
}
