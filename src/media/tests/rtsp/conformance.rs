//! Conformance tests for `Source`, run with every RTSP client.

use std::time::Duration;

use vas_media::{
    Carrier, Frame, Packet, Received, RtspClient, Source, SourceErrorKind, SourceRequest, StopFlag,
    Transport, monotonic_ns,
};

use crate::clips::{Clip, H264, H265, MJPEG, md5_of};
use crate::rig::{Rig, request};

const CLIENTS: [RtspClient; 2] = [RtspClient::Retina, RtspClient::Ffmpeg];
const CARRIERS: [(Transport, Carrier); 2] =
    [(Transport::Tcp, Carrier::Tcp), (Transport::Udp, Carrier::Udp)];

/// Runs `check` with every client over every transport, on a camera that plays `clip`.
fn with_all(clip: Clip, flags: &str, check: impl Fn(&Rig, SourceRequest, Carrier)) {
    let camera = Rig::camera(&clip.file(), flags, &[]);
    for client in CLIENTS {
        for (transport, carrier) in CARRIERS {
            println!("{client:?} over {carrier}");
            check(&camera, request(camera.url(""), client, transport), carrier);
        }
    }
}

fn open(request: &SourceRequest) -> Box<dyn Source> {
    vas_media::open(request, &StopFlag::new()).unwrap()
}

fn next(source: &mut dyn Source) -> Packet {
    source.next_packet().unwrap().expect("a camera's stream does not end")
}

/// The number of pictures between two times.
fn pictures_between(from_ns: i64, to_ns: i64, fps: u32) -> i64 {
    let length_ns = 1_000_000_000 / i64::from(fps);
    (to_ns - from_ns + length_ns / 2).div_euclid(length_ns)
}

#[test]
fn pictures_are_complete_in_order_and_with_their_times() {
    for clip in [H264, H265, MJPEG] {
        let expected = clip.pictures();
        with_all(clip, ",once", |_, request, carrier| {
            let opening_ns = monotonic_ns();
            let mut source = open(&request);
            let stream = source.stream().clone();
            assert_eq!(stream.carrier, carrier);
            assert_eq!(stream.size, Some((320, 192)));
            assert_eq!((stream.time_base.num(), stream.time_base.den()), (1, 90_000));
            let fps = stream.fps.expect("the rate is known").as_f64();
            assert!((fps - f64::from(clip.fps())).abs() < 1.0, "{fps}");
            assert_eq!(stream.knows_loss, request.client == RtspClient::Retina);

            let mut decoder = vas_media::open_software(&stream, 1).unwrap();
            let mut frame = Frame::new();
            let (mut pictures, mut times) = (Vec::new(), Vec::new());
            let (mut dts, mut arrivals) = (Vec::new(), Vec::new());
            // FFmpeg holds the last picture back until another one arrives, so don't wait for all.
            let wanted = expected.len() - 10;
            while pictures.len() < wanted {
                let packet = next(source.as_mut());
                if arrivals.is_empty() {
                    assert!(packet.is_key(), "a stream begins with a key frame");
                }
                assert!(!packet.lost());
                // FFmpeg states none for the first packets over TCP.
                assert!(packet.pts_ns().is_some() || request.client == RtspClient::Ffmpeg);
                if let (Some(pts_ns), Some(dts_ns)) = (packet.pts_ns(), packet.dts_ns()) {
                    assert!(dts_ns <= pts_ns, "decoded at {dts_ns}, presented at {pts_ns}");
                    dts.push(dts_ns);
                }
                arrivals.push(packet.arrival_ns());
                decoder.send(&packet).unwrap();
                while decoder.receive(&mut frame).unwrap() == Received::Frame {
                    pictures.push(md5_of(&frame));
                    times.extend(frame.pts_ns().map(|pts_ns| (pictures.len() as i64, pts_ns)));
                    assert!(!frame.after_loss());
                }
            }
            assert_eq!(pictures[..wanted], expected[..wanted]);
            assert!(times.len() + 3 >= pictures.len());
            let (first, first_ns) = times[0];
            for (number, pts_ns) in times {
                assert_eq!(pictures_between(first_ns, pts_ns, clip.fps()), number - first);
            }
            assert!(dts.windows(2).all(|pair| pair[0] < pair[1]), "decoding times increase");
            let stated = format!("{} of {} are stated", dts.len(), arrivals.len());
            assert!(dts.len() + 3 >= arrivals.len(), "all but the first: {stated}");
            assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
            assert!(arrivals[0] >= opening_ns && *arrivals.last().unwrap() <= monotonic_ns());
        });
    }
}

#[test]
fn the_login_is_sent_if_the_camera_requires_it() {
    for method in ["basic", "digest"] {
        let arguments = ["--user", "us er:p@ss:w/rd", "--auth", method];
        let camera = Rig::camera(&H264.file(), "", &arguments);
        for client in CLIENTS {
            for (transport, _) in CARRIERS {
                let login = "us%20er:p%40ss%3Aw%2Frd@";
                let mut source = open(&request(camera.url(login), client, transport));
                next(source.as_mut());
                for login in ["us%20er:wrong@", ""] {
                    let request = request(camera.url(login), client, transport);
                    let error = vas_media::open(&request, &StopFlag::new()).err().unwrap();
                    assert_eq!(error.kind, SourceErrorKind::Refused { status: 401 }, "{client:?}");
                }
            }
        }
    }
}

#[test]
fn a_killed_camera_is_distinguished_from_a_silent_one() {
    for client in CLIENTS {
        for (transport, _) in CARRIERS {
            let mut camera = Rig::camera(&H264.file(), "", &[]);
            let mut request = request(camera.url(""), client, transport);
            request.read_timeout = Duration::from_secs(1);
            let until_error = |source: &mut dyn Source| loop {
                if let Err(error) = source.next_packet() {
                    break error.kind;
                }
            };
            let mut source = open(&request);
            next(source.as_mut());
            camera.signal("STOP");
            let kind = until_error(source.as_mut());
            assert!(matches!(kind, SourceErrorKind::TimedOut { .. }), "{client:?}: {kind}");
            let survives = source.close();
            if client == RtspClient::Retina {
                let survives = survives.expect("a frozen camera does not acknowledge TEARDOWN");
                assert!(survives <= Duration::from_secs(60), "{survives:?}");
            }
            camera.signal("CONT");

            let mut source = open(&request);
            next(source.as_mut());
            camera.kill();
            let kind = until_error(source.as_mut());
            let expected = match (client, transport) {
                // FFmpeg may not read the RTSP connection in time.
                (RtspClient::Ffmpeg, Transport::Udp) => true,
                _ => matches!(kind, SourceErrorKind::Ended | SourceErrorKind::Broken(_)),
            };
            assert!(expected, "{client:?}: {kind}");
            if transport == Transport::Tcp {
                assert_eq!(source.close(), None, "the session ended with its connection");
            }
        }
    }
}

#[test]
fn a_stop_ends_waiting() {
    with_all(H264, "", |camera, request, _| {
        let stop = StopFlag::new();
        let mut source = vas_media::open(&request, &stop).unwrap();
        next(source.as_mut());
        camera.signal("STOP");
        let stopper = std::thread::spawn({
            let stop = stop.clone();
            move || stop.stop()
        });
        let kind = loop {
            if let Err(error) = source.next_packet() {
                break error.kind;
            }
        };
        camera.signal("CONT");
        assert_eq!(kind, SourceErrorKind::Stopped);
        stopper.join().unwrap();
    });
}

#[test]
fn sender_reports_give_the_cameras_clock() {
    let camera = Rig::camera(&H264.file(), "", &[]);
    for (transport, _) in CARRIERS {
        let mut source = open(&request(camera.url(""), RtspClient::Retina, transport));
        let (packet, wall_ns) = loop {
            let packet = next(source.as_mut());
            if let Some(wall_ns) = packet.wall_clock_ns() {
                break (packet, wall_ns);
            }
        };
        // The camera runs on this machine, so both have the same clock.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age_ns = now.as_nanos() as i64 - wall_ns;
        let arrived_ns_ago = (monotonic_ns() - packet.arrival_ns()) as i64;
        assert!((age_ns - arrived_ns_ago).abs() < 2_000_000_000, "{age_ns} {arrived_ns_ago}");
    }
}
