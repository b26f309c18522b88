//! The primary context that each device has, counted by its users.

use std::ffi::c_int;
use std::sync::Arc;

use super::context::Context;
use super::device::{self, Device};
use crate::sim::abi::{Handle, Out};
use crate::sim::lock;
use crate::sim::site::export;
use crate::sim::status::{Result, Status};

/// A device's primary context.
pub(crate) struct Primary {
    users: usize,
    flags: u32,
    context: Option<Arc<Context>>,
}

impl Primary {
    /// Nobody uses it.
    pub(crate) const fn new() -> Self {
        Self { users: 0, flags: 0, context: None }
    }
}

fn retain(device: &'static Device) -> Result<Handle> {
    let mut primary = lock(&device.primary);
    let context = match &primary.context {
        Some(context) => Arc::clone(context),
        None => Context::create(device, primary.flags, true)?,
    };
    context.health()?;
    primary.users += 1;
    let handle = context.handle;
    primary.context = Some(context);
    Ok(handle)
}

fn release(device: &'static Device) -> Result {
    let mut primary = lock(&device.primary);
    primary.users = primary.users.checked_sub(1).ok_or(Status::INVALID_CONTEXT)?;
    let gone = if primary.users == 0 { primary.context.take() } else { None };
    drop(primary);
    let health = gone.as_ref().map_or(Ok(()), |context| context.health());
    if let Some(context) = gone {
        context.destroy();
    }
    health
}

fn reset(device: &'static Device) -> Result {
    let mut primary = lock(&device.primary);
    primary.users = 0;
    let gone = primary.context.take();
    drop(primary);
    if let Some(context) = gone {
        context.destroy();
    }
    Ok(())
}

fn set_flags(device: &'static Device, flags: u32) -> Result {
    let mut primary = lock(&device.primary);
    if primary.context.is_some() && primary.flags != flags {
        return Err(Status::PRIMARY_CONTEXT_ACTIVE);
    }
    primary.flags = flags;
    Ok(())
}

export! {
    fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int) |_call| {
        context.set(retain(device::get(device)?)?)
    }

    fn cuDevicePrimaryCtxRelease(device: c_int) |_call| {
        release(device::get(device)?)
    }

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) |_call| {
        release(device::get(device)?)
    }

    fn cuDevicePrimaryCtxReset(device: c_int) |_call| {
        reset(device::get(device)?)
    }

    fn cuDevicePrimaryCtxReset_v2(device: c_int) |_call| {
        reset(device::get(device)?)
    }

    fn cuDevicePrimaryCtxSetFlags(device: c_int, flags: u32) |_call| {
        set_flags(device::get(device)?, flags)
    }

    fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, flags: u32) |_call| {
        set_flags(device::get(device)?, flags)
    }

    fn cuDevicePrimaryCtxGetState(device: c_int, flags: Out<u32>, active: Out<c_int>) |_call| {
        let primary = lock(&device::get(device)?.primary);
        flags.set_if_wanted(primary.flags);
        active.set_if_wanted(c_int::from(primary.context.is_some()));
        Ok(())
    }
}
