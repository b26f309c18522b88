//! The examples in the RFCs, and a simulated camera that checks answers independently.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::Md5;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512_256};

use crate::challenge::{Challenge, parse};
use crate::{Error, PasswordClient, PasswordParams, Scheme, digest};

fn answer(offered: &str, who: (&str, &str), uri: &str, body: Option<&[u8]>) -> String {
    let mut client = PasswordClient::try_from(offered).unwrap();
    let (username, password) = who;
    client.respond(&PasswordParams { username, password, uri, method: "GET", body }).unwrap()
}

/// The fields of an answer to a Digest challenge, with a fixed cnonce.
fn fixed(offered: &str, cnonce: &str, who: (&str, &str), uri: &str) -> BTreeMap<String, String> {
    let digest = digest::Digest::new(&parse(offered)[0], cnonce.into()).unwrap();
    let mut client = PasswordClient(Scheme::Digest(Box::new(digest)));
    let (username, password) = who;
    let params = PasswordParams { username, password, uri, method: "GET", body: None };
    fields(&client.respond(&params).unwrap())
}

/// The fields of an answer, by the strict grammar: `name=token` or `name="..."`, separated by ", ".
fn fields(answer: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = answer.strip_prefix("Digest ").expect("a Digest");
    loop {
        let (name, value) = rest.split_once('=').expect("a name");
        let mut out = String::new();
        if let Some(quoted) = value.strip_prefix('"') {
            let mut escaped = false;
            let mut at = 0;
            for (index, char) in quoted.char_indices() {
                at = index;
                match (escaped, char) {
                    (false, '"') => break,
                    (false, '\\') => escaped = true,
                    _ => {
                        escaped = false;
                        out.push(char);
                    }
                }
            }
            rest = &quoted[at + 1..];
        } else {
            let end = value.find(',').unwrap_or(value.len());
            out.push_str(&value[..end]);
            assert!(!out.contains(['"', ' ', '\\']), "not a token: {out:?}");
            rest = &value[end..];
        }
        assert_eq!(found.insert(name.to_owned(), out), None, "{name} twice");
        if rest.is_empty() {
            return found;
        }
        rest = rest.strip_prefix(", ").expect("a comma");
    }
}

fn hashed(algorithm: &str, text: &[u8]) -> String {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    match algorithm.to_ascii_uppercase().trim_end_matches("-SESS") {
        "MD5" => hex(&Md5::new().chain_update(text).finalize()),
        "SHA-256" => hex(&Sha256::new().chain_update(text).finalize()),
        "SHA-512-256" => hex(&Sha512_256::new().chain_update(text).finalize()),
        other => panic!("{other} was not offered"),
    }
}

/// The expected `response` by RFC 7616, section 3.4.1, or by RFC 2069 without a qop.
fn expected_response(
    reply: &BTreeMap<String, String>,
    user: &str,
    password: &str,
    body: &[u8],
) -> String {
    let algorithm = reply.get("algorithm").map_or("MD5", String::as_str);
    let h = |text: String| hashed(algorithm, text.as_bytes());
    let (nonce, uri) = (&reply["nonce"], &reply["uri"]);
    let mut a1 = format!("{user}:{}:{password}", reply["realm"]);
    if algorithm.to_ascii_lowercase().ends_with("-sess") {
        a1 = format!("{}:{nonce}:{}", h(a1), reply["cnonce"]);
    }
    let Some(qop) = reply.get("qop") else {
        return h(format!("{}:{nonce}:{}", h(a1), h(format!("GET:{uri}"))));
    };
    let a2 = match qop.as_str() {
        "auth-int" => format!("GET:{uri}:{}", hashed(algorithm, body)),
        _ => format!("GET:{uri}"),
    };
    h(format!("{}:{nonce}:{}:{}:{qop}:{}", h(a1), reply["nc"], reply["cnonce"], h(a2)))
}

const RFC_7616: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=ALG,
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

#[test]
fn rfc_7616_section_3_9_1() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let offered = RFC_7616.replace("ALG", algorithm).replace('\n', "");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let reply = fixed(&offered, cnonce, ("Mufasa", "Circle of Life"), "/dir/index.html");
        assert_eq!(reply["response"], response);
        assert_eq!((reply["algorithm"].as_str(), reply["qop"].as_str()), (algorithm, "auth"));
        assert_eq!((reply["nc"].as_str(), reply["cnonce"].as_str()), ("00000001", cnonce));
        assert_eq!(reply["opaque"], "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS");
    }
}

/// With the values of erratum 4897: those in the RFC are not from SHA-512-256.
#[test]
fn rfc_7616_section_3_9_2() {
    let offered = r#"Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256,
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", charset=UTF-8, userhash=true"#;
    let offered = offered.replace('\n', "");
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
    let who = ("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
    let reply = fixed(&offered, cnonce, who, "/doe.json");
    let response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
    let userhash = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert_eq!(reply["response"], response);
    assert_eq!((reply["username"].as_str(), reply["userhash"].as_str()), (userhash, "true"));

    let reply = fixed(&offered.replace("true", "false"), cnonce, who, "/doe.json");
    assert_eq!(reply["response"], response);
    assert_eq!(reply["username*"], "UTF-8''J%C3%A4s%C3%B8n%20Doe");
    assert!(!reply.contains_key("username") && !reply.contains_key("userhash"));
}

#[test]
fn rfc_2617_section_3_5() {
    let offered = r#"Digest realm="testrealm@host.com", qop="auth,auth-int",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let who = ("Mufasa", "Circle Of Life");
    let reply = fixed(&offered.replace('\n', ""), "0a4f113b", who, "/dir/index.html");
    assert_eq!(reply["response"], "6629fae49393a05397450978507c4ef1");
    assert!(!reply.contains_key("algorithm"), "nobody named one");
}

/// With the response of erratum 749: the one in the RFC belongs to other values.
#[test]
fn rfc_2069_section_2_4() {
    let offered = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let reply =
        fixed(&offered.replace('\n', ""), "-", ("Mufasa", "CircleOfLife"), "/dir/index.html");
    assert_eq!(reply["response"], "1949323746fe6a43ef61f9606e7febea");
    assert_eq!(reply["opaque"], "5ccc069c403ebaf9f0171e9517f40e41");
    for absent in ["qop", "nc", "cnonce", "algorithm"] {
        assert!(!reply.contains_key(absent), "{absent}");
    }
}

#[test]
fn rfc_7617() {
    let offered = r#"Basic realm="foo", charset="UTF-8""#;
    let sent = |user, password| answer(offered, (user, password), "/", None);
    assert_eq!(sent("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(sent("test", "123\u{a3}"), "Basic dGVzdDoxMjPCow==");
    assert_eq!(sent("a", ""), "Basic YTo=");
    assert_eq!(sent("a", "b"), "Basic YTpi");
}

#[test]
fn the_strongest_supported_challenge_is_answered() {
    let taken = |offered: &str| {
        let reply = answer(offered, ("admin", "secret"), "/", Some(b""));
        if reply.starts_with("Basic") { reply } else { fields(&reply)["nonce"].clone() }
    };
    let of = |offered: &[&str]| taken(&offered.join(", "));
    let basic = r#"Basic realm="b, Digest nonce=x""#;
    let md5 = r#"Digest realm="d", nonce="md5", algorithm=md5"#;
    let sha = r#"Digest realm="d", nonce="sha", algorithm="Sha-256-SESS", qop=auth"#;
    let sha512 = r#"Digest realm="d", nonce="sha512", algorithm=SHA-512-256"#;
    let unknown = r#"Digest realm="d", nonce="no", algorithm=SHA3"#;
    assert_eq!(of(&[basic, md5, sha]), "sha");
    assert_eq!(of(&[md5, unknown, basic]), "md5");
    assert_eq!(of(&[sha, sha512, md5]), "sha", "otherwise the first");
    assert_eq!(of(&["Negotiate", "NTLM dGVzdA==", "Digest", sha512, basic]), "sha512");
    assert_eq!(of(&["NTLM realm", unknown, basic]), "Basic YWRtaW46c2VjcmV0");
    assert_eq!(of(&[r#"Digest nonce="no", qop="auth-conf""#, md5]), "md5");
}

#[test]
fn errors_say_what_is_not_supported() {
    let words = |offered: &str| PasswordClient::try_from(offered).unwrap_err().to_string();
    let offered = r#"Negotiate, Digest realm="a", nonce="b", algorithm=SHA-1, Digest nonce=c, qop=x, Digest realm=d"#;
    let expected = "the camera offers only Negotiate, Digest (algorithm SHA-1), Digest (qop x), Digest (no nonce); \
                    supported are Basic, and Digest with MD5, SHA-256 or SHA-512-256, each with or without -sess, \
                    and qop auth, auth-int or none";
    assert_eq!(words(offered), expected);
    assert!(words(" , ").starts_with("the camera offers no login; supported are Basic"));

    let fails = |offered, username, uri| {
        let mut client = PasswordClient::try_from(offered).unwrap();
        let params = PasswordParams { username, password: "", uri, method: "GET", body: None };
        client.respond(&params).unwrap_err()
    };
    assert_eq!(fails("Basic", "a:b", "/"), Error::NotForBasic);
    assert_eq!(fails("Basic", "a\r\n", "/"), Error::NotForBasic);
    assert_eq!(fails("Digest nonce=x, qop=auth-int", "a", "/"), Error::NoBody);
    assert_eq!(fails("Digest nonce=x", "a", "/\r\nCSeq: 1"), Error::Unprintable);
}

#[test]
fn a_nonce_is_counted_and_each_client_has_its_own_cnonce() {
    let offered = "Digest realm=r, nonce=n, qop=auth";
    let mut client = PasswordClient::try_from(offered).unwrap();
    let params =
        PasswordParams { username: "a", password: "b", uri: "/", method: "GET", body: None };
    let mut reply = Vec::new();
    for count in 1..=17 {
        reply.push(fields(&client.respond(&params).unwrap()));
        assert_eq!(reply[count - 1]["nc"], format!("{count:08x}"));
        assert_eq!(reply[count - 1]["cnonce"], reply[0]["cnonce"]);
    }
    let other = fields(&answer(offered, ("a", "b"), "/", None));
    assert_ne!(reply[0]["cnonce"], other["cnonce"]);
    assert_eq!(other["cnonce"].len(), 32);
}

#[test]
fn challenges_outside_the_grammar_are_parsed() {
    let is = |text: &str, scheme: &str, parameters: &[(&str, &str)]| {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let parameters = parameters.iter().map(own).collect();
        assert_eq!(parse(text), [Challenge { scheme: scheme.into(), parameters }], "{text}");
    };
    is("Digest realm=\"a\" nonce=\"b\"", "Digest", &[("realm", "a"), ("nonce", "b")]);
    is(
        "digest\trealm = IP/Cam(1) ,,nonce=b==,",
        "digest",
        &[("realm", "IP/Cam(1)"), ("nonce", "b==")],
    );
    is("Digest realm=, NONCE=\"b\\\"\\\\,c", "Digest", &[("realm", ""), ("nonce", "b\"\\,c")]);
    is("x=1, \"y\", Basic", "Basic", &[]);
}

/// A name, a value and whether it is quoted.
fn parameter() -> impl Strategy<Value = (String, String, bool)> {
    ("[a-z][a-z0-9*-]{0,7}", "[ -~]{0,20}", any::<bool>()).prop_map(|(name, value, quote)| {
        let token = !value.is_empty() && value.chars().all(|char| !" ,\"=\\".contains(char));
        (name, value, quote || !token)
    })
}

proptest! {
    #[test]
    fn challenges_are_read_as_they_were_written(
        written in prop::collection::vec(("[A-Z][A-Za-z]{0,8}", prop::collection::vec(parameter(), 0..5)), 0..5),
        comma in prop::sample::select(vec![",", ", ", " , ", ",,", "\t, ,"]),
        equals in prop::sample::select(vec!["=", " = ", "= "]),
    ) {
        let mut parts = Vec::new();
        let mut expected = Vec::new();
        for (scheme, parameters) in written {
            let mut start = format!("{scheme} ");
            for (name, value, quoted) in &parameters {
                let value = match quoted {
                    true => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
                    false => value.clone(),
                };
                parts.push(format!("{start}{name}{equals}{value}"));
                start.clear();
            }
            if parameters.is_empty() {
                parts.push(scheme.clone());
            }
            let parameters = parameters.into_iter().map(|(name, value, _)| (name, value)).collect();
            expected.push(Challenge { scheme, parameters });
        }
        prop_assert_eq!(parse(&parts.join(comma)), expected);
    }

    #[test]
    fn answers_pass_an_independent_check(
        (user, password) in ("\\PC{0,12}", "\\PC{0,12}"),
        (realm, nonce, opaque) in ("[ -~]{0,16}", "[ -~]{1,16}", prop::option::of("[ -~]{1,16}")),
        algorithm in prop::option::of(prop::sample::select(vec![
            "MD5", "md5", "MD5-sess", "SHA-256", "\"SHA-256\"", "sha-256-sess", "SHA-512-256", "SHA-512-256-sess",
        ])),
        qop in prop::option::of(prop::sample::select(vec!["auth", "auth-int", "auth,auth-int", "auth-int , auth"])),
        userhash in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut offered = format!("Digest realm=\"{}\",nonce=\"{}\"", quoted(&realm), quoted(&nonce));
        for (name, value) in [
            ("algorithm", algorithm.map(str::to_owned)),
            ("qop", qop.map(|qop| format!("\"{qop}\""))),
            ("opaque", opaque.as_deref().map(|text| format!("\"{}\"", quoted(text)))),
            ("userhash", userhash.then(|| "TRUE".to_owned())),
        ] {
            if let Some(value) = value {
                write!(offered, ", {name}={value}").unwrap();
            }
        }
        let sent = answer(&offered, (&user, &password), "rtsp://h/a?b=\"c\"", Some(&body));
        prop_assert!(sent.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", sent);
        let reply = fields(&sent);
        prop_assert_eq!(&reply["response"], &expected_response(&reply, &user, &password, &body), "{}", sent);
        prop_assert_eq!(&reply["realm"], &realm);
        prop_assert_eq!(&reply["nonce"], &nonce);
        prop_assert_eq!(reply.get("opaque"), opaque.as_ref());
        prop_assert_eq!(reply.get("algorithm").map(String::as_str), algorithm.map(|name| name.trim_matches('"')));
        let expected = qop.map(|qop| if qop == "auth-int" { qop } else { "auth" });
        prop_assert_eq!(reply.get("qop").map(String::as_str), expected);
        if userhash {
            let name = hashed(reply.get("algorithm").map_or("MD5", String::as_str), format!("{user}:{realm}").as_bytes());
            prop_assert_eq!(&reply["username"], &name);
        } else if let Some(name) = reply.get("username") {
            prop_assert_eq!(name, &user);
        } else {
            prop_assert!(reply["username*"].starts_with("UTF-8''") && !user.is_ascii());
        }
    }

    #[test]
    fn any_challenge_is_read_without_a_panic(text in "[ -~\t]{0,80}|(Digest|Basic|[A-Za-z]{1,5}|[ =,\"\\\\]|nonce|x){0,20}") {
        if let Ok(mut client) = PasswordClient::try_from(text.as_str()) {
            let params = PasswordParams { username: "a", password: "b", uri: "/", method: "GET", body: Some(&[]) };
            let _ = client.respond(&params);
        }
    }
}
