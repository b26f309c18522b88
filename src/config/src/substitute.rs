//! `${NAME}` in strings: values from the environment, mainly secrets.

use std::ffi::OsString;

/// Why a string could not be completed from the environment.
///
/// The messages quote names of variables, never values: those are mostly secrets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubstituteError {
    /// The variable is not in the environment.
    #[error("environment variable `{name}` is not set")]
    Unset {
        /// Name of the variable.
        name: String,
    },
    /// Its value is not text.
    #[error("environment variable `{name}` is not valid UTF-8")]
    NotText {
        /// Name of the variable.
        name: String,
    },
    /// `${` without its `}`.
    #[error("`${{` has no closing `}}`; write `${{NAME}}` for a variable, `$$` for a dollar sign")]
    Unclosed,
    /// The text between the braces is not a variable name.
    #[error(
        "`${{{name}}}` names no environment variable; expected letters, digits and `_`, not \
         beginning with a digit"
    )]
    BadName {
        /// The text between the braces.
        name: String,
    },
    /// A dollar sign that starts nothing valid.
    #[error("a single `$`; write `${{NAME}}` for a variable, `$$` for a dollar sign")]
    LoneDollar,
}

/// Replaces each `${NAME}` in `text` by what `variable` returns for it, and `$$` by `$`.
///
/// Values are not expanded again: one may contain `$`.
///
/// # Errors
/// A variable is unset or not text, or `$` is used in another way.
pub(crate) fn substitute(
    text: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String, SubstituteError> {
    let mut complete = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        complete.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            complete.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or(SubstituteError::Unclosed)?;
            complete.push_str(&value_of(name, &variable)?);
            rest = after;
        } else {
            return Err(SubstituteError::LoneDollar);
        }
    }
    complete.push_str(rest);
    Ok(complete)
}

fn value_of(
    name: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String, SubstituteError> {
    let well_formed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !well_formed {
        return Err(SubstituteError::BadName { name: name.into() });
    }
    variable(name)
        .ok_or_else(|| SubstituteError::Unset { name: name.into() })?
        .into_string()
        .map_err(|_| SubstituteError::NotText { name: name.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn complete(text: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "HOST" => Some(OsString::from("10.0.0.2")),
            "PASSWORD" => Some(OsString::from("a$b${HOST}")),
            "EMPTY" => Some(OsString::new()),
            "BYTES" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        };
        substitute(text, variable).map_err(|e| e.to_string())
    }

    #[test]
    fn puts_values_in_place() {
        assert_eq!(complete("plain").unwrap(), "plain");
        assert_eq!(complete("rtsp://${HOST}:554/${EMPTY}x").unwrap(), "rtsp://10.0.0.2:554/x");
        assert_eq!(complete("$$ $${HOST} 5$$").unwrap(), "$ ${HOST} 5$");
    }

    #[test]
    fn does_not_look_into_values() {
        assert_eq!(complete("${PASSWORD}").unwrap(), "a$b${HOST}");
    }

    #[test]
    fn refuses_what_has_no_value() {
        assert_eq!(complete("${NOPE}").unwrap_err(), "environment variable `NOPE` is not set");
        assert_eq!(
            complete("${BYTES}").unwrap_err(),
            "environment variable `BYTES` is not valid UTF-8"
        );
    }

    #[test]
    fn refuses_other_dollar_signs() {
        let remedy = "write `${NAME}` for a variable, `$$` for a dollar sign";
        assert_eq!(complete("a$").unwrap_err(), format!("a single `$`; {remedy}"));
        assert_eq!(complete("$HOST").unwrap_err(), format!("a single `$`; {remedy}"));
        assert_eq!(complete("${HOST").unwrap_err(), format!("`${{` has no closing `}}`; {remedy}"));
        for name in ["", "A B", "1A", "A:-b"] {
            let words = complete(&format!("${{{name}}}")).unwrap_err();
            assert!(words.starts_with(&format!("`${{{name}}}` names no environment")), "{words}");
        }
    }
}
