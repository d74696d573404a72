//! A cluster of two real servers.

use super::{
    server::{address, backend, free_ports},
    *,
};

/// Two servers, each with half of the slots.
fn start() -> [Server; 2] {
    let servers = [(); 2].map(|()| {
        Server::start_with(|_| {
            let [bus] = free_ports();
            let pairs = [("--cluster-enabled", "yes".to_owned()), ("--cluster-port", bus.to_string())];
            pairs.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect()
        })
    });
    for (server, (first, last)) in servers.iter().zip([(0, 8_191), (8_192, 16_383)]) {
        redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last).exec(&mut server.admin()).unwrap();
    }
    let [first, second] = &servers;
    let bus: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("cluster-port").query(&mut second.admin()).unwrap();
    redis::cmd("CLUSTER")
        .arg("MEET")
        .arg("127.0.0.1")
        .arg(second.port)
        .arg(&bus[1])
        .exec(&mut first.admin())
        .unwrap();
    servers
}

/// Until both know that all slots are served.
fn wait_until_whole(servers: &[Server]) {
    let start = std::time::Instant::now();
    for server in servers {
        let mut admin = server.admin();
        let mut is_whole = || {
            let told: String = redis::cmd("CLUSTER").arg("INFO").query(&mut admin).unwrap();
            told.contains("cluster_state:ok") && told.contains("cluster_slots_ok:16384")
        };
        while !is_whole() {
            assert!(start.elapsed() < LONG, "the servers find each other");
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_cluster_counts_and_a_stopped_server_costs_only_its_own_keys() {
    let servers = start();
    wait_until_whole(&servers);
    let known = RedisServers::cluster(vec![address(servers[0].port)], 0).unwrap();
    let backend = RedisBackend { timeout: Period::milliseconds(500), ..backend(known) };
    let limiter = connected(&backend).await;
    let users: Vec<_> = (0..40).map(|number| format!("user {number}")).collect();
    for user in &users {
        let Bucket { key, arguments } = bucket(user, 2);
        for expected in [true, true, false] {
            assert_eq!(limiter.decide(&key, &arguments).await.unwrap().allowed, expected, "{user}");
        }
    }
    let sizes =
        servers.each_ref().map(|server| redis::cmd("DBSIZE").query::<u32>(&mut server.admin()).unwrap());
    assert!(sizes.iter().all(|size| *size > 0) && sizes.iter().sum::<u32>() == 40, "{sizes:?}");

    let link = limiter.link.borrow().clone().unwrap();
    let half = usize::from(overdue::CLUSTER_PARTS) / 2;
    let (first, second): (Vec<_>, Vec<_>) = users
        .iter()
        .map(|user| bucket(user, 2))
        .partition(|bucket| link.overdue.part_of(&bucket.key).index() < half);
    servers[1].signal(Signal::STOP);
    assert_eq!(reason(&limiter, &second[0]).await, "redis_deadline");
    assert_eq!(reason(&limiter, &second[0]).await, "redis_stalled");
    // Until the connection is replaced and beyond, the other server goes on counting.
    let mut link = limiter.link.clone();
    link.borrow_and_update();
    while !link.has_changed().unwrap() {
        assert_eq!(reason(&limiter, &first[0]).await, "decided");
    }
    assert!(limiter.is_connected());
    assert_eq!(reason(&limiter, &first[0]).await, "decided");
    servers[1].signal(Signal::CONT);
    let back = async {
        while reason(&limiter, &second[0]).await != "decided" {
            wait_until_settled(&limiter).await;
        }
    };
    timeout(LONG, back).await.expect("the other server is asked again");
}
