//! The size that a camera's frames are exported in.

use vas_frame::{Color, Geometry, Placement, Range, Rect, Size};
use vas_media::{Frame, Nv12Converter};
use vas_scale::{ChromaSite, ColorInfo, Plan, Request};

/// What the config asks for, and what that means for the camera's pictures. Allocates nothing.
#[derive(Debug)]
pub(super) struct Sizing {
    request: Request,
    /// The plan for the last picture's size and color.
    last: Option<((u32, u32), ColorInfo, Option<Plan>)>,
}

/// The slot for a frame, and how it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) geometry: Geometry,
    /// How the frame is scaled; `None`: it fills the slot as it is.
    pub(super) plan: Option<Plan>,
}

impl Sizing {
    pub(super) fn new(request: Request) -> Self {
        Self { request, last: None }
    }

    /// The slot for this frame; `None` if there can be none.
    pub(super) fn fit(&mut self, frame: &Frame) -> Option<Fitted> {
        let color = color_of(frame);
        let source = (frame.width(), frame.height());
        let plan = self.plan(source, color)?;
        let (width, height) = plan.map_or(source, |plan| {
            let output = plan.output();
            (output.width, output.height)
        });
        let geometry = Geometry::new(width, height, color, frame.bit_depth()).ok()?;
        Some(Fitted { geometry, plan })
    }

    fn plan(&mut self, source: (u32, u32), color: Color) -> Option<Option<Plan>> {
        let color = ColorInfo {
            site: ChromaSite::of_chroma_location(color.chroma_location.into()),
            full_range: color.range == Range::Full,
        };
        if let Some((of, in_color, plan)) = self.last
            && (of, in_color) == (source, color)
        {
            return Some(plan);
        }
        let plan = Plan::new(source, self.request, color).ok()?;
        let plan = (!plan.is_copy()).then_some(plan);
        self.last = Some((source, color, plan));
        Some(plan)
    }
}

/// Where the camera's picture is in the slot.
pub(super) fn placement(plan: &Plan) -> Placement {
    let (source, content) = (plan.source(), plan.content());
    Placement {
        source: Size { width: source.width, height: source.height },
        content: Rect { x: content.x, y: content.y, width: content.width, height: content.height },
    }
}

/// The color of what the slot will hold: RGB is converted.
fn color_of(frame: &Frame) -> Color {
    let color = Nv12Converter::output_color(frame);
    Color {
        range: match color.range {
            vas_media::Range::Unspecified => Range::Unspecified,
            vas_media::Range::Limited => Range::Limited,
            vas_media::Range::Full => Range::Full,
        },
        primaries: color.primaries,
        transfer: color.transfer,
        matrix: color.matrix,
        chroma_location: color.chroma_location,
    }
}
