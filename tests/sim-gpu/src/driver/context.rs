//! Contexts, and each thread's stack of them.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::device::{self, Charge, Device};
use super::stream::Stream;
use crate::nvcuvid::decoder;
use crate::sim::abi::{Handle, Out};
use crate::sim::config::config;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::registry::Registry;
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

/// All living contexts.
pub(crate) static CONTEXTS: Registry<Context> = Registry::new("context");

/// One context.
pub(crate) struct Context {
    pub(crate) handle: Handle,
    pub(crate) device: &'static Device,
    flags: u32,
    primary: bool,
    /// The first error of its work, which is sticky.
    failed: AtomicU32,
    destroyed: AtomicBool,
    streams: Mutex<Vec<Arc<Stream>>>,
    default: OnceLock<Arc<Stream>>,
    charge: Mutex<Option<Charge>>,
}

thread_local! {
    static STACK: RefCell<Vec<Arc<Context>>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread's current context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` without one.
pub(crate) fn current() -> Result<Arc<Context>> {
    // A thread that is ending no longer has a stack.
    let top = STACK.try_with(|stack| stack.borrow().last().cloned());
    top.ok().flatten().ok_or(Status::INVALID_CONTEXT)
}

impl Context {
    /// A new context of a device, not current anywhere.
    ///
    /// # Errors
    /// The device's loss, or no memory for it.
    pub(crate) fn create(device: &'static Device, flags: u32, primary: bool) -> Result<Arc<Self>> {
        device.health()?;
        let charge = device.charge(config().context_mib << 20)?;
        let (_, context) = CONTEXTS.insert_with(|handle| Self {
            handle,
            device,
            flags,
            primary,
            failed: AtomicU32::new(0),
            destroyed: AtomicBool::new(false),
            streams: Mutex::new(Vec::new()),
            default: OnceLock::new(),
            charge: Mutex::new(Some(charge)),
        });
        Ok(context)
    }

    /// Checks that it can be used.
    ///
    /// # Errors
    /// Its destruction, its device's loss, or the sticky error of its work.
    pub(crate) fn health(&self) -> Result {
        if self.destroyed.load(Ordering::Acquire) {
            return Err(Status::CONTEXT_IS_DESTROYED);
        }
        self.device.health()?;
        Status(self.failed.load(Ordering::Acquire)).result()
    }

    /// Makes every later call return this error, as after a launch failure on a real device.
    pub(crate) fn fail(&self, status: Status) {
        let set = Ordering::AcqRel;
        let _first = self.failed.compare_exchange(0, status.0, set, Ordering::Acquire);
    }

    /// Its default stream, made when first used.
    pub(crate) fn default_stream(self: &Arc<Self>) -> Arc<Stream> {
        Arc::clone(self.default.get_or_init(|| Stream::start_default(self)))
    }

    /// The default stream if it was ever used.
    pub(crate) fn used_default_stream(&self) -> Option<&Arc<Stream>> {
        self.default.get()
    }

    pub(crate) fn add_stream(&self, stream: Arc<Stream>) {
        lock(&self.streams).push(stream);
    }

    pub(crate) fn remove_stream(&self, stream: &Stream) {
        lock(&self.streams).retain(|other| !std::ptr::eq(&**other, stream));
    }

    /// Its streams, without the default one.
    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        lock(&self.streams).clone()
    }

    /// Waits for all queued work.
    pub(crate) fn synchronize(&self) {
        for stream in self.streams().iter().chain(self.default.get()) {
            stream.drain();
        }
    }

    /// Destroys it, whether or not it still works.
    pub(crate) fn destroy(&self) {
        let decoders = decoder::living_in(self);
        if decoders > 0 {
            let handle = self.handle.0;
            let words = format_args!("context {handle:#x} with {decoders} decoders in it");
            report(Kind::DestroyInUse, words);
        }
        self.synchronize();
        self.destroyed.store(true, Ordering::Release);
        for stream in self.streams().iter().chain(self.default.get()) {
            stream.close();
        }
        lock(&self.streams).clear();
        *lock(&self.charge) = None;
        // Missing only if two threads destroy it at once, which the registry reports.
        let _removed = CONTEXTS.remove(self.handle);
    }
}

/// The context of a handle.
fn find(handle: Handle) -> Result<Arc<Context>> {
    CONTEXTS.get(handle).map_err(|_| Status::INVALID_CONTEXT)
}

/// Changes the calling thread's stack; a thread that is ending no longer has one.
fn on_stack<R>(change: impl FnOnce(&mut Vec<Arc<Context>>) -> R) -> Result<R> {
    let changed = STACK.try_with(|stack| change(&mut stack.borrow_mut()));
    changed.map_err(|_| Status::DEINITIALIZED)
}

fn push(context: Arc<Context>) -> Result {
    on_stack(|stack| stack.push(context))
}

fn pop() -> Result<Arc<Context>> {
    on_stack(Vec::pop)?.ok_or(Status::INVALID_CONTEXT)
}

export! {
    fn cuCtxCreate_v2(context: Out<Handle>, flags: u32, device: c_int) |_call| {
        let made = Context::create(device::get(device)?, flags, false)?;
        context.set(made.handle)?;
        push(made)
    }

    fn cuCtxDestroy_v2(context: Handle) |_call| {
        let context = find(context)?;
        if context.primary {
            // Only release and reset of its device destroy it.
            return Err(Status::INVALID_CONTEXT);
        }
        let health = context.health();
        if current().is_ok_and(|top| Arc::ptr_eq(&top, &context)) {
            pop()?;
        }
        context.destroy();
        health
    }

    fn cuCtxPushCurrent_v2(context: Handle) |_call| {
        push(find(context)?)
    }

    fn cuCtxPopCurrent_v2(context: Out<Handle>) |_call| {
        let popped = pop()?;
        context.set_if_wanted(popped.handle);
        Ok(())
    }

    fn cuCtxGetCurrent(context: Out<Handle>) |_call| {
        context.set(current().map_or(Handle::NULL, |context| context.handle))
    }

    fn cuCtxSetCurrent(context: Handle) |_call| {
        let context = if context == Handle::NULL { None } else { Some(find(context)?) };
        on_stack(|stack| {
            stack.pop();
            stack.extend(context);
        })
    }

    fn cuCtxGetDevice(device: Out<c_int>) |_call| {
        device.set(c_int::try_from(current()?.device.ordinal).unwrap_or(c_int::MAX))
    }

    fn cuCtxGetFlags(flags: Out<u32>) |_call| {
        flags.set(current()?.flags)
    }

    fn cuCtxGetApiVersion(_context: Handle, version: Out<u32>) |_call| {
        version.set(3020)
    }

    fn cuCtxSetLimit(_limit: c_int, _value: usize) |_call| {
        working_context().map(|_| ())
    }

    fn cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) |_call| {
        working_context()?;
        least.set_if_wanted(0);
        greatest.set_if_wanted(-5);
        Ok(())
    }

    fn cuCtxSynchronize() |_call| {
        let context = working_context()?;
        context.synchronize();
        context.health()
    }
}
