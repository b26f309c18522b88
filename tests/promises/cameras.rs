//! Cameras that misbehave as real ones do: each streams, with exact or marked pictures, or is told in words.
//!
//! The cases are in `rig/scripted/cases`; `rig/camera_table.py` shows what becomes of each (docs/ref/cameras.md).

use vas_tests::scripted::check;

/// Where the answers alone are odd, what FFmpeg's client makes of them is FFmpeg's: the default is tried.
const DEFAULT_CLIENT: &[&str] = &["--client", "auto"];

#[test]
fn a_marker_that_ends_no_picture_makes_no_wrong_one() {
    check("markers", &[]);
}

#[test]
fn pictures_end_without_a_marked_slice() {
    check("endings", &[]);
}

#[test]
fn parameter_sets_may_come_in_any_way_and_number() {
    check("parameter_sets", &[]);
}

#[test]
fn requests_of_the_server_hold_nothing_up() {
    check("requests", &[]);
}

#[test]
fn logins_of_any_kind_succeed_and_none_is_tried_twice() {
    check("logins", &[]);
}

#[test]
fn streams_may_change_their_source_numbers_and_times() {
    check("streams", &[]);
}

#[test]
fn descriptions_may_be_out_of_form() {
    check("descriptions", DEFAULT_CLIENT);
}

#[test]
fn answers_may_be_out_of_form() {
    check("headers", DEFAULT_CLIENT);
}

#[test]
fn redirections_are_followed() {
    check("redirections", DEFAULT_CLIENT);
}

#[test]
fn packets_may_come_on_any_way() {
    check("transports", &[]);
}

#[test]
fn slow_cameras_open() {
    check("slow", &[]);
}

#[test]
#[ignore = "a picture each minute"]
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
