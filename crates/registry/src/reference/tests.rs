use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_read_as_everywhere() {
    let by_digest = format!("registry.example/shop/web@{DIGEST}");
    let both = format!("registry.example/shop/web:1.4@{DIGEST}");
    for (text, whole) in [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("grafana/loki", "docker.io/grafana/loki:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/web", "localhost/web:latest"),
        ("localhost:5000/web:1", "localhost:5000/web:1"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/web:1", "[::1]:5000/web:1"),
        ("[::1]/web", "[::1]/web:latest"),
        ("Registry.Example/web", "Registry.Example/web:latest"),
        ("registry.example/a__b/c---d.e_f:v1_2.3-4", "registry.example/a__b/c---d.e_f:v1_2.3-4"),
        (&by_digest, &by_digest),
        (&both, &by_digest),
    ] {
        let reference: Reference = text.parse().expect(text);
        assert_eq!(reference.to_string(), whole, "{text}");
        assert_eq!(whole.parse::<Reference>().expect(whole), reference);
    }
    let nginx: Reference = "nginx".parse().expect("a name");
    assert_eq!(nginx.repository().endpoint(), "registry-1.docker.io");
}

#[test]
fn what_is_wrong_with_a_name_is_said() {
    for (text, part) in [
        ("", "it is empty"),
        ("https://registry.example/web", "without `http://`"),
        ("shop web", "it has ' ' in it"),
        ("registry.example/Shop", "the capital letter `S`"),
        ("registry.example/", "there is no path"),
        ("registry.example//web", "two slashes"),
        ("registry.example/web/", "starts or ends with one"),
        ("registry.example/we+b", "has `+` in it"),
        ("registry.example/-web", "has to stand between"),
        ("registry.example/w..b", "has to stand between"),
        ("registry.example/w___b", "has to stand between"),
        ("registry.example:0/web", "no number from 1 to 65535"),
        ("registry.example:http/web", "no number from 1 to 65535"),
        ("registry..example/web", "no host name"),
        ("[::zz]:5000/web", "no host name and no address"),
        ("registry.example/web:", "the tag ``"),
        ("registry.example/web:-1", "the tag `-1`"),
        ("registry.example/web@sha256:12", "not a digest"),
        ("registry.example/web@sha512:12", "not a digest"),
    ] {
        let error = text.parse::<Reference>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.contains(EXAMPLE), "{error}");
    }
    assert!("a/".repeat(130).parse::<Reference>().is_err());
    assert!(format!("registry.example/{}web", "a/".repeat(130)).parse::<Reference>().is_err());
}

#[test]
fn a_place_has_no_tag() {
    let place: Repository = "127.0.0.1:5000/shop".parse().expect("a place");
    assert_eq!(place.to_string(), "127.0.0.1:5000/shop");
    for text in ["127.0.0.1:5000/shop:1", "shop:latest", &format!("shop@{DIGEST}")] {
        text.parse::<Repository>().expect_err(text);
    }
}
