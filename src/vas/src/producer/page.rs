//! Where a stream stands, for whoever goes on with it.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::rand::{GetRandomFlags, getrandom};
use vas_rtp::Continuity;

/// Keeps a stream's [`Continuity`].
#[derive(Debug)]
pub(crate) struct Page(Mutex<Continuity>);

impl Page {
    /// A stream that begins at random numbers (RFC 3550, 5.1).
    ///
    /// # Errors
    /// When the system has none.
    pub(crate) fn beginning() -> io::Result<Self> {
        let mut random = [0; 6];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let [a, b, c, d, e, f] = random;
        let sequence = u16::from_le_bytes([a, b]);
        Ok(Self(Mutex::new(Continuity::beginning(sequence, u32::from_le_bytes([c, d, e, f])))))
    }

    pub(crate) fn load(&self) -> Continuity {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, continuity: Continuity) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = continuity;
    }
}
