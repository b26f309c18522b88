//! How many frames of a camera may be on their way at once.

/// Frames of a camera that may be handed over and not yet published. They hold memory of the decoder.
pub(crate) const MAX_IN_FLIGHT: u32 = 3;

/// Surfaces that a decoder on a GPU is to have beyond its own: one for each frame in flight, and one that the
/// decode thread holds. The same with the flag off, and in a build without export: neither may change an option
/// of a decoder (contract V3).
pub(crate) const EXTRA_SURFACES: u32 = MAX_IN_FLIGHT + 1;
