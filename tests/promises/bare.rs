//! The gate and Ruth AI Core lack the means for anything that they must not do.

use vas_tests::bare::{Bare, wanted_symbols};

const GATE: Bare = Bare { package: "vas-gate", folder: "gate", std: &["core"], ours: &[] };
const RUTH: Bare =
    Bare { package: "ruth-core", folder: "ruth", std: &["core", "alloc"], ours: &[GATE] };

/// Symbols that the compiler itself needs.
const OF_THE_COMPILER: [&str; 10] = [
    "__udivti3",
    "__umodti3",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "_Unwind_Resume",
    "rust_eh_personality",
    "__rust_no_alloc_shim_is_unstable_v2",
];

fn is_of(part: &str, symbol: &str) -> bool {
    symbol.contains(&format!("{part}::"))
}

#[test]
fn the_gate_uses_only_core() {
    let work = tempfile::tempdir().unwrap();
    assert_eq!(GATE.manifest(), Vec::<String>::new());
    let object = GATE.build(work.path(), "").unwrap();
    let symbols = wanted_symbols(&object);
    for symbol in &symbols {
        let known = is_of("core", symbol) || OF_THE_COMPILER.contains(&symbol.as_str());
        assert!(known, "the gate needs {symbol}");
        assert!(!symbol.contains("panic"), "the gate can panic: {symbol}");
    }
    assert!(!symbols.is_empty(), "nm lists the gate's formatting symbols");
}

#[test]
fn code_that_needs_more_than_core_does_not_build() {
    for (addition, said) in [
        ("extern crate std;", "can't find crate for `std`"),
        ("extern crate alloc;", "can't find crate for `alloc`"),
        ("pub fn now() -> std::time::Instant { std::time::Instant::now() }", "std"),
        ("pub fn wait() { std::thread::yield_now() }", "std"),
        ("pub fn read(frame: *const u8) -> u8 { unsafe { *frame } }", "unsafe"),
        ("pub fn ticks() -> u64 { unsafe { core::arch::x86_64::_rdtsc() } }", "unsafe"),
        ("unsafe extern \"C\" { safe fn sched_yield() -> i32; }", "unsafe"),
    ] {
        let work = tempfile::tempdir().unwrap();
        let words = GATE.build(work.path(), addition).expect_err(addition);
        assert!(words.contains(said), "{addition}: {words}");
    }
}

#[test]
fn ruth_uses_only_the_gate_core_and_alloc() {
    let work = tempfile::tempdir().unwrap();
    assert_eq!(RUTH.manifest(), ["vas-gate"]);
    let object = RUTH.build(work.path(), "").unwrap();
    for symbol in wanted_symbols(&object) {
        let known = ["core", "alloc", "vas_gate"].iter().any(|part| is_of(part, &symbol))
            || symbol.contains("__rust")
            || OF_THE_COMPILER.contains(&symbol.as_str());
        assert!(known, "ruth-core needs {symbol}");
    }
    for addition in
        ["extern crate std;", "pub fn read(frame: *const u8) -> u8 { unsafe { *frame } }"]
    {
        assert!(RUTH.build(work.path(), addition).is_err(), "{addition}");
    }
}
