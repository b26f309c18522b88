//! Measures the cost of receiving many cameras without decoding them.
//!
//! `many URL COUNT SECONDS retina|ffmpeg tcp|udp`

#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use vas_media::{RtspClient, SourceRequest, StopFlag, Transport, open};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, count, seconds, client, transport] = arguments.as_slice() else {
        return Err("many URL COUNT SECONDS retina|ffmpeg tcp|udp".into());
    };
    let (count, seconds): (usize, u64) = (count.parse()?, seconds.parse()?);
    let request = SourceRequest {
        url: url.clone(),
        transport: if transport == "udp" { Transport::Udp } else { Transport::Tcp },
        client: if client == "ffmpeg" { RtspClient::Ffmpeg } else { RtspClient::Retina },
        connect_timeout: Duration::from_secs(60),
        read_timeout: Duration::from_secs(10),
        sound: false,
    };
    let stop = StopFlag::new();
    let (packets, lost, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let ready = Barrier::new(count + 1);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let source = open(&request, &stop);
                ready.wait();
                let Ok(mut source) = source else {
                    failed.fetch_add(1, Relaxed);
                    return;
                };
                while let Ok(Some(packet)) = source.next_packet() {
                    packets.fetch_add(1, Relaxed);
                    lost.fetch_add(u64::from(packet.lost()), Relaxed);
                }
            });
        }
        ready.wait();
        let (began, cpu, before) = (Instant::now(), cpu_seconds(), packets.load(Relaxed));
        std::thread::sleep(Duration::from_secs(seconds));
        let taken = began.elapsed().as_secs_f64();
        let cores = (cpu_seconds() - cpu) / taken;
        let rate = (packets.load(Relaxed) - before) as f64 / taken;
        println!(
            "{client} {transport}: {count} cameras, {} failed, {rate:.0} pictures a second, \
             {cores:.3} cores, {} threads, {} descriptors, {} resident, {} after loss",
            failed.load(Relaxed),
            entries("task"),
            entries("fd"),
            resident(),
            lost.load(Relaxed)
        );
        stop.stop();
    });
    Ok(())
}

/// Processor time that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn entries(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count)
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().to_owned()
}
