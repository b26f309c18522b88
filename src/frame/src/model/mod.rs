//! The protocol under a model checker, which tries every order of threads and of memory accesses.
//!
//! Built with `--cfg loom` only. The writer's claim and publication, the reader's head, entries and
//! frames, and the sequence protocol under both are the real code. The layer below them is replaced:
//! [atomics, locks and threads](sync), [the memory](memory), [the futex](futex), and [the processor's
//! write-combining buffers](streaming).

pub mod scenarios;
pub(crate) mod streaming;
pub(crate) mod sync;
