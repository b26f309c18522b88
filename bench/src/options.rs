//! The command line of a bench.

use criterion::Criterion;

/// `[loop] [FILTER]`: the form without pauses instead of the one at a camera's pace, and which tables.
#[derive(Debug)]
pub struct Options {
    /// Whether the form without pauses is asked for.
    pub looped: bool,
    filter: Option<String>,
}

impl Options {
    /// Of this process. Flags are cargo's.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
        let looped = words.next_if_eq("loop").is_some();
        Self { looped, filter: words.next() }
    }

    /// Whether a table is asked for: its title contains the filter.
    #[must_use]
    pub fn wants(&self, title: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| title.contains(filter.as_str()))
    }

    /// Criterion, which measures loops without pauses.
    #[must_use]
    pub fn criterion(&self) -> Criterion {
        let criterion = Criterion::default().without_plots().sample_size(20);
        match &self.filter {
            Some(filter) => criterion.with_filter(filter),
            None => criterion,
        }
    }
}
