//! The device's configuration: `SIM_GPU_*` from the environment, and settings that can change at
//! run time.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use vas_sim_common::{Environment, ForbiddenCalls, list};

use super::fault;
use crate::driver::device;

const ENV: Environment = Environment("SIM_GPU_");

/// Settings fixed for the life of the process, and those that can change.
pub(crate) struct Config {
    /// `SIM_GPU_DEVICES`; 0 is a driver without a device.
    pub(crate) devices: usize,
    /// `SIM_GPU_SEED`: determines content, padding, pitches and delays.
    pub(crate) seed: u64,
    /// `SIM_GPU_CONTEXT_MIB`: memory of a context.
    pub(crate) context_mib: u64,
    /// `SIM_GPU_NVDECS`: pictures that one device decodes at a time.
    pub(crate) nvdecs: usize,
    /// `SIM_GPU_MAX_SURFACES`: of one decoder.
    pub(crate) max_surfaces: u64,
    /// `SIM_GPU_CODECS`: names, with `hevc10` and `hevc12` for the depths; of each device, the last for all others.
    codecs: Vec<Vec<String>>,
    /// `SIM_GPU_MAX_SIDE`: of pictures, in pixels.
    pub(crate) max_side: u32,
    /// `SIM_GPU_NAME`: of the devices.
    pub(crate) name: Option<String>,
    /// `SIM_GPU_LOG`.
    pub(crate) log: Option<PathBuf>,
    /// `SIM_GPU_REPORT`.
    pub(crate) report: Option<PathBuf>,
    /// `SIM_GPU_CONTROL`.
    pub(crate) control: Option<PathBuf>,
    /// `SIM_GPU_FORBID`.
    pub(crate) forbidden: ForbiddenCalls,
    /// `SIM_GPU_MEMORY_MIB` of each device.
    memory_mib: AtomicU64,
    /// `SIM_GPU_MAX_DECODERS` of each device.
    max_decoders: AtomicU64,
    /// `SIM_GPU_DECODE_US` a picture.
    decode_us: AtomicU64,
    /// `SIM_GPU_COPY_US_PER_MIB` over the link.
    copy_us_per_mib: AtomicU64,
    /// `SIM_GPU_HOLD_COPIES`: asynchronous copies over the link wait while it is not 0.
    hold_copies: AtomicU64,
    /// `SIM_GPU_JITTER_PERCENT`: delays vary within this of the set value.
    jitter_percent: AtomicU64,
}

/// The one configuration.
pub(crate) fn config() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(Config::from_env);
    &CONFIG
}

impl Config {
    fn from_env() -> Self {
        let config = Self {
            devices: ENV.number("DEVICES", 1),
            seed: ENV.number("SEED", 1),
            context_mib: ENV.number("CONTEXT_MIB", 256),
            nvdecs: ENV.number("NVDECS", 2),
            max_surfaces: ENV.number("MAX_SURFACES", 32),
            codecs: ENV
                .text("CODECS")
                .unwrap_or("h264,hevc,hevc10,hevc12,jpeg".into())
                .split('/')
                .map(list)
                .collect(),
            max_side: ENV.number("MAX_SIDE", u32::MAX),
            name: ENV.text("NAME"),
            log: ENV.text("LOG").map(Into::into),
            report: ENV.text("REPORT").map(Into::into),
            control: ENV.text("CONTROL").map(Into::into),
            forbidden: ForbiddenCalls::parse(&ENV.text("FORBID").unwrap_or_default())
                .unwrap_or_else(|why| panic!("SIM_GPU_FORBID: {why}")),
            memory_mib: AtomicU64::new(ENV.number("MEMORY_MIB", 8192)),
            max_decoders: AtomicU64::new(ENV.number("MAX_DECODERS", u64::MAX)),
            decode_us: AtomicU64::new(ENV.number("DECODE_US", 0)),
            copy_us_per_mib: AtomicU64::new(ENV.number("COPY_US_PER_MIB", 0)),
            hold_copies: AtomicU64::new(ENV.number("HOLD_COPIES", 0)),
            jitter_percent: AtomicU64::new(ENV.number("JITTER_PERCENT", 25)),
        };
        if let Some(faults) = ENV.text("FAULT") {
            fault::FAULTS.add(&faults).unwrap_or_else(|why| panic!("SIM_GPU_FAULT: {why}"));
        }
        config
    }

    /// Changes one setting of a running device: `key=value`.
    ///
    /// # Errors
    /// A description.
    pub(crate) fn set(&self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("{line}: no key=value"))?;
        let setting = match key.trim() {
            "fault" => return fault::FAULTS.add(value),
            "clear_faults" => {
                fault::FAULTS.clear();
                return Ok(());
            }
            "recover" => {
                let ordinal = value.trim().parse().map_err(|_| format!("{line}: not a number"))?;
                let device = device::get(ordinal).map_err(|_| format!("{line}: no such device"))?;
                device.recover();
                return Ok(());
            }
            "memory_mib" => &self.memory_mib,
            "max_decoders" => &self.max_decoders,
            "decode_us" => &self.decode_us,
            "copy_us_per_mib" => &self.copy_us_per_mib,
            "hold_copies" => &self.hold_copies,
            "jitter_percent" => &self.jitter_percent,
            _ => return Err(format!("{key}: not a setting that changes at run time")),
        };
        let value = value.trim().parse().map_err(|_| format!("{line}: not a number"))?;
        setting.store(value, Ordering::Relaxed);
        Ok(())
    }

    /// What a device's NVDEC decodes.
    pub(crate) fn codecs(&self, device: usize) -> &[String] {
        self.codecs.get(device).or(self.codecs.last()).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_mib.load(Ordering::Relaxed) << 20
    }

    pub(crate) fn max_decoders(&self) -> u64 {
        self.max_decoders.load(Ordering::Relaxed)
    }

    pub(crate) fn decode_us(&self) -> u64 {
        self.decode_us.load(Ordering::Relaxed)
    }

    pub(crate) fn copy_us_per_mib(&self) -> u64 {
        self.copy_us_per_mib.load(Ordering::Relaxed)
    }

    pub(crate) fn copies_are_held(&self) -> bool {
        self.hold_copies.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn jitter_percent(&self) -> u64 {
        self.jitter_percent.load(Ordering::Relaxed)
    }
}
