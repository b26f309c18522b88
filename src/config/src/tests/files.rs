//! Files, and what the service needs besides cameras.

use super::*;

#[test]
fn cameras_may_stand_in_several_files_and_tables_in_one() {
    let mut files = file(&format!("[export]\nslots = 8\n{GATE}"));
    let add = |files: &mut ConfigFiles, name: &str, text: &str| {
        files.add(&Path::new("conf.d").join(name), Path::new("/etc/vas/conf.d"), text.into());
    };
    add(&mut files, "a.toml", "[defaults]\nidle = \"decode\"\n");
    let mut wrong = files.clone();
    add(&mut files, "b.toml", "[[camera]]\nid = \"yard\"\nurl = \"yard.mp4\"\n");
    let config = understand(&files, &environment()).unwrap();
    assert_eq!(config.export.slots, Some(8));
    let [gate, yard] = config.cameras.as_slice() else { panic!("{config:?}") };
    assert_eq!(
        (gate.id.as_str(), gate.idle, yard.idle),
        ("gate", WhenIdle::Decode, WhenIdle::Decode)
    );
    assert_eq!(yard.inputs[0].url, CameraUrl::File("/etc/vas/conf.d/yard.mp4".into()));

    add(&mut wrong, "b.toml", &format!("{GATE}x = 1\n[export]\nslots = 9\n"));
    let problems = understand(&wrong, &environment()).unwrap_err().to_string();
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(
        lines[0],
        "conf.d/b.toml:2:6: camera \"gate\": `id` is taken by the camera at cameras.toml:4; each camera \
         needs its own"
    );
    assert!(
        lines[1].starts_with("conf.d/b.toml:4:1: camera \"gate\": unknown key `x`"),
        "{problems}"
    );
    assert_eq!(
        lines[2],
        "conf.d/b.toml:5:2: `[export]` is already at cameras.toml:1; only cameras may be spread over \
         several files"
    );
}

#[test]
fn the_number_of_shards_has_bounds() {
    assert_eq!(config(GATE).shards, None);
    assert_eq!(config(&format!("[service]\nshards = 4\n{GATE}")).shards.map(u32::from), Some(4));
    assert_eq!(
        one(problems(&format!("[service]\nshards = 0\n{GATE}"))),
        "cameras.toml:2:10: [service]: `shards`: 0 is out of range; expected 1 to 64"
    );
}

#[test]
fn a_config_without_a_camera_is_refused() {
    assert_eq!(
        one(problems("")),
        "cameras.toml: no camera; add a [[camera]] table with `id` and `url`"
    );
}

#[test]
fn a_place_for_status_must_be_known() {
    let nowhere = Environment::default();
    let problems = understand(&file(GATE), &nowhere).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "cameras.toml: no folder for status.json: XDG_RUNTIME_DIR is not set to an absolute path; \
         set `run_dir` in [service]"
    );
    let set = format!("[service]\nrun_dir = \"/tmp/vas\"\n{GATE}");
    assert!(understand(&file(&set), &nowhere).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cameras.toml");
    let words = load(&path, &environment()).unwrap_err().to_string();
    assert!(words.starts_with(&format!("cannot read config file {}: ", path.display())), "{words}");
    assert!(words.contains("No such file"), "{words}");
}

#[test]
fn the_run_dir_is_found_in_a_config_whose_passwords_are_not_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cameras.toml");
    let run_dir = |text: &str| {
        std::fs::write(&path, text).unwrap();
        run_dir(&path, &Environment { is_root: true, ..Environment::default() })
    };
    let camera = "[[camera]]\nid = \"a\"\nurl = \"rtsp://a:${NOT_SET}@b/c\"\n";
    assert_eq!(run_dir(camera).unwrap(), PathBuf::from("/run/vas"));
    let named = format!("[service]\nrun_dir = \"/srv/vas\"\n{camera}");
    assert_eq!(run_dir(&named).unwrap(), PathBuf::from("/srv/vas"));
    for (text, words) in [
        ("[service]\nrun_dir = \"srv\"\n", "srv"),
        ("[service]\nrun_dir = 1\n", "`run_dir`: expected"),
        ("[service\n", "TOML"),
    ] {
        let error = run_dir(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
