//! Looks a camera's name up with a time limit, and puts the address into its URL.
//!
//! The C library's look-up can't be interrupted: it ends by the resolver's limits (resolv.conf: 2 tries of 5 s
//! for each server by default). It therefore runs on a thread of its own, which is left behind when the caller's limit
//! passes. There is at most one look-up for each name at a time, which bounds these threads by the number of names.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::Limit;
use crate::error::SourceErrorKind;
use crate::stop::StopFlag;

/// How often a waiting caller checks its stop flag.
const POLL: Duration = Duration::from_millis(50);

type Answer = Result<Vec<IpAddr>, String>;

/// A look-up in progress.
#[derive(Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

/// The look-ups in progress, by name.
static LOOKUPS: LazyLock<Mutex<HashMap<String, Arc<Lookup>>>> = LazyLock::new(Mutex::default);

/// The addresses of `host`, at least one, in the resolver's order.
pub(super) fn resolve(
    host: &str,
    limit: &Limit,
    stop: &StopFlag,
) -> Result<Vec<IpAddr>, SourceErrorKind> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let unknown = |reason: String| SourceErrorKind::UnknownHost { host: host.to_owned(), reason };
    let lookup = join(host, system).map_err(|error| unknown(error.to_string()))?;
    let mut answer = lookup.answer.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(answer) = answer.as_ref() {
            return match answer {
                Ok(addresses) if addresses.is_empty() => Err(unknown("no address".into())),
                Ok(addresses) => Ok(addresses.clone()),
                Err(reason) => Err(unknown(reason.clone())),
            };
        }
        if stop.is_stopped() {
            return Err(SourceErrorKind::Stopped);
        }
        let left = limit.left();
        if left.is_zero() {
            return Err(limit.passed("the look-up of the host's name"));
        }
        let waited = lookup.answered.wait_timeout(answer, left.min(POLL));
        answer = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The look-up of `host` that is in progress, or a new one.
fn join(host: &str, look: fn(&str) -> Answer) -> std::io::Result<Arc<Lookup>> {
    let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lookup) = lookups.get(host) {
        return Ok(Arc::clone(lookup));
    }
    let lookup = Arc::new(Lookup::default());
    let (name, of_thread) = (host.to_owned(), Arc::clone(&lookup));
    std::thread::Builder::new().name("vas-name-lookup".into()).spawn(move || {
        let answer = look(&name);
        LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        *of_thread.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        of_thread.answered.notify_all();
    })?;
    lookups.insert(host.to_owned(), Arc::clone(&lookup));
    Ok(lookup)
}

/// The system's resolver.
fn system(host: &str) -> Answer {
    let mut addresses: Vec<_> = (host, 0)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?
        .map(|address: SocketAddr| address.ip())
        .collect();
    addresses.dedup();
    Ok(addresses)
}

/// Replaces the host in `url` by `address`, and nothing else: FFmpeg and retina would look a name up without a time
/// limit. Cameras don't depend on the host in the URL.
pub(super) fn with_address(url: &str, address: IpAddr) -> String {
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

    fn limit(limit: Duration) -> Limit {
        Limit::from_now(limit)
    }

    #[test]
    fn addresses_need_no_look_up() {
        let none = limit(Duration::ZERO);
        let stop = StopFlag::new();
        assert_eq!(resolve("::1", &none, &stop).unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            resolve("10.0.0.2", &none, &stop).unwrap(),
            ["10.0.0.2".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn a_hung_look_up_blocks_no_caller_and_is_not_started_twice() {
        static RELEASE: Mutex<()> = Mutex::new(());
        let held = RELEASE.lock().unwrap();
        let hangs = |_: &str| {
            drop(RELEASE.lock());
            Ok(vec![])
        };
        let first = join("hung.example", hangs).unwrap();
        let kind = resolve("hung.example", &limit(Duration::from_millis(20)), &StopFlag::new());
        assert!(matches!(kind, Err(SourceErrorKind::TimedOut { .. })), "{kind:?}");
        let stop = StopFlag::new();
        stop.stop();
        let kind = resolve("hung.example", &limit(Duration::MAX), &stop);
        assert_eq!(kind, Err(SourceErrorKind::Stopped));
        assert!(Arc::ptr_eq(&first, &join("hung.example", |_| unreachable!()).unwrap()));
        drop(held);
        let patience = limit(Duration::from_secs(60));
        let kind = resolve("hung.example", &patience, &StopFlag::new());
        assert!(matches!(kind, Err(SourceErrorKind::UnknownHost { .. })), "{kind:?}");
    }

    #[test]
    fn only_the_host_is_replaced() {
        for (url, expected) in [
            ("rtsp://cam/live", "rtsp://10.0.0.2/live"),
            ("rtsp://cam", "rtsp://10.0.0.2"),
            ("rtsps://u:p%40@cam:8554/a?b=@c:1", "rtsps://u:p%40@10.0.0.2:8554/a?b=@c:1"),
            ("rtsp://u:p@x@cam:1", "rtsp://u:p@x@10.0.0.2:1"),
            ("rtsp://u@[::1]:99/a", "rtsp://u@10.0.0.2:99/a"),
            ("rtsp://[::1]/a", "rtsp://10.0.0.2/a"),
        ] {
            assert_eq!(with_address(url, "10.0.0.2".parse().unwrap()), expected);
        }
        assert_eq!(with_address("rtsp://cam:1/x", "::1".parse().unwrap()), "rtsp://[::1]:1/x");
    }
}
