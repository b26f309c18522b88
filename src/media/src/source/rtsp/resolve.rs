//! Looking a camera's name up, with a time limit.
//!
//! The C library's look-up can't be interrupted: it ends by the resolver's limits (resolv.conf: 2 tries of 5 s
//! for each server by default). So it runs on a thread of its own, which is left behind when the caller's time
//! is over. A name that is being looked up is not looked up a second time, which bounds those threads by the
//! number of names.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::Limit;
use crate::error::SourceErrorKind;
use crate::stop::StopFlag;

/// How often a waiting caller looks at its stop flag.
const LOOK: Duration = Duration::from_millis(50);

type Answer = Result<Vec<IpAddr>, String>;

/// A look-up under way.
#[derive(Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

/// Those under way, by name.
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
        let waited = lookup.answered.wait_timeout(answer, left.min(LOOK));
        answer = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The look-up of `host` that is under way, or a new one.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(limit: Duration) -> Limit {
        Limit::from_now(limit)
    }

    #[test]
    fn an_address_is_its_own_answer() {
        let none = limit(Duration::ZERO);
        let stop = StopFlag::new();
        assert_eq!(resolve("::1", &none, &stop).unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            resolve("10.0.0.2", &none, &stop).unwrap(),
            ["10.0.0.2".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn a_hung_look_up_holds_nobody_and_is_not_started_twice() {
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
}
