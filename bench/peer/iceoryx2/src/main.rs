//! iceoryx2 as a peer of the frame export, for `bench/peers`: the service's own decoder, pictures as they come from it in
//! samples of publish-subscribe, and an event that wakes the subscribers.
//!
//!     vas-bench-iceoryx2 publish PREFIX NAME=URL...
//!     vas-bench-iceoryx2 consume PREFIX NAME FPS PICTURES FILE
//!
//! One process publishes all cameras, each on a thread; a consumer copies each new frame and appends its age to `FILE`.

use std::error::Error;
use std::time::{Duration, Instant};

use iceoryx2::config::Config;
use iceoryx2::prelude::*;
use sightings::Sightings;
use stamp::Timeline;
use vas_frame::monotonic_ns;
use vas_media::{Frame, Received, RtspClient, SourceRequest, StopFlag, Transport};

#[path = "../../../src/sightings.rs"]
mod sightings;
#[allow(dead_code)] // The cameras' side of it.
#[path = "../../../src/stamp.rs"]
mod stamp;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str =
    "usage: vas-bench-iceoryx2 publish PREFIX NAME=URL... | consume PREFIX NAME FPS PICTURES FILE";
/// Subscribers and listeners of a camera.
const CONSUMERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_millis(50);

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["publish", prefix, cameras @ ..] => std::thread::scope(|scope| {
            for camera in cameras {
                let (name, url) = camera.split_once('=').ok_or(USAGE)?;
                scope.spawn(move || {
                    if let Err(error) = publish(prefix, name, url) {
                        eprintln!("{name}: {error}");
                        std::process::exit(1);
                    }
                });
            }
            Ok(())
        }),
        ["consume", prefix, name, fps, pictures, file] => {
            consume(prefix, name, fps.parse()?, pictures.parse()?, Sightings::new(file.as_ref()))
        }
        _ => Err(USAGE.into()),
    }
}

fn node(prefix: &str) -> Result<Node<ipc::Service>, Failure> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix.as_bytes())?;
    Ok(NodeBuilder::new().config(&config).create::<ipc::Service>()?)
}

/// Opens or creates a service. While one process creates it, others fail to open it: they try again.
fn retry<T>(mut open: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let begin = Instant::now();
    loop {
        match open() {
            Err(_) if begin.elapsed() < PATIENCE => std::thread::sleep(RETRY_EVERY),
            result => return result,
        }
    }
}

/// The camera's service, and the event that goes with it.
macro_rules! services {
    ($node:expr, $name:expr) => {{
        let name = ServiceName::new($name)?;
        let frames = retry(|| {
            let builder = $node.service_builder(&name).publish_subscribe::<[u8]>();
            Ok(builder.max_subscribers(CONSUMERS).open_or_create()?)
        })?;
        let event = retry(|| {
            let builder = $node.service_builder(&name).event();
            Ok(builder.max_listeners(CONSUMERS).open_or_create()?)
        })?;
        (frames, event)
    }};
}

fn publish(prefix: &str, name: &str, url: &str) -> Result<(), Failure> {
    let node = node(prefix)?;
    let (frames, event) = services!(node, name);
    let request = SourceRequest {
        url: url.into(),
        transport: Transport::Tcp,
        client: RtspClient::Auto,
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
        sound: false,
    };
    let mut source = vas_media::open(&request, &StopFlag::new())?;
    let mut decoder = vas_media::open_software(source.stream(), 1)?;
    let notifier = event.notifier_builder().create()?;
    let mut publisher = None;
    let mut frame = Frame::new();
    while let Some(packet) = source.next_packet()? {
        if let Err(error) = decoder.send(&packet)
            && error.is_fatal()
        {
            return Err(error.into());
        }
        while let Received::Frame = decoder.receive(&mut frame)? {
            let (width, height) = (frame.width() as usize, frame.height() as usize);
            let bytes = width * height * 3 / 2;
            if publisher.is_none() {
                let builder = frames.publisher_builder().initial_max_slice_len(bytes);
                publisher = Some(
                    builder.backpressure_strategy(BackpressureStrategy::DiscardData).create()?,
                );
            }
            let publisher = publisher.as_ref().expect("it was just created");
            let mut sample = publisher.loan_slice_uninit(bytes)?;
            let mut rest = sample.payload_mut();
            for (plane, row_bytes, rows) in
                [(0, width, height), (1, width / 2, height / 2), (2, width / 2, height / 2)]
            {
                let (stride, plane) = (frame.stride(plane), frame.plane(plane));
                for row in 0..rows {
                    let (to, left) = rest.split_at_mut(row_bytes);
                    to.write_copy_of_slice(&plane[row * stride..][..row_bytes]);
                    rest = left;
                }
            }
            // SAFETY: the three planes fill the sample: width * height * (1 + 1/4 + 1/4) bytes, even sizes.
            let sample = unsafe { sample.assume_init() };
            sample.send()?;
            notifier.notify()?;
        }
    }
    Err("the camera has ended the stream".into())
}

fn consume(
    prefix: &str,
    name: &str,
    fps: u32,
    pictures: u64,
    mut sightings: Sightings,
) -> Result<(), Failure> {
    let timeline = Timeline::new(fps, stamp::number_of(name).ok_or(USAGE)?);
    let node = node(prefix)?;
    let (frames, event) = services!(node, name);
    let subscriber = frames.subscriber_builder().create()?;
    let listener = event.listener_builder().create()?;
    let mut image = Vec::new();
    loop {
        listener.timed_wait(|_| {}, PATIENCE)?;
        let mut newest = None;
        while let Some(sample) = subscriber.receive()? {
            newest = Some(sample);
        }
        let Some(sample) = newest else { continue };
        image.clear();
        image.extend_from_slice(sample.payload());
        let now = monotonic_ns();
        let width = width_of(image.len());
        let number = stamp::read(&image, width);
        sightings.add(now, number.map(|number| timeline.age_ns(number, pictures, now)));
    }
}

/// The width of a picture of 16:9 with so many bytes.
fn width_of(bytes: usize) -> usize {
    (bytes * 16 * 2 / (9 * 3)).isqrt()
}
