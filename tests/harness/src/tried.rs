//! Tests that can't run everywhere.

/// Whether this runs as root. If not, prints what was not tried; in CI that is a failure.
///
/// # Panics
/// In CI, if this does not run as root.
#[must_use]
pub fn is_root(what: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    // Real, effective, saved and file-system id (proc(5)).
    let root = ids.split_whitespace().nth(1) == Some("0");
    if !root {
        not_tried(what, "root");
    }
    root
}

/// Prints that something was not tried because a requirement is missing. Tests may skip in no other way:
/// in CI, where `CI` is `true`, this fails.
///
/// # Panics
/// In CI.
pub fn not_tried(what: &str, takes: &str) {
    let words = format!("NOT TRIED: {what} needs {takes}");
    println!("{words}");
    assert!(!is_ci(std::env::var("CI").ok().as_deref()), "{words}, and CI skips nothing");
}

fn is_ci(variable: Option<&str>) -> bool {
    matches!(variable, Some("true" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_passes_only_outside_ci() {
        assert!(is_ci(Some("true")));
        assert!(!is_ci(None) && !is_ci(Some("")) && !is_ci(Some("false")));
        let this = std::env::current_exe().unwrap();
        for (ci, passes) in [("true", false), ("", true)] {
            let mut child = std::process::Command::new(&this);
            let child = child.args(["--exact", "tried::tests::skips_something", "--ignored"]);
            let output = child.env("CI", ci).output().unwrap();
            assert_eq!(output.status.success(), passes, "CI={ci}: {output:?}");
        }
    }

    #[test]
    #[ignore = "run by a_skipped_test_passes_only_outside_ci"]
    fn skips_something() {
        not_tried("an example", "something missing");
    }
}
