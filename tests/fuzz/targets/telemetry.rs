//! cargo-fuzz's entry to [`vas_fuzz::telemetry`]; without cargo-fuzz, it runs the inputs on the command
//! line.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vas_fuzz::telemetry(bytes));

#[cfg(not(fuzzing))]
fn main() {
    vas_fuzz::replay(vas_fuzz::telemetry);
}
