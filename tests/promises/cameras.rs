//! Cameras that misbehave as real ones do: each streams with exact or marked pictures, or gets a reason in
//! the status.
//!
//! The cases are in `rig/scripted/cases`; `rig/camera_table.py` prints the outcome of each (docs/ref/cameras.md).

use vas_tests::scripted::check;

/// If only the answers are unusual, FFmpeg's client is not ours to test: only the default is tried.
const DEFAULT_CLIENT: &[&str] = &["--client", "auto"];

#[test]
fn a_wrong_marker_makes_no_wrong_picture() {
    check("markers", &[]);
}

#[test]
fn pictures_end_without_a_marked_slice() {
    check("endings", &[]);
}

#[test]
fn parameter_sets_may_come_in_any_form_and_number() {
    check("parameter_sets", &[]);
}

#[test]
fn requests_of_the_server_delay_nothing() {
    check("requests", &[]);
}

#[test]
fn logins_of_any_kind_succeed_on_the_first_try() {
    check("logins", &[]);
}

#[test]
fn streams_may_change_their_ssrc_sequence_and_times() {
    check("streams", &[]);
}

#[test]
fn descriptions_may_be_malformed() {
    check("descriptions", DEFAULT_CLIENT);
}

#[test]
fn answers_may_be_malformed() {
    check("headers", DEFAULT_CLIENT);
}

#[test]
fn redirections_are_followed() {
    check("redirections", DEFAULT_CLIENT);
}

#[test]
fn packets_may_come_over_any_transport() {
    check("transports", &[]);
}

#[test]
fn slow_cameras_open() {
    check("slow", &[]);
}

#[test]
#[ignore = "one picture per minute"]
fn very_slow_cameras_open() {
    check("slow", &["--long"]);
}

#[test]
fn rare_kinds_of_pictures_are_right() {
    check("formats", &[]);
}

#[test]
#[ignore = "8K"]
fn very_large_pictures_are_right() {
    check("formats", &["--long"]);
}
