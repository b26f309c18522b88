//! Parameters for MediaSoup: the argument of `plainTransport.produce()`.

use serde_json::{Value, json};
use vas_config::Producer;
use vas_frame::CameraId;
use vas_rtp::{Identity, Profile, ProfileLevelId};

/// The stream's identity, as `vas producer-parameters` reports it to MediaSoup.
pub fn identity(camera: &CameraId, producer: &Producer) -> Identity {
    Identity {
        ssrc: producer.ssrc,
        payload_type: producer.payload_type,
        cname: format!("vas-{camera}"),
    }
}

/// The argument, ready for use.
pub fn produce(identity: &Identity, profile: ProfileLevelId) -> Value {
    json!({
        "kind": "video",
        "rtpParameters": {
            "codecs": [{
                "mimeType": "video/H264",
                "payloadType": identity.payload_type,
                "clockRate": 90_000,
                "parameters": {
                    "packetization-mode": 1,
                    "profile-level-id": profile.to_string(),
                    "level-asymmetry-allowed": 1,
                },
                // The feedback that we answer, which excludes retransmission (`nack`).
                "rtcpFeedback": [
                    { "type": "nack", "parameter": "pli" },
                    { "type": "ccm", "parameter": "fir" },
                ],
            }],
            "encodings": [{ "ssrc": identity.ssrc }],
            "rtcp": { "cname": identity.cname },
        },
    })
}

/// The codec that the router must list for this profile; `None` when every router with H.264 has
/// it.
pub fn router_codec(profile: ProfileLevelId) -> Option<String> {
    match profile.profile() {
        // Equals 42e01f, MediaSoup's own example of H.264.
        Some(Profile::ConstrainedBaseline) => None,
        Some(name) => Some(format!(
            "the camera sends {name} ({profile}): the router must list it among its mediaCodecs, as \
             {{ kind: 'video', mimeType: 'video/H264', clockRate: 90000, parameters: \
             {{ 'packetization-mode': 1, 'profile-level-id': '{profile}', \
             'level-asymmetry-allowed': 1 }} }}"
        )),
        None => Some(format!(
            "the camera sends a profile that WebRTC does not define ({profile}), and MediaSoup will refuse \
             it; set Baseline, Main or High in the camera, or `video = \"h264\"` here"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_declares_what_is_sent() {
        let identity = Identity { ssrc: 7, payload_type: 101, cname: "vas-gate".into() };
        let profile = ProfileLevelId([0x4d, 0x00, 0x1f]);
        let argument = produce(&identity, profile);
        let parameters = &argument["rtpParameters"];
        assert_eq!(parameters["encodings"][0]["ssrc"], 7);
        assert_eq!(parameters["codecs"][0]["payloadType"], 101);
        assert_eq!(parameters["codecs"][0]["parameters"]["profile-level-id"], "4d001f");
        assert_eq!(parameters["rtcp"]["cname"], "vas-gate");
    }

    #[test]
    fn the_router_needs_an_entry_except_for_the_usual_profile() {
        assert_eq!(router_codec(ProfileLevelId([0x42, 0xc0, 0x1f])), None);
        let main = router_codec(ProfileLevelId([0x4d, 0x00, 0x1f])).unwrap();
        assert!(main.contains("Main (4d001f)") && main.contains("mediaCodecs"), "{main}");
        let odd = router_codec(ProfileLevelId([0x7a, 0x00, 0x1f])).unwrap();
        assert!(odd.contains("refuse"), "{odd}");
    }
}
