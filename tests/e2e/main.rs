//! End-to-end tests: the real programs, from the outside, as files, flags, sockets and output show them.
//!
//! They link nothing of the programs. Every wait is for a condition, and every port is the system's choice.

// What a request becomes on its way to the upstream, and a response on its way back.
mod proxying;
// Which field lines pass, which stop here, and which the gateway adds.
mod fields;
// Which fields a route removes, sets and adds, both ways.
mod header_changes;
// Fields that keep browsers from harm, by one word of the file.
mod security_headers;
// What routes answer themselves, and which path and host upstreams are asked for.
mod own_answers;
// One path is matched, judged and forwarded; what could mean two is refused.
mod paths;
// The route that serves a request, by host, path, method, header and query; the public cases of the Gateway API.
mod matching;
mod gateway_api;
// How messages end: lengths, chunks, trailers, interim answers, kept-alive connections.
mod framing;
// The public cases: their format, the upstream that records them, requests, upstreams' answers.
mod cases;
mod http11_cases;
mod response_cases;
// Bodies of any size pass in memory that does not grow, up to the limit of the file.
mod bodies;
// What is left of a body when its answer has come.
mod rests;
// Tunnels open when both sides agree, and hold what they hold to their end.
mod websockets;
// The same in streams of HTTP/2.
mod websockets_over_http2;
// The same requests over HTTP/2, and what only it has.
mod http2;
// Upstreams that speak HTTP/2: what they are sent, and what becomes of what they send.
mod http2_upstreams;
// Calls of gRPC from end to end.
mod grpc;
// Calls as browsers can make them.
mod grpc_web;
// What a gateway refuses or cuts short, callers of gRPC hear as gRPC tells it.
mod grpc_refusals;
// Its frames, heads and codes as public suites send them.
mod http2_conformance;
// What would be another request if it were written down as HTTP/1.1.
mod http2_smuggling;
// What else passes in a stream: invitations, early answers, farewells.
mod http2_exchanges;
// Frames without end, and where they end.
mod http2_floods;
// Answers that take their time.
mod events;
// Answers that go out in fewer bytes, and those that do not.
mod compression;
// Proxies that say of a connection whom it is of, and whoever else says so.
mod proxy_protocol;
// Where requests come from and go to: both families of addresses, several at once, socket files.
mod addresses;
// Every timeout in the file is real and ends in its own status and reason.
mod timeouts;
// Those of a route, beside the server's.
mod route_timeouts;
// Which part of a trace a request is: what upstreams and collectors are told, and what a collector can do.
mod traces;
// Requests that are sent once more, and what never is.
mod retries;
// Two endpoints that are asked at once, because the first is slow.
mod hedging;
// More clients than there is room for, and the end of the process.
mod pressure;
// What the compiler is told of released programs.
mod profile;
// An upstream that misbehaves costs its own requests an honest answer, and nobody else anything.
mod upstream_failures;
// Who is let in, by which token, and what the upstream is told of him.
mod auth;
// Who is let in without a token, and by what.
mod callers;
// Their files, which come, go and are broken whenever they like.
mod credential_files;
// Who is let in by the word of a service.
mod external_auth;
// Who is let in by his certificate.
mod mtls;
// Keys of issuers that rotate, hang, lie and vanish.
mod issuers;
// A token that was believed before is not believed for that alone.
mod remembered_tokens;
// Nothing that a client or the file keeps secret shows anywhere.
mod secrets;
// How many requests a client may send, exactly, and what he is told of it.
mod rate_limits;
// The same, counted for several data planes by a Redis server that may fail.
mod shared_limits;
// How many requests may be under way at once, and for how long their places are held.
mod concurrency;
// Those that are found by how the upstream answers.
mod adaptive_concurrency;
// An upstream that fails is left alone, and tried again.
mod breaker;
// Requests are spread over the endpoints of a backend, each spoken to as the file says.
mod backends;
// Clients stay with the endpoints that have answered them.
mod sessions;
// Backends that share a route: shares by weight, callers that stay, changes under load.
mod splits;
// Endpoints that come or return take their share slowly.
mod slow_start;
// A backend that is shown what another one answers.
mod mirrors;
// Endpoints that are not well are given no requests.
mod health;
// Endpoints that fail requests are given none for a while.
mod outliers;
// Endpoints that are about to be taken away are given no new requests.
mod draining;
// TLS on both sides: certificates, their renewal, who is told what.
mod tls;
// What pages of other origins may do.
mod cors;
// What an operator sees: admin endpoints and metrics.
mod operator;
// A saved file takes effect, however it is saved, without costing a request.
mod edits;
// What a change sets back to its beginning is what was said of it beforehand.
mod resets;
// Many changes under load cost no request and leave nothing behind.
mod reloads;
// A clock that jumps changes neither the order of revisions nor what is measured.
mod clocks;
// A file that cannot run is refused by everybody in the same words, and changes nothing.
mod broken;
// Several processes find each other in any order and survive each other's end.
mod fleet;
// Who is let in where operators and data planes connect: certificates, socket files, keys.
mod trust;
// Whoever floods these addresses costs little memory, and nobody else his answer.
mod floods;
// What was published is kept, compared, waited for and brought back.
mod history;
// A data plane that starts while its control plane is away serves what it served before.
mod last_known_good;
// Whatever dies or breaks in whatever order, each side believes what it may, and nobody notices.
mod kills;
// What a person types and what comes back.
mod command_line;
// What is told of a request before it is sent, and what becomes of it then.
mod explaining;
// What a person watches, for as long as it takes.
mod watching;
// The example files, the README and the demo are as good as their word.
mod examples;
// The commands of the walk-through show what it says.
mod walkthrough;
// What a request costs is measured, told, and said to be invalid where it is.
mod benchmark;
// The rules of the repository that a machine can check.
mod repository;
