//! The simulated devices and their properties.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use vas_sim_common::Peak;

use super::primary::Primary;
use crate::sim::abi::{Out, TextOut};
use crate::sim::config::config;
use crate::sim::site::{self, export};
use crate::sim::status::{Result, Status};
use crate::sim::{exit, lock};

/// As of CUDA 12.2.
const DRIVER_VERSION: c_int = 12020;

/// One simulated device.
pub(crate) struct Device {
    pub(crate) ordinal: usize,
    /// Bytes of its memory in use.
    pub(crate) used: Peak,
    /// Its live decoders.
    pub(crate) decoders: Peak,
    pub(crate) primary: Mutex<Primary>,
    /// Locked while bytes are downloaded: concurrent downloads share the link.
    pub(crate) down: Mutex<()>,
    /// Locked while bytes are uploaded.
    pub(crate) up: Mutex<()>,
    /// The engines that are decoding.
    engines: Mutex<usize>,
    engine_free: Condvar,
    lost: AtomicU32,
    sleepers: Mutex<()>,
    loss: Condvar,
}

/// A part of a device's memory, released when dropped.
pub(crate) struct Charge {
    device: &'static Device,
    bytes: u64,
}

/// All devices, by ordinal.
pub(crate) fn all() -> &'static [Device] {
    static DEVICES: LazyLock<Vec<Device>> =
        LazyLock::new(|| (0..config().devices).map(Device::new).collect());
    &DEVICES
}

/// The device of an ordinal.
///
/// # Errors
/// `CUDA_ERROR_INVALID_DEVICE`.
pub(crate) fn get(ordinal: c_int) -> Result<&'static Device> {
    let ordinal = usize::try_from(ordinal).map_err(|_| Status::INVALID_DEVICE)?;
    all().get(ordinal).ok_or(Status::INVALID_DEVICE)
}

impl Device {
    fn new(ordinal: usize) -> Self {
        Self {
            ordinal,
            used: Peak::new(),
            decoders: Peak::new(),
            primary: Mutex::new(Primary::new()),
            down: Mutex::new(()),
            up: Mutex::new(()),
            engines: Mutex::new(0),
            engine_free: Condvar::new(),
            lost: AtomicU32::new(0),
            sleepers: Mutex::new(()),
            loss: Condvar::new(),
        }
    }

    /// # Errors
    /// The error of the device's loss.
    pub(crate) fn health(&self) -> Result {
        Status(self.lost.load(Ordering::Acquire)).result()
    }

    /// Makes every later use of the device return this error.
    pub(crate) fn lose(&self, status: Status) {
        self.lost.store(status.0, Ordering::Release);
        let _sleepers = lock(&self.sleepers);
        self.loss.notify_all();
    }

    /// The device works again, as after a reset. A program that lost it must make a new context.
    pub(crate) fn recover(&self) {
        self.lost.store(0, Ordering::Release);
    }

    /// Waits, unless the device is lost meanwhile.
    pub(crate) fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let end = Instant::now() + time;
        let mut sleepers = lock(&self.sleepers);
        while self.health().is_ok() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|t| !t.is_zero())
            else {
                return;
            };
            let woken = self.loss.wait_timeout(sleepers, left);
            sleepers = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Decodes for that time, once an engine is free.
    pub(crate) fn decode(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let mut busy = lock(&self.engines);
        while *busy >= config().nvdecs.max(1) {
            let woken = self.engine_free.wait(busy);
            busy = woken.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        *busy += 1;
        drop(busy);
        self.pause(time);
        *lock(&self.engines) -= 1;
        self.engine_free.notify_one();
    }

    /// Allocates a part of the device's memory.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY`.
    pub(crate) fn charge(&'static self, bytes: u64) -> Result<Charge> {
        if self.used.try_add(bytes, config().memory_bytes()) {
            Ok(Charge { device: self, bytes })
        } else {
            Err(Status::OUT_OF_MEMORY)
        }
    }

    fn name(&self) -> String {
        let name = config().name.clone();
        name.unwrap_or_else(|| format!("Simulated GPU {} (no NVIDIA hardware)", self.ordinal))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.device.used.subtract(self.bytes);
    }
}

/// `CUdevice_attribute` by number, as a mid-size Turing card answers.
fn attribute(device: &Device, attribute: c_int) -> c_int {
    match attribute {
        1 => 1024,                                              // max threads per block
        2 | 3 => 1024,                                          // max block x, y
        4 => 64,                                                // max block z
        5 => c_int::MAX,                                        // max grid x
        6 | 7 => 65535,                                         // max grid y, z
        8 => 49152,                                             // shared memory per block
        9 => 65536,                                             // constant memory
        10 => 32,                                               // warp size
        11 => c_int::MAX,                                       // max pitch
        13 => 1_590_000,                                        // clock, kHz
        14 => 512,                                              // texture alignment
        15 | 19 | 31 | 41 => 1, // overlap, map host, concurrent kernels, UVA
        16 => 40,               // multiprocessors
        33 => c_int::try_from(device.ordinal).unwrap_or(0) + 1, // PCI bus
        36 => 5_001_000,        // memory clock, kHz
        37 => 256,              // bus width
        38 => 4 << 20,          // L2 bytes
        39 => 1024,             // threads per multiprocessor
        40 => 2,                // async engines: one up, one down
        51 => 32,               // texture pitch alignment
        75 => 7,                // compute capability, major
        76 => 5,                // and minor
        113 => 1,               // memory registered for reading alone
        _ => 0,                 // among them: integrated, managed memory, memory pools
    }
}

export! {
    fn cuInit(flags: u32) |_call| {
        if flags != 0 {
            return Err(Status::INVALID_VALUE);
        }
        exit::report_start();
        if all().is_empty() {
            return Err(Status::NO_DEVICE);
        }
        site::initialized();
        Ok(())
    }

    fn cuDriverGetVersion(version: Out<c_int>) |_call| {
        version.set(DRIVER_VERSION)
    }

    fn cuDeviceGetCount(count: Out<c_int>) |_call| {
        count.set(c_int::try_from(all().len()).unwrap_or(c_int::MAX))
    }

    fn cuDeviceGet(device: Out<c_int>, ordinal: c_int) |_call| {
        get(ordinal)?;
        device.set(ordinal)
    }

    fn cuDeviceGetAttribute(value: Out<c_int>, number: c_int, device: c_int) |_call| {
        value.set(attribute(get(device)?, number))
    }

    fn cuDeviceGetName(name: TextOut, capacity: c_int, device: c_int) |_call| {
        name.set(&get(device)?.name(), usize::try_from(capacity).unwrap_or(0));
        Ok(())
    }

    fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, device: c_int) |_call| {
        let mut bytes = *b"simulated GPU  \0";
        bytes[15] = u8::try_from(get(device)?.ordinal).unwrap_or(u8::MAX);
        uuid.set(bytes)
    }

    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: c_int) |_call| {
        let mut bytes = *b"simulated GPU  \0";
        bytes[15] = u8::try_from(get(device)?.ordinal).unwrap_or(u8::MAX);
        uuid.set(bytes)
    }

    fn cuDeviceGetPCIBusId(id: TextOut, capacity: c_int, device: c_int) |_call| {
        let text = format!("0000:{:02X}:00.0", get(device)?.ordinal + 1);
        id.set(&text, usize::try_from(capacity).unwrap_or(0));
        Ok(())
    }

    fn cuDeviceComputeCapability(major: Out<c_int>, minor: Out<c_int>, device: c_int) |_call| {
        let device = get(device)?;
        major.set(attribute(device, 75))?;
        minor.set(attribute(device, 76))
    }

    fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) |_call| {
        get(device)?;
        bytes.set(usize::try_from(config().memory_bytes()).unwrap_or(usize::MAX))
    }
}

/// The names and descriptions of result codes.
mod errors {
    use std::ffi::c_char;

    use super::{Out, Status, export};

    export! {
        fn cuGetErrorName(error: Status, name: Out<*const c_char>) |_call| {
            let text = error.c_name();
            name.set(text.map_or(std::ptr::null(), |text| text.as_ptr().cast()))?;
            text.map(|_| ()).ok_or(Status::INVALID_VALUE)
        }

        fn cuGetErrorString(error: Status, words: Out<*const c_char>) |_call| {
            let text = error.c_text();
            words.set(text.map_or(std::ptr::null(), |text| text.as_ptr().cast()))?;
            text.map(|_| ()).ok_or(Status::INVALID_VALUE)
        }
    }
}
