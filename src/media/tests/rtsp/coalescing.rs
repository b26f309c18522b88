//! A connection that may be left unread gives the same packets, several at once.

use vas_media::{Carrier, Coalescing, Frame, Received, RtspClient, StopFlag, Transport};

use crate::clips::{H264, md5_of};
use crate::rig::{Rig, request};

/// Pictures that are not waited for at the end of a clip.
const REST: usize = 10;

#[test]
fn pictures_come_several_at_once_and_are_the_same() {
    let expected = H264.pictures();
    let camera = Rig::camera(&H264.file(), ",once", &[]);
    for transport in [Transport::Tcp, Transport::Udp] {
        let stop = StopFlag::new();
        let request = request(camera.url(""), RtspClient::Retina, transport);
        let mut source = vas_media::open(&request, &stop).unwrap();
        source.coalesce(Coalescing::new(&stop));
        let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
        let (mut frame, mut pictures, mut arrivals) = (Frame::new(), Vec::new(), Vec::new());
        let wanted = expected.len() - REST;
        while pictures.len() < wanted {
            let packet = source.next_packet().unwrap().expect("a camera has no end");
            assert!(!packet.lost());
            arrivals.push(packet.arrival_ns());
            decoder.send(&packet).unwrap();
            while decoder.receive(&mut frame).unwrap() == Received::Frame {
                pictures.push(md5_of(&frame));
            }
        }
        assert_eq!(pictures[..wanted], expected[..wanted]);
        // Those of one pause are dated alike. Without pauses each has a time of its own.
        assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]), "{arrivals:?}");
        let alike = arrivals.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let is_tcp = source.stream().carrier == Carrier::Tcp;
        assert_eq!(alike > 0, is_tcp, "{alike} of {} came with the one before", arrivals.len());
    }
}

#[test]
fn each_picture_is_read_as_it_comes_once_a_consumer_begins() {
    let camera = Rig::camera(&H264.file(), "", &[]);
    let stop = StopFlag::new();
    let request = request(camera.url(""), RtspClient::Retina, Transport::Tcp);
    let mut source = vas_media::open(&request, &stop).unwrap();
    let coalescing = Coalescing::new(&stop);
    source.coalesce(coalescing.clone());
    let mut arrival = || source.next_packet().unwrap().expect("it plays on").arrival_ns();
    let mut last = arrival();
    while std::mem::replace(&mut last, arrival()) != last {}
    coalescing.begin_prompt();
    // What the pause before brought.
    while std::mem::replace(&mut last, arrival()) == last {}
    for _ in 0..200 {
        assert_ne!(std::mem::replace(&mut last, arrival()), last);
    }
    coalescing.end_prompt();
    while std::mem::replace(&mut last, arrival()) != last {}
}
