//! The size of exported frames.

use vas_scale::{Fit, Request};
use vas_toml::{Field, Place};

use super::Interpreter;
use crate::defaults::Settings;
use crate::meaning::{Camera, Decode, GpuChoice, fit};
use crate::problem::Fault;
use crate::typed::{TypedCamera, TypedCameraExport};

impl Interpreter<'_> {
    /// Each key is inherited by itself.
    pub(super) fn export_size(
        &mut self,
        place: &Place,
        typed: &TypedCameraExport,
        defaults: Request,
    ) -> Request {
        let mut side = |key, field| self.number(place, key, field, Camera::PIXELS);
        let (width, height) = (side("width", &typed.width), side("height", &typed.height));
        Request {
            width: width.or(defaults.width),
            height: height.or(defaults.height),
            fit: self.value(place, "fit", &typed.fit, fit).unwrap_or(defaults.fit),
        }
    }

    /// Reports a size that contradicts the camera's other settings.
    pub(super) fn check_export_size(&mut self, camera: &TypedCamera, settings: &Settings) {
        let Request { width, height, .. } = settings.export_size;
        // What is inherited may be meant for other cameras.
        if let Field::Given(given) = &camera.settings.export.fit
            && fit(given.get_ref()).is_ok_and(|fit| fit != Fit::Fit)
            && width.and(height).is_none()
        {
            self.report(&camera.place, Some(given.span()), Fault::FitWithoutSize);
        }
    }

    /// Reports a GPU that contradicts what decodes.
    pub(super) fn check_gpu(&mut self, camera: &TypedCamera, settings: &Settings) {
        if settings.decode == Decode::Nvdec && matches!(settings.gpu, GpuChoice::Node(_)) {
            let at = match &camera.settings.gpu {
                Field::Given(given) => given.span(),
                _ => camera.heading.clone(),
            };
            self.report(&camera.place, Some(at), Fault::NodeForNvdec);
        }
    }
}
