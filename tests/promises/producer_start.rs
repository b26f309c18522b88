//! A producer for which the system lacks a socket or a thread starts once it can be had; its camera is received and
//! recorded meanwhile, and after that, without a pause.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::run;
use vas_tests::service::Service;

use crate::frame_path::{Threads, crash, until_more_is_recorded};
use crate::producer::{begins_key_frame, plain_clip, stanza};

/// A recorded camera with a producer, and what plays the transport.
struct Rig {
    camera: Camera,
    transport: UdpSocket,
    recordings: tempfile::TempDir,
}

impl Rig {
    fn transport() -> UdpSocket {
        let transport = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Only for a test that fails.
        transport.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        transport
    }

    fn new() -> Self {
        let transport = Self::transport();
        let camera = Camera::start(&[&plain_clip()], ",loop");
        Self { camera, transport, recordings: tempfile::tempdir().unwrap() }
    }

    fn record(&self) -> String {
        format!("[record]\ndir = {:?}\nsegment = \"1s\"\n", self.recordings.path())
    }

    fn without_producer(&self) -> String {
        format!("{}[[camera]]\nid = \"cam\"\nurl = {:?}\n", self.record(), self.camera.url())
    }

    fn with_producer(&self, video: &str) -> String {
        self.with_producer_to(&self.transport, video)
    }

    fn with_producer_to(&self, transport: &UdpSocket, video: &str) -> String {
        let port = transport.local_addr().unwrap().port();
        let camera = stanza(&PathBuf::from(self.camera.url()), port, video);
        format!("{}{camera}", self.record())
    }

    /// The payload of the next RTP packet.
    fn next(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        loop {
            let length = self.transport.recv(&mut buffer).expect("packets of the producer");
            // RFC 5761: 200 to 204 in the second byte are RTCP.
            if !(200..=204).contains(&buffer[1]) {
                return buffer[12..length].to_vec();
            }
        }
    }

    /// The producer is off, in words, and what it misses is counted, while the camera is recorded.
    fn is_off_and_recorded(&self, service: &mut Service, why: &str) -> Value {
        let seen = service.until("a reason", |camera| {
            // Where the decoder, too, has no thread, its packets are what is dropped.
            let missed =
                [&camera["producer"]["dropped"]["not_running"], &camera["dropped"]["undecodable"]];
            camera["producer"]["state"] == "failed"
                && missed.into_iter().any(|count| count.as_u64() > Some(0))
        });
        let producer = &seen["producer"];
        let reason = producer["reason"].as_str().unwrap();
        assert!(reason.contains(why) && reason.contains("trying again"), "{reason}");
        assert!(producer["since_s"].is_u64(), "{producer}");
        until_more_is_recorded(service, "cam")
    }

    /// The producer has started, from a key frame on, and nothing else has noticed.
    fn starts_alone(&self, service: &mut Service, before: &Value, shard: u32) {
        assert!(begins_key_frame(&self.next()));
        let after = service.until("sending", |camera| camera["producer"]["state"] == "sending");
        let input = |camera: &Value| camera["reconnects"].clone();
        let files = |camera: &Value| camera["recorder"]["dropped"].clone();
        assert_eq!((input(&after), files(&after)), (input(before), files(before)));
        until_more_is_recorded(service, "cam");
        assert_eq!(service.shard_of("cam"), shard, "no restart");
        assert_eq!(service.stop(), Some(0), "{}", service.log());
    }
}

/// Lets a process have so many open files, by its soft limit.
fn allow_files(pid: u32, files: usize) {
    run(Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={files}:")]));
}

/// The process can open one file more and no other, and so no socket with what belongs to it.
fn allow_one_file_more(pid: u32) {
    let fds = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).unwrap();
    let numbers = fds.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse::<usize>().unwrap());
    let mut used: Vec<_> = numbers.collect();
    used.sort_unstable();
    // Descriptors are given out from the lowest on.
    let gaps = (0..).filter(|number| !used.contains(number));
    allow_files(pid, gaps.take(1).last().unwrap() + 1);
}

#[test]
fn a_producer_without_sockets_gets_them_later_and_starts_alone() {
    for video in ["copy", "h264"] {
        let rig = Rig::new();
        let mut service = Service::start("false", "", &rig.without_producer());
        until_more_is_recorded(&mut service, "cam");
        allow_one_file_more(service.pid());
        service.reload(&rig.with_producer(video));
        let before = rig.is_off_and_recorded(&mut service, "no sockets");
        let shard = service.shard_of("cam");
        allow_files(service.pid(), 1000);
        rig.starts_alone(&mut service, &before, shard);
    }
}

/// Sockets that came late are for the destination of that time: another destination has to wait for its own.
#[test]
fn sockets_that_came_late_are_not_taken_for_another_destination() {
    for video in ["copy", "h264"] {
        let mut rig = Rig::new();
        let mut service = Service::start("false", "", &rig.without_producer());
        until_more_is_recorded(&mut service, "cam");
        allow_one_file_more(service.pid());
        service.reload(&rig.with_producer(video));
        rig.is_off_and_recorded(&mut service, "no sockets");
        let shard = service.shard_of("cam");
        allow_files(service.pid(), 1000);
        rig.next();

        let next = Rig::transport();
        allow_one_file_more(service.pid());
        service.reload(&rig.with_producer_to(&next, video));
        let before = rig.is_off_and_recorded(&mut service, "no sockets");
        rig.transport = next;
        allow_files(service.pid(), 1000);
        rig.starts_alone(&mut service, &before, shard);
    }
}

#[test]
fn a_producer_without_a_thread_gets_one_later_and_starts_alone() {
    for video in ["copy", "h264"] {
        let rig = Rig::new();
        // What it takes without a producer.
        let mut without = Service::start("false", "", &rig.without_producer());
        let group = Threads::of(without.pid());
        without.shards().into_iter().for_each(|shard| group.put(shard));
        until_more_is_recorded(&mut without, "cam");
        let threads = group.current();
        assert_eq!(without.stop(), Some(0));
        drop(group);

        let mut service = Service::start("false", "", &rig.with_producer(video));
        let group = Threads::of(service.pid());
        rig.next();
        group.allow(&threads.to_string());
        let shard = crash(&mut service, "cam");
        let before = rig.is_off_and_recorded(&mut service, "os error 11");
        while rig.transport.set_nonblocking(true).is_ok() && rig.transport.recv(&mut [0; 1]).is_ok()
        {
        }
        rig.transport.set_nonblocking(false).unwrap();
        group.allow("max");
        rig.starts_alone(&mut service, &before, shard);
        drop(service);
    }
}
