//! Sizes, bars and positions.

use crate::{ColorInfo, Fit, Plan, Rect, Request, Size};

fn plan(source: (u32, u32), width: u32, height: u32, fit: Fit) -> Plan {
    // 0 stands for a side that is left out.
    let side = |side: u32| (side > 0).then_some(side);
    let request = Request { width: side(width), height: side(height), fit };
    Plan::new(source, request, ColorInfo::default()).unwrap()
}

fn output(source: (u32, u32), width: u32, height: u32, fit: Fit) -> (u32, u32) {
    let Size { width, height } = plan(source, width, height, fit).output();
    (width, height)
}

#[test]
fn fit_keeps_the_aspect() {
    for (source, width, height, expected) in [
        ((1920, 1080), 640, 640, (640, 360)),
        ((1080, 1920), 640, 640, (360, 640)),
        ((1366, 768), 640, 480, (640, 360)),
        ((704, 576), 640, 640, (640, 524)),
        ((853, 481), 640, 0, (640, 361)),
        ((1920, 1080), 0, 360, (640, 360)),
        ((1920, 1080), 0, 0, (1920, 1080)),
        ((640, 360), 1920, 1080, (640, 360)),
        ((640, 360), 1920, 180, (320, 180)),
        ((16_384, 1), 10, 10, (10, 1)),
    ] {
        assert_eq!(output(source, width, height, Fit::Fit), expected, "{source:?}");
    }
}

#[test]
fn fit_never_exceeds_the_request_or_the_source() {
    for width in 1..40 {
        for height in 1..40 {
            for (most_width, most_height) in [(1, 1), (7, 30), (30, 7), (13, 13), (39, 1)] {
                let (w, h) = output((width, height), most_width, most_height, Fit::Fit);
                assert!(w <= width.min(most_width) && h <= height.min(most_height));
                assert!(w >= 1 && h >= 1);
            }
        }
    }
}

#[test]
fn stretch_has_the_size_but_enlarges_nothing() {
    assert_eq!(output((1920, 1080), 640, 640, Fit::Stretch), (640, 640));
    assert_eq!(output((640, 360), 320, 640, Fit::Stretch), (320, 360));
    assert_eq!(output((1920, 1080), 640, 0, Fit::Stretch), (640, 360));
}

#[test]
fn letterbox_has_the_size_and_even_bars() {
    let boxed = plan((1920, 1080), 640, 640, Fit::Letterbox);
    assert_eq!(boxed.output(), Size { width: 640, height: 640 });
    assert_eq!(boxed.content(), Rect { x: 0, y: 140, width: 640, height: 360 });
    let boxed = plan((1080, 1920), 641, 641, Fit::Letterbox);
    assert_eq!(boxed.content(), Rect { x: 140, y: 0, width: 361, height: 641 });
    let small = plan((100, 50), 201, 103, Fit::Letterbox);
    assert_eq!(small.content(), Rect { x: 50, y: 26, width: 100, height: 50 });
    assert!(small.is_identity() && !small.is_copy());
    assert_eq!(output((1920, 1080), 0, 360, Fit::Letterbox), (640, 360));
}

#[test]
fn positions_map_back() {
    let boxed = plan((1920, 1080), 640, 640, Fit::Letterbox);
    assert_eq!(boxed.to_source(0.0, 140.0), (0.0, 0.0));
    assert_eq!(boxed.to_source(640.0, 500.0), (1920.0, 1080.0));
    assert_eq!(boxed.to_source(10.5, 140.5), (31.5, 1.5));
    assert_eq!(boxed.to_source(320.0, 10.0), (960.0, 0.0), "a bar");
}

#[test]
fn sides_that_no_slot_holds_are_refused() {
    let refused = |source, width, height| {
        let request = Request { width, height, fit: Fit::Fit };
        Plan::new(source, request, ColorInfo::default()).unwrap_err().to_string()
    };
    assert_eq!(
        refused((0, 5), None, None),
        "can't scale to or from a width of 0 pixels: expected 1 to 16384"
    );
    assert!(refused((5, 16_385), None, None).contains("a height of 16385"));
    assert!(refused((5, 5), Some(0), None).contains("a width of 0"));
}
