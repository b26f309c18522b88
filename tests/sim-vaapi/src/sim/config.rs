//! The settings: `SIM_VA_*` from the environment, and those that can change at run time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use vas_sim_common::{Environment, ForbiddenCalls, list};

use super::{fault, lock, node};

const ENV: Environment = Environment("SIM_VA_");

/// Settings that can change, with their defaults; `NAME@NODE` is for one node alone.
const NUMBERS: [(&str, u64); 8] = [
    // Bytes of a node's surfaces.
    ("memory_bytes", 8 << 30),
    // Surfaces and contexts of a node.
    ("max_surfaces", u64::MAX),
    ("max_contexts", u64::MAX),
    // The time to decode a picture, and to copy a surface into an image.
    ("decode_us", 0),
    ("read_us_per_mib", 0),
    // These times vary within this.
    ("jitter_percent", 25),
    // Pictures stay undecoded while it is not 0.
    ("hold_pictures", 0),
    // Whether vaDeriveImage works.
    ("derive", 1),
];

/// The settings of the process.
pub(crate) struct Config {
    /// `SIM_VA_NODES`: the directory of the render nodes.
    pub(crate) nodes: Option<PathBuf>,
    /// `SIM_VA_SEED`: determines content, padding, pitches, offsets and jitter.
    pub(crate) seed: u64,
    /// `SIM_VA_CODECS`: what a node decodes.
    pub(crate) codecs: Vec<String>,
    /// `SIM_VA_MAX_SIZE`: of a picture, in either direction.
    pub(crate) max_size: u32,
    /// `SIM_VA_LOG`.
    pub(crate) log: Option<PathBuf>,
    /// `SIM_VA_REPORT`.
    pub(crate) report: Option<PathBuf>,
    /// `SIM_VA_CONTROL`.
    pub(crate) control: Option<PathBuf>,
    /// `SIM_VA_FORBID`.
    pub(crate) forbidden: ForbiddenCalls,
    numbers: Mutex<BTreeMap<String, u64>>,
    /// How often hanging calls were released.
    releases: AtomicU64,
}

/// The one configuration.
pub(crate) fn config() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(Config::from_env);
    &CONFIG
}

impl Config {
    fn from_env() -> Self {
        let config = Self {
            nodes: ENV.text("NODES").map(Into::into),
            seed: ENV.number("SEED", 1),
            codecs: list(&ENV.text("CODECS").unwrap_or("h264,hevc,hevc10,jpeg".into())),
            max_size: ENV.number("MAX_SIZE", 8192),
            log: ENV.text("LOG").map(Into::into),
            report: ENV.text("REPORT").map(Into::into),
            control: ENV.text("CONTROL").map(Into::into),
            forbidden: ForbiddenCalls::parse(&ENV.text("FORBID").unwrap_or_default())
                .unwrap_or_else(|why| panic!("SIM_VA_FORBID: {why}")),
            numbers: Mutex::default(),
            releases: AtomicU64::new(0),
        };
        for (name, default) in NUMBERS {
            let value = ENV.number(&name.to_uppercase(), default);
            lock(&config.numbers).insert(name.into(), value);
        }
        if let Some(faults) = ENV.text("FAULT") {
            fault::FAULTS.add(&faults).unwrap_or_else(|why| panic!("SIM_VA_FAULT: {why}"));
        }
        config
    }

    /// Changes one setting of a running driver: `key=value`.
    ///
    /// # Errors
    /// A description.
    pub(crate) fn set(&self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("{line}: no key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        match key {
            "fault" => return fault::FAULTS.add(value),
            "clear_faults" => fault::FAULTS.clear(),
            "release" => {
                self.releases.fetch_add(1, Ordering::Relaxed);
            }
            "node_back" => node::named(value).ok_or(format!("{line}: no such node"))?.come_back(),
            _ => {
                let name = key.split_once('@').map_or(key, |(name, _)| name);
                if !NUMBERS.iter().any(|(known, _)| *known == name) {
                    return Err(format!("{key}: not a setting that changes at run time"));
                }
                let value = value.parse().map_err(|_| format!("{line}: not a number"))?;
                lock(&self.numbers).insert(key.into(), value);
            }
        }
        Ok(())
    }

    /// A setting of a node.
    pub(crate) fn number(&self, name: &str, node: &str) -> u64 {
        let numbers = lock(&self.numbers);
        let of_node = numbers.get(&format!("{name}@{node}"));
        let number = of_node.or_else(|| numbers.get(name)).copied();
        number.unwrap_or_else(|| unreachable!("{name} is no setting"))
    }

    /// Changes whenever a test releases the calls that hang.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Relaxed)
    }
}
