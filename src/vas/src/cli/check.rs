//! `vas check`: whether a config is valid, and what it means.

use std::env;
use std::fmt::{self, Write as _};

use clap::Args;
use vas_cli::{ConfigArgs, stdout};
use vas_config::{
    self, Camera, CameraUrl, Config, Decode, DurationWords, Environment, Export, Keep, Producer,
    Record, SizeWords, transport,
};

use super::failure::Failure;
use crate::flag::{self, FrameExport};

/// Check a config file and print what it means, with all defaults filled in
///
/// Connects to nothing and creates nothing. All problems are printed, each with its line; the exit
/// code is then 2.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

const EXAMPLES: &str = "\
Examples:
  vas check --config cameras.toml
  CAMERA_PASSWORD=x vas check --config cameras.toml     without the real secret";

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let export = flag::parse(env::var_os(flag::NAME).as_deref())?;
    let config = vas_config::load(&args.config.config, &Environment::of_this_process())?;
    stdout::write(&describe(&config, export)).map_err(Failure::Stdout)
}

/// A description of `config`.
fn describe(config: &Config, export: FrameExport) -> String {
    let mut text = String::new();
    write_to(&mut text, config, export).expect("a String takes all that is written to it");
    text
}

fn write_to(out: &mut String, config: &Config, export: FrameExport) -> fmt::Result {
    let Export { dir, slots, hold, group, mode } = &config.export;
    writeln!(out, "service")?;
    writeln!(out, "  status           {}", config.run_dir.join("status.json").display())?;
    match config.shards {
        Some(shards) => writeln!(out, "  shards           {shards}")?,
        None => writeln!(out, "  shards           one for each GPU, at least one")?,
    }
    writeln!(out, "  frame export     {}", flag_words(export))?;
    writeln!(out, "export")?;
    writeln!(out, "  dir              {}", dir.display())?;
    match slots {
        Some(slots) => writeln!(out, "  slots            {slots}")?,
        None => writeln!(out, "  slots            as many as `hold` takes at the camera's rate")?,
    }
    writeln!(out, "  hold             {}", DurationWords(*hold))?;
    match group {
        Some(group) => writeln!(out, "  group            {} (id {})", group.name, group.id)?,
        None => writeln!(out, "  group            the service's own")?,
    }
    writeln!(out, "  mode             {mode}")?;
    config.cameras.iter().try_for_each(|camera| write_camera(out, camera))
}

fn write_camera(out: &mut String, camera: &Camera) -> fmt::Result {
    writeln!(out, "camera {}", camera.id)?;
    for input in &camera.inputs {
        writeln!(out, "  url              {}", input.url)?;
        if camera.inputs.len() > 1 {
            writeln!(out, "  roles            {}", input.roles)?;
        }
        if matches!(input.url, CameraUrl::Rtsp(_)) {
            writeln!(out, "  transport        {}", transport::word(input.transport))?;
            writeln!(out, "  connect_timeout  {}", DurationWords(input.connect_timeout))?;
            writeln!(out, "  read_timeout     {}", DurationWords(input.read_timeout))?;
        }
    }
    if let Some(Record { dir, segment, sound, keep }) = &camera.record {
        writeln!(out, "  record           {}", dir.join(camera.id.as_str()).display())?;
        writeln!(out, "  segment          {}", DurationWords(*segment))?;
        writeln!(out, "  sound            {sound}")?;
        match keep.time {
            Some(time) => writeln!(out, "  keep_for         {}", DurationWords(time))?,
            None => writeln!(out, "  keep_for         {}", Keep::FOREVER)?,
        }
        if let Some(bytes) = keep.bytes {
            writeln!(out, "  keep_bytes       {}", SizeWords(bytes))?;
        }
        writeln!(out, "  keep_free        {}", SizeWords(keep.free_bytes))?;
    }
    writeln!(out, "  decode           {}", camera.decode)?;
    if camera.decode != Decode::Software {
        writeln!(out, "  gpu              {}", camera.gpu)?;
    }
    if camera.scales_export() {
        writeln!(out, "  export           {}", camera.export_size)?;
    }
    camera.producer.as_ref().map_or(Ok(()), |producer| write_producer(out, producer))
}

fn write_producer(out: &mut String, producer: &Producer) -> fmt::Result {
    let Producer { rtp, ssrc, payload_type, video, .. } = producer;
    let rtcp = producer.rtcp.as_ref().map_or("with RTP".into(), |rtcp| format!("to {rtcp}"));
    writeln!(out, "  producer         {video}, to {rtp}, RTCP {rtcp}")?;
    writeln!(out, "                   SSRC {ssrc}, payload type {payload_type}")
}

fn flag_words(export: FrameExport) -> String {
    match export {
        FrameExport::On => format!("on ({} is set)", flag::NAME),
        FrameExport::Off => format!("off (in this environment {} is not true)", flag::NAME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn described(text: &str, export: FrameExport) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cameras.toml");
        fs::write(&path, text).unwrap();
        let environment = Environment {
            variables: [("PASSWORD".into(), "s3cret".into())].into(),
            is_root: true,
            groups: "video:x:44:\n".into(),
        };
        describe(&vas_config::load(&path, &environment).unwrap(), export)
    }

    #[test]
    fn says_all_that_will_be_done() {
        let text = described(
            "[export]\ngroup = \"video\"\nslots = 8\n[defaults]\ntransport = \"tcp\"\n\
             [[camera]]\nid = \"gate\"\nurl = \"rtsp://admin:${PASSWORD}@10.0.0.2/a\"\n\
             read_timeout = \"1500ms\"\n\
             [[camera]]\nid = \"test_hooks\"\nurl = \"testsrc:640x360@25\"\n",
            FrameExport::On,
        );
        assert_eq!(
            text,
            "\
service
  status           /run/vas/status.json
  shards           one for each GPU, at least one
  frame export     on (AI_FRAME_EXPORT_ENABLED is set)
export
  dir              /dev/shm/vas
  slots            8
  hold             500ms
  group            video (id 44)
  mode             0640
camera gate
  url              rtsp://***@10.0.0.2/a
  transport        tcp
  connect_timeout  10s
  read_timeout     1500ms
  decode           auto
  gpu              auto
camera test_hooks
  url              testsrc:640x360@25
  decode           auto
  gpu              auto
"
        );
    }

    #[test]
    fn a_scaled_camera_decodes_as_any_other() {
        let camera = "[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.2/a\"\nexport.width = 640\n";
        let text = described(camera, FrameExport::On);
        let expected = "  decode           auto\n  gpu              auto\n  export           ";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn says_what_is_left_to_the_service() {
        let text = described("[[camera]]\nid = \"a\"\nurl = \"a.mp4\"\n", FrameExport::Off);
        assert!(text.contains("as many as `hold` takes at the camera's rate"), "{text}");
        assert!(text.contains("the service's own"), "{text}");
        assert!(text.contains("off (in this environment AI_FRAME_EXPORT_ENABLED is not true)"));
        assert!(text.contains("/a.mp4\n"), "{text}");
    }
}
