//! FFmpeg in the test's own process, whose program has the simulated library's functions too.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null_mut;

use ffmpeg_sys_next::{
    AVBufferRef, AVHWDeviceType, av_buffer_unref, av_hwdevice_ctx_create, av_log_set_level,
};
use vas_sim_vaapi::testing::SimulatedVaapi;

/// Opens a node; None if FFmpeg can't.
fn open(node: &Path) -> Option<*mut AVBufferRef> {
    let path = CString::new(node.as_os_str().as_bytes()).unwrap();
    let (mut device, kind) = (null_mut(), AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI);
    // SAFETY: a place for the result, a C string, no options.
    let result =
        unsafe { av_hwdevice_ctx_create(&raw mut device, kind, path.as_ptr(), null_mut(), 0) };
    assert_eq!(result == 0, !device.is_null());
    (result == 0).then_some(device)
}

#[test]
fn ffmpeg_opens_a_node() {
    SimulatedVaapi::new().nodes(2).in_clean_child(|simulator| {
        let mut devices = [0, 1].map(|node| open(&simulator.node(node)).expect("a simulated node"));
        assert_eq!(simulator.level("displays"), 2);
        assert_eq!(simulator.calls("vaGetDisplayDRM"), 2);
        for device in &mut devices {
            // SAFETY: FFmpeg's own reference.
            unsafe { av_buffer_unref(device) };
        }
        assert_eq!(simulator.level("displays"), 0);
    });
}

#[test]
fn a_program_without_the_environment_has_the_real_library() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // SAFETY: a level that FFmpeg knows: none at all.
    unsafe { av_log_set_level(-8) };
    assert!(open(file.path()).is_none(), "an ordinary file is no render node");
    // SAFETY: the name is a C string, the library is loaded already.
    let library =
        unsafe { libc::dlopen(c"libva-drm.so.2".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW) };
    assert!(!library.is_null());
    // SAFETY: a loaded library, and a C string.
    let simulated = unsafe { libc::dlsym(library, c"sim_va_get_display".as_ptr()) };
    assert!(simulated.is_null());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("libvas_sim_vaapi"));
}
