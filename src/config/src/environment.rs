//! What the meaning of a config file depends on, apart from its text.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::substitute::{SubstituteError, substitute};

/// The properties of a process and its machine that a config file refers to, captured once, so that
/// reading a config is a function of its arguments.
///
/// `Debug` prints no value of a variable.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The environment, for `${NAME}`.
    #[serde(with = "pairs")]
    pub variables: HashMap<OsString, OsString>,
    /// Whether the process runs as root.
    pub is_root: bool,
    /// The text of `/etc/group`; empty when it can't be read: groups must then be given by number.
    pub groups: String,
}

/// Keys in JSON are always strings.
mod pairs {
    use super::{HashMap, OsString};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        variables: &HashMap<OsString, OsString>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(variables)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<HashMap<OsString, OsString>, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

/// The variable that names the user's own runtime folder.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: BTreeSet<_> = self.variables.keys().collect();
        f.debug_struct("Environment").field("variables", &variables).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of the calling process.
    pub fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            is_root: rustix::process::geteuid().is_root(),
            groups: std::fs::read_to_string("/etc/group").unwrap_or_default(),
        }
    }

    /// The environment with only these `variables`.
    pub fn only(&self, variables: &BTreeSet<String>) -> Self {
        let wanted = |name: &OsStr| {
            name == RUNTIME_DIR || name.to_str().is_some_and(|name| variables.contains(name))
        };
        let variables = self.variables.iter().filter(|(name, _)| wanted(name));
        Self { variables: variables.map(|(k, v)| (k.clone(), v.clone())).collect(), ..self.clone() }
    }

    /// The value of the environment variable `name`.
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(OsStr::new(name)).cloned()
    }

    /// Replaces each `${NAME}` in `typed` from the environment.
    ///
    /// # Errors
    /// A variable is unset or not text, or a `$` starts nothing valid.
    pub fn complete(&self, typed: &str) -> Result<String, SubstituteError> {
        substitute(typed, |name| self.variable(name))
    }

    /// The folder of the status when the config names none: `/run/vas` for root, otherwise `vas` in
    /// the user's own runtime folder, if there is one.
    pub fn default_run_dir(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some("/run/vas".into());
        }
        let runtime_dir = PathBuf::from(self.variable(RUNTIME_DIR)?);
        // The XDG Base Directory Specification says to ignore relative paths.
        runtime_dir.is_absolute().then(|| runtime_dir.join("vas"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_dir_is_the_users_own() {
        let root = Environment { is_root: true, ..Environment::default() };
        assert_eq!(root.default_run_dir(), Some("/run/vas".into()));

        let mut user = Environment::default();
        assert_eq!(user.default_run_dir(), None);
        user.variables.insert("XDG_RUNTIME_DIR".into(), "/run/user/1000".into());
        assert_eq!(user.default_run_dir(), Some("/run/user/1000/vas".into()));
        user.variables.insert("XDG_RUNTIME_DIR".into(), "tmp".into());
        assert_eq!(user.default_run_dir(), None);
    }
}
