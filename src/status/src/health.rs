//! Whether the service or one of its cameras is healthy: for container probes.

use std::time::Duration;

use super::freshness::Stale;
use super::report::{CameraReport, ServiceStatus};
use super::state::{InputState, ShardState};

/// Why something is unhealthy.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Unhealthy {
    /// The status can't be read.
    #[error("{0}")]
    Unknown(String),
    /// The status has not been updated for too long.
    #[error("{0}")]
    Stale(Stale),
    /// No camera has been reported yet.
    #[error("the service has no camera yet")]
    Starting,
    /// A shard has been given up.
    #[error("shard {shard} has been given up until a restart: {reason}")]
    Shard {
        /// Its number.
        shard: u32,
        /// What was last reported of it.
        reason: String,
    },
    /// The requested camera does not stream.
    #[error("camera {camera} is {state}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Camera {
        /// Its id.
        camera: String,
        /// Its state.
        state: InputState,
        /// Why.
        reason: String,
    },
    /// There is no such camera.
    #[error("no camera {camera}; known are {known}")]
    NoCamera {
        /// The requested id.
        camera: String,
        /// Known ids, the first few.
        known: String,
    },
}

/// Judges a status that was written `age` ago: a camera by its state; the service by whether
/// anything has been given up that only a restart would bring back. A camera that is away is no
/// fault of the service.
///
/// # Errors
/// What is wrong.
pub fn judge(
    status: &ServiceStatus,
    age: Result<Duration, Stale>,
    camera: Option<&str>,
) -> Result<String, Unhealthy> {
    let age = age.map_err(Unhealthy::Stale)?;
    if status.cameras.is_empty() {
        return Err(Unhealthy::Starting);
    }
    let age = format!("written {:.1} s ago", age.as_secs_f64());
    if let Some(id) = camera {
        return judge_camera(&status.cameras, id).map(|words| format!("{words}; {age}"));
    }
    if let Some(failed) = status.shards.iter().find(|s| s.health.state == ShardState::Failed) {
        let reason = failed.health.reason.clone();
        return Err(Unhealthy::Shard { shard: failed.shard, reason });
    }
    let streaming = status.cameras.iter().filter(|camera| is_up(camera)).count();
    Ok(format!("{streaming} of {} cameras streaming; {age}", status.cameras.len()))
}

fn judge_camera(cameras: &[CameraReport], id: &str) -> Result<String, Unhealthy> {
    let Some(camera) = cameras.iter().find(|camera| camera.id == id) else {
        let known: Vec<_> = cameras.iter().take(8).map(|camera| camera.id.as_str()).collect();
        let more = if cameras.len() > known.len() { ", ..." } else { "" };
        let known = known.join(", ") + more;
        return Err(Unhealthy::NoCamera { camera: id.into(), known });
    };
    if !is_up(camera) {
        let (state, reason) = (camera.input.state, camera.input.reason.clone());
        return Err(Unhealthy::Camera { camera: id.into(), state, reason });
    }
    Ok(format!("camera {id} is streaming"))
}

fn is_up(camera: &CameraReport) -> bool {
    camera.input.state == InputState::Streaming
}

#[cfg(test)]
mod tests {
    use super::super::sample::{full_camera, full_status};
    use super::*;

    const AGE: Result<Duration, Stale> = Ok(Duration::from_millis(400));

    fn words(status: &ServiceStatus, camera: Option<&str>) -> Result<String, String> {
        judge(status, AGE, camera).map_err(|unhealthy| unhealthy.to_string())
    }

    #[test]
    fn a_camera_that_is_away_is_its_own_fault_only() {
        let mut status = full_status();
        let mut away = full_camera("yard");
        away.input.state = InputState::Waiting;
        away.input.reason = "refused".into();
        status.cameras.push(away);
        assert_eq!(words(&status, None).unwrap(), "1 of 2 cameras streaming; written 0.4 s ago");
        assert_eq!(
            words(&status, Some("gate")).unwrap(),
            "camera gate is streaming; written 0.4 s ago"
        );
        assert_eq!(words(&status, Some("yard")).unwrap_err(), "camera yard is waiting: refused");
        assert_eq!(words(&status, Some("x")).unwrap_err(), "no camera x; known are gate, yard");
    }

    #[test]
    fn what_only_a_restart_brings_back_is_the_services_fault() {
        let mut status = full_status();
        for (state, healthy) in
            [(ShardState::Waiting, true), (ShardState::Starting, true), (ShardState::Failed, false)]
        {
            status.shards[0].health.state = state;
            assert_eq!(words(&status, None).is_ok(), healthy, "{state:?}");
        }
        status.cameras.clear();
        assert_eq!(words(&status, None).unwrap_err(), "the service has no camera yet");
    }

    #[test]
    fn an_old_status_is_no_health() {
        let status = full_status();
        let stale =
            status.fresh(status.written_ns + 9_000_000_000, Duration::from_secs(2), || false);
        assert!(matches!(judge(&status, stale, Some("gate")), Err(Unhealthy::Stale(_))));
    }
}
