//! Device memory: addresses that fault on the host, with bytes behind them here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::device::Charge;
use super::stream::{Point, Stream};
use crate::picture;
use crate::sim::abi::Out;
use crate::sim::config::config;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

/// Not canonical on x86-64 and far above user memory elsewhere: a host access faults.
const FIRST: u64 = 0x00CD_0000_0000_0000;
/// First address of decoders' surfaces, so that a stale address shows what it was.
const FIRST_SURFACE: u64 = 0x00CE_0000_0000_0000;
/// Each allocation starts at a multiple of this, with a gap after it.
const ALIGN: u64 = 1 << 16;
/// Larger allocations are not filled with noise: a program that allocates so much tests the limit.
const NOISE_BYTES: usize = 64 << 20;

static NEXT: AtomicU64 = AtomicU64::new(FIRST);
static NEXT_SURFACE: AtomicU64 = AtomicU64::new(FIRST_SURFACE);
static BLOCKS: Mutex<BTreeMap<u64, Arc<Block>>> = Mutex::new(BTreeMap::new());

/// Bytes that work reads and writes, serialized where a program does not order them.
pub(crate) struct Storage(RwLock<Box<[u8]>>);

/// One allocation, or one mapping of a decoder's surface.
pub(crate) struct Block {
    pub(crate) address: u64,
    pub(crate) len: usize,
    pub(crate) storage: Arc<Storage>,
    surface: Option<Surface>,
    /// The streams whose queued work uses it.
    users: Mutex<Vec<u64>>,
    _charge: Option<Charge>,
}

/// What a mapped surface has beyond memory.
pub(crate) struct Surface {
    /// The point from which the picture is complete.
    pub(crate) ready: Point,
    /// The handle of the decoder that it belongs to.
    pub(crate) decoder: usize,
}

/// Queued work that uses a block, until dropped.
pub(crate) struct BlockUse {
    block: Arc<Block>,
    stream: u64,
}

impl Storage {
    /// Bytes derived from the seed, without zeros.
    pub(crate) fn noise(len: usize) -> Arc<Self> {
        let mut bytes = vec![0; len].into_boxed_slice();
        let filled = len.min(NOISE_BYTES);
        picture::fill_noise(picture::mix(config().seed), &mut bytes[..filled]);
        Arc::new(Self(RwLock::new(bytes)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Box<[u8]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Box<[u8]>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlockUse {
    fn drop(&mut self) {
        let mut users = lock(&self.block.users);
        if let Some(i) = users.iter().position(|user| *user == self.stream) {
            users.swap_remove(i);
        }
    }
}

impl Block {
    /// Notes that work about to be queued on `stream` uses it, and reports a race with its decoder.
    pub(crate) fn use_on(self: &Arc<Self>, stream: &Arc<Stream>) -> BlockUse {
        if let Some(Surface { ready, .. }) = &self.surface
            && !stream.follows(ready.stream.number, ready.seq)
        {
            let (number, output) = (stream.number, ready.stream.number);
            report(
                Kind::UnorderedCopy,
                format_args!(
                    "work on stream {number} uses surface {:#x}, whose picture is made on stream \
                     {output}, without waiting for it",
                    self.address
                ),
            );
        }
        lock(&self.users).push(stream.number);
        BlockUse { block: Arc::clone(self), stream: stream.number }
    }

    /// The mapped surface, if it is one.
    pub(crate) fn surface(&self) -> Option<&Surface> {
        self.surface.as_ref()
    }

    /// Whether queued work of a stream other than `stream` uses it.
    pub(crate) fn is_used_beside(&self, stream: u64) -> bool {
        lock(&self.users).iter().any(|user| *user != stream)
    }
}

/// Whether the number is an address of device memory, live or freed.
pub(crate) fn is_device(address: u64) -> bool {
    (FIRST..NEXT.load(Ordering::Relaxed)).contains(&address) || is_surface(address)
}

fn is_surface(address: u64) -> bool {
    (FIRST_SURFACE..NEXT_SURFACE.load(Ordering::Relaxed)).contains(&address)
}

/// Gives bytes an address that was never used before.
pub(crate) fn publish(
    storage: Arc<Storage>,
    surface: Option<Surface>,
    charge: Option<Charge>,
) -> Arc<Block> {
    let len = storage.read().len();
    let room = (len as u64).next_multiple_of(ALIGN) + ALIGN;
    let next = if surface.is_some() { &NEXT_SURFACE } else { &NEXT };
    let address = next.fetch_add(room, Ordering::Relaxed);
    let users = Mutex::default();
    let block = Arc::new(Block { address, len, storage, surface, users, _charge: charge });
    lock(&BLOCKS).insert(address, Arc::clone(&block));
    block
}

/// The block of an address, and the offset in it. Reports misuse.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for an unknown or freed address, or if `len` bytes pass the end.
pub(crate) fn find(address: u64, len: usize) -> Result<(Arc<Block>, usize)> {
    let block = lock(&BLOCKS).range(..=address).next_back().map(|(_, block)| Arc::clone(block));
    let block = block.filter(|block| address - block.address < (block.len as u64).max(1));
    let Some(block) = block else {
        if is_surface(address) {
            report(
                Kind::UseAfterUnmap,
                format_args!("surface {address:#x} is not mapped any more"),
            );
        } else if is_device(address) {
            report(Kind::UseAfterFree, format_args!("memory {address:#x} was freed"));
        }
        return Err(Status::INVALID_VALUE);
    };
    let offset = usize::try_from(address - block.address).map_err(|_| Status::INVALID_VALUE)?;
    if block.len - offset < len {
        let (start, size) = (block.address, block.len);
        let words = format_args!("{len} bytes from {offset} of {start:#x}, which has {size}");
        report(Kind::OutOfBounds, words);
        return Err(Status::INVALID_VALUE);
    }
    Ok((block, offset))
}

/// Removes a block from the address space.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if none starts there.
pub(crate) fn remove(address: u64) -> Result<Arc<Block>> {
    lock(&BLOCKS).remove(&address).ok_or(Status::INVALID_VALUE)
}

/// Mapped surfaces of a decoder.
pub(crate) fn surfaces_of(decoder: usize) -> Vec<Arc<Block>> {
    let blocks = lock(&BLOCKS);
    let of_it = |block: &&Arc<Block>| block.surface.as_ref().is_some_and(|s| s.decoder == decoder);
    blocks.values().filter(of_it).cloned().collect()
}

/// Descriptions of what was never freed.
pub(crate) fn leaks() -> Vec<String> {
    let words = |block: &Arc<Block>| {
        let what = if block.surface.is_some() { "mapped surface" } else { "allocation" };
        format!("{what} {:#x}, {} bytes", block.address, block.len)
    };
    lock(&BLOCKS).values().map(words).collect()
}

fn allocate(bytes: usize) -> Result<u64> {
    if bytes == 0 {
        return Err(Status::INVALID_VALUE);
    }
    let charge = working_context()?.device.charge(bytes as u64)?;
    Ok(publish(Storage::noise(bytes), None, Some(charge)).address)
}

export! {
    fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) |call| {
        call.bytes = bytes as u64;
        address.set(allocate(bytes)?)
    }

    fn cuMemAllocPitch_v2(
        address: Out<u64>, pitch: Out<usize>, width: usize, height: usize, _element: u32,
    ) |call| {
        let row = picture::pitch(config().seed, width);
        let bytes = row.checked_mul(height).ok_or(Status::INVALID_VALUE)?;
        call.bytes = bytes as u64;
        address.set(allocate(bytes)?)?;
        pitch.set(row)
    }

    fn cuMemFree_v2(address: u64) |call| {
        if address == 0 {
            return Ok(());
        }
        let context = working_context();
        if let Ok(context) = &context {
            // As the driver does, which frees nothing in use.
            context.synchronize();
        }
        let block = remove(address).inspect_err(|_| {
            if is_device(address) {
                report(Kind::UseAfterFree, format_args!("{address:#x} is freed again"));
            }
        })?;
        call.bytes = block.len as u64;
        context.map(|_| ())
    }

    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) |_call| {
        let device = working_context()?.device;
        let (all, used) = (config().memory_bytes(), device.used.now());
        free.set_if_wanted(usize::try_from(all.saturating_sub(used)).unwrap_or(usize::MAX));
        total.set_if_wanted(usize::try_from(all).unwrap_or(usize::MAX));
        Ok(())
    }
}
