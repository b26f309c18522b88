//! How long something that failed is left alone.

/// What failed is left alone for a while, twice as long with each further failure.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    failures: u32,
    until_ns: u64,
}

impl Rest {
    const FIRST_NS: u64 = 5_000_000_000;
    const LONGEST_NS: u64 = 300_000_000_000;

    /// It failed; for how many nanoseconds it is left alone now.
    pub(crate) fn failed(&mut self, now_ns: u64) -> u64 {
        let wait_ns = (Self::FIRST_NS << self.failures.min(16)).min(Self::LONGEST_NS);
        self.failures = self.failures.saturating_add(1);
        self.until_ns = now_ns + wait_ns;
        wait_ns
    }

    /// It works: the next failure counts as the first.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_a_ceiling_and_begins_again() {
        let mut rest = Rest::default();
        assert!(rest.is_over(0));
        let waits: Vec<_> = (0..8).map(|_| rest.failed(1000) / 1_000_000_000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert!(!rest.is_over(1000 + Rest::LONGEST_NS - 1));
        assert!(rest.is_over(1000 + Rest::LONGEST_NS));
        rest.forget();
        assert!(rest.is_over(0));
        assert_eq!(rest.failed(0), Rest::FIRST_NS);
    }
}
