//! The test crate's shared parts.
