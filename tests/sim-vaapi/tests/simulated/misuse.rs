//! Each kind of misuse is found, once, and correct use is none.

use vas_sim_vaapi::picture::Content;
use vas_sim_vaapi::testing::{ChildRun, SimulatedVaapi};

use crate::va::{Display, H264, OK};

/// Asserts that exactly these kinds were found, once each.
fn assert_found(run: &ChildRun, kinds: &[&str]) {
    let found: Vec<&str> = run.report.misuses.iter().map(|m| m.kind.as_str()).collect();
    assert_eq!(found, kinds, "{:#?}", run.report);
    assert!(run.report.ended());
}

/// Runs its body with a display, a surface with a decoded picture, and a context; then expects the kinds.
macro_rules! finds {
    ($name:ident: $kinds:expr, |$display:ident, $surface:ident, $context:ident| $body:block) => {
        #[test]
        fn $name() {
            let Some(run) = SimulatedVaapi::new().in_child(|simulator| {
                let $display = Display::open(&simulator.node(0)).unwrap();
                let [$surface] = $display.surfaces().unwrap();
                let config = $display.config(H264).unwrap();
                let $context = $display.context(config, &[$surface]).unwrap();
                $display.decode($context, $surface, b"slice");
                assert_eq!($display.sync($surface), OK);
                $body
                // Whatever the body has destroyed already was not this.
                $display.destroy_context($context);
                $display.destroy_config(config);
                assert_eq!($display.close(), OK);
            }) else {
                return;
            };
            assert_found(&run, &$kinds);
        }
    };
}

finds!(reading_in_order_is_none: [], |display, surface, _context| {
    let expected = Content::of_slices(1, [&b"slice"[..]]).picture(64, 64, 8);
    let image = display.image(64, 64).unwrap();
    assert_eq!(display.get(surface, (0, 0), (64, 64), &image), OK);
    assert!(display.read(&image, (64, 64)) == expected);
    assert_eq!(display.destroy_image(&image), OK);
    let derived = display.derive(surface).unwrap();
    assert_ne!((derived.pitches, derived.offsets), (image.pitches, image.offsets));
    assert!(display.read(&derived, (64, 64)) == expected);
    assert_eq!(display.destroy_image(&derived), OK);
    // A part of it.
    let image = display.image(32, 16).unwrap();
    assert_eq!(display.get(surface, (16, 4), (32, 16), &image), OK);
    let part = display.read(&image, (32, 16));
    for (y, row) in part.chunks(32).enumerate() {
        let y = if y < 16 { 4 + y } else { 64 + 2 + y - 16 };
        assert_eq!(row, &expected[y * 64 + 16..][..32]);
    }
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(a_second_destruction: ["double_destroy"], |display, surface, _context| {
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
    assert_ne!(display.destroy_surfaces(&[surface]), OK);
});

finds!(use_after_destruction: ["use_after_destroy"], |display, surface, _context| {
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
    assert_ne!(display.sync(surface), OK);
});

finds!(an_image_mapped_twice: ["mapped_twice"], |display, surface, _context| {
    let image = display.image(64, 64).unwrap();
    assert_eq!(display.map(image.buffer), display.map(image.buffer));
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(an_image_unmapped_twice: ["not_mapped"], |display, surface, _context| {
    let image = display.image(64, 64).unwrap();
    assert!(display.map(image.buffer).is_ok());
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(an_image_filled_while_mapped: ["filled_while_mapped"], |display, surface, _context| {
    let image = display.image(64, 64).unwrap();
    assert!(display.map(image.buffer).is_ok());
    assert_eq!(display.get(surface, (0, 0), (64, 64), &image), OK);
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(an_image_destroyed_while_mapped: ["destroy_in_use"], |display, surface, _context| {
    let image = display.image(64, 64).unwrap();
    assert!(display.map(image.buffer).is_ok());
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(a_surface_destroyed_while_it_is_read: ["destroy_in_use"], |display, surface, _context| {
    let image = display.derive(surface).unwrap();
    assert!(display.map(image.buffer).is_ok());
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.destroy_image(&image), OK);
});

finds!(a_surface_decoded_into_while_it_is_read:
    ["overwritten_while_read"], |display, surface, context| {
    let image = display.derive(surface).unwrap();
    assert!(display.map(image.buffer).is_ok());
    display.decode(context, surface, b"next");
    assert_eq!(display.unmap(image.buffer), OK);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(a_surface_read_too_early: ["unsynchronised_read"], |display, surface, context| {
    display.decode(context, surface, b"next");
    let image = display.image(64, 64).unwrap();
    assert_eq!(display.get(surface, (0, 0), (64, 64), &image), OK);
    let next = Content::of_slices(1, [&b"next"[..]]).picture(64, 64, 8);
    assert!(display.read(&image, (64, 64)) != next);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(a_region_too_large: ["out_of_bounds"], |display, surface, _context| {
    let image = display.image(64, 64).unwrap();
    assert_ne!(display.get(surface, (2, 0), (64, 64), &image), OK);
    assert_eq!(display.destroy_image(&image), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(a_picture_ended_twice: ["wrong_order"], |display, surface, context| {
    assert_ne!(display.end(context), OK);
    assert_eq!(display.destroy_surfaces(&[surface]), OK);
});

finds!(what_is_left_at_the_end: ["leak"; 4], |display, _surface, context| {
    // The surface, a buffer, and an image with its own.
    let _image = display.image(64, 64).unwrap();
    let _buffer = display.slice(context, b"slice").unwrap();
});

#[test]
fn a_surface_of_another_display() {
    let Some(run) = SimulatedVaapi::new().nodes(2).in_child(|simulator| {
        let displays = [0, 1].map(|node| Display::open(&simulator.node(node)).unwrap());
        let [surface] = displays[0].surfaces().unwrap();
        assert_ne!(displays[1].sync(surface), OK);
        assert_eq!(displays[0].destroy_surfaces(&[surface]), OK);
        assert_eq!(displays.map(Display::close), [OK; 2]);
    }) else {
        return;
    };
    assert_found(&run, &["foreign_object"]);
}

#[test]
fn two_displays_of_one_node() {
    let Some(run) = SimulatedVaapi::new().in_child(|simulator| {
        let first = Display::open(&simulator.node(0)).unwrap();
        let second = Display::open(&simulator.node(0)).unwrap();
        assert_eq!((first.close(), second.close()), (OK, OK));
        // One after the other is no misuse.
        assert_eq!(Display::open(&simulator.node(0)).unwrap().close(), OK);
        assert_eq!(simulator.level("displays"), 0);
        assert_eq!(simulator.level("peak_displays@renderD128"), 2);
    }) else {
        return;
    };
    assert_found(&run, &["second_display"]);
}

#[test]
fn a_display_that_is_never_closed() {
    let Some(run) = SimulatedVaapi::new().in_child(|simulator| {
        let display = Display::open(&simulator.node(0)).unwrap();
        assert!(display.vendor().contains("simulated"));
    }) else {
        return;
    };
    assert_found(&run, &["leak"]);
}

#[test]
fn a_forbidden_call() {
    let nodes = SimulatedVaapi::new().set("forbid", "dec:vaSyncSurface");
    let Some(run) = nodes.in_child(|simulator| {
        let display = Display::open(&simulator.node(0)).unwrap();
        let [surface] = display.surfaces().unwrap();
        assert_eq!(display.sync(surface), OK);
        let shared = display.shared();
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("dec:cam0".into());
            let sync = move || shared.get().sync(surface);
            assert_eq!(thread.spawn_scoped(scope, sync).unwrap().join().unwrap(), OK);
        });
        assert_eq!(simulator.report().count("forbidden_thread"), 1);
        simulator.forbid_this_thread(true);
        assert_eq!(display.destroy_surfaces(&[surface]), OK);
        simulator.forbid_this_thread(false);
        assert_eq!(display.close(), OK);
    }) else {
        return;
    };
    assert_found(&run, &["forbidden_thread", "forbidden_thread"]);
    let mut threads = run.calls.iter().filter(|call| call.function == "vaSyncSurface");
    let (first, second) = (threads.next().unwrap(), threads.next().unwrap());
    assert_ne!(first.tid, second.tid);
    assert_eq!(second.thread, "dec:cam0");
}
