//! Settings from the environment.

use std::str::FromStr;

/// The variables of one kind of device: those with its prefix.
#[derive(Clone, Copy, Debug)]
pub struct Environment(pub &'static str);

impl Environment {
    /// A variable's value; an empty one counts as unset.
    pub fn text(self, name: &str) -> Option<String> {
        let value = std::env::var(format!("{}{name}", self.0)).ok();
        value.filter(|value| !value.is_empty())
    }

    /// A number.
    ///
    /// # Panics
    /// For anything else: a test with an invalid setting must not run without it.
    pub fn number<T: FromStr>(self, name: &str, default: T) -> T {
        match self.text(name) {
            Some(value) => {
                value.parse().unwrap_or_else(|_| panic!("{}{name}={value}: not a number", self.0))
            }
            None => default,
        }
    }
}

/// The parts of a list with commas.
pub fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|item| item.trim().into())
        .filter(|item: &String| !item.is_empty())
        .collect()
}
