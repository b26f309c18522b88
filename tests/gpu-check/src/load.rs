//! How many cameras a GPU holds, what comes down the link, how old frames are, and what the processor pays.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::clips::LOAD;
use crate::report::Findings;
use crate::service::{Programs, Service, ran_ns};

/// Bytes of a picture of the clip.
const PICTURE: f64 = 1920.0 * 1080.0 * 1.5;

/// Readers, killed when dropped.
struct Readers(Vec<Child>);

impl Drop for Readers {
    fn drop(&mut self) {
        for reader in &mut self.0 {
            let _ = reader.kill();
            let _ = reader.wait();
        }
    }
}

pub(crate) struct Load {
    pub(crate) cameras: u32,
    pub(crate) measured: Duration,
}

impl Load {
    pub(crate) fn check(
        &self,
        programs: &Programs,
        gpu: u32,
        peak: Option<f64>,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let table = |number| LOAD.camera(&format!("c{number:03}"), &programs.clips, gpu);
        let config: String = (0..self.cameras).map(table).collect();
        let mut service = Service::start(programs, &config, &[])?;
        let count = self.cameras as usize;
        let opened = |status: &Value| {
            let settled = |camera: &&Value| {
                camera["decoder"]["kind"] == "nvdec" || camera["decoder"]["why"].is_string()
            };
            cameras(status).filter(settled).count() == count
        };
        service.until("each camera has a decoder or a reason", Duration::from_secs(60), opened)?;
        let mut readers = Readers(Vec::new());
        for number in 0..self.cameras {
            let mut watch = service.watch(&format!("c{number:03}"), &["--timeout", "3600"]);
            watch.stdout(Stdio::null()).stderr(Stdio::null());
            let reader = watch.spawn();
            readers.0.push(reader.map_err(|e| Failure::Program(format!("{watch:?}: {e}")))?);
        }
        let reads = |status: &Value| {
            let held = cameras(status).filter(|camera| is_held(camera));
            held.into_iter().all(|camera| camera["exported"].as_u64() > Some(10))
        };
        let before = service.until("all held cameras export", Duration::from_secs(30), reads)?;
        let (cpu, since) = (ran_ns(&before), Instant::now());
        std::thread::sleep(self.measured);
        let after = service.until("a status", Duration::ZERO, |_| true)?;
        let (cpu, took) = (ran_ns(&after).saturating_sub(cpu), since.elapsed().as_secs_f64());
        drop(readers);
        service.stop()?;
        self.evaluate(&before, &after, cpu, took, peak, findings)
    }

    fn evaluate(
        &self,
        before: &Value,
        after: &Value,
        cpu_ns: u64,
        took: f64,
        peak: Option<f64>,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let held: Vec<_> = cameras(after).filter(|camera| is_held(camera)).collect();
        findings.note(format!("{} of {} cameras held, 1080p25 H.264", held.len(), self.cameras));
        let mut reasons: Vec<_> = cameras(after)
            .filter_map(|camera| camera["decoder"]["why"].as_str().map(str::to_owned))
            .collect();
        reasons.sort();
        reasons.dedup();
        reasons.iter().for_each(|why| findings.note(format!("not held: {why}")));
        if held.is_empty() {
            return Err(Failure::Wrong("the GPU decodes no camera".into()));
        }
        let count = |status: &Value, key: &str| -> u64 {
            cameras(status).filter_map(|camera| camera[key].as_u64()).sum()
        };
        let exported = (count(after, "exported") - count(before, "exported")) as f64;
        let rate = exported * PICTURE / took;
        findings.figure("cameras held", held.len() as f64, "cameras");
        findings.figure("frames exported", exported / took, "a second");
        findings.figure(
            "frames exported of a camera",
            exported / took / held.len() as f64,
            "a second",
        );
        findings.figure("brought down", rate / 1e9, "GB/s");
        if let Some(peak) = peak {
            findings.figure("brought down, of the pinned peak", 100.0 * rate / peak, "%");
        }
        let ages = |key: &str| {
            let mut ages: Vec<f64> =
                held.iter().filter_map(|camera| camera["export"]["age"][key].as_f64()).collect();
            ages.sort_by(f64::total_cmp);
            ages
        };
        for (key, name) in [("p50_ms", "median"), ("p99_ms", "99th percentile")] {
            let ages = ages(key);
            if let (Some(middle), Some(worst)) = (ages.get(ages.len() / 2), ages.last()) {
                findings.figure(format!("age in the ring, {name}, median camera"), *middle, "ms");
                findings.figure(format!("age in the ring, {name}, worst camera"), *worst, "ms");
            }
        }
        let one = cpu_ns as f64 / 1e9 / took / held.len() as f64;
        findings.figure("processor time of a camera", 100.0 * one, "% of one processor");
        Ok(())
    }
}

fn cameras(status: &Value) -> impl Iterator<Item = &Value> {
    status["cameras"].as_array().into_iter().flatten()
}

fn is_held(camera: &Value) -> bool {
    camera["decoder"]["kind"] == "nvdec"
}
