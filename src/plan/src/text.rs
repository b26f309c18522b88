//! A plan as a person reads it, at 80 columns.

use std::fmt::{self, Display, Write as _};

use crate::camera::{Basis, Decoder};
use crate::plan::{Kind, Partial, Plan, Sum};
use crate::price::Span;

const WIDTH: usize = 80;

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in &self.kinds {
            write_kind(f, kind)?;
            writeln!(f)?;
        }
        write_sum(f, self)?;
        writeln!(f)?;
        write_problems(f, self)?;
        writeln!(f, "\nWhere the figures come from")?;
        for figure in &self.figures {
            wrapped(f, &format!("{}: {} ({})", figure.of, figure.value, figure.source), "- ")?;
        }
        Ok(())
    }
}

fn write_kind(f: &mut fmt::Formatter<'_>, kind: &Kind) -> fmt::Result {
    let Kind { codec, width, height, each, .. } = kind;
    let fps = kind.fps.map_or("30 fps assumed".into(), |fps| format!("{} fps", short(fps)));
    let read =
        kind.read_fps.map_or("every frame read".into(), |fps| format!("read at {}", short(fps)));
    let recorded = if kind.recorded { ", recorded" } else { "" };
    let basis = match kind.basis {
        Basis::Status => "as the running service reports",
        Basis::Config => "by the config",
        Basis::Assumed => "assumed on the command line",
    };
    let text = format!(
        "{}: {codec} {width}x{height}, {fps}, {read}{recorded} ({basis})",
        cameras(&kind.ids)
    );
    wrapped(f, &text, "")?;
    let one = kind.ids.len() == 1;
    let mut sum = Sum::default();
    sum.add(kind);
    if one {
        row(f, "", "", "it takes")?;
    } else {
        row(f, "", "each", &format!("all {}", kind.ids.len()))?;
    }
    let both = |f: &mut fmt::Formatter<'_>, label: &str, each: String, all: String| {
        if one { row(f, label, "", &each) } else { row(f, label, &each, &all) }
    };
    match each.export_size {
        None => row(f, "ring", "", "none: no frames are exported")?,
        Some((w, h)) => {
            let size =
                if (w, h) == (*width, *height) { String::new() } else { format!(" of {w}x{h}") };
            row(f, "slots", "", &format!("{}{size}", each.slots))?;
            both(f, "ring, MiB", mib(each.ring_bytes), mib(sum.ring_bytes))?;
            both(f, "  on huge pages, at most", mib(each.huge_bytes), mib(sum.huge_bytes))?;
        }
    }
    row(
        f,
        "decoder",
        "",
        match each.decoder {
            Decoder::Nvdec => "NVDEC",
            Decoder::Vaapi => "VA-API",
            Decoder::Software => "processor",
            Decoder::None => "none: nothing takes frames",
        },
    )?;
    if each.decoder == Decoder::Nvdec {
        both(f, "  pinned memory, MiB", mib(each.pinned_bytes), mib(sum.pinned_bytes))?;
        both(f, "  surfaces", span(each.surfaces, 0), span(sum.surfaces, 0))?;
        both(f, "  device memory, MiB", span(each.device_bytes, 20), span(sum.device_bytes, 20))?;
        if each.scratch_bytes.most > 0 {
            let (each, all) = (span(each.scratch_bytes, 20), span(sum.scratch_bytes, 20));
            both(f, "  converted pictures, MiB", each, all)?;
        }
        both(f, "  NVDEC engines busy", known(each.engines, 3), partial(sum.engines, 3))?;
        both(f, "  link, MB/s", mb(each.link_bytes_s), mb(sum.link_bytes_s))?;
    }
    if each.decoder == Decoder::Vaapi {
        row(f, "  surfaces", &span(each.surfaces, 0), "")?;
        row(f, "  their memory, MiB", &span(each.device_bytes, 20), "")?;
    }
    both(f, "processors busy, about", known(each.processors, 3), partial(sum.processors, 2))?;
    if kind.recorded {
        let each = each.record_bytes_s.map(|bytes| bytes as f64 / 1e6);
        let all = Partial { known: sum.record_bytes_s.known / 1e6, ..sum.record_bytes_s };
        let word = |text: String| text.replace("not measured", "bit rate unknown");
        both(f, "recording, MB/s", word(known(each, 2)), word(partial(all, 2)))?;
    }
    both(f, "threads", each.threads.to_string(), sum.threads.to_string())?;
    both(
        f,
        "descriptors, about",
        known(each.descriptors.map(f64::from), 0),
        partial(sum.descriptors, 0),
    )
}

fn write_sum(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    let Plan { sum, gpu, .. } = plan;
    let plural = if sum.cameras == 1 { "" } else { "s" };
    wrapped(
        f,
        &format!("In sum: {} camera{plural}, frames held for {} ms", sum.cameras, plan.hold_ms),
        "",
    )?;
    row(f, "", "needed", "there is")?;
    row(
        f,
        "shared memory, MiB",
        &mib(sum.ring_bytes),
        if plan.limits.is_empty() { "not compared" } else { "" },
    )?;
    for limit in &plan.limits {
        wrapped(f, &format!("{}: {} MiB left", limit.scope, limit.free_bytes >> 20), "    ")?;
    }
    if let Some(gpu) = gpu.as_ref().filter(|_| sum.on_gpu > 0) {
        let times = u64::from(gpu.count);
        let memory = gpu.memory_bytes.map_or("unknown".into(), |bytes| mib(bytes * times));
        let engines =
            gpu.engines.map_or("unknown".into(), |engines| (engines * gpu.count).to_string());
        row(f, "pinned memory, MiB", &mib(sum.pinned_bytes), "the shared memory")?;
        row(f, "cameras on GPUs", &sum.on_gpu.to_string(), &span(plan.placement.on_gpus(), 0))?;
        row(f, "surfaces' memory, MiB", &span(sum.device_bytes, 20), &memory)?;
        if sum.scratch_bytes.most > 0 {
            row(f, "converted pictures, MiB", &span(sum.scratch_bytes, 20), "of the same")?;
        }
        row(f, "CUDA contexts, MiB", &span(plan.context_bytes, 20), "of the same")?;
        row(f, "NVDEC engines busy", &partial(sum.engines, 2), &engines)?;
        row(f, "link, MB/s", &mb(sum.link_bytes_s), "not measured")?;
    }
    let has = |number: Option<String>| number.unwrap_or_else(|| "not compared".into());
    let processors = plan.host_processors.map(|count| count.to_string());
    row(f, "processors busy, about", &partial(sum.processors, 1), &has(processors))?;
    row(f, "threads", &sum.threads.to_string(), "")?;
    let descriptors = plan.host_descriptors.map(|count| count.to_string());
    row(f, "descriptors, about", &partial(sum.descriptors, 0), &has(descriptors))?;
    let recorded: usize =
        plan.kinds.iter().filter(|kind| kind.recorded).map(|kind| kind.ids.len()).sum();
    if recorded > 0 {
        let all = Partial { known: sum.record_bytes_s.known / 1e6, ..sum.record_bytes_s };
        row(f, "recording, MB/s", &partial(all, 1), "not compared")?;
    }
    Ok(())
}

fn write_problems(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    if plan.problems.is_empty() {
        return if plan.limits.is_empty() && plan.gpu.is_none() {
            writeln!(
                f,
                "Compared with nothing: --gpu names a GPU, --this-host compares with this host."
            )
        } else {
            writeln!(f, "What was compared fits.")
        };
    }
    for problem in &plan.problems {
        let word = if problem.certain { "Does not fit: " } else { "May not fit: " };
        wrapped(f, &format!("{word}{}", problem.sentence), "")?;
    }
    Ok(())
}

/// The ids, if few; otherwise their number.
fn cameras(ids: &[String]) -> String {
    match ids {
        [one] => format!("Camera {one}"),
        [first, .., last] => format!("{} cameras, {first} to {last}", ids.len()),
        [] => "No camera".into(),
    }
}

fn row(f: &mut fmt::Formatter<'_>, label: &str, middle: &str, right: &str) -> fmt::Result {
    let line = format!("  {label:<26}{middle:>24}{right:>28}");
    writeln!(f, "{}", line.trim_end())
}

/// Words in lines of at most [`WIDTH`] columns; all but the first are indented by two more than `mark` is long.
fn wrapped(f: &mut fmt::Formatter<'_>, text: &str, mark: &str) -> fmt::Result {
    let mut line = mark.to_owned();
    let indent = " ".repeat(mark.len().max(2));
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            writeln!(f, "{line}")?;
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(f, "{line}")
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn span(span: Span, shift: u32) -> String {
    let (least, most) = (span.least >> shift, span.most.div_ceil(1 << shift));
    if span.least == span.most { most.to_string() } else { format!("{least} to {most}") }
}

fn known(number: Option<f64>, places: usize) -> String {
    number.map_or("not measured".into(), |number| format!("{number:.places$}"))
}

fn partial(sum: Partial, places: usize) -> String {
    let mut text = String::new();
    if sum.known > 0.0 || sum.unknown_cameras == 0 {
        write!(text, "{:.places$}", sum.known).expect("a String takes all that is written to it");
    }
    match (sum.unknown_cameras, text.is_empty()) {
        (0, _) => text,
        (_, true) => "not measured".into(),
        (count, false) => format!("{text} + {count} unknown"),
    }
}

/// A rate without needless decimals.
fn short(fps: f64) -> String {
    let text = format!("{fps:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
