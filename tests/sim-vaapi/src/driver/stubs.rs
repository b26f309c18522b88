//! Functions that libva requires of every driver and that decoding does not use. They take more parameters,
//! which C's calling convention lets them ignore.

use crate::sim::site::calls;
use crate::sim::status::Status;

macro_rules! stubs {
    ($($name:ident)*) => {
        calls! {
            $(
                /// Not implemented.
                fn $name() |_call| { Err(Status::UNIMPLEMENTED) }
            )*
        }
    };
}

stubs! {
    vaPutSurface vaSetImagePalette vaPutImage vaQuerySubpictureFormats vaCreateSubpicture vaDestroySubpicture
    vaSetSubpictureImage vaSetSubpictureChromakey vaSetSubpictureGlobalAlpha vaAssociateSubpicture
    vaDeassociateSubpicture vaQueryDisplayAttributes vaGetDisplayAttributes vaSetDisplayAttributes
    vaBufferInfo vaLockSurface vaUnlockSurface vaAcquireBufferHandle vaReleaseBufferHandle
    vaExportSurfaceHandle vaBufferSetNumElements vaQuerySurfaceError
}
