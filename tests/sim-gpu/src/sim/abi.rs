//! Pointers from C, each in a type that states its use.
//!
//! House rules. Values of these types come only from C callers of exported functions, who guarantee, by
//! the driver's documents, that a pointer is null or valid for its parameter's type during the call. Each
//! dereference below relies on that and on a check for null.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;

use super::status::{Result, Status};

/// An opaque handle of the driver: a number that is never dereferenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct Handle(pub(crate) usize);

impl Handle {
    pub(crate) const NULL: Self = Self(0);
}

/// Where a call writes a result.
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes it; a null pointer is `CUDA_ERROR_INVALID_VALUE`.
    pub(crate) fn set(&self, value: T) -> Result {
        if self.0.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        self.set_if_wanted(value);
        Ok(())
    }

    /// Writes it unless the pointer is null.
    pub(crate) fn set_if_wanted(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, so writable by the house rules; `write` needs no initialised old value.
            unsafe { self.0.write_unaligned(value) }
        }
    }
}

impl<T: Copy> Out<T> {
    /// What the caller put there, for parameters that go both ways.
    pub(crate) fn get(&self) -> Result<T> {
        // SAFETY: not null, so readable by the house rules.
        if self.0.is_null() { Err(Status::INVALID_VALUE) } else { Ok(unsafe { self.0.read() }) }
    }
}

/// A structure that a call reads.
#[repr(transparent)]
pub(crate) struct In<'a, T>(*const T, PhantomData<&'a T>);

impl<T> In<'_, T> {
    /// The structure; a null pointer is `CUDA_ERROR_INVALID_VALUE`.
    pub(crate) fn get(&self) -> Result<&T> {
        // SAFETY: null is refused by `as_ref`, all else is readable by the house rules.
        unsafe { self.0.as_ref() }.ok_or(Status::INVALID_VALUE)
    }
}

/// A C string that a call reads.
#[repr(transparent)]
pub(crate) struct Text(*const c_char);

impl Text {
    /// The string; null and what is not UTF-8 are `CUDA_ERROR_INVALID_VALUE`.
    pub(crate) fn get(&self) -> Result<&str> {
        if self.0.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: not null, so a C string by the house rules.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| Status::INVALID_VALUE)
    }
}

/// A buffer into which a call writes a C string.
#[repr(transparent)]
pub(crate) struct TextOut(*mut u8);

impl TextOut {
    /// Writes as much of `text` as fits `capacity` bytes, and a closing zero.
    pub(crate) fn set(&self, text: &str, capacity: usize) {
        if self.0.is_null() || capacity == 0 {
            return;
        }
        let len = text.len().min(capacity - 1);
        // SAFETY: `len + 1 <= capacity` bytes are writable by the house rules.
        unsafe {
            self.0.copy_from_nonoverlapping(text.as_ptr(), len);
            self.0.add(len).write(0);
        }
    }
}

/// The bytes at a C pointer; none at null.
///
/// # Safety
/// `data` is null or readable for `len` bytes while the result is used.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data, len) }
}
