//! A camera's inputs and their roles.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vas_request::{RtspClient, Transport};

use super::camera_url::CameraUrl;

/// One stream of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where its packets come from.
    pub url: CameraUrl,
    /// Its roles; no other input of its camera has any of them.
    pub roles: Roles,
    /// How packets are carried; applies to RTSP only.
    pub transport: Transport,
    /// Which client speaks RTSP with the camera.
    pub rtsp_client: RtspClient,
    /// Longest time from the first packet sent until the stream is described.
    pub connect_timeout: Duration,
    /// Longest time without a packet before the connection counts as broken.
    pub read_timeout: Duration,
}

/// A use of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its packets are recorded.
    Record,
    /// Its packets, or its re-encoded pictures, are sent as RTP.
    Producer,
    /// Its decoded frames are exported.
    Export,
}

/// A set of roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles([bool; Role::ALL.len()]);

/// A word that is no role.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no role; expected \"record\", \"producer\" or \"export\"")]
pub struct RoleError {
    typed: String,
}

impl Role {
    /// Every role, in the order of messages.
    pub const ALL: [Self; 3] = [Self::Record, Self::Producer, Self::Export];

    /// The word for it in the config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Producer => "producer",
            Self::Export => "export",
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(typed: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.word() == typed);
        found.ok_or_else(|| RoleError { typed: typed.into() })
    }
}

impl Roles {
    /// The roles of a camera's only input.
    pub const ALL: Self = Self([true; Role::ALL.len()]);

    /// Adds a role.
    pub fn add(&mut self, role: Role) {
        self.0[role as usize] = true;
    }

    /// Whether it has this role.
    pub fn has(self, role: Role) -> bool {
        self.0[role as usize]
    }

    /// The roles in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |&role| self.has(role))
    }
}

impl fmt::Display for Roles {
    /// Prints them separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, role) in self.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { ", " }, role.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_in_a_set() {
        for role in Role::ALL {
            assert_eq!(role.word().parse::<Role>().unwrap(), role);
        }
        let words = "recording".parse::<Role>().unwrap_err().to_string();
        assert!(words.starts_with("\"recording\" is no role; expected \"record\""), "{words}");
        let mut roles = Roles::default();
        assert_eq!(roles.to_string(), "");
        roles.add(Role::Export);
        roles.add(Role::Record);
        assert_eq!(roles.to_string(), "record, export");
        assert!(!roles.has(Role::Producer));
        assert_eq!(Roles::ALL.iter().count(), 3);
    }
}
