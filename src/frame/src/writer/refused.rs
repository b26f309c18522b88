//! Reasons why a frame is not written.

/// Why no slot could be claimed. The frame to be written is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every slot holds a frame whose lease has not ended.
    #[error("every slot holds a frame whose lease has not ended")]
    Lease,
    /// Every slot out of its lease is being copied into.
    #[error("every slot out of its lease is being copied into")]
    InFlight,
}

/// A plane of the picture is shorter than its size requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plane of the decoded picture holds less than {width}x{height} pixels")]
pub struct PictureTooSmall {
    /// Width of the slot's pictures in pixels.
    pub width: u32,
    /// Height of the slot's pictures in pixels.
    pub height: u32,
}
