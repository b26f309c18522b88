//! Hosts without parts of the driver, simulated by shadowing its libraries.

use std::path::Path;
use std::process::Command;

use vas_media::{CudaDevice, DecoderKind, GpuError, open_nvdec};
use vas_sim_gpu::testing::library;

use crate::clips::{Clip, FRAMES, decode};

/// Set in the process that runs the body.
const CHILD: &str = "VAS_NVDEC_TEST_CHILD";

/// What a library's name resolves to.
enum Library {
    /// The simulated device.
    Simulated,
    /// A library with none of the driver's functions.
    Foreign,
    /// A file that is not a library.
    Junk,
}

/// Runs a test again in a process with these libraries as libcuda and libnvcuvid.
fn with_libraries(test: &str, libcuda: Library, libnvcuvid: Library, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["libcuda.so", "libcuda.so.1"] {
        place(&libcuda, &dir.path().join(name));
    }
    place(&libnvcuvid, &dir.path().join("libnvcuvid.so.1"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    let output = command.env("LD_LIBRARY_PATH", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "{test} ran nothing\n{text}");
}

fn place(library_: &Library, path: &Path) {
    match library_ {
        Library::Simulated => std::os::unix::fs::symlink(library(), path).unwrap(),
        Library::Foreign => std::os::unix::fs::symlink(foreign(), path).unwrap(),
        Library::Junk => std::fs::write(path, "no library").unwrap(),
    }
}

/// The path of the system's math library, from this process's mappings.
fn foreign() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut found = paths.filter(|path| path.contains("/libm.so") || path.contains("/libm-"));
    found.next().expect("a library of the system").to_owned()
}

#[test]
fn a_missing_driver_is_an_error() {
    let test = "absence::a_missing_driver_is_an_error";
    with_libraries(test, Library::Junk, Library::Junk, || {
        let expected = GpuError::NoLibrary { library: "libcuda.so.1" };
        assert_eq!(CudaDevice::count(), Err(expected.clone()));
        assert_eq!(CudaDevice::open(0).err(), Some(expected));
    });
}

#[test]
fn a_missing_function_is_an_error() {
    let test = "absence::a_missing_function_is_an_error";
    with_libraries(test, Library::Foreign, Library::Junk, || {
        let error = CudaDevice::open(0).unwrap_err();
        assert_eq!(error, GpuError::MissingSymbol { symbol: "cuInit" });
    });
}

#[test]
fn the_processor_decodes_without_the_nvdec_library() {
    let test = "absence::the_processor_decodes_without_the_nvdec_library";
    with_libraries(test, Library::Simulated, Library::Junk, || {
        let clip = Clip::small();
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 0).unwrap();
        let mut count = 0;
        assert!(decode(&mut *source, &mut *decoder, |_| count += 1).is_empty());
        assert_eq!((count, decoder.kind()), (FRAMES, DecoderKind::Software));
        let expected = GpuError::NoLibrary { library: "libnvcuvid.so.1" };
        assert_eq!(decoder.fallback(), Some(expected));
    });
}
