//! Where a request is sent that should have come in TLS.

use http::{HeaderValue, Method, StatusCode, header::HOST};

use crate::{head::RequestHead, path::NormalPath, rejection::Rejection};

/// The port of an https URL that names none (RFC 9110 section 4.2.2).
const HTTPS_PORT: u16 = 443;

/// Status and `Location` of a redirect to the same host, path and query in TLS. A request that is more than a question is to
/// be repeated as it is (RFC 9110 section 15.4.9), which before 308 was left to the client.
///
/// # Errors
/// When the request does not say for which host it is.
pub fn to_https(
    head: &RequestHead,
    path: &NormalPath<'_>,
    port: u16,
) -> Result<(StatusCode, HeaderValue), Rejection> {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or(Rejection::Host)?;
    let name = without_port(host).filter(|name| !name.is_empty()).ok_or(Rejection::Host)?;
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    let query = head.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let location = format!("https://{name}{port}{}{query}", path.as_str());
    let location = HeaderValue::try_from(location).map_err(|_illegal| Rejection::Host)?;
    let is_question = matches!(head.method, Method::GET | Method::HEAD);
    Ok((if is_question { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT }, location))
}

/// The host of `uri-host [ ":" port ]`; none: it is not one. What could be read as a user name is no host.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            host.split_at(end)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = port.strip_prefix(':').is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    (is_port && (port.is_empty() || port.starts_with(':'))).then_some(name)
}

#[cfg(test)]
mod tests {
    use apigw_config::model::PathRules;
    use http::Request;

    use super::*;

    fn check(method: &str, host: &str, target: &str, port: u16, expected: Result<(u16, &str), Rejection>) {
        let request = Request::builder().method(method).uri(target).header(HOST, host).body(()).unwrap();
        let head = RequestHead::from(request.into_parts().0);
        let path = NormalPath::new(head.uri.path(), PathRules::default()).unwrap();
        let found = to_https(&head, &path, port);
        let found = found.map(|(status, location)| (status.as_u16(), location.to_str().unwrap().to_owned()));
        assert_eq!(
            found,
            expected.map(|(status, location)| (status, location.to_owned())),
            "{host} {target}"
        );
    }

    #[test]
    fn the_same_is_asked_for_in_tls() {
        check("GET", "a.example", "/x?y=1", 443, Ok((301, "https://a.example/x?y=1")));
        check("HEAD", "a.example:8080", "/", 8443, Ok((301, "https://a.example:8443/")));
        check("POST", "a.example", "/x", 443, Ok((308, "https://a.example/x")));
        check("GET", "[::1]:80", "/", 443, Ok((301, "https://[::1]/")));
    }

    #[test]
    fn paths_are_those_that_are_judged() {
        check("GET", "a.example", "/a/../b", 443, Ok((301, "https://a.example/b")));
        check("GET", "a.example", "/a//b", 443, Ok((301, "https://a.example/a/b")));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [":80", "a:b", "[::1", "[::1]x", "a:80:90"] {
            check("GET", host, "/", 443, Err(Rejection::Host));
        }
    }
}
