//! The messages for each way in which a config file can be wrong, and the meaning of correct ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vas_request::Transport;
use vas_scale::{Fit, Request};

use super::file_mode::FileMode;
use super::*;

mod files;
mod producer;

fn environment() -> Environment {
    let variables = [
        ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ("CAMERA_PASSWORD", "s3cret"),
        ("SLASHED", "s3/cret"),
        ("GATE", "gate"),
    ];
    Environment {
        variables: variables.map(|(k, v)| (OsString::from(k), OsString::from(v))).into(),
        is_root: false,
        groups: "video:x:44:\n".into(),
    }
}

fn config(text: &str) -> Config {
    understand(&file(text), &environment()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The lines that a user sees for `text`.
fn problems(text: &str) -> Vec<String> {
    let problems = understand(&file(text), &environment()).expect_err("refused");
    problems.to_string().lines().map(str::to_owned).collect()
}

fn file(text: &str) -> ConfigFiles {
    ConfigFiles::of(Path::new("cameras.toml"), Path::new("/etc/vas"), text.as_bytes())
}

/// The one line for a `[[camera]]` named gate that has `line` as its line 4.
fn camera_problem(line: &str) -> String {
    let text = format!("[[camera]]\nid = \"gate\"\nurl = \"rtsp://cam/\"\n{line}\n");
    one(problems(&text))
}

/// The one line for an `[export]` that has `line` as its line 2.
fn export_problem(line: &str) -> String {
    one(problems(&format!("[export]\n{line}\n{GATE}")))
}

fn one(mut lines: Vec<String>) -> String {
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

const GATE: &str = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://cam/\"\n";

#[test]
fn the_least_config_has_all_defaults() {
    let config = config(GATE);
    assert_eq!(config.run_dir, PathBuf::from("/run/user/1000/vas"));
    assert_eq!(
        config.export,
        Export {
            dir: "/dev/shm/vas".into(),
            slots: None,
            hold: Duration::from_millis(500),
            group: None,
            mode: FileMode::DEFAULT,
        }
    );
    let [camera] = config.cameras.as_slice() else { panic!("{config:?}") };
    assert_eq!(camera.id.as_str(), "gate");
    let [input] = camera.inputs.as_slice() else { panic!("{camera:?}") };
    assert_eq!(input.url.to_secret_string(), "rtsp://cam/");
    assert_eq!(input.roles, Roles::ALL);
    assert_eq!(input.transport, Transport::Auto);
    assert_eq!(camera.decode, Decode::Auto);
    assert_eq!(input.connect_timeout, Duration::from_secs(10));
    assert_eq!(input.read_timeout, Duration::from_secs(10));
}

#[test]
fn a_full_config_is_understood() {
    let config = config(
        r#"
        [service]
        run_dir = "/srv/vas"
        [export]
        dir = "/dev/shm/frames"
        slots = 32
        hold = "1s"
        group = "video"
        mode = "0600"
        [defaults]
        transport = "tcp"
        read_timeout = "5s"
        gpu = 1
        [[camera]]
        id = "${GATE}"
        url = "rtsp://admin:${CAMERA_PASSWORD}@10.0.0.2/a$$b"
        [[camera]]
        id = "yard"
        url = "clips/yard.mp4"
        transport = "udp"
        decode = "nvdec"
        gpu = "auto"
        connect_timeout = "1m"
        "#,
    );
    assert_eq!(config.run_dir, PathBuf::from("/srv/vas"));
    assert_eq!(config.export.dir, PathBuf::from("/dev/shm/frames"));
    assert_eq!(config.export.slots, Some(32));
    assert_eq!(config.export.hold, Duration::from_secs(1));
    assert_eq!(config.export.group.as_ref().map(|group| group.id), Some(44));
    assert_eq!(config.export.mode.file_bits(), 0o600);
    let [gate, yard] = config.cameras.as_slice() else { panic!("{config:?}") };
    assert_eq!(gate.id.as_str(), "gate");
    assert_eq!((gate.decode, yard.decode), (Decode::Auto, Decode::Nvdec));
    assert_eq!((gate.gpu, yard.gpu), (GpuChoice::Number(1), GpuChoice::Auto));
    let (gate, yard) = (&gate.inputs[0], &yard.inputs[0]);
    assert_eq!(gate.url.to_secret_string(), "rtsp://admin:s3cret@10.0.0.2/a$b");
    assert_eq!((gate.transport, yard.transport), (Transport::Tcp, Transport::Udp));
    assert_eq!(gate.read_timeout, Duration::from_secs(5));
    assert_eq!(yard.read_timeout, Duration::from_secs(5));
    assert_eq!(yard.connect_timeout, Duration::from_secs(60));
    assert_eq!(yard.url, CameraUrl::File("/etc/vas/clips/yard.mp4".into()));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn unknown_keys_get_the_nearest_valid_one() {
    assert_eq!(
        camera_problem("transprot = \"tcp\""),
        "cameras.toml:4:1: camera \"gate\": unknown key `transprot`; did you mean `transport`?"
    );
    assert_eq!(
        export_problem("slot = 4"),
        "cameras.toml:2:1: [export]: unknown key `slot`; did you mean `slots`?"
    );
    assert_eq!(
        export_problem("zzz = 4"),
        "cameras.toml:2:1: [export]: unknown key `zzz`; valid here: dir, slots, hold, group, mode"
    );
    assert_eq!(
        one(problems("[[cameras]]\nid = \"gate\"\n")),
        "cameras.toml:1:3: unknown key `cameras`; did you mean `camera`?"
    );
    assert_eq!(
        one(problems(&format!("[defaults]\nurl = \"rtsp://cam/\"\n{GATE}"))),
        "cameras.toml:2:1: [defaults]: unknown key `url`; valid here: transport, \
         rtsp_client, connect_timeout, read_timeout, decode, gpu, decode_frames, idle, export"
    );
}

#[test]
fn each_input_has_roles_of_its_own() {
    let config = config(
        "[defaults]\nread_timeout = \"7s\"\n[[camera]]\nid = \"gate\"\ntransport = \"tcp\"\n\
         [[camera.input]]\nurl = \"rtsp://cam/main\"\nroles = [\"record\", \"producer\"]\n\
         [[camera.input]]\nurl = \"rtsp://cam/sub\"\nroles = [\"export\"]\ntransport = \"udp\"\n\
         [[camera]]\nid = \"hall\"\n[[camera.input]]\nurl = \"rtsp://cam/\"\n",
    );
    let [gate, hall] = config.cameras.as_slice() else { panic!("{config:?}") };
    let [main, sub] = gate.inputs.as_slice() else { panic!("{gate:?}") };
    assert_eq!(
        (main.roles.to_string(), sub.roles.to_string()),
        ("record, producer".into(), "export".into())
    );
    assert_eq!((main.transport, sub.transport), (Transport::Tcp, Transport::Udp));
    assert_eq!(sub.read_timeout, Duration::from_secs(7));
    assert_eq!(hall.inputs[0].roles, Roles::ALL);
}

#[test]
fn recording_is_off_until_a_folder_is_named_and_each_camera_may_differ() {
    assert_eq!(config(GATE).cameras[0].record, None);
    let config = config(&format!(
        "[record]\ndir = \"/srv/rec\"\nkeep_for = \"12h\"\n{GATE}\
         [[camera]]\nid = \"hall\"\nurl = \"rtsp://cam/\"\nrecord = false\n\
         [[camera]]\nid = \"yard\"\nurl = \"rtsp://cam/\"\n\
         [camera.record]\nsound = false\nsegment = \"10s\"\nkeep_for = \"forever\"\nkeep_bytes = \"5GB\"\nkeep_free = \"2GiB\"\n"
    ));
    let records: Vec<_> = config.cameras.iter().map(|camera| camera.record.clone()).collect();
    let hour = Duration::from_secs(3600);
    let dir = PathBuf::from("/srv/rec");
    let keep = Keep { time: Some(12 * hour), bytes: None, free_bytes: 1 << 30 };
    let gate = Record { dir: dir.clone(), segment: Duration::from_secs(60), sound: true, keep };
    let keep = Keep { time: None, bytes: Some(5_000_000_000), free_bytes: 2 << 30 };
    let yard = Record { dir, segment: Duration::from_secs(10), sound: false, keep };
    assert_eq!(records, [Some(gate), None, Some(yard)]);
    for (bad, words) in [
        ("dir = \"rec\"", "\"rec\" is not absolute"),
        ("segment = \"2h\"", "expected 1s to 1h"),
        ("keep_for = \"ever\"", "is no duration"),
        ("keep_bytes = \"5\"", "is no amount of storage"),
        ("keep_free = 5", "expected an amount such as"),
        ("sound = \"no\"", "expected true or false"),
        ("keep = 5", "unknown key `keep`"),
    ] {
        let problem = one(problems(&format!("{GATE}[camera.record]\n{bad}\n")));
        assert!(problem.contains("gate") && problem.contains(words), "{problem}");
    }
    assert!(camera_problem("record = \"no\"").contains("expected a table"));
}

#[test]
fn inputs_that_contradict_each_other_are_refused() {
    let gate = |rest: &str| problems(&format!("[[camera]]\nid = \"gate\"\n{rest}"));
    let input = "[[camera.input]]\nurl = \"rtsp://cam/\"\n";
    let both = one(gate(&format!(
        "{input}roles = [\"export\"]\n{input}roles = [\"record\", \"export\"]\n"
    )));
    assert_eq!(
        both,
        "cameras.toml:8:20: camera \"gate\": role `export` is taken by the input at line 3; each \
         role belongs to one input of a camera"
    );
    let unsaid = gate(&format!("{input}{input}"));
    assert_eq!(unsaid.len(), 3, "{unsaid:#?}");
    assert!(one(gate(&format!("{input}roles = []\n"))).contains("this input has no role"));
    assert!(one(gate(&format!("{input}roles = [\"rec\"]\n"))).contains("\"rec\" is no role"));
    assert!(one(gate(&format!("{input}roles = \"record\"\n"))).contains("expected a list such as"));
    assert!(one(gate("[[camera.input]]\n")).contains("camera \"gate\": `url` is missing"));
    assert!(one(gate(&format!("url = \"a.mp4\"\n{input}"))).contains("exclude each other"));
    assert!(gate("input = \"a\"\n")[1].contains("a [[camera.input]] table for each input"));
}

#[test]
fn a_cameras_export_is_its_own_or_the_default() {
    let config = config(&format!(
        "[defaults]\nidle = \"decode\"\nexport.max_fps = 12.5\n{GATE}\
         [[camera]]\nid = \"hall\"\nurl = \"rtsp://cam/\"\nidle = \"stop\"\n\
         [camera.export]\nmax_fps = \"30000/1001\"\n"
    ));
    let rates: Vec<_> = config.cameras.iter().map(|c| c.max_fps.unwrap().to_string()).collect();
    assert_eq!(rates, ["25/2", "30000/1001"]);
    let idle: Vec<_> = config.cameras.iter().map(|camera| camera.idle).collect();
    assert_eq!(idle, [WhenIdle::Decode, WhenIdle::Stop]);
    for (bad, words) in [
        ("max_fps = 0", "`max_fps`: no frame rate; expected a number above 0"),
        ("max_fps = -5", "`max_fps`: no frame rate"),
        ("max_fps = true", "`max_fps`: expected a frame rate such as 5"),
        ("max_fsp = 5", "unknown key `max_fsp`; did you mean `max_fps`?"),
    ] {
        let problem = one(problems(&format!("{GATE}[camera.export]\n{bad}\n")));
        assert!(problem.contains("gate") && problem.contains(words), "{problem}");
    }
}

#[test]
fn the_size_of_exported_frames_is_inherited_key_by_key() {
    let config = config(&format!(
        "[defaults]\nexport.width = 640\nexport.fit = \"letterbox\"\n{GATE}\
         [[camera]]\nid = \"hall\"\nurl = \"rtsp://cam/\"\nexport.height = 480\nexport.width = 320\n"
    ));
    let sizes: Vec<_> = config.cameras.iter().map(|camera| camera.export_size).collect();
    let fit = Fit::Letterbox;
    let gate = Request { width: Some(640), height: None, fit };
    assert_eq!(sizes, [gate, Request { width: Some(320), height: Some(480), fit }]);
    assert!(config.cameras[0].scales_export());
    for (bad, words) in [
        ("width = 0", "`width`: 0 is out of range; expected 1 to 16384"),
        ("height = 16385", "`height`: 16385 is out of range"),
        ("width = \"640\"", "`width`: expected a number of pixels such as 640"),
        ("fit = \"fill\"", "`fit`: \"fill\" is unknown; expected \"fit\", \"stretch\" or"),
        ("widht = 5", "unknown key `widht`; did you mean `width`?"),
    ] {
        let problem = one(problems(&format!("{GATE}[camera.export]\n{bad}\n")));
        assert!(problem.contains("gate") && problem.contains(words), "{problem}");
    }
    let problem = camera_problem("export.width = 640\nexport.fit = \"letterbox\"");
    assert!(problem.contains("needs both `width` and `height`"), "{problem}");
}

#[test]
fn a_render_node_is_named_by_its_path_and_scales_for_the_export() {
    let config = config(
        "[[camera]]\nid = \"gate\"\nurl = \"rtsp://gate/\"\ndecode = \"vaapi\"\ngpu = \"/dev/dri/renderD129\"\n\
         export.width = 160\n\
         [[camera]]\nid = \"hall\"\nurl = \"rtsp://hall/\"\ndecode = \"vaapi\"\ngpu = 1\n",
    );
    let [gate, hall] = &config.cameras[..] else { panic!("two cameras") };
    assert_eq!((gate.gpu, hall.gpu), (GpuChoice::Node(129), GpuChoice::Number(1)));
    assert_eq!(gate.gpu.to_string(), "/dev/dri/renderD129");
}

/// Whoever decodes the frames scales them.
#[test]
fn a_scaled_export_changes_nothing_about_what_decodes() {
    for (decode, on_gpu) in [("auto", true), ("nvdec", true), ("software", false)] {
        let config = config(&format!("{GATE}decode = {decode:?}\nexport.width = 160\n"));
        let gate = &config.cameras[0];
        assert!(gate.scales_export());
        assert_eq!(gate.may_decode_on_gpu(true), on_gpu, "{decode}");
        assert!(!gate.may_decode_on_gpu(false), "nobody takes frames");
    }
}

#[test]
fn values_of_another_type_say_what_was_expected() {
    assert_eq!(
        camera_problem("read_timeout = 10"),
        "cameras.toml:4:16: camera \"gate\": `read_timeout`: expected a duration such as \"10s\", \
         found a whole number"
    );
    assert_eq!(
        export_problem("mode = 0o640"),
        "cameras.toml:2:8: [export]: `mode`: expected an octal string such as \"0640\", found a \
         whole number"
    );
    assert_eq!(
        export_problem("slots = \"four\""),
        "cameras.toml:2:9: [export]: `slots`: expected a whole number such as 16, found a string"
    );
    assert!(export_problem("slots = 1.5").ends_with("found a fraction"));
    assert!(export_problem("slots = true").ends_with("found true or false"));
    assert!(export_problem("slots = [1]").ends_with("found an array"));
    assert!(export_problem("slots = 99999999999999999999").ends_with("a number beyond 64 bits"));
    assert!(export_problem("dir = 2026-01-01").ends_with("found a date"));
    assert_eq!(
        one(problems("[camera]\nid = \"gate\"\n")),
        "cameras.toml:1:1: `camera`: expected a [[camera]] table for each camera, found a table"
    );
    assert_eq!(
        one(problems("camera = [\"rtsp://cam/\"]\n")),
        "cameras.toml:1:11: `camera`: expected a [[camera]] table for each camera, found a string"
    );
    assert_eq!(
        one(problems(&format!("export = \"/dev/shm\"\n{GATE}"))),
        "cameras.toml:1:10: `export`: expected a table, found a string"
    );
}

#[test]
fn missing_keys_are_named_at_the_camera() {
    assert_eq!(
        problems("[[camera]]\n\n[[camera]]\nid = \"gate\"\n"),
        [
            "cameras.toml:1:1: camera 1: `id` is missing; expected a name such as \"gate\"",
            "cameras.toml:1:1: camera 1: `url` is missing; expected a string such as \
             \"rtsp://10.0.0.2/stream\"",
            "cameras.toml:3:1: camera \"gate\": `url` is missing; expected a string such as \
             \"rtsp://10.0.0.2/stream\"",
        ]
    );
}

#[test]
fn duplicate_ids_name_both_lines() {
    assert_eq!(
        one(problems(&format!("{GATE}\n[[camera]]\nid = \"${{GATE}}\"\nurl = \"a.mp4\"\n"))),
        "cameras.toml:6:6: camera \"${GATE}\": `id` is taken by the camera at line 2; each camera \
         needs its own"
    );
}

#[test]
fn ids_that_are_no_file_names_are_refused() {
    assert_eq!(
        one(problems("[[camera]]\nid = \"a/b\"\nurl = \"a.mp4\"\n")),
        "cameras.toml:2:6: camera \"a/b\": `id`: `a/b` is no camera id (has another character): \
         expected 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with . or -"
    );
    assert_eq!(
        one(problems("[[camera]]\nid = \"\"\nurl = \"a.mp4\"\n")),
        "cameras.toml:2:6: camera 1: `id`: `` is no camera id (empty): expected 1 to 63 of A-Z a-z \
         0-9 . _ -, not beginning with . or -"
    );
}

#[test]
fn unset_variables_are_refused() {
    assert_eq!(
        one(problems("[[camera]]\nid = \"gate\"\nurl = \"rtsp://a:${NOPE}@cam/\"\n")),
        "cameras.toml:3:7: camera \"gate\": `url`: environment variable `NOPE` is not set"
    );
}

#[test]
fn bad_urls_never_show_what_the_environment_put_in() {
    let line = one(problems("[[camera]]\nid = \"gate\"\nurl = \"rtsp://a:${SLASHED}@cam/\"\n"));
    assert!(line.contains("no port from 1 to 65535"), "{line}");
    assert!(!line.contains("s3") && !line.contains("cret"), "{line}");
}

#[test]
fn bad_values_say_what_is_accepted() {
    assert_eq!(
        camera_problem("transport = \"http\""),
        "cameras.toml:4:13: camera \"gate\": `transport`: \"http\" is no transport; expected \
         \"auto\", \"tcp\" or \"udp\""
    );
    assert_eq!(
        camera_problem("decode = \"qsv\""),
        "cameras.toml:4:10: camera \"gate\": `decode`: this build does not decode with qsv; \
         expected \"auto\", \"nvdec\" (NVIDIA), \"vaapi\" (Intel, AMD) or \"software\""
    );
    assert!(
        camera_problem("decode_frames = \"some\"").contains("\"all\", \"reference\" or \"key\"")
    );
    assert!(camera_problem("rtsp_client = \"vlc\"").contains("\"auto\", \"retina\" or \"ffmpeg\""));
    let problem = camera_problem("decode = \"nvdec\"\ngpu = \"renderD128\"");
    assert!(problem.contains("a render node, which \"nvdec\" does not use"), "{problem}");
    for gpu in ["\"first\"", "\"/dev/dri/card0\"", "-1", "\"GPU-5a\"", "1.5"] {
        let problem = camera_problem(&format!("gpu = {gpu}"));
        assert!(problem.contains("is no GPU; expected \"auto\" or its number"), "{problem}");
    }
    assert!(camera_problem("decode = \"best\"").contains("\"best\" is no decoder"));
    assert!(camera_problem("read_timeout = \"1w\"").contains("is no duration; expected"));
    assert!(camera_problem("read_timeout = \"0s\"").contains("expected 100ms to 10m"));
    assert!(export_problem("hold = \"2m\"").contains("expected 1ms to 1m"));
    assert!(export_problem("mode = \"0644\"").contains("every user of this machine"));
    assert!(export_problem("group = \"nope\"").contains("no group \"nope\" in /etc/group"));
    assert!(export_problem("dir = \"frames\"").contains("\"frames\" is not absolute"));
    for slots in ["0", "1025", "-1"] {
        assert_eq!(
            export_problem(&format!("slots = {slots}")),
            format!(
                "cameras.toml:2:9: [export]: `slots`: {slots} is out of range; expected 1 to 1024"
            )
        );
    }
}

#[test]
fn a_bad_default_is_said_once() {
    let line = one(problems(&format!("[defaults]\ntransport = \"x\"\n{GATE}")));
    assert!(line.starts_with("cameras.toml:2:13: [defaults]: `transport`: \"x\""), "{line}");
}

#[test]
fn all_problems_are_said_at_once_in_order() {
    let lines = problems(
        "[[camera]]\nid = \"a b\"\nurl = \"http://cam/\"\ntransprot = 1\n[export]\nhold = \"x\"\n",
    );
    let starts: Vec<_> = lines.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        starts,
        ["cameras.toml:2:6", "cameras.toml:3:7", "cameras.toml:4:1", "cameras.toml:6:8"]
    );
}

#[test]
fn text_that_is_no_toml_is_refused() {
    let lines = problems("[[camera]]\nid = gate\nurl = \"rtsp://cam/\n");
    assert!(lines[0].starts_with("cameras.toml:2:6: no valid TOML: "), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("cameras.toml:3:")), "{lines:#?}");
    let line = one(problems(&format!("{GATE}url = \"a.mp4\"\n")));
    assert!(line.starts_with("cameras.toml:4:1: no valid TOML: duplicate key"), "{line}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let file = ConfigFiles::of(Path::new("cameras.toml"), Path::new("/"), b"# \xc3\xbc\n\xff");
    let problems = understand(&file, &environment()).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "cameras.toml:2:1: not valid UTF-8; a config file is UTF-8 text"
    );
}

#[test]
fn columns_count_characters() {
    let line = one(problems(&format!("export = {{ \"ü\" = 1 }}\n{GATE}")));
    assert!(line.starts_with("cameras.toml:1:12: [export]: unknown key `ü`"), "{line}");
    let line = one(problems(&format!("export = {{ \"ü\" = 1, slots = 0 }}\n{GATE}")).split_off(1));
    assert!(line.starts_with("cameras.toml:1:29: [export]: `slots`"), "{line}");
}
