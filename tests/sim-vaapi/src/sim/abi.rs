//! Pointers from C, each in a type that states its use.
//!
//! House rules. Values of these types come only from libva, which hands on what a program gave it: by
//! VA-API's documents a pointer is null or valid for its parameter's type during the call, and an array has
//! the number of elements given with it. Each dereference below relies on that and on a check for null.

use super::status::{Result, Status};

/// Where a call writes a result, or a list of results.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes it; a null pointer is `VA_STATUS_ERROR_INVALID_PARAMETER`.
    pub(crate) fn set(self, value: T) -> Result {
        self.set_at(0, value)
    }

    /// Writes an element, which the caller's array must have.
    pub(crate) fn set_at(self, index: usize, value: T) -> Result {
        if self.0.is_null() {
            return Err(Status::INVALID_PARAMETER);
        }
        // SAFETY: not null, so an array with this element by the house rules.
        unsafe { self.0.add(index).write(value) };
        Ok(())
    }

    /// Whether the caller wants it.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.is_null()
    }
}

impl<T: Copy> Out<T> {
    /// What the caller put there, for parameters that go both ways.
    pub(crate) fn get(self) -> Result<T> {
        self.get_at(0)
    }

    /// An element of what the caller put there.
    pub(crate) fn get_at(self, index: usize) -> Result<T> {
        if self.0.is_null() {
            return Err(Status::INVALID_PARAMETER);
        }
        // SAFETY: not null, so an array with this element by the house rules.
        Ok(unsafe { self.0.add(index).read() })
    }
}

/// A list that a call reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct List<T>(*const T);

impl<T: Copy> List<T> {
    /// Its elements; none at null.
    pub(crate) fn get(self, count: u32) -> Vec<T> {
        if self.0.is_null() {
            return Vec::new();
        }
        // SAFETY: not null, so an array of this length by the house rules; elements need not be aligned.
        (0..count as usize).map(|i| unsafe { self.0.add(i).read_unaligned() }).collect()
    }

    /// Whether there is one.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }
}
