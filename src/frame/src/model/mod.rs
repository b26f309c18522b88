//! The protocol under a model checker: every order in which threads may run and memory may be seen.
//!
//! Built with `--cfg loom` only. What runs is the writer's own claim and publication, the reader's own
//! head, entries and frames, and the sequence protocol under both; what is replaced is what they run on:
//! [atomics, locks and threads](sync), [the memory](memory), [the futex](futex), and
//! [the processor's write-combining buffers](streaming).

pub mod scenarios;
pub(crate) mod streaming;
pub(crate) mod sync;
