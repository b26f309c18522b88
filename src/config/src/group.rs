//! The group that may read exported frames.

use std::fmt;

/// A group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id, as `chown` takes it.
    pub id: u32,
    /// Its name or number, as typed.
    pub name: String,
}

/// Why a string is no group.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// The machine has no such group.
    #[error(
        "no group {name:?} in /etc/group of this machine; create it (`groupadd {name}`), or give \
         its number"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// The name is empty.
    #[error("a group's name can't be empty; leave `group` out to keep the service's own group")]
    Empty,
}

impl Group {
    /// Looks up `name`, a name or a number, in `groups`, the text of group(5).
    ///
    /// A group that only a directory service knows must be given by number: asking those services
    /// takes libc's NSS.
    ///
    /// # Errors
    /// The group is not in `groups`.
    pub fn parse(name: &str, groups: &str) -> Result<Self, GroupError> {
        if name.is_empty() {
            return Err(GroupError::Empty);
        }
        let id = match name.parse() {
            Ok(id) => Some(id),
            Err(_) => groups.lines().find_map(|line| id_of(line, name)),
        };
        match id {
            Some(id) => Ok(Self { id, name: name.into() }),
            None => Err(GroupError::Unknown { name: name.into() }),
        }
    }
}

/// The id in a line `name:password:id:members`, if the line is for `name`.
fn id_of(line: &str, name: &str) -> Option<u32> {
    let mut fields = line.split(':');
    (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nvideo:x:44:vas\nbroken\nvid:x:nan:\n";

    #[test]
    fn finds_groups_by_name_and_number() {
        assert_eq!(Group::parse("video", GROUPS).unwrap().id, 44);
        assert_eq!(Group::parse("4711", GROUPS).unwrap().id, 4711);
        assert_eq!(Group::parse("root", GROUPS).unwrap().id, 0);
    }

    #[test]
    fn refuses_groups_that_are_not_there() {
        for name in ["vide", "vid", "broken", "x"] {
            let words = Group::parse(name, GROUPS).unwrap_err().to_string();
            assert!(words.starts_with(&format!("no group {name:?} in /etc/group")), "{words}");
            assert!(words.contains("or give its number"), "{words}");
        }
        assert_eq!(Group::parse("", GROUPS), Err(GroupError::Empty));
    }
}
