//! The service's calls of the driver under NVIDIA's compute-sanitizer.

use std::path::PathBuf;

use crate::Failure;
use crate::clips::CASES;
use crate::report::Findings;
use crate::service::{Programs, Service};

/// Frames that a reader takes of each camera.
const FRAMES: usize = 5;

const PLACES: [&str; 2] = ["/usr/local/cuda/bin", "/opt/nvidia/compute-sanitizer"];

/// The sanitizer, if this host has it.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(PLACES.map(PathBuf::from));
    folders.map(|folder| folder.join("compute-sanitizer")).find(|program| program.is_file())
}

pub(crate) fn check(
    sanitizer: &std::path::Path,
    programs: &Programs,
    gpu: u32,
    findings: &mut Findings,
) -> Result<(), Failure> {
    // One camera whose pictures are copied, and one for each use of the kernels.
    let cases = [CASES[0], CASES[2], CASES[3]];
    let tables: Vec<_> = cases.iter().map(|case| case.table(&programs.clips, gpu)).collect();
    let report = tempfile::NamedTempFile::new()
        .map_err(|error| Failure::file(&std::env::temp_dir(), error))?;
    let program = sanitizer.to_string_lossy();
    let log = report.path().to_string_lossy();
    let under = [&program, "--target-processes", "all", "--log-file", &log];
    let mut service = Service::start(programs, &tables.concat(), &under)?;
    let readers: Vec<_> = cases.iter().map(|case| service.read(case.id, FRAMES)).collect();
    for reader in readers {
        let seen = reader?.wait_with_output();
        let seen = seen.map_err(|error| Failure::Program(format!("a reader: {error}")))?;
        if !seen.status.success() {
            let said = String::from_utf8_lossy(&seen.stderr);
            return Err(Failure::Wrong(format!("under the sanitizer: {}", said.trim())));
        }
    }
    service.stop()?;
    let text = std::fs::read_to_string(report.path()).unwrap_or_default();
    let summaries: Vec<_> = text.lines().filter(|line| line.contains("ERROR SUMMARY")).collect();
    let faults = summaries.iter().filter(|line| !line.contains(" 0 errors")).count();
    findings.note(format!("{} processes checked", summaries.len()));
    if summaries.is_empty() {
        return Err(Failure::Wrong("compute-sanitizer gave no summary".into()));
    }
    if faults > 0 {
        let lines = text.lines().filter(|line| line.contains("=========")).take(12);
        return Err(Failure::Wrong(lines.collect::<Vec<_>>().join("\n")));
    }
    Ok(())
}
