//! Many decoders at a time, over two nodes.

use vas_sim_vaapi::testing::SimulatedVaapi;

use crate::clip::{Clip, assert_same, decode};

const PROGRAMS: usize = 8;

#[test]
fn programs_share_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Clip::h264(320, 192);
    let path = clip.make(dir.path());
    let predicted = clip.predicted(1, &path);
    let nodes = SimulatedVaapi::new().nodes(2).set("decode_us", 500).start();
    std::thread::scope(|scope| {
        for program in 0..PROGRAMS {
            let (nodes, path, predicted, clip) = (&nodes, &path, &predicted, &clip);
            scope.spawn(move || {
                let output = decode(nodes, program % 2, path, 8);
                let seen: Vec<&[u8]> = output.stdout.chunks(clip.picture_bytes()).collect();
                assert_same(&seen, predicted, &program);
            });
        }
    });
    let report = nodes.report();
    report.assert_clean(&[]);
    let starts = report.remarks.iter().filter(|remark| remark.contains(" in pid ")).count();
    assert_eq!(starts, PROGRAMS);
    for node in ["renderD128", "renderD129"] {
        let of_node = |call: &&vas_sim_vaapi::testing::CallRecord| {
            call.function == "vaInitialize" && call.node.as_deref() == Some(node)
        };
        assert_eq!(nodes.calls().iter().filter(of_node).count(), PROGRAMS / 2);
    }
}
