//! Endpoints that come to others at work, or return to them: how much they are given at first, and in the end.

use std::net::SocketAddr;

use apigw_tests::{
    client::Connection,
    gateway::{Gateway, gwctl_json},
    origin::Origin,
    waiting::eventually,
};

fn document(endpoints: &[SocketAddr], seconds: f64) -> String {
    let endpoints = endpoints.iter().map(|address| format!("{{url: \"http://{address}\"}}"));
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    format!(
        "backends: [{{name: pool, endpoints: [{endpoints}], slow_start_seconds: {seconds}}}]\n\
         routes: [{{name: all, match: {{path_prefix: /}}, backend: pool}}]\n"
    )
}

/// How many of these requests a joining endpoint is given, once the change is in force.
fn given(gateway: &Gateway, requests: usize) -> usize {
    eventually("both are there", || {
        let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
        (rows.as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let mut connection = Connection::open(gateway.address());
    (0..requests).filter(|_| connection.get("/x").text() == "joins").count()
}

#[test]
fn an_endpoint_that_joins_is_given_a_tenth_of_its_share_at_first() {
    let (old, joins) = (Origin::saying("old"), Origin::saying("joins"));
    let gateway = Gateway::standalone(document(&[old.address()], 86_400.0));
    gateway.file.save(document(&[old.address(), joins.address()], 86_400.0));
    // One of eleven; in the first hour of a day it does not get to two tenths.
    let count = given(&gateway, 220);
    assert!((18..=45).contains(&count), "{count}");
}

#[test]
fn an_endpoint_that_joins_has_its_whole_share_in_the_end() {
    let (old, joins) = (Origin::saying("old"), Origin::saying("joins"));
    let gateway = Gateway::standalone(document(&[old.address()], 0.5));
    gateway.file.save(document(&[old.address(), joins.address()], 0.5));
    eventually("it takes as much as the other one", || (given(&gateway, 40) == 20).then_some(()));
}
