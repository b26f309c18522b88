//! Host memory: pinned ranges, allocated here or registered by the program.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vas_sim_common::Peak;

use super::copy;
use crate::sim::abi::Out;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

const PAGE: usize = 4096;
/// `CU_MEMHOSTREGISTER_IOMEMORY`, which only memory of device drivers needs.
const IO_MEMORY: u32 = 4;
/// `CU_MEMHOSTREGISTER_READ_ONLY`: the device only reads, so the mapping need not be writable.
const READ_ONLY: u32 = 8;

/// Pinned bytes: current and highest.
pub(crate) static PINNED: Peak = Peak::new();
static RANGES: Mutex<BTreeMap<usize, Arc<Pinned>>> = Mutex::new(BTreeMap::new());

/// One pinned range.
pub(crate) struct Pinned {
    range: Range<usize>,
    flags: u32,
    /// Its layout, if it was allocated here.
    layout: Option<Layout>,
    users: AtomicUsize,
}

/// Work that uses a pinned range, until dropped.
pub(crate) struct InUse(Arc<Pinned>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Marks the range that contains all these bytes as used; None if they are pageable.
pub(crate) fn use_pinned(address: usize, len: usize) -> Option<InUse> {
    let ranges = lock(&RANGES);
    let (_, pinned) = ranges.range(..=address).next_back()?;
    if address.checked_add(len)? > pinned.range.end {
        return None;
    }
    pinned.users.fetch_add(1, Ordering::AcqRel);
    Some(InUse(Arc::clone(pinned)))
}

/// Descriptions of the ranges still pinned.
pub(crate) fn leaks() -> Vec<String> {
    lock(&RANGES).values().map(|pinned| words(&pinned.range)).collect()
}

fn words(range: &Range<usize>) -> String {
    format!("{:#x}, {} bytes", range.start, range.len())
}

fn insert(range: Range<usize>, flags: u32, layout: Option<Layout>) -> Result {
    let mut ranges = lock(&RANGES);
    let before = ranges.range(..range.end).next_back();
    if before.is_some_and(|(_, other)| other.range.end > range.start) {
        report(Kind::OverlappingRegistration, format_args!("{}", words(&range)));
        return Err(Status::HOST_MEMORY_ALREADY_REGISTERED);
    }
    PINNED.add(range.len() as u64);
    let pinned = Pinned { range: range.clone(), flags, layout, users: AtomicUsize::new(0) };
    ranges.insert(range.start, Arc::new(pinned));
    Ok(())
}

fn remove(address: usize, allocated: bool) -> Result<Arc<Pinned>> {
    let mut ranges = lock(&RANGES);
    let found = ranges.get(&address).filter(|pinned| pinned.layout.is_some() == allocated);
    let pinned = Arc::clone(found.ok_or(Status::HOST_MEMORY_NOT_REGISTERED)?);
    ranges.remove(&address);
    PINNED.subtract(pinned.range.len() as u64);
    drop(ranges);
    if pinned.users.load(Ordering::Acquire) > 0 {
        report(Kind::UnregisterInUse, format_args!("{}", words(&pinned.range)));
    }
    Ok(pinned)
}

fn note_pinning(function: &str) {
    let pending = copy::PENDING.now();
    if pending > 0 {
        report(Kind::PinDuringCopies, format_args!("{function} while {pending} copies run"));
    }
}

/// Whether all pages of the range are mapped in this process.
fn is_mapped(range: &Range<usize>) -> bool {
    let start = range.start / PAGE * PAGE;
    let pages = (range.end - start).div_ceil(PAGE);
    let mut resident = vec![0u8; pages];
    // SAFETY: mincore only reads page tables and writes one byte per page.
    let outcome =
        unsafe { libc::mincore(start as *mut c_void, pages * PAGE, resident.as_mut_ptr()) };
    outcome == 0
}

/// Touches each page, as pinning does.
///
/// # Errors
/// `CUDA_ERROR_OUT_OF_MEMORY` if the memory is not available, for example a hole in a full tmpfs.
fn populate(range: &Range<usize>, flags: u32) -> Result {
    let start = range.start / PAGE * PAGE;
    let (memory, len) = (start as *mut c_void, range.end - start);
    let read_only = flags & READ_ONLY != 0;
    let advice = if read_only { libc::MADV_POPULATE_READ } else { libc::MADV_POPULATE_WRITE };
    // SAFETY: this advice only faults pages in.
    let outcome = unsafe { libc::madvise(memory, len, advice) };
    // A kernel before 5.14 does not know the advice and leaves the faults to the copies.
    if outcome != 0 && std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
        return Err(Status::OUT_OF_MEMORY);
    }
    Ok(())
}

fn allocate(bytes: usize, flags: u32) -> Result<*mut c_void> {
    working_context()?;
    let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| Status::INVALID_VALUE)?;
    if bytes == 0 {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { std::alloc::alloc(layout) };
    if memory.is_null() {
        return Err(Status::OUT_OF_MEMORY);
    }
    let start = memory as usize;
    insert(start..start + bytes, flags, Some(layout))?;
    Ok(memory.cast())
}

export! {
    fn cuMemHostAlloc(memory: Out<*mut c_void>, bytes: usize, flags: u32) |call| {
        call.bytes = bytes as u64;
        memory.set(allocate(bytes, flags)?)
    }

    fn cuMemAllocHost_v2(memory: Out<*mut c_void>, bytes: usize) |call| {
        call.bytes = bytes as u64;
        memory.set(allocate(bytes, 0)?)
    }

    fn cuMemFreeHost(memory: *mut c_void) |_call| {
        let health = working_context().map(|_| ());
        let pinned = remove(memory as usize, true)?;
        if let Some(layout) = pinned.layout {
            // The driver waits for the device here, so a running copy keeps its memory.
            while pinned.users.load(Ordering::Acquire) > 0 {
                std::thread::yield_now();
            }
            // SAFETY: allocated above with this layout, removed from the ranges once, no longer used.
            unsafe { std::alloc::dealloc(memory.cast(), layout) }
        }
        health
    }

    fn cuMemHostRegister_v2(memory: *mut c_void, bytes: usize, flags: u32) |call| {
        call.bytes = bytes as u64;
        working_context()?;
        let start = memory as usize;
        let end = start.checked_add(bytes).filter(|_| bytes > 0 && start > 0);
        let range = start..end.ok_or(Status::INVALID_VALUE)?;
        if flags & IO_MEMORY != 0 {
            return Err(Status::NOT_SUPPORTED);
        }
        if !is_mapped(&range) {
            return Err(Status::INVALID_VALUE);
        }
        note_pinning("cuMemHostRegister_v2");
        populate(&range, flags)?;
        insert(range, flags, None)
    }

    fn cuMemHostUnregister(memory: *mut c_void) |call| {
        let health = working_context().map(|_| ());
        note_pinning("cuMemHostUnregister");
        let pinned = remove(memory as usize, false)?;
        call.bytes = pinned.range.len() as u64;
        if !is_mapped(&pinned.range) {
            report(Kind::UnregisterUnmapped, format_args!("{}", words(&pinned.range)));
        }
        health
    }

    fn cuMemHostGetDevicePointer_v2(device: Out<u64>, memory: *mut c_void, _flags: u32) |_call| {
        working_context()?;
        let pinned = use_pinned(memory as usize, 1).ok_or(Status::INVALID_VALUE)?;
        drop(pinned);
        // Unified addressing: the same number on both sides.
        device.set(memory as u64)
    }

    fn cuMemHostGetFlags(flags: Out<u32>, memory: *mut c_void) |_call| {
        working_context()?;
        let pinned = use_pinned(memory as usize, 1).ok_or(Status::INVALID_VALUE)?;
        flags.set(pinned.0.flags)
    }
}
