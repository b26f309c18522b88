//! Functions that FFmpeg's loader must find (ffnvcodec 11.1 to 12.1, `dynlink_loader.h`) and no path here uses.

macro_rules! not_supported {
    ($($name:ident)*) => {
        // Called with arguments, which a callee may ignore in the C calling convention.
        $crate::sim::site::export! {
            $(fn $name() |_call| { Err($crate::sim::status::Status::NOT_SUPPORTED) })*
        }
    };
}
pub(crate) use not_supported;

not_supported! {
    cuMemAllocManaged
    cuLinkCreate
    cuLinkAddData
    cuLinkComplete
    cuLinkDestroy
    cuModuleGetGlobal
    cuTexObjectCreate
    cuTexObjectDestroy
    cuGLGetDevices_v2
    cuGraphicsGLRegisterImage
    cuGraphicsUnregisterResource
    cuGraphicsMapResources
    cuGraphicsUnmapResources
    cuGraphicsSubResourceGetMappedArray
    cuGraphicsResourceGetMappedPointer_v2
    cuArray3DCreate_v2
    cuArrayCreate_v2
    cuArrayDestroy
    cuGetProcAddress
}
