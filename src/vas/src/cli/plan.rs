//! `vas plan`: what cameras take of a host, before they run.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use vas_cli::stdout;
use vas_config::{Config, Environment, Export};
use vas_frame::monotonic_ns;
use vas_gate::Rate;
use vas_plan::{
    Assumed, Camera, Codec, Gpu, Host, Inputs, InvalidGpu, Plan, Stream, cameras_of, parse_size,
};
use vas_status::ServiceStatus;

use super::failure::Failure;

/// Add up what cameras take of a host and a GPU, and say what does not fit
///
/// Connects to nothing, and loads neither FFmpeg nor CUDA. With --config, the streams are those that a
/// running service reports; of cameras that it does not know they are --codec, --size and --fps.
/// docs/ref/plan.md explains each sum and its source.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlanArgs {
    /// Plan for the cameras of this config, on this host.
    #[arg(long, short, value_name = "FILE", required_unless_present = "cameras")]
    config: Option<PathBuf>,
    /// Plan for this many cameras that are all alike.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "config",
        requires = "codec",
        value_parser = clap::value_parser!(u32).range(1..=Config::MAX_CAMERAS as i64)
    )]
    cameras: Option<u32>,
    /// Their codec: h264 or h265.
    #[arg(long, requires_all = ["size", "fps"])]
    codec: Option<Codec>,
    /// Their picture size.
    #[arg(long, value_name = "WIDTHxHEIGHT", requires = "codec", value_parser = parse_size)]
    size: Option<(u32, u32)>,
    /// Their pictures a second, such as 25 or 30000/1001.
    #[arg(long, value_name = "FPS", requires = "codec", value_parser = rate)]
    fps: Option<Rate>,
    /// The most pictures a second that readers ask for; by default they read every frame.
    #[arg(long, value_name = "FPS", value_parser = rate)]
    read_fps: Option<Rate>,
    /// The GPU that decodes: l4, t4, a2, a10, h100 or none; by default that of the host, if one is
    /// asked.
    #[arg(long, value_name = "MODEL")]
    gpu: Option<GpuArg>,
    /// Device memory of the GPU in MiB, instead of what is known of the model.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=16 << 20))]
    gpu_memory: Option<u64>,
    /// NVDEC engines of the GPU, instead of what is known of the model.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    nvdec_engines: Option<u32>,
    /// Compare with this host, and use its GPU; --config implies it.
    #[arg(long)]
    this_host: bool,
    /// Print JSON (docs/ref/plan.md).
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  vas plan --config cameras.toml
  vas plan --cameras 16 --codec h265 --size 1920x1080 --fps 25 --read-fps 5 --gpu l4
  vas plan --cameras 16 --codec h264 --size 1920x1080 --fps 25 --this-host --json | jq .sum

Exit codes: 0 it fits, as far as is known; 1 something does not fit; 2 invalid usage or config.";

/// Where NVIDIA's driver lists its GPUs.
const NVIDIA: &str = "/proc/driver/nvidia";
/// The largest age of a status that is still being written.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The most pictures a second that are planned for.
const MAX_FPS: u32 = 1000;

/// A GPU, or none.
#[derive(Clone, Debug)]
struct GpuArg(Option<Gpu>);

impl FromStr for GpuArg {
    type Err = InvalidGpu;

    fn from_str(typed: &str) -> Result<Self, InvalidGpu> {
        if typed == "none" { Ok(Self(None)) } else { typed.parse().map(|gpu| Self(Some(gpu))) }
    }
}

pub(super) fn run(args: &PlanArgs) -> Result<(), Failure> {
    let plan = plan(args)?;
    let text = if args.json { plan.to_json() } else { plan.to_string() };
    stdout::write(&text).map_err(Failure::Stdout)?;
    if plan.fits() { Ok(()) } else { Err(Failure::DoesNotFit) }
}

fn plan(args: &PlanArgs) -> Result<Plan, Failure> {
    let stream = args.stream();
    let (cameras, export, ring_bytes) = match (&args.config, args.cameras, &stream) {
        (Some(path), ..) => {
            let config = vas_config::load(path, &Environment::of_this_process())?;
            let status = running(&config);
            let assumed = Assumed { stream, read_fps: args.read_fps };
            let cameras = cameras_of(&config, status.as_ref(), &assumed)?;
            let rings = status.iter().flat_map(|status| &status.shards);
            (cameras, Some(config.export), rings.map(|shard| shard.memory.ring_bytes).sum())
        }
        (None, Some(count), Some(stream)) => {
            (Camera::alike(count as usize, stream, args.read_fps), None, 0)
        }
        // The definition of the arguments allows no such line.
        (None, ..) => (Vec::new(), None, 0),
    };
    let asks = args.this_host || args.config.is_some();
    let dir = export.as_ref().map_or(Path::new(Export::DEFAULT_DIR), |export| &export.dir);
    let host = asks.then(|| Host::ask(dir, Path::new(NVIDIA), ring_bytes)).transpose();
    let host = host.map_err(Failure::Host)?;
    let of_host = || host.as_ref().and_then(|host| host.gpu.clone());
    let gpu = args.gpu.as_ref().map_or_else(of_host, |gpu| gpu.0.clone());
    let memory = args.gpu_memory.map(|mib| mib << 20);
    let gpu = gpu.map(|gpu| gpu.stated(memory, args.nvdec_engines));
    Ok(Plan::of(&Inputs {
        cameras: &cameras,
        hold: export.as_ref().map_or(Export::DEFAULT_HOLD, |export| export.hold),
        slots: export.as_ref().and_then(|export| export.slots),
        gpu: gpu.as_ref(),
        host: host.as_ref(),
    }))
}

impl PlanArgs {
    fn stream(&self) -> Option<Stream> {
        Some(Stream { codec: self.codec.clone()?, size: self.size?, fps: self.fps })
    }
}

/// The status of the config's service, if one runs.
fn running(config: &Config) -> Option<ServiceStatus> {
    let status = vas_status::read(&config.run_dir).ok()?.status;
    let runs = || status.service.process.runs();
    status.fresh(monotonic_ns(), MAX_AGE, runs).is_ok().then_some(status)
}

fn rate(typed: &str) -> Result<Rate, String> {
    let rate: Rate = typed.parse().map_err(|error: vas_gate::InvalidRate| error.to_string())?;
    if rate.num().div_ceil(rate.den()) <= MAX_FPS {
        Ok(rate)
    } else {
        Err(format!("expected at most {MAX_FPS} pictures a second"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: PlanArgs,
    }

    fn planned(line: &str) -> Result<Plan, Failure> {
        let words = std::iter::once("plan").chain(line.split_whitespace());
        plan(&Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args)
    }

    #[test]
    fn cameras_of_the_command_line() {
        let line = "--cameras 16 --codec h265 --size 1920x1080 --fps 25 --read-fps 5 --gpu l4";
        let plan = planned(line).unwrap();
        assert_eq!((plan.sum.cameras, plan.sum.on_gpu), (16, 16));
        assert!(plan.limits.is_empty() && plan.fits());
        let small = planned(&format!("{line} --gpu-memory 512 --nvdec-engines 1")).unwrap();
        assert_eq!(small.problems[0].what, "gpu_memory");
        let none = planned(&line.replace("l4", "none")).unwrap();
        assert_eq!(none.sum.on_gpu, 0);
    }

    #[test]
    fn cameras_of_a_config_on_this_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cameras.toml");
        let camera = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.2/a\"\n";
        let run_dir = folder.path().display();
        std::fs::write(&path, format!("[service]\nrun_dir = \"{run_dir}\"\n{camera}")).unwrap();
        let line = format!("--config {} --gpu none", path.display());
        assert!(matches!(planned(&line), Err(Failure::NoStreams(_))));
        let plan = planned(&format!("{line} --codec h264 --size 640x360 --fps 15")).unwrap();
        assert_eq!((plan.sum.cameras, plan.kinds[0].each.slots), (1, 8));
        assert!(plan.limits.len() >= 2 && plan.host_processors.is_some());
    }

    #[test]
    fn bad_use_is_refused() {
        for line in [
            "",
            "--cameras 0 --codec h264 --size 640x360 --fps 15",
            "--cameras 2",
            "--cameras 2 --codec h264",
            "--cameras 2 --codec av1 --size 640x360 --fps 15",
            "--cameras 2 --codec h264 --size 640 --fps 15",
            "--cameras 2 --codec h264 --size 640x360 --fps 0",
            "--cameras 2 --codec h264 --size 640x360 --fps 5000",
            "--cameras 2 --codec h264 --size 640x360 --fps 15 --gpu x",
            "--cameras 2 --config a --codec h264 --size 640x360 --fps 15",
        ] {
            let words = std::iter::once("plan").chain(line.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
