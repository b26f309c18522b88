use super::*;

fn read(text: &str) -> Vec<Wanted> {
    understand(text).unwrap_or_else(|findings| panic!("{}", lines(text, findings)))
}

fn lines(text: &str, findings: Vec<Finding>) -> String {
    problems("s.toml".as_ref(), text, findings).to_string()
}

fn refused(text: &str) -> String {
    lines(text, understand(text).unwrap_err())
}

const GOOD: &str = "[[subscription]]\ncamera = \"gate\"\nmodel = \"people\"\n";

#[test]
fn all_keys_and_their_defaults() {
    let wanted = read(&format!(
        "{GOOD}\n[[subscription]]\ncamera = \"gate\"\nmodel = \"plates\"\nmax_fps = 29.97\nstride = 2\n\
         active = false\n"
    ));
    assert_eq!(wanted[0].limit, Limit::UNLIMITED);
    assert!(wanted[0].active);
    assert_eq!(wanted[1].model.as_str(), "plates");
    assert_eq!(wanted[1].limit, Limit::per_second(30000, 1001).with_stride(2));
    assert!(!wanted[1].active);
}

#[test]
fn a_maximum_is_read_as_it_is_written() {
    for (typed, num, den) in [
        ("5", 5, 1),
        ("12.5", 25, 2),
        ("0.1", 1, 10),
        ("\"30000/1001\"", 30000, 1001),
        ("1_0", 10, 1),
    ] {
        let wanted = read(&format!("{GOOD}max_fps = {typed}\n"));
        assert_eq!(wanted[0].limit, Limit::per_second(num, den), "{typed}");
    }
    for (typed, found) in [
        ("0", "0"),
        ("-1", "-1"),
        ("nan", "nan"),
        ("1e3", "1e3"),
        ("\"x\"", "\"x\""),
        ("[]", "an array"),
    ] {
        assert_eq!(
            refused(&format!("{GOOD}max_fps = {typed}\n")),
            format!(
                "s.toml:4:11: subscription 1: `max_fps`: expected a number above 0 such as 5, 12.5 or \
                 \"30000/1001\", found {found}"
            )
        );
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "subscriptions = 1\n\
                [[subscription]]\nmodel = \"a/b\"\ncamera = 7\nmaxfps = 5\n\
                [[subscription]]\ncamera = \"gate\"\nmodel = \"people\"\nstride = 2\nactive = 1\nzzz = 0\n";
    assert_eq!(
        refused(text),
        "s.toml:1:1: unknown key `subscriptions`; did you mean `subscription`?\n\
         s.toml:4:10: subscription 1: `camera`: expected the id of a camera such as \"gate\", found 7\n\
         s.toml:5:1: subscription 1: unknown key `maxfps`; did you mean `max_fps`?\n\
         s.toml:9:10: subscription 2: `stride` counts frames, which is no maximum by itself; add \
         `max_fps`\n\
         s.toml:10:10: subscription 2: `active`: expected true or false, found 1\n\
         s.toml:11:1: subscription 2: unknown key `zzz`; valid here: camera, model, max_fps, stride, \
         active"
    );
}

#[test]
fn what_has_to_be_there_is_asked_for() {
    assert_eq!(
        refused("[[subscription]]\nmodel = \"people\"\n"),
        "s.toml:1:1: subscription 1: `camera` is missing; expected the id of a camera such as \"gate\""
    );
    assert!(refused("").starts_with("s.toml: no subscription; add a [[subscription]] table"));
    assert_eq!(
        refused("subscription = 1"),
        "s.toml:1:16: `subscription`: expected a [[subscription]] table for each, found 1"
    );
    assert!(refused("subscription = [1]").contains("expected a [[subscription]] table for each"));
    assert!(refused("x = ").starts_with("s.toml:1:"), "{}", refused("x = "));
    assert!(
        refused(&GOOD.replace("gate", "a/b")).contains("s.toml:2:10: subscription 1: `camera`: ")
    );
}

#[test]
fn a_model_subscribes_to_a_camera_once() {
    assert_eq!(
        refused(&format!("{GOOD}\n{GOOD}\n{GOOD}").replace("]]\n\n", "]]\n")),
        "s.toml:5:1: model people is subscribed to camera gate at line 1 already\n\
         s.toml:9:1: model people is subscribed to camera gate at line 1 already"
    );
    assert_eq!(read(&format!("{GOOD}\n{}", GOOD.replace("gate", "yard"))).len(), 2);
}

#[test]
fn the_file_is_named() {
    let missing = read_subscriptions("/nonexistent.toml".as_ref()).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read subscriptions file /nonexistent.toml: "), "{missing}");
}
