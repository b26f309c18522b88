//! The driver's functions as tests call them, through cudarc's bindings.

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::ptr::null_mut;
use std::sync::Mutex;

use cudarc::driver::sys::{
    self, CUDA_MEMCPY2D_st, CUcontext, CUdeviceptr, CUevent, CUmemorytype, CUresult, CUstream,
};
use vas_sim_gpu::testing::ChildRun;

pub(crate) const OK: CUresult = CUresult::CUDA_SUCCESS;
pub(crate) const NON_BLOCKING: u32 = 1;

/// Makes a driver call and asserts that it succeeds.
macro_rules! ok {
    ($call:expr) => {
        // SAFETY: the test passes arguments as the call's documents require.
        assert_eq!(unsafe { $call }, cudarc::driver::sys::CUresult::CUDA_SUCCESS)
    };
}
pub(crate) use ok;

/// Makes a driver call and returns its result.
macro_rules! call {
    ($call:expr) => {
        // SAFETY: the simulated driver checks its arguments; the test passes valid pointers.
        unsafe { $call }
    };
}
pub(crate) use call;

/// Retains a device's primary context and makes it current.
pub(crate) fn open(device: i32) -> CUcontext {
    ok!(sys::cuInit(0));
    let mut context = null_mut();
    ok!(sys::cuDevicePrimaryCtxRetain(&mut context, device));
    ok!(sys::cuCtxSetCurrent(context));
    context
}

/// Releases a device's primary context.
pub(crate) fn close(device: i32) {
    ok!(sys::cuDevicePrimaryCtxRelease_v2(device));
}

pub(crate) fn stream() -> CUstream {
    let mut stream = null_mut();
    ok!(sys::cuStreamCreate(&mut stream, NON_BLOCKING));
    stream
}

pub(crate) fn event() -> CUevent {
    let mut event = null_mut();
    ok!(sys::cuEventCreate(&mut event, 1 | 2));
    event
}

/// Records an event on one stream and makes another wait for it.
pub(crate) fn order(before: CUstream, after: CUstream) {
    let event = event();
    ok!(sys::cuEventRecord(event, before));
    ok!(sys::cuStreamWaitEvent(after, event, 0));
    ok!(sys::cuEventDestroy_v2(event));
}

/// Blocks a stream while `act` queues more work on it, then waits for the stream.
pub(crate) fn while_held(stream: CUstream, act: impl FnOnce()) {
    extern "C" fn pass(gate: *mut c_void) {
        // SAFETY: the gate below outlives the stream's use of it.
        drop(unsafe { &*gate.cast::<Mutex<()>>() }.lock());
    }
    let gate = Mutex::new(());
    let closed = gate.lock();
    let pass: unsafe extern "C" fn(*mut c_void) = pass;
    ok!(sys::cuLaunchHostFunc(stream, Some(pass), (&raw const gate).cast_mut().cast()));
    act();
    drop(closed);
    // An error comes from work after the gate.
    let _later = call!(sys::cuStreamSynchronize(stream));
}

pub(crate) fn device_memory(bytes: usize) -> CUdeviceptr {
    let mut address = 0;
    ok!(sys::cuMemAlloc_v2(&mut address, bytes));
    address
}

/// Pinned host memory allocated by the driver.
pub(crate) struct Pinned(pub(crate) *mut u8, usize);

impl Pinned {
    pub(crate) fn new(bytes: usize) -> Self {
        let mut memory = null_mut();
        ok!(sys::cuMemHostAlloc(&mut memory, bytes, 0));
        Self(memory.cast(), bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the length of the allocation, and the tests read it while no copy runs.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }

    pub(crate) fn free(self) {
        ok!(sys::cuMemFreeHost(self.0.cast()));
    }
}

/// A mapping of a file, however long that is.
pub(crate) fn map_file(file: &File, bytes: usize) -> *mut c_void {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping that overlays nothing.
    let memory = unsafe { libc::mmap(null_mut(), bytes, access, kind, file.as_raw_fd(), 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    memory
}

/// A private page-aligned mapping that a test registers itself.
pub(crate) fn map_pages(bytes: usize) -> *mut c_void {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping that overlays nothing.
    let memory = unsafe { libc::mmap(null_mut(), bytes, access, kind, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    memory
}

/// A copy of rows to the host.
pub(crate) fn rows_down(
    from: CUdeviceptr,
    from_pitch: usize,
    to: *mut u8,
    width: usize,
    height: usize,
) -> CUDA_MEMCPY2D_st {
    CUDA_MEMCPY2D_st {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
        srcHost: std::ptr::null(),
        srcDevice: from,
        srcArray: null_mut(),
        srcPitch: from_pitch,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
        dstHost: to.cast(),
        dstDevice: 0,
        dstArray: null_mut(),
        dstPitch: width,
        WidthInBytes: width,
        Height: height,
    }
}

/// Asserts that exactly these kinds were found, once each.
pub(crate) fn assert_found(run: &ChildRun, kinds: &[&str]) {
    let found: Vec<&str> = run.report.misuses.iter().map(|m| m.kind.as_str()).collect();
    assert_eq!(found, kinds, "{:#?}", run.report);
    assert!(run.report.ended());
}
