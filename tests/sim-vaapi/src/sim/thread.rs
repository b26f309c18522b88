//! Calls that the calling thread must not make.

use super::config::config;
use super::misuse::{Kind, report};

/// Reports a call that this thread must not make. It goes on: a real driver knows no such thread.
pub(crate) fn check(function: &'static str) {
    if let Some(broken) = config().forbidden.broken_by(function) {
        report(Kind::ForbiddenThread, format_args!("{broken}"));
    }
}
