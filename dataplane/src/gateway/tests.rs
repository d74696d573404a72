//! Endpoints that follow the addresses of a name, with real sockets and a script in place of the machine's DNS.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use apigw_config::wire::{Resource, root_hash};
use apigw_engine::endpoint::EndpointState;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{access_log, resolver::Script, status::OwnStatus, traces};

/// A gateway that asks a script for addresses.
fn gateway(script: &Script) -> Gateway {
    let (metrics, start) = (Metrics::default(), Instant::now());
    let status = OwnStatus::new(metrics.clone(), start);
    let mut gateway = Gateway::new(Parameters {
        workers: 1,
        listen: Some("127.0.0.1:0".parse().unwrap()),
        files: FileBase::Nowhere,
        running: Arc::clone(&status.running),
        log: access_log::new().0,
        traces: traces::new().0,
        metrics,
        endpoints: Arc::new(Endpoints::new(status, Vec::new(), None)),
        start,
    });
    gateway.addresses = Arc::new(Addresses::scripted(Arc::clone(script)));
    gateway
}

async fn install(gateway: &Gateway, text: &str) {
    let config = apigw_config::read("g.yaml", text.as_bytes()).unwrap();
    let root_hash = root_hash(apigw_config::wire::encode(&config).unwrap().iter().map(Resource::entry));
    let prepared = gateway.prepare(config, Revision { epoch: 1, seq: 1, root_hash }).await;
    gateway.commit(prepared.unwrap_or_else(|refusal| panic!("{refusal:?}")));
}

/// Upstreams on one port of several addresses, each of which says its address and who it was asked for.
async fn upstreams<const N: usize>() -> (u16, [Ipv4Addr; N]) {
    let addresses = std::array::from_fn(|index| Ipv4Addr::new(127, 0, 7, u8::try_from(index + 1).unwrap()));
    let mut port = 0;
    for address in addresses {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, address));
            }
        });
    }
    (port, addresses)
}

async fn answer(mut stream: TcpStream, address: Ipv4Addr) {
    let (mut asked, mut bytes) = (String::new(), [0; 4_096]);
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        asked += &String::from_utf8_lossy(&bytes[..count]);
        if asked.ends_with("\r\n\r\n") {
            let host = asked.lines().find_map(|line| line.strip_prefix("host: "));
            let said = format!("{address} for {}", host.unwrap_or_default());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", said.len());
            let _ = stream.write_all(format!("{head}{said}").as_bytes()).await;
            asked.clear();
        }
    }
}

/// What so many requests are answered, each on a connection of its own.
async fn answers(gateway: &Gateway, requests: usize) -> BTreeSet<String> {
    let address = gateway.parameters.running.listen_address();
    let mut said = BTreeSet::new();
    for _ in 0..requests {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        said.insert(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned());
    }
    said
}

fn states(gateway: &Gateway) -> BTreeMap<String, *const EndpointState> {
    let snapshot = gateway.running().unwrap();
    let endpoints = snapshot.backends().flat_map(|backend| backend.endpoints().to_vec());
    let named = endpoints
        .filter_map(|endpoint| Some((endpoint.upstream.name().into_owned(), Arc::as_ptr(&endpoint.state?))));
    named.collect()
}

fn script(script: &Script, addresses: &[Ipv4Addr]) {
    let addresses = addresses.iter().copied().map(IpAddr::from).collect();
    script.lock().unwrap().insert("orders.internal".into(), addresses);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_the_addresses_of_their_name() {
    let (port, [a, b, c]) = upstreams().await;
    let known = Script::default();
    script(&known, &[a, b]);
    let gateway = gateway(&known);
    let text = format!(
        "backends: [{{name: pool, endpoints: [{{url: 'http://orders.internal:{port}', each_address: true}}]}}]\n\
         routes: [{{name: all, match: {{path_prefix: /}}, backend: pool}}]\n"
    );
    install(&gateway, &text).await;
    let of = |addresses: &[Ipv4Addr]| {
        let said = addresses.iter().map(|address| format!("{address} for orders.internal:{port}"));
        said.collect::<BTreeSet<_>>()
    };
    assert_eq!(answers(&gateway, 4).await, of(&[a, b]));
    let before = states(&gateway);
    let revision = gateway.running().unwrap().revision();

    script(&known, &[b, c]);
    gateway.refresh_addresses().await;
    assert_eq!(answers(&gateway, 4).await, of(&[b, c]));
    let after = states(&gateway);
    let place = |address: Ipv4Addr| format!("{address}:{port}");
    assert_eq!(before[&place(b)], after[&place(b)], "what is known of one that stays goes on");
    assert!(!after.contains_key(&place(a)), "{after:?}");
    assert_eq!(gateway.running().unwrap().revision(), revision, "the configuration is the same");

    script(&known, &[]);
    gateway.refresh_addresses().await;
    assert_eq!(answers(&gateway, 4).await, of(&[b, c]), "an empty answer says nothing");
    known.lock().unwrap().clear();
    gateway.refresh_addresses().await;
    install(&gateway, &text.replace("name: all", "name: other")).await;
    assert_eq!(answers(&gateway, 4).await, of(&[b, c]), "nor does none");
    assert_eq!(states(&gateway), after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_addresses_is_an_endpoint_that_cannot_be_reached_until_it_has_some() {
    let (port, [a]) = upstreams().await;
    let known = Script::default();
    let gateway = gateway(&known);
    let text = format!(
        "backends: [{{name: pool, endpoints: [{{url: 'http://orders.internal:{port}', each_address: true}}]}}]\n\
         routes: [{{name: all, match: {{path_prefix: /}}, backend: pool}}]\n"
    );
    install(&gateway, &text).await;
    assert!(answers(&gateway, 1).await.first().unwrap().contains("bad_gateway"));
    script(&known, &[a]);
    gateway.refresh_addresses().await;
    assert_eq!(answers(&gateway, 1).await.first().unwrap(), &format!("{a} for orders.internal:{port}"));
}
