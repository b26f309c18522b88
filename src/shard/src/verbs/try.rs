//! `vas try`: whether a camera works, and how to configure it.

use std::env;
use std::time::Duration;

use vas_cli::{TryArgs, stdout};
use vas_config::{CameraUrl, Environment};
use vas_media::{Frame, Nv12Converter, Range, RtspClient, SourceRequest, StreamInfo};
use vas_picture::write_png;
use vas_tensor::{ColorSpace, Matrix, Nv12, Order, Scratch, convert};

use super::probe::{Probe, probe};
use super::stanza::{PASSWORD_VARIABLE, Stanza};
use crate::failure::Failure;

/// How long pictures are counted to measure their rate.
const MEASURE: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &TryArgs) -> Result<(), Failure> {
    let environment = Environment::of_this_process();
    let folder = env::current_dir().unwrap_or_else(|_| ".".into());
    let url = CameraUrl::parse(&environment.complete(&args.url)?, &folder)?;
    eprintln!("trying {url} ...");
    let request = SourceRequest {
        url: url.to_secret_string(),
        transport: args.transport,
        client: args.rtsp_client,
        connect_timeout: args.timeout,
        read_timeout: args.timeout,
        sound: false,
    };
    let _named = vas_media::log::name_thread("vas try");
    let probe = probe(&request, MEASURE)?;
    write_picture(args, &probe.newest)?;
    stdout::write(&report(args, &url, &probe)).map_err(Failure::Stdout)
}

/// Writes a decoded picture as PNG.
fn write_picture(args: &TryArgs, frame: &Frame) -> Result<(), Failure> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let stride = width.next_multiple_of(2);
    let mut luma = vec![0; stride * height];
    let mut chroma = vec![0; stride * height.div_ceil(2)];
    Nv12Converter::new().convert(frame, &mut luma, &mut chroma, stride)?;
    let color = Nv12Converter::output_color(frame);
    let space = ColorSpace {
        matrix: Matrix::of(color.matrix, frame.height()),
        full_range: color.range == Range::Full,
    };
    let size = (frame.width(), frame.height());
    let mut rgb = vec![0; 3 * width * height];
    Nv12::new(size, (&luma, stride), (&chroma, stride))
        .map(|picture| {
            convert(picture.into(), space, Order::Rgb, &mut rgb, &mut Scratch::default())
        })
        .expect("planes of the picture's size")
        .expect("three bytes for each pixel of a picture in private memory");
    Ok(write_png(&args.output, size, &rgb)?)
}

/// The RTSP client, and what follows from it.
fn client(stream: &StreamInfo) -> String {
    let why = stream.client_why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    match stream.client {
        Some(RtspClient::Ffmpeg) => {
            format!("ffmpeg{why}: loss unknown, frames one interval later than with retina")
        }
        Some(client) => client.name().to_owned(),
        None => "none".to_owned(),
    }
}

fn report(args: &TryArgs, url: &CameraUrl, probe: &Probe) -> String {
    let stream = &probe.stream;
    let profile = stream.profile.map(|profile| format!(" ({profile})")).unwrap_or_default();
    let nominal = stream.fps.map_or_else(|| "not stated".into(), |fps| format!("{fps} stated"));
    let measured = match probe.rate.per_second() {
        Some(fps) => format!("{fps:.2} measured over {:.1} s", probe.rate.span().as_secs_f64()),
        None => "too few frames to measure".into(),
    };
    let stanza = Stanza::new(&args.url, url, args.transport, args.rtsp_client);
    let mut lines = vec![
        format!("{url} works"),
        format!("  codec      {}{profile}", stream.codec.name()),
        format!("  size       {}x{}", probe.newest.width(), probe.newest.height()),
        format!("  pixels     {}", probe.newest.format_name()),
        format!("  fps        {nominal}, {measured}"),
        format!("  carrier    {}", stream.carrier),
        format!("  client     {}", client(stream)),
        format!("  decoder    {}", probe.decoder),
        format!(
            "  age        {:.1} ms from a frame's first packet to its picture",
            probe.age_ns as f64 / 1e6
        ),
        format!("  picture    {}", args.output.display()),
    ];
    if probe.corrupt > 0 {
        lines.push(format!("  warning    {} packets did not decode", probe.corrupt));
    }
    lines.push(format!("\nFor the config:\n\n{stanza}"));
    if stanza.hides_password {
        lines.push(format!(
            "The password is not in it: start `vas run` with {PASSWORD_VARIABLE} set to it.\n"
        ));
    }
    lines.join("\n")
}
