//! A decoder driven by hand, with its structures as words at the offsets of `cuviddec.h` 11.1.

use std::ffi::{CStr, c_int, c_void};
use std::mem::transmute;
use std::ptr::null_mut;

use cudarc::driver::sys::{CUdeviceptr, CUresult, CUstream};
use vas_sim_gpu::picture::Content;
use vas_sim_gpu::testing::Simulator;

use crate::driver::OK;

pub(crate) const WIDTH: usize = 320;
pub(crate) const HEIGHT: usize = 192;
const H264: u64 = 4;
const CHROMA_420: u64 = 1;

/// A decoder of H.264 with four surfaces of each kind.
pub(crate) struct Decoder<'a> {
    simulator: &'a Simulator,
    pub(crate) handle: *mut c_void,
}

/// A mapped surface.
#[derive(Clone, Copy)]
pub(crate) struct Mapped {
    pub(crate) address: CUdeviceptr,
    pub(crate) pitch: usize,
}

type Create = extern "C" fn(*mut *mut c_void, *const u64) -> CUresult;
type Destroy = extern "C" fn(*mut c_void) -> CUresult;
type Decode = extern "C" fn(*mut c_void, *const u64) -> CUresult;
type Map = extern "C" fn(*mut c_void, c_int, *mut u64, *mut u32, *const u64) -> CUresult;
type GetStatus = extern "C" fn(*mut c_void, c_int, *mut u64) -> CUresult;
type Unmap = extern "C" fn(*mut c_void, u64) -> CUresult;

/// The bitstream of picture `number`.
fn bitstream(number: u8) -> [u8; 5] {
    [0, 0, 1, 0x65, number]
}

/// Its content on the device with seed 1.
pub(crate) fn expected(number: u8) -> Content {
    Content::new(1).then(&bitstream(number))
}

pub(crate) fn create(
    simulator: &Simulator,
    decode_surfaces: u64,
    output_surfaces: u64,
) -> Result<Decoder<'_>, CUresult> {
    let mut info = [0u64; 22];
    (info[0], info[1], info[2]) = (WIDTH as u64, HEIGHT as u64, decode_surfaces);
    info[3] = H264 | CHROMA_420 << 32;
    (info[12], info[13], info[14]) = (WIDTH as u64, HEIGHT as u64, output_surfaces);
    let mut handle = null_mut();
    let create: Create = function(simulator, c"cuvidCreateDecoder");
    match create(&mut handle, info.as_ptr()) {
        OK => Ok(Decoder { simulator, handle }),
        error => Err(error),
    }
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(simulator: &'a Simulator) -> Self {
        create(simulator, 4, 4).unwrap()
    }

    pub(crate) fn decode(&self, surface: u64, number: u8) -> CUresult {
        let bitstream = bitstream(number);
        let mut params = [0u64; 535];
        (params[1], params[3], params[5]) = (surface, bitstream.len() as u64, 1);
        params[4] = bitstream.as_ptr() as u64;
        let decode: Decode = function(self.simulator, c"cuvidDecodePicture");
        decode(self.handle, params.as_ptr())
    }

    pub(crate) fn map(&self, surface: c_int, stream: CUstream) -> Result<Mapped, CUresult> {
        let mut params = [0u64; 33];
        params[7] = stream as u64;
        let (mut address, mut pitch) = (0, 0);
        let map: Map = function(self.simulator, c"cuvidMapVideoFrame64");
        match map(self.handle, surface, &mut address, &mut pitch, params.as_ptr()) {
            OK => Ok(Mapped { address, pitch: pitch as usize }),
            error => Err(error),
        }
    }

    /// Decodes a picture and maps it.
    pub(crate) fn picture(&self, number: u8, stream: CUstream) -> Mapped {
        assert_eq!(self.decode(0, number), OK);
        self.map(0, stream).unwrap()
    }

    pub(crate) fn unmap(&self, mapped: Mapped) -> CUresult {
        let unmap: Unmap = function(self.simulator, c"cuvidUnmapVideoFrame64");
        unmap(self.handle, mapped.address)
    }

    /// `cuvidDecodeStatus` of a surface.
    pub(crate) fn status(&self, surface: c_int) -> u32 {
        let mut status = [0u64; 24];
        let get: GetStatus = function(self.simulator, c"cuvidGetDecodeStatus");
        assert_eq!(get(self.handle, surface, status.as_mut_ptr()), OK);
        status[0] as u32
    }

    pub(crate) fn destroy(self) -> CUresult {
        let destroy: Destroy = function(self.simulator, c"cuvidDestroyDecoder");
        destroy(self.handle)
    }
}

fn function<F: Copy>(simulator: &Simulator, name: &CStr) -> F {
    let symbol = simulator.symbol(name);
    assert!(!symbol.is_null(), "{name:?}");
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: the callers above name the function's own type.
    unsafe { transmute::<&*mut c_void, &F>(&symbol) }.to_owned()
}
