//! The device's configuration: `SIM_GPU_*` from the environment, and settings that can change at
//! run time.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault;

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
    /// `SIM_GPU_CODECS`: names, with `hevc10` and `hevc12` for the depths.
    pub(crate) codecs: Vec<String>,
    /// `SIM_GPU_LOG`.
    pub(crate) log: Option<PathBuf>,
    /// `SIM_GPU_REPORT`.
    pub(crate) report: Option<PathBuf>,
    /// `SIM_GPU_CONTROL`.
    pub(crate) control: Option<PathBuf>,
    forbidden: Vec<Rule>,
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

/// Calls forbidden to some threads.
struct Rule {
    thread_prefix: String,
    functions: Vec<String>,
    text: String,
}

/// The one configuration.
pub(crate) fn config() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(Config::from_env);
    &CONFIG
}

impl Config {
    fn from_env() -> Self {
        let config = Self {
            devices: number("DEVICES", 1),
            seed: number("SEED", 1),
            context_mib: number("CONTEXT_MIB", 256),
            nvdecs: number("NVDECS", 2),
            max_surfaces: number("MAX_SURFACES", 32),
            codecs: list(&text("CODECS").unwrap_or("h264,hevc,hevc10,hevc12,jpeg".into())),
            log: text("LOG").map(Into::into),
            report: text("REPORT").map(Into::into),
            control: text("CONTROL").map(Into::into),
            forbidden: rules(&text("FORBID").unwrap_or_default()),
            memory_mib: AtomicU64::new(number("MEMORY_MIB", 8192)),
            max_decoders: AtomicU64::new(number("MAX_DECODERS", u64::MAX)),
            decode_us: AtomicU64::new(number("DECODE_US", 0)),
            copy_us_per_mib: AtomicU64::new(number("COPY_US_PER_MIB", 0)),
            hold_copies: AtomicU64::new(number("HOLD_COPIES", 0)),
            jitter_percent: AtomicU64::new(number("JITTER_PERCENT", 25)),
        };
        if let Some(faults) = text("FAULT") {
            fault::add(&faults).unwrap_or_else(|why| panic!("SIM_GPU_FAULT: {why}"));
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
            "fault" => return fault::add(value),
            "clear_faults" => {
                fault::clear();
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
        self.jitter_percent.load(Ordering::Relaxed).min(100)
    }

    /// The rule of `SIM_GPU_FORBID` that a call breaks; `thread` is called only if there are rules.
    pub(crate) fn forbidden(&self, function: &str, thread: fn() -> String) -> Option<&str> {
        if self.forbidden.is_empty() {
            return None;
        }
        let thread = thread();
        let broken = |rule: &&Rule| {
            thread.starts_with(&rule.thread_prefix)
                && rule.functions.iter().any(|f| f == "*" || f == function)
        };
        self.forbidden.iter().find(broken).map(|rule| rule.text.as_str())
    }
}

/// `PREFIX:function,function;PREFIX:*`
fn rules(text: &str) -> Vec<Rule> {
    let parts = text.split(';').filter(|part| !part.trim().is_empty());
    parts
        .map(|part| {
            let (prefix, functions) = part
                .split_once(':')
                .unwrap_or_else(|| panic!("SIM_GPU_FORBID: {part}: no THREAD:FUNCTIONS"));
            let (thread_prefix, functions) = (prefix.trim().into(), list(functions));
            Rule { thread_prefix, functions, text: part.trim().into() }
        })
        .collect()
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|item| item.trim().into())
        .filter(|item: &String| !item.is_empty())
        .collect()
}

fn text(name: &str) -> Option<String> {
    std::env::var(format!("SIM_GPU_{name}")).ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr>(name: &str, default: T) -> T {
    match text(name) {
        // A test with an invalid setting must not run without it.
        Some(value) => {
            value.parse().unwrap_or_else(|_| panic!("SIM_GPU_{name}={value}: not a number"))
        }
        None => default,
    }
}
