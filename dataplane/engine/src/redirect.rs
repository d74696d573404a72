//! Where a client is sent whose request is answered elsewhere, or should have come in TLS.

use apigw_config::{
    model::{PathRules, Redirect, RouteMatch},
    names::{HostName, Scheme},
};
use http::{HeaderValue, Method, StatusCode, header::HOST};

use crate::{head::RequestHead, path::NormalPath, rejection::Rejection, rewrite::rewritten};

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

/// Where a route's redirect sends the client of a request that came in this scheme: as a whole, so that nothing has to be
/// guessed. The path is the one that was judged, and the query goes along.
///
/// # Errors
/// When the request does not say for which host it is, and neither does the route; or when the path that it makes is none.
pub(crate) fn location(
    redirect: &Redirect,
    matches: &RouteMatch,
    head: &RequestHead,
    path: &NormalPath<'_>,
    scheme: Scheme,
    rules: PathRules,
) -> Result<HeaderValue, Rejection> {
    let asked = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (name, port) = split_port(asked).unwrap_or_default();
    let host = redirect.host.as_ref().map_or(name, HostName::as_str);
    if host.is_empty() {
        return Err(Rejection::Host);
    }
    // A scheme that is named stands for its own port, not for the one where the other scheme was spoken.
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => Some(port.get()),
        (None, Some(_)) => None,
        (None, None) => port,
    };
    let scheme = redirect.scheme.unwrap_or(scheme);
    let path = match &redirect.path {
        Some(rewrite) => rewritten(rewrite, matches, path, rules)?,
        None => path.as_str().into(),
    };
    let mut location = [scheme.as_str(), "://", host].concat();
    if let Some(port) = port.filter(|port| *port != scheme.default_port()) {
        location.extend([":", &port.to_string()]);
    }
    location += &path;
    if let Some(query) = head.uri.query() {
        location.extend(["?", query]);
    }
    HeaderValue::try_from(location).map_err(|_illegal| Rejection::Host)
}

/// A host and its port, if it has one; none: it is not one.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let name = without_port(host)?;
    Some((name, host[name.len()..].strip_prefix(':').and_then(|port| port.parse().ok())))
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
    use apigw_config::model::Destination;
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

    /// Where a route with this redirect sends who asks a host for `/a/b?c` in clear.
    fn check_route(redirect: &str, host: &str, expected: Result<&str, Rejection>) {
        let file = format!("routes: [{{name: a, match: {{path_prefix: /a}}, redirect: {{{redirect}}}}}]");
        let config = apigw_config::read("test.yaml", file.as_bytes()).unwrap();
        let route = config.route(0).unwrap();
        let Destination::Redirect(redirect) = &route.destination else { panic!("{file}") };
        let request = Request::builder().uri("/a/b?c").header(HOST, host).body(()).unwrap();
        let head = RequestHead::from(request.into_parts().0);
        let path = NormalPath::new(head.uri.path(), PathRules::default()).unwrap();
        let found = location(redirect, &route.matches, &head, &path, Scheme::Http, PathRules::default());
        let found = found.map(|location| location.to_str().unwrap().to_owned());
        assert_eq!(found, expected.map(ToOwned::to_owned), "{file} {host}");
    }

    #[test]
    fn what_a_route_does_not_name_is_as_it_was_asked_for() {
        check_route("path: /x", "h:8080", Ok("http://h:8080/x?c"));
        check_route("path: /x", "h:80", Ok("http://h/x?c"));
        check_route("prefix: /x", "[::1]:8080", Ok("http://[::1]:8080/x/b?c"));
        check_route("regex: '/(.)/(.)', with: '/${2}/${1}'", "h", Ok("http://h/b/a?c"));
        check_route("host: o.example", "h:8080", Ok("http://o.example:8080/a/b?c"));
        check_route("scheme: https", "h:8080", Ok("https://h/a/b?c"));
        check_route("scheme: https, port: 8443", "h:8080", Ok("https://h:8443/a/b?c"));
        check_route("port: 80", "h:8080", Ok("http://h/a/b?c"));
        check_route("scheme: http, port: 443", "h", Ok("http://h:443/a/b?c"));
    }

    #[test]
    fn nobody_is_sent_to_what_is_no_host() {
        check_route("path: /x", "a:b", Err(Rejection::Host));
        check_route("host: o.example", "a:b", Ok("http://o.example/a/b?c"));
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
