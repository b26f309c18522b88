//! What could not be tried.

/// Whether this runs as root. If not, it says what was not tried; in CI that is a failure.
///
/// # Panics
/// In CI, when this does not run as root.
#[must_use]
pub fn is_root(what: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    // Real, effective, saved, of the file system (proc(5)).
    let root = ids.split_whitespace().nth(1) == Some("0");
    if !root {
        not_tried(what, "root");
    }
    root
}

/// Says that something was not tried because it takes what is not there. The only way for a test to leave
/// something out: in CI, where `CI` is `true`, it fails.
///
/// # Panics
/// In CI.
pub fn not_tried(what: &str, takes: &str) {
    let words = format!("NOT TRIED: {what}: that takes {takes}");
    println!("{words}");
    assert!(!is_ci(std::env::var("CI").ok().as_deref()), "{words}, and CI leaves nothing out");
}

fn is_ci(variable: Option<&str>) -> bool {
    matches!(variable, Some("true" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_tried_passes_outside_ci_only() {
        assert!(is_ci(Some("true")));
        assert!(!is_ci(None) && !is_ci(Some("")) && !is_ci(Some("false")));
        let this = std::env::current_exe().unwrap();
        for (ci, passes) in [("true", false), ("", true)] {
            let mut child = std::process::Command::new(&this);
            let child = child.args(["--exact", "tried::tests::leaves_something_out", "--ignored"]);
            let output = child.env("CI", ci).output().unwrap();
            assert_eq!(output.status.success(), passes, "CI={ci}: {output:?}");
        }
    }

    #[test]
    #[ignore = "run by what_is_not_tried_passes_outside_ci_only"]
    fn leaves_something_out() {
        not_tried("a second moon", "a rocket");
    }
}
