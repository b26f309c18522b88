//! The calling thread, and calls that it must not make.

use std::cell::Cell;

use crate::environment::list;

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Makes all later calls of this thread forbidden, or ends that.
pub fn forbid_this_thread(forbidden: bool) {
    FORBIDDEN.set(forbidden);
}

/// Calls forbidden to some threads.
#[derive(Debug, Default)]
pub struct ForbiddenCalls(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    thread_prefix: String,
    functions: Vec<String>,
    text: String,
}

impl ForbiddenCalls {
    /// Parses `PREFIX:function,function;PREFIX:*`.
    ///
    /// # Errors
    /// A description.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(';').filter(|part| !part.trim().is_empty());
        let rule = |part: &str| {
            let (prefix, functions) =
                part.split_once(':').ok_or_else(|| format!("{part}: no THREAD:FUNCTIONS"))?;
            let (thread_prefix, functions) = (prefix.trim().into(), list(functions));
            Ok(Rule { thread_prefix, functions, text: part.trim().into() })
        };
        parts.map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// How a call of this thread breaks a rule, or [`forbid_this_thread`].
    pub fn broken_by(&self, function: &str) -> Option<String> {
        if FORBIDDEN.get() {
            return Some(format!("{function} on thread {}", thread_name()));
        }
        if self.0.is_empty() {
            return None;
        }
        let thread = thread_name();
        let broken = |rule: &&Rule| {
            thread.starts_with(&rule.thread_prefix)
                && rule.functions.iter().any(|f| f == "*" || f == function)
        };
        let rule = self.0.iter().find(broken)?;
        Some(format!("{function} on thread {thread} ({})", rule.text))
    }
}

/// The kernel's name of the calling thread, which covers FFmpeg's threads too; blanks as `_`.
pub fn thread_name() -> String {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the last a zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).replace(char::is_whitespace, "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_its_threads_and_functions() {
        let rules = ForbiddenCalls::parse("dec:copy,wait; reap:*").unwrap();
        let broken = |thread: &str, function: &str| {
            let thread = std::thread::Builder::new().name(thread.into());
            std::thread::scope(|scope| {
                let check = || rules.broken_by(function);
                thread.spawn_scoped(scope, check).unwrap().join().unwrap()
            })
        };
        assert_eq!(
            broken("dec:cam 1", "wait").unwrap(),
            "wait on thread dec:cam_1 (dec:copy,wait)"
        );
        assert_eq!(broken("dec:cam1", "free"), None);
        assert!(broken("reap-0", "free").is_some());
        assert_eq!(broken("main", "copy"), None);
        assert!(ForbiddenCalls::parse("dec").is_err());
    }

    #[test]
    fn a_thread_may_be_forbidden_all_calls() {
        let rules = ForbiddenCalls::default();
        forbid_this_thread(true);
        assert!(rules.broken_by("copy").is_some());
        forbid_this_thread(false);
        assert_eq!(rules.broken_by("copy"), None);
    }
}
