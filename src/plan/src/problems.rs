//! What does not fit: a sentence each, with what, by how much, and what would help.

use serde::Serialize;
use vas_frame::{MemoryLimit, Shortage, check_memory};

use crate::plan::Plan;
use crate::price::Span;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What: `rings`, `gpu_memory`, `decoder`, `processor`, `descriptors`, `no_gpu` or `picture_size`.
    pub what: &'static str,
    /// Whether it certainly does not fit, or only may not.
    pub certain: bool,
    /// What is missing, how much of it, and what helps.
    pub sentence: String,
}

impl Problem {
    fn new(what: &'static str, certain: bool, sentence: String) -> Self {
        Self { what, certain, sentence }
    }
}

/// All problems of a plan.
pub(crate) fn of(plan: &Plan, limits: Option<&[MemoryLimit]>) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(no_slot(plan));
    found.extend(limits.and_then(|limits| rings(plan, limits)));
    found.extend(no_gpu(plan));
    found.extend(gpu_memory(plan));
    found.extend(decoder(plan));
    found.extend(processor(plan));
    found.extend(descriptors(plan));
    found
}

fn no_slot(plan: &Plan) -> Option<Problem> {
    let kind = plan.kinds.iter().find(|kind| {
        let side = vas_frame::MAX_SIDE;
        kind.width > side || kind.height > side
    })?;
    let sentence = format!(
        "Pictures of {}x{} (camera {}) can't be exported: a slot holds at most {} pixels a side. Export a smaller stream of the \
         camera.",
        kind.width,
        kind.height,
        kind.ids.join(", "),
        vas_frame::MAX_SIDE
    );
    Some(Problem::new("picture_size", true, sentence))
}

/// Admits ring after ring, as the service does.
fn rings(plan: &Plan, limits: &[MemoryLimit]) -> Option<Problem> {
    let mut left = limits.to_vec();
    let (mut refused, mut asked, mut first) = (0, 0, None::<Shortage>);
    for kind in &plan.kinds {
        let need = kind.each.ring_bytes;
        for _ in kind.ids.iter().filter(|_| need > 0) {
            asked += 1;
            match check_memory(need, &left) {
                Ok(()) => {
                    left.iter_mut().for_each(|limit| limit.free = limit.free.saturating_sub(need))
                }
                Err(shortage) => {
                    refused += 1;
                    first = first.or(Some(shortage));
                }
            }
        }
    }
    let scope = first?.limit.scope;
    let free = limits.iter().find(|limit| limit.scope == scope).map_or(0, |limit| limit.free);
    let need = plan.sum.ring_bytes;
    let short = need.saturating_sub(free);
    let missing = match short {
        // The rings alone would fit: the part that must stay free does not.
        0 => "which leaves less than the 32 MiB that must stay free".into(),
        short => format!("{} too few", mib(short)),
    };
    let sentence = format!(
        "{refused} of {asked} cameras get no ring: all rings need {}, but {scope} has {} left, {missing}; {}.",
        mib(need),
        mib_down(free),
        scope.remedy()
    );
    Some(Problem::new("rings", true, sentence))
}

fn no_gpu(plan: &Plan) -> Option<Problem> {
    if plan.gpu.is_some() || plan.sum.on_gpu == 0 {
        return None;
    }
    let sentence = format!(
        "{} cameras have `decode = \"nvdec\"`, and there is no GPU: nothing decodes them. Name one with --gpu, or set `decode = \
         \"auto\"`.",
        plan.sum.on_gpu
    );
    Some(Problem::new("no_gpu", true, sentence))
}

fn gpu_memory(plan: &Plan) -> Option<Problem> {
    let gpu = plan.gpu.as_ref().filter(|_| plan.sum.on_gpu > 0)?;
    let has = gpu.memory_bytes? * u64::from(gpu.count);
    let need = plan.sum.device_bytes + plan.sum.scratch_bytes + plan.context_bytes;
    let help = "decode fewer cameras there, export a smaller stream of each camera, or set `decode = \"software\"` for some";
    if need.least > has {
        let sentence = format!(
            "The decoders need at least {} of device memory, but {} has {}, {} too few: {}; {help}.",
            mib(need.least),
            name(plan),
            mib_down(has),
            mib(need.least - has),
            placed(plan)
        );
        return Some(Problem::new("gpu_memory", true, sentence));
    }
    (need.most > has).then(|| {
        let sentence = format!(
            "The decoders may need up to {} of device memory, but {} has {}, {} too few: {}. It depends on how many reference \
             pictures the streams ask for, and on their bit depth; set a lower level or no B-pictures in the cameras, or {help}.",
            mib(need.most),
            name(plan),
            mib_down(has),
            mib(need.most - has),
            placed(plan)
        );
        Problem::new("gpu_memory", false, sentence)
    })
}

fn decoder(plan: &Plan) -> Option<Problem> {
    let gpu = plan.gpu.as_ref()?;
    let has = f64::from(gpu.engines? * gpu.count);
    let need = plan.sum.engines.known;
    (need > has).then(|| {
        let sentence = format!(
            "Decoding takes {need:.2} NVDEC engines, but {} has {has}, {:.2} too few: {}; lower the cameras' frame rates, export \
             a smaller stream of each camera, or add a GPU.",
            name(plan),
            need - has,
            placed(plan)
        );
        Problem::new("decoder", true, sentence)
    })
}

fn processor(plan: &Plan) -> Option<Problem> {
    let has = f64::from(plan.host_processors?);
    let need = plan.sum.processors.known;
    (need > has).then(|| {
        let sentence = format!(
            "Decoding and copying take about {need:.1} processors of the kind that was measured (an estimate), but this host has \
             {has}, {:.1} too few; decode on a GPU, export a smaller stream of each camera, or lower its frame rate.",
            need - has
        );
        Problem::new("processor", false, sentence)
    })
}

fn descriptors(plan: &Plan) -> Option<Problem> {
    let has = plan.host_descriptors?;
    let need = plan.sum.descriptors.known as u64;
    (need > has).then(|| {
        let sentence = format!(
            "The cameras take about {need} file descriptors, but a process may have {has}, {} too few with one shard; raise the \
             limit (`LimitNOFILE=` of systemd, `ulimit -Hn`), or set `[service] shards`.",
            need - has
        );
        Problem::new("descriptors", false, sentence)
    })
}

/// Says where the cameras decode.
fn placed(plan: &Plan) -> String {
    let placement = &plan.placement;
    let span = |span: Span| match span {
        Span { least, most } if least == most => most.to_string(),
        Span { least, most } => format!("{least} to {most}"),
    };
    let gpus = if placement.gpus.len() == 1 { "GPU" } else { "GPUs" };
    let mut words = format!(
        "the {gpus} {} {} of {} cameras",
        if placement.gpus.len() == 1 { "decodes" } else { "decode" },
        span(placement.on_gpus()),
        plan.sum.cameras
    );
    if placement.processor.most > 0 {
        words += &format!(", the processor {}", span(placement.processor));
    }
    if placement.nothing.most > 0 {
        words += &format!(", and nothing decodes {}", span(placement.nothing));
    }
    words
}

/// The GPU in a sentence.
fn name(plan: &Plan) -> String {
    match &plan.gpu {
        Some(gpu) if gpu.count > 1 => format!("{} GPUs of model {} together", gpu.count, gpu.model),
        Some(gpu) => format!("the GPU ({})", gpu.model),
        None => "no GPU".into(),
    }
}

/// Rounded up: a need.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Rounded down: what is left.
fn mib_down(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
