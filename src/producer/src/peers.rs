//! Where packets go when the config has a name for it, or an address that can't be reached yet. A name is looked up
//! on a thread of its own, again when that fails, and again when nobody is there any more. No clock, no socket.
//!
//! The C library's look-up can't be interrupted. A thread that hangs in it is waited for and never joined by a
//! second one, so that there is at most one a producer.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use vas_config::{Destination, Producer};
use vas_pipeline::Wakeup;

/// How long a look-up may take before it is said that there is no answer.
const LIMIT_NS: u64 = 10_000_000_000;
/// How long after one that failed there is the next.
const RETRY_NS: u64 = 5_000_000_000;
/// How long nobody is at an address before the name is looked up again.
const GONE_NS: u64 = 10_000_000_000;

/// Finds the addresses of a name and a port.
type Look = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Answer = Result<Vec<Peer>, String>;

/// The addresses of RTP and, if it has one of its own, of RTCP.
pub(super) type Peer = (SocketAddr, Option<SocketAddr>);

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Found(Peer),
    /// There is no address, and why. It is tried again.
    Failed(String),
}

/// The peers of a producer whose transport has a name, or is not connected to yet.
pub(super) struct Peers {
    rtp: Destination,
    rtcp: Option<Destination>,
    look: Arc<Look>,
    state: State,
    /// Which one is sent to.
    current: Option<SocketAddr>,
    /// Whether there was a way to it.
    is_connected: bool,
    /// Since when nobody is there.
    gone_ns: Option<u64>,
    /// Signalled when an answer comes.
    wakeup: Arc<Wakeup>,
}

enum State {
    /// A look-up is to begin, not before this time.
    Due(u64),
    Asked {
        since_ns: u64,
        answer: Arc<Mutex<Option<Answer>>>,
        is_late: bool,
    },
    Known,
}

impl Peers {
    /// `connected`: what is sent to already, found by whoever had the sockets before. `None` when there is nothing
    /// to be found: an address that is connected to stays what it is.
    pub(super) fn of(
        producer: &Producer,
        connected: Option<SocketAddr>,
        wakeup: &Arc<Wakeup>,
    ) -> Option<Self> {
        let system = |host: &str, port| Ok((host, port).to_socket_addrs()?.collect());
        Self::looked_up_by(producer, connected, wakeup, Arc::new(system))
    }

    fn looked_up_by(
        producer: &Producer,
        connected: Option<SocketAddr>,
        wakeup: &Arc<Wakeup>,
        look: Arc<Look>,
    ) -> Option<Self> {
        let Producer { rtp, rtcp, .. } = producer.clone();
        let peers = Self {
            rtp,
            rtcp,
            look,
            state: if connected.is_some() { State::Known } else { State::Due(0) },
            current: connected,
            is_connected: connected.is_some(),
            gone_ns: None,
            wakeup: Arc::clone(wakeup),
        };
        (peers.has_name() || connected.is_none()).then_some(peers)
    }

    fn has_name(&self) -> bool {
        let is_name = |to: &Destination| matches!(to, Destination::Name { .. });
        is_name(&self.rtp) || self.rtcp.as_ref().is_some_and(is_name)
    }

    /// What is to be done at `now_ns`; `gone` says that nobody is at the current peer's address.
    pub(super) fn advance(&mut self, now_ns: u64, gone: bool) -> Told {
        let has_name = self.has_name();
        match &mut self.state {
            State::Due(from_ns) if now_ns < *from_ns => Told::Nothing,
            State::Due(_) if !has_name => {
                match look_up(&self.rtp, self.rtcp.as_ref(), &*self.look) {
                    Ok(peers) => self.choose(&peers, now_ns),
                    Err(words) => self.failed(words, now_ns),
                }
            }
            State::Due(_) => match self.ask() {
                Ok(answer) => {
                    self.state = State::Asked { since_ns: now_ns, answer, is_late: false };
                    Told::Nothing
                }
                Err(error) => {
                    self.failed(format!("no thread to look {} up: {error}", self.rtp), now_ns)
                }
            },
            State::Asked { since_ns, answer, is_late } => {
                let came = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                match came {
                    Some(Ok(peers)) => self.choose(&peers, now_ns),
                    Some(Err(words)) => self.failed(words, now_ns),
                    None if !*is_late && now_ns.saturating_sub(*since_ns) >= LIMIT_NS => {
                        *is_late = true;
                        let seconds = LIMIT_NS / 1_000_000_000;
                        let words = "no answer to the look-up of";
                        Told::Failed(format!(
                            "{words} {} within {seconds} s; waiting for it",
                            self.rtp
                        ))
                    }
                    None => Told::Nothing,
                }
            }
            State::Known if !has_name => Told::Nothing,
            State::Known => {
                let since_ns = *self.gone_ns.get_or_insert(now_ns);
                if !gone {
                    self.gone_ns = None;
                } else if now_ns.saturating_sub(since_ns) >= GONE_NS {
                    self.state = State::Due(0);
                }
                Told::Nothing
            }
        }
    }

    /// When there is something to be done without anything having happened.
    pub(super) fn next_ns(&self) -> Option<u64> {
        match &self.state {
            State::Due(from_ns) => Some(*from_ns),
            State::Asked { since_ns, is_late: false, .. } => {
                Some(since_ns.saturating_add(LIMIT_NS))
            }
            State::Asked { .. } => None,
            State::Known => self.gone_ns.map(|since_ns| since_ns.saturating_add(GONE_NS)),
        }
    }

    /// There is no way to the address that was found last: the next one is taken, or the same again.
    pub(super) fn not_reached(&mut self, words: String, now_ns: u64) -> Told {
        self.is_connected = false;
        self.failed(words, now_ns)
    }

    fn failed(&mut self, words: String, now_ns: u64) -> Told {
        self.state = State::Due(now_ns.saturating_add(RETRY_NS));
        Told::Failed(words)
    }

    /// The first address, or the one behind the current one, at which nobody is.
    fn choose(&mut self, peers: &[Peer], now_ns: u64) -> Told {
        let current = peers.iter().position(|peer| Some(peer.0) == self.current);
        let next = current.map_or(0, |at| (at + 1) % peers.len());
        let Some(&peer) = peers.get(next) else {
            return self.failed(format!("{} has no address", self.rtp), now_ns);
        };
        (self.state, self.gone_ns) = (State::Known, None);
        let before = self.current.replace(peer.0);
        match std::mem::replace(&mut self.is_connected, true) && before == Some(peer.0) {
            true => Told::Nothing,
            false => Told::Found(peer),
        }
    }

    fn ask(&self) -> io::Result<Arc<Mutex<Option<Answer>>>> {
        let answer = Arc::new(Mutex::new(None));
        let of_thread = Arc::clone(&answer);
        let (rtp, rtcp) = (self.rtp.clone(), self.rtcp.clone());
        let (look, wakeup) = (Arc::clone(&self.look), Arc::clone(&self.wakeup));
        std::thread::Builder::new().name("vas-name-lookup".into()).spawn(move || {
            let found = look_up(&rtp, rtcp.as_ref(), &*look);
            *of_thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            wakeup.signal();
        })?;
        Ok(answer)
    }
}

fn look_up(rtp: &Destination, rtcp: Option<&Destination>, look: &Look) -> Answer {
    let all = |to: &Destination| match to {
        Destination::Address(address) => Ok(vec![*address]),
        Destination::Name { host, port } => {
            look(host, *port).map_err(|error| format!("can't look {host} up: {error}"))
        }
    };
    let mut found = all(rtp)?;
    found.dedup();
    let Some(rtcp) = rtcp else { return Ok(found.into_iter().map(|rtp| (rtp, None)).collect()) };
    let beside = |rtp: SocketAddr, others: &[SocketAddr]| {
        // On the same host where that is one, otherwise at least reachable from the same socket.
        let same = others.iter().find(|other| other.ip() == rtp.ip());
        same.or(others.iter().find(|other| other.is_ipv4() == rtp.is_ipv4()))
            .or(others.first())
            .copied()
    };
    let others = all(rtcp)?;
    let pairs = found.into_iter().filter_map(|rtp| Some((rtp, Some(beside(rtp, &others)?))));
    Ok(pairs.collect())
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("rtp", &self.rtp).field("current", &self.current).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    const S: u64 = 1_000_000_000;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Peers of a name whose look-ups answer what is sent to them.
    struct Fixture {
        peers: Peers,
        wakeup: Arc<Wakeup>,
        answers: Sender<io::Result<Vec<SocketAddr>>>,
    }

    impl Fixture {
        fn new(rtcp: Option<Destination>) -> Self {
            let rtp = Destination::Name { host: "sfu".into(), port: 40_000 };
            let producer = Producer { rtcp, ..crate::sockets::tests::producer(rtp, None) };
            let (answers, coming): (_, Receiver<io::Result<Vec<SocketAddr>>>) = channel();
            let coming = Mutex::new(coming);
            let look = move |host: &str, _: u16| {
                assert_eq!(host, "sfu");
                coming.lock().unwrap().recv().unwrap()
            };
            let wakeup = Arc::new(Wakeup::new().unwrap());
            let peers = Peers::looked_up_by(&producer, None, &wakeup, Arc::new(look)).unwrap();
            Self { peers, wakeup, answers }
        }

        /// Answers the look-up that runs; what is told at `now_ns`.
        fn answer(&mut self, answer: io::Result<Vec<SocketAddr>>, now_ns: u64) -> Told {
            self.answers.send(answer).unwrap();
            poll(&mut [PollFd::new(&*self.wakeup, PollFlags::IN)], None).unwrap();
            self.wakeup.clear();
            self.peers.advance(now_ns, false)
        }
    }

    #[test]
    fn a_name_is_looked_up_and_again_when_that_fails() {
        let mut fixture = Fixture::new(None);
        assert_eq!(fixture.peers.advance(S, false), Told::Nothing);
        let told = fixture.answer(Err(io::Error::other("no such name")), 2 * S);
        assert_eq!(told, Told::Failed("can't look sfu up: no such name".into()));
        assert_eq!(fixture.peers.next_ns(), Some(7 * S));
        assert_eq!(fixture.peers.advance(7 * S, false), Told::Nothing);
        let told = fixture.answer(Ok(vec![]), 8 * S);
        assert_eq!(told, Told::Failed("sfu:40000 has no address".into()));
        fixture.peers.advance(13 * S, false);
        let found = address("10.0.0.2:40000");
        assert_eq!(fixture.answer(Ok(vec![found]), 14 * S), Told::Found((found, None)));
        assert_eq!(fixture.peers.next_ns(), None);
    }

    #[test]
    fn a_look_up_that_hangs_is_told_once_and_taken_when_it_ends() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        assert_eq!(fixture.peers.next_ns(), Some(10 * S));
        let Told::Failed(words) = fixture.peers.advance(10 * S, false) else { panic!("not told") };
        assert!(words.contains("no answer") && words.contains("sfu:40000"), "{words}");
        for seconds in [11, 100, 1000] {
            assert_eq!(fixture.peers.advance(seconds * S, false), Told::Nothing);
        }
        let found = address("10.0.0.2:40000");
        assert_eq!(fixture.answer(Ok(vec![found]), 2000 * S), Told::Found((found, None)));
    }

    #[test]
    fn where_nobody_is_any_more_the_name_is_looked_up_again() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        let (first, second) = (address("10.0.0.2:40000"), address("10.0.0.3:40000"));
        assert_eq!(fixture.answer(Ok(vec![first]), S), Told::Found((first, None)));
        // A moment is none.
        fixture.peers.advance(20 * S, true);
        fixture.peers.advance(25 * S, false);
        assert_eq!(fixture.peers.next_ns(), None);
        for seconds in [30, 40, 41] {
            assert_eq!(fixture.peers.advance(seconds * S, true), Told::Nothing);
        }
        // It moved.
        assert_eq!(fixture.answer(Ok(vec![second]), 42 * S), Told::Found((second, None)));
        for seconds in [50, 60, 61] {
            fixture.peers.advance(seconds * S, true);
        }
        // Of several, the next.
        assert_eq!(fixture.answer(Ok(vec![second, first]), 62 * S), Told::Found((first, None)));
        for seconds in [70, 80, 81] {
            fixture.peers.advance(seconds * S, true);
        }
        // It is still the one that there is.
        assert_eq!(fixture.answer(Ok(vec![first]), 82 * S), Told::Nothing);
        assert_eq!(fixture.peers.next_ns(), None);
    }

    #[test]
    fn an_address_to_which_there_is_no_way_is_tried_again_and_of_several_the_next() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        let (first, second) = (address("[2001:db8::2]:40000"), address("10.0.0.3:40000"));
        let both = || Ok(vec![first, second]);
        assert_eq!(fixture.answer(both(), S), Told::Found((first, None)));
        let told = fixture.peers.not_reached("no route".into(), S);
        assert_eq!(told, Told::Failed("no route".into()));
        fixture.peers.advance(6 * S, false);
        assert_eq!(fixture.answer(both(), 6 * S), Told::Found((second, None)));
        fixture.peers.not_reached("no route".into(), 6 * S);
        fixture.peers.advance(11 * S, false);
        assert_eq!(fixture.answer(Ok(vec![second]), 11 * S), Told::Found((second, None)));

        let to = Destination::Address(second);
        let producer = crate::sockets::tests::producer(to, None);
        let wakeup = Arc::new(Wakeup::new().unwrap());
        assert!(Peers::of(&producer, Some(second), &wakeup).is_none(), "nothing is to be found");
        let mut peers = Peers::of(&producer, None, &wakeup).unwrap();
        for seconds in [0, 5] {
            assert_eq!(peers.advance(seconds * S, false), Told::Found((second, None)));
            peers.not_reached("no route".into(), seconds * S);
            assert_eq!(peers.advance((seconds + 4) * S, false), Told::Nothing);
        }
        assert_eq!(peers.advance(10 * S, false), Told::Found((second, None)));
        assert_eq!((peers.advance(99 * S, true), peers.next_ns()), (Told::Nothing, None));
    }

    #[test]
    fn rtcp_goes_to_the_host_that_rtp_goes_to() {
        let (one, two) = (address("10.0.0.2:40000"), address("10.0.0.3:40000"));
        let name = Destination::Name { host: "sfu".into(), port: 40_001 };
        let mut fixture = Fixture::new(Some(name));
        fixture.peers.advance(0, false);
        fixture.answers.send(Ok(vec![two, one])).unwrap();
        let others = vec![address("10.0.0.2:40001"), address("10.0.0.3:40001")];
        let told = fixture.answer(Ok(others.clone()), S);
        assert_eq!(told, Told::Found((two, Some(others[1]))));
        let fixed = address("10.0.0.9:7");
        let mut fixture = Fixture::new(Some(Destination::Address(fixed)));
        fixture.peers.advance(0, false);
        assert_eq!(fixture.answer(Ok(vec![one]), S), Told::Found((one, Some(fixed))));
    }
}
