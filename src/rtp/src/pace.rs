//! When packets may leave: a burst overflows the receiver's socket buffer.

/// Longest that the packets of a picture are spread over.
const SPREAD_NS: u64 = 30_000_000;
/// Most from a packet to the next: 1,200 bytes each 250 us are 38 Mbit/s.
const MAX_SPACING_NS: u64 = 250_000;
/// How much later than it could go the next packet is asked for: packets leave in small groups, for a
/// sleep has its price.
const GROUP_NS: u64 = 1_000_000;

/// Spreads packets. A picture of up to 120 packets leaves at 38 Mbit/s, a larger one within 30 ms.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    spacing_ns: u64,
    next_ns: u64,
}

impl Pacer {
    /// A picture of about `packets` packets is next.
    pub(crate) fn begin(&mut self, packets: usize) {
        let packets = u64::try_from(packets).unwrap_or(u64::MAX).max(1);
        self.spacing_ns = (SPREAD_NS / packets).min(MAX_SPACING_NS);
    }

    /// Takes the turn of one packet.
    ///
    /// # Errors
    /// When to ask again.
    pub(crate) fn take(&mut self, now_ns: u64) -> Result<(), u64> {
        if now_ns < self.next_ns {
            return Err(self.next_ns + GROUP_NS);
        }
        // Time that nothing was sent in is no credit beyond one group: it would become a burst.
        let since_ns = now_ns.saturating_sub(GROUP_NS + self.spacing_ns);
        self.next_ns = self.next_ns.max(since_ns) + self.spacing_ns;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Sends `packets`, waking exactly when told; the moments at which each left.
    fn run(packets: usize) -> Vec<u64> {
        let mut pacer = Pacer::default();
        pacer.begin(packets);
        let mut now_ns = 1000 * MS;
        let mut left = Vec::new();
        while left.len() < packets {
            match pacer.take(now_ns) {
                Ok(()) => left.push(now_ns),
                Err(then_ns) => now_ns = then_ns,
            }
        }
        left
    }

    #[test]
    fn a_group_at_once_and_then_38_megabits() {
        let left = run(100);
        let at_once = left.iter().filter(|at| **at == left[0]).count();
        assert!((4..=6).contains(&at_once), "{at_once}");
        let took_ns = left[99] - left[0];
        assert!((22 * MS..=26 * MS).contains(&took_ns), "{took_ns}");
    }

    #[test]
    fn a_huge_picture_takes_30_ms() {
        let left = run(2000);
        let took_ns = left[1999] - left[0];
        assert!((28 * MS..=32 * MS).contains(&took_ns), "{took_ns}");
    }

    #[test]
    fn a_pause_is_no_credit() {
        let mut pacer = Pacer::default();
        pacer.begin(1000);
        let mut at_once = 0;
        while pacer.take(60_000 * MS).is_ok() {
            at_once += 1;
        }
        assert!(at_once <= 36, "{at_once}");
    }
}
