//! The destination of packets when the config names a host, or an address that can't be reached
//! yet. A name is looked up on a thread of its own, and again when that fails or the peer is gone.
//! No clock, no socket.
//!
//! The C library's look-up can't be interrupted. A hanging thread is waited for and never joined by
//! a second one, so a producer has at most one.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use vas_config::{Destination, Producer};
use vas_endpoint::Peer;
use vas_pipeline::Wakeup;

/// How long a look-up may take before it is reported as unanswered.
const LIMIT_NS: u64 = 10_000_000_000;
/// The delay before the retry of a failed look-up.
const RETRY_NS: u64 = 5_000_000_000;
/// How long a peer must be gone before its name is looked up again.
const GONE_NS: u64 = 10_000_000_000;

/// Finds the addresses of a name and a port.
type Look = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Answer = Result<Vec<Peer>, String>;

/// What the sender has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Advance {
    Nothing,
    Found(Peer),
    /// There is no address, for this reason. It is retried.
    Failed(String),
}

/// The peers of a producer whose transport has a name, or is not connected yet.
pub(super) struct Peers {
    rtp: Destination,
    rtcp: Option<Destination>,
    look: Arc<Look>,
    state: State,
    /// The peer in use.
    current: Option<SocketAddr>,
    /// Whether it could be connected to.
    is_connected: bool,
    /// Since when it is gone.
    gone_ns: Option<u64>,
    /// Signalled when an answer arrives.
    wakeup: Arc<Wakeup>,
}

enum State {
    /// A look-up is due, not before this time.
    Due(u64),
    Asked {
        since_ns: u64,
        answer: Arc<Mutex<Option<Answer>>>,
        is_late: bool,
    },
    Known,
}

impl Peers {
    /// `connected`: the peer that the sockets' previous owner found. `None` when there is nothing
    /// to look up: an address that is connected stays as it is.
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

    /// What to do at `now_ns`; `gone` states that the current peer is gone.
    pub(super) fn advance(&mut self, now_ns: u64, gone: bool) -> Advance {
        let has_name = self.has_name();
        match &mut self.state {
            State::Due(from_ns) if now_ns < *from_ns => Advance::Nothing,
            State::Due(_) if !has_name => {
                match look_up(&self.rtp, self.rtcp.as_ref(), &*self.look) {
                    Ok(peers) => self.choose(&peers, now_ns),
                    Err(words) => self.failed(words, now_ns),
                }
            }
            State::Due(_) => match self.ask() {
                Ok(answer) => {
                    self.state = State::Asked { since_ns: now_ns, answer, is_late: false };
                    Advance::Nothing
                }
                Err(error) => self.failed(
                    format!("can't start a thread to look up {}: {error}", self.rtp),
                    now_ns,
                ),
            },
            State::Asked { since_ns, answer, is_late } => {
                let came = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                match came {
                    Some(Ok(peers)) => self.choose(&peers, now_ns),
                    Some(Err(words)) => self.failed(words, now_ns),
                    None if !*is_late && now_ns.saturating_sub(*since_ns) >= LIMIT_NS => {
                        *is_late = true;
                        let seconds = LIMIT_NS / 1_000_000_000;
                        let words = "the name server has not answered for";
                        Advance::Failed(format!(
                            "{words} {} within {seconds} s; still waiting",
                            self.rtp
                        ))
                    }
                    None => Advance::Nothing,
                }
            }
            State::Known if !has_name => Advance::Nothing,
            State::Known => {
                let since_ns = *self.gone_ns.get_or_insert(now_ns);
                if !gone {
                    self.gone_ns = None;
                } else if now_ns.saturating_sub(since_ns) >= GONE_NS {
                    self.state = State::Due(0);
                }
                Advance::Nothing
            }
        }
    }

    /// When the next step is due, if no event comes first.
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

    /// The last address can't be reached: the next one is taken, or the same again.
    pub(super) fn not_reached(&mut self, words: String, now_ns: u64) -> Advance {
        self.is_connected = false;
        self.failed(words, now_ns)
    }

    fn failed(&mut self, words: String, now_ns: u64) -> Advance {
        self.state = State::Due(now_ns.saturating_add(RETRY_NS));
        Advance::Failed(words)
    }

    /// The first address, or the one after the current one, which is gone.
    fn choose(&mut self, peers: &[Peer], now_ns: u64) -> Advance {
        let current = peers.iter().position(|peer| Some(peer.0) == self.current);
        let next = current.map_or(0, |at| (at + 1) % peers.len());
        let Some(&peer) = peers.get(next) else {
            return self.failed(format!("{} has no address", self.rtp), now_ns);
        };
        (self.state, self.gone_ns) = (State::Known, None);
        let before = self.current.replace(peer.0);
        match std::mem::replace(&mut self.is_connected, true) && before == Some(peer.0) {
            true => Advance::Nothing,
            false => Advance::Found(peer),
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
            look(host, *port).map_err(|error| format!("can't look up {host}: {error}"))
        }
    };
    let mut found = all(rtp)?;
    found.dedup();
    let Some(rtcp) = rtcp else { return Ok(found.into_iter().map(|rtp| (rtp, None)).collect()) };
    let beside = |rtp: SocketAddr, others: &[SocketAddr]| {
        // On the same host if there is one, otherwise one that the same socket can reach.
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

    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use vas_config::Video;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn producer(rtp: Destination, rtcp: Option<Destination>) -> Producer {
        Producer {
            rtp,
            rtcp,
            ssrc: 7,
            payload_type: 96,
            video: Video::Copy,
            max_width: None,
            max_height: None,
            bitrate_kbit: None,
            key_interval: Duration::from_secs(2),
        }
    }

    /// Peers of a name, with look-ups that answer what is sent to them.
    struct Fixture {
        peers: Peers,
        wakeup: Arc<Wakeup>,
        answers: Sender<io::Result<Vec<SocketAddr>>>,
    }

    impl Fixture {
        fn new(rtcp: Option<Destination>) -> Self {
            let rtp = Destination::Name { host: "sfu".into(), port: 40_000 };
            let producer = producer(rtp, rtcp);
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

        /// Answers the running look-up; returns the step at `now_ns`.
        fn answer(&mut self, answer: io::Result<Vec<SocketAddr>>, now_ns: u64) -> Advance {
            self.answers.send(answer).unwrap();
            poll(&mut [PollFd::new(&*self.wakeup, PollFlags::IN)], None).unwrap();
            self.wakeup.clear();
            self.peers.advance(now_ns, false)
        }
    }

    #[test]
    fn a_name_is_looked_up_and_again_when_that_fails() {
        let mut fixture = Fixture::new(None);
        assert_eq!(fixture.peers.advance(S, false), Advance::Nothing);
        let step = fixture.answer(Err(io::Error::other("no such name")), 2 * S);
        assert_eq!(step, Advance::Failed("can't look up sfu: no such name".into()));
        assert_eq!(fixture.peers.next_ns(), Some(7 * S));
        assert_eq!(fixture.peers.advance(7 * S, false), Advance::Nothing);
        let step = fixture.answer(Ok(vec![]), 8 * S);
        assert_eq!(step, Advance::Failed("sfu:40000 has no address".into()));
        fixture.peers.advance(13 * S, false);
        let found = address("10.0.0.2:40000");
        assert_eq!(fixture.answer(Ok(vec![found]), 14 * S), Advance::Found((found, None)));
        assert_eq!(fixture.peers.next_ns(), None);
    }

    #[test]
    fn a_look_up_that_hangs_is_reported_once_and_taken_when_it_ends() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        assert_eq!(fixture.peers.next_ns(), Some(10 * S));
        let Advance::Failed(words) = fixture.peers.advance(10 * S, false) else {
            panic!("no failure")
        };
        assert!(words.contains("has not answered for sfu:40000"), "{words}");
        for seconds in [11, 100, 1000] {
            assert_eq!(fixture.peers.advance(seconds * S, false), Advance::Nothing);
        }
        let found = address("10.0.0.2:40000");
        assert_eq!(fixture.answer(Ok(vec![found]), 2000 * S), Advance::Found((found, None)));
    }

    #[test]
    fn a_peer_that_is_gone_is_looked_up_again() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        let (first, second) = (address("10.0.0.2:40000"), address("10.0.0.3:40000"));
        assert_eq!(fixture.answer(Ok(vec![first]), S), Advance::Found((first, None)));
        // A moment does not count.
        fixture.peers.advance(20 * S, true);
        fixture.peers.advance(25 * S, false);
        assert_eq!(fixture.peers.next_ns(), None);
        for seconds in [30, 40, 41] {
            assert_eq!(fixture.peers.advance(seconds * S, true), Advance::Nothing);
        }
        // It moved.
        assert_eq!(fixture.answer(Ok(vec![second]), 42 * S), Advance::Found((second, None)));
        for seconds in [50, 60, 61] {
            fixture.peers.advance(seconds * S, true);
        }
        // The next of several.
        assert_eq!(fixture.answer(Ok(vec![second, first]), 62 * S), Advance::Found((first, None)));
        for seconds in [70, 80, 81] {
            fixture.peers.advance(seconds * S, true);
        }
        // There is still no other.
        assert_eq!(fixture.answer(Ok(vec![first]), 82 * S), Advance::Nothing);
        assert_eq!(fixture.peers.next_ns(), None);
    }

    #[test]
    fn an_address_to_which_there_is_no_way_is_tried_again_and_of_several_the_next() {
        let mut fixture = Fixture::new(None);
        fixture.peers.advance(0, false);
        let (first, second) = (address("[2001:db8::2]:40000"), address("10.0.0.3:40000"));
        let both = || Ok(vec![first, second]);
        assert_eq!(fixture.answer(both(), S), Advance::Found((first, None)));
        let step = fixture.peers.not_reached("no route".into(), S);
        assert_eq!(step, Advance::Failed("no route".into()));
        fixture.peers.advance(6 * S, false);
        assert_eq!(fixture.answer(both(), 6 * S), Advance::Found((second, None)));
        fixture.peers.not_reached("no route".into(), 6 * S);
        fixture.peers.advance(11 * S, false);
        assert_eq!(fixture.answer(Ok(vec![second]), 11 * S), Advance::Found((second, None)));

        let to = Destination::Address(second);
        let producer = producer(to, None);
        let wakeup = Arc::new(Wakeup::new().unwrap());
        assert!(Peers::of(&producer, Some(second), &wakeup).is_none(), "nothing is to be found");
        let mut peers = Peers::of(&producer, None, &wakeup).unwrap();
        for seconds in [0, 5] {
            assert_eq!(peers.advance(seconds * S, false), Advance::Found((second, None)));
            peers.not_reached("no route".into(), seconds * S);
            assert_eq!(peers.advance((seconds + 4) * S, false), Advance::Nothing);
        }
        assert_eq!(peers.advance(10 * S, false), Advance::Found((second, None)));
        assert_eq!((peers.advance(99 * S, true), peers.next_ns()), (Advance::Nothing, None));
    }

    #[test]
    fn rtcp_goes_to_the_host_that_rtp_goes_to() {
        let (one, two) = (address("10.0.0.2:40000"), address("10.0.0.3:40000"));
        let name = Destination::Name { host: "sfu".into(), port: 40_001 };
        let mut fixture = Fixture::new(Some(name));
        fixture.peers.advance(0, false);
        fixture.answers.send(Ok(vec![two, one])).unwrap();
        let others = vec![address("10.0.0.2:40001"), address("10.0.0.3:40001")];
        let step = fixture.answer(Ok(others.clone()), S);
        assert_eq!(step, Advance::Found((two, Some(others[1]))));
        let fixed = address("10.0.0.9:7");
        let mut fixture = Fixture::new(Some(Destination::Address(fixed)));
        fixture.peers.advance(0, false);
        assert_eq!(fixture.answer(Ok(vec![one]), S), Advance::Found((one, Some(fixed))));
    }
}
