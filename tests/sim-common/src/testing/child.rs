//! A test that runs itself again, in a process that finds the simulated libraries.

use std::process::Command;

/// Whether this process is the child that runs a test; `variable` is the device's own.
pub fn is_child(variable: &str, test: &str) -> bool {
    std::env::var(variable).is_ok_and(|child| child == test)
}

/// Runs a test of this program in a child process and returns its output.
///
/// # Panics
/// If it fails.
pub fn run_child(variable: &str, test: &str, configure: impl FnOnce(&mut Command)) -> String {
    let program = std::env::current_exe().expect("a process knows its program");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture", "--include-ignored"]).env(variable, test);
    configure(&mut command);
    let output = command.output().expect("the test's own program runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, child: {}\n{out}\n{err}", output.status);
    format!("{out}\n{err}")
}

/// The name of `program::module::test::{{closure}}` in libtest: `module::test`.
pub fn test_name(closure: &'static str) -> &'static str {
    let path = closure.split_once("::").map_or(closure, |(_, path)| path);
    path.split_once("::{{closure}}").map_or(path, |(test, _)| test)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_closure_names_its_test() {
        let closure = || ();
        let name = super::test_name(std::any::type_name_of_val(&closure));
        assert_eq!(name, "testing::child::tests::a_closure_names_its_test");
    }
}
