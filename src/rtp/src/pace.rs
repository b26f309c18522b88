//! Paces packets, since a burst overflows the receiver's socket buffer.

/// Longest time to spread the packets of one picture over.
const SPREAD_NS: u64 = 30_000_000;
/// Longest time from a packet to the next: 1,200 bytes every 250 us are 38 Mbit/s.
const MAX_SPACING_NS: u64 = 250_000;
/// How long to wait beyond the time at which the next packet may be sent: sending in small groups saves sleeps.
const GROUP_NS: u64 = 1_000_000;

/// Spreads packets over time. A picture of up to 120 packets is sent at 38 Mbit/s, a larger one within 30 ms.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    spacing_ns: u64,
    next_ns: u64,
}

impl Pacer {
    /// Sets the pace for a picture of about `packets` packets.
    pub(crate) fn begin(&mut self, packets: usize) {
        let packets = u64::try_from(packets).unwrap_or(u64::MAX).max(1);
        self.spacing_ns = (SPREAD_NS / packets).min(MAX_SPACING_NS);
    }

    /// Asks to send one packet now.
    ///
    /// # Errors
    /// The time at which to ask again.
    pub(crate) fn take(&mut self, now_ns: u64) -> Result<(), u64> {
        if now_ns < self.next_ns {
            return Err(self.next_ns + GROUP_NS);
        }
        // Idle time gives credit for one group at most; more would become a burst.
        let since_ns = now_ns.saturating_sub(GROUP_NS + self.spacing_ns);
        self.next_ns = self.next_ns.max(since_ns) + self.spacing_ns;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Sends `packets`, waking exactly at the returned times. Returns when each was sent.
    fn run(packets: usize) -> Vec<u64> {
        let mut pacer = Pacer::default();
        pacer.begin(packets);
        let mut now_ns = 1000 * MS;
        let mut sent_ns = Vec::new();
        while sent_ns.len() < packets {
            match pacer.take(now_ns) {
                Ok(()) => sent_ns.push(now_ns),
                Err(then_ns) => now_ns = then_ns,
            }
        }
        sent_ns
    }

    #[test]
    fn a_group_at_once_and_then_38_megabits() {
        let sent_ns = run(100);
        let at_once = sent_ns.iter().filter(|at| **at == sent_ns[0]).count();
        assert!((4..=6).contains(&at_once), "{at_once}");
        let took_ns = sent_ns[99] - sent_ns[0];
        assert!((22 * MS..=26 * MS).contains(&took_ns), "{took_ns}");
    }

    #[test]
    fn a_huge_picture_takes_30_ms() {
        let sent_ns = run(2000);
        let took_ns = sent_ns[1999] - sent_ns[0];
        assert!((28 * MS..=32 * MS).contains(&took_ns), "{took_ns}");
    }

    #[test]
    fn a_pause_gives_credit_for_one_group() {
        let mut pacer = Pacer::default();
        pacer.begin(1000);
        let mut at_once = 0;
        while pacer.take(60_000 * MS).is_ok() {
            at_once += 1;
        }
        assert!(at_once <= 36, "{at_once}");
    }
}
