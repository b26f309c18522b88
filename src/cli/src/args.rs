//! Arguments that both programs read.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use vas_config::{rtsp_client, transport};
use vas_frame::CameraId;
use vas_request::{RtspClient, Transport};

/// The config file, for the verbs that take one.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The config file (TOML).
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// Run some of the cameras of a service, for its supervisor
#[derive(Debug, Args)]
#[command(after_help = SHARD_EXAMPLES)]
pub struct ShardArgs {
    /// The shard's number, which identifies it in process lists.
    _number: u32,
}

const SHARD_EXAMPLES: &str = "\
Examples:
  vas run --config cameras.toml       starts `vas shard 0`, and one more for each further GPU";

/// Connect to a camera, report what it sends, and print a config stanza for it
///
/// Needs no config and exports nothing. A picture is written to a PNG file.
#[derive(Debug, Args)]
#[command(after_help = TRY_EXAMPLES)]
pub struct TryArgs {
    /// The url as in a config: rtsp://, rtsps://, a file, or testsrc:WIDTHxHEIGHT@FPS. `${NAME}`
    /// is replaced from the environment, which keeps a password out of the process list.
    pub url: String,
    /// RTP transport.
    #[arg(long, default_value = "auto", value_parser = transports())]
    pub transport: Transport,
    /// RTSP client.
    #[arg(long, default_value = "auto", value_parser = clients())]
    pub rtsp_client: RtspClient,
    /// How long to wait for the camera, and then for its first picture.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// Where to write the picture; an existing file is replaced atomically.
    #[arg(short, long, value_name = "FILE.png", default_value = "vas-try.png")]
    pub output: PathBuf,
}

const TRY_EXAMPLES: &str = "\
Examples:
  vas try rtsp://10.0.0.2/stream
  CAMERA_PASSWORD=secret vas try 'rtsp://admin:${CAMERA_PASSWORD}@10.0.0.2/stream' -o gate.png
  vas try testsrc:1280x720@25

The single quotes keep the shell from expanding the variable.";

fn transports() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(["auto", "tcp", "udp"]).try_map(|word| transport::parse(&word))
}

fn clients() -> impl TypedValueParser<Value = RtspClient> {
    PossibleValuesParser::new(["auto", "retina", "ffmpeg"])
        .try_map(|word| rtsp_client::parse(&word))
}

/// Print the argument of MediaSoup's plainTransport.produce() for a camera
///
/// The profile is that of the running service's stream; without a service, the command connects to
/// the camera. The JSON goes to standard output; a note on what the router also needs goes to
/// standard error.
#[derive(Debug, Args)]
#[command(after_help = PRODUCER_PARAMETERS_EXAMPLES)]
pub struct ProducerParametersArgs {
    /// Id of the camera, as in the config.
    pub camera: CameraId,
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
}

const PRODUCER_PARAMETERS_EXAMPLES: &str = "\
Examples:
  vas producer-parameters gate --config cameras.toml
  vas producer-parameters gate -c cameras.toml | jq .rtpParameters.encodings[0].ssrc

docs/guide/mediasoup.md shows where to pass it.";

/// Parses a time limit in seconds above zero, with or without a fraction.
///
/// # Errors
/// What was expected.
pub fn seconds(typed: &str) -> Result<Duration, String> {
    typed
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "expected a number of seconds above 0, such as 10 or 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_seconds() {
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "0", "-1", "x", "nan", "inf", "1e300", "10s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
