//! How many frames of a camera may be in flight at once.

/// Frames of a camera that may be handed over and not yet published. They hold memory of the
/// decoder, which [`vas_pipeline::EXTRA_SURFACES`] allows for.
pub(crate) const MAX_IN_FLIGHT: u32 = 3;

const _: () = assert!(MAX_IN_FLIGHT < vas_pipeline::EXTRA_SURFACES);
