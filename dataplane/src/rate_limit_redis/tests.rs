//! The limiter against a real server: judging, and being killed, stopped, slowed and refused.

mod cluster;
mod script;
mod server;
mod tls;

use apigw_config::{
    model::{RedisCredentials, RedisServers},
    names::{Period, RouteName, Secret},
};
use apigw_engine::rate_limit::{Quota, ScopeValue, User};
use rustix::process::Signal;

use self::server::Server;
use super::*;

/// More than any step of a test takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// A bucket of one user: requests at once, and none for hours.
struct Bucket {
    key: RedisKey,
    arguments: ScriptArguments,
}

fn bucket(user: &str, burst: u32) -> Bucket {
    let quota = Quota::new(0.000_1, f64::from(burst)).unwrap();
    let route = RouteName::new("orders").unwrap();
    let key = RedisKey::new(
        "apigw",
        &route,
        &quota,
        &ScopeValue::User(User { provider: "default", subject: user }),
    );
    Bucket { key, arguments: ScriptArguments::new(&quota) }
}

async fn connected(backend: &RedisBackend) -> RedisLimiter {
    let limiter = RedisLimiter::start(backend, &Roots::Platform).unwrap();
    wait_until_connected(&limiter).await;
    limiter
}

async fn wait_until_connected(limiter: &RedisLimiter) {
    let mut link = limiter.link.clone();
    timeout(LONG, link.wait_for(Option::is_some)).await.expect("it connects").unwrap();
}

async fn wait_until_lost(limiter: &RedisLimiter) {
    let mut link = limiter.link.clone();
    timeout(LONG, link.wait_for(Option::is_none)).await.expect("it is lost").unwrap();
}

/// Until the server owes nothing any more.
async fn wait_until_settled(limiter: &RedisLimiter) {
    let all = u32::try_from(MAX_IN_FLIGHT).unwrap();
    drop(timeout(LONG, limiter.places.acquire_many(all)).await.expect("all places become free").unwrap());
}

async fn reason(limiter: &RedisLimiter, bucket: &Bucket) -> &'static str {
    limiter
        .decide(&bucket.key, &bucket.arguments)
        .await
        .map_or_else(|failure| failure.reason(), |_| "decided")
}

/// Asks so many times at once, and says how it went and how long the last one took.
async fn ask_at_once(
    limiter: &Arc<RedisLimiter>,
    count: usize,
) -> (Vec<Result<Decision, Failure>>, Duration) {
    let start = Instant::now();
    let asking: Vec<_> = (0..count)
        .map(|_| {
            let limiter = Arc::clone(limiter);
            tokio::spawn(async move {
                let Bucket { key, arguments } = bucket("everybody", 20);
                limiter.decide(&key, &arguments).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.unwrap());
    }
    (answers, start.elapsed())
}

#[tokio::test]
async fn decisions_are_those_of_the_quota() {
    let server = Server::start();
    let limiter = connected(&server.backend()).await;
    let Bucket { key, arguments } = bucket("alice", 3);
    for remaining in [2, 1, 0] {
        let decision = limiter.decide(&key, &arguments).await.unwrap();
        assert_eq!((decision.allowed, decision.remaining), (true, remaining));
    }
    let refused = limiter.decide(&key, &arguments).await.unwrap();
    assert_eq!((refused.allowed, refused.remaining), (false, 0));
    let interval = Duration::from_secs(10_000);
    assert!(refused.retry_after <= interval && refused.retry_after + LONG > interval, "{refused:?}");
    let bob = bucket("bob", 3);
    assert!(limiter.decide(&bob.key, &bob.arguments).await.unwrap().allowed);
}

#[tokio::test]
async fn two_clients_together_admit_what_one_may() {
    let server = Server::start();
    let (first, second) = (connected(&server.backend()).await, connected(&server.backend()).await);
    let (first, second) = (Arc::new(first), Arc::new(second));
    let ((a, _), (b, _)) = tokio::join!(ask_at_once(&first, 100), ask_at_once(&second, 100));
    let admitted = a.iter().chain(&b).filter(|answer| answer.as_ref().unwrap().allowed).count();
    assert_eq!(admitted, 20);
}

#[tokio::test]
async fn a_killed_server_fails_requests_at_once_until_it_is_back() {
    let mut server = Server::start();
    let limiter = connected(&server.backend()).await;
    let bucket = bucket("alice", 9);
    assert_eq!(reason(&limiter, &bucket).await, "decided");
    server.kill();
    let failed = reason(&limiter, &bucket).await;
    assert!(["redis_connection_lost", "redis_not_connected"].contains(&failed), "{failed}");
    wait_until_lost(&limiter).await;
    assert_eq!(reason(&limiter, &bucket).await, "redis_not_connected");
    server.restart();
    wait_until_connected(&limiter).await;
    // It has forgotten the script, too.
    assert_eq!(reason(&limiter, &bucket).await, "decided");
}

#[tokio::test]
async fn a_stopped_server_costs_a_deadline_once_and_no_more_memory() {
    let server = Server::start();
    let deadline = Duration::from_millis(200);
    let limiter =
        Arc::new(connected(&RedisBackend { timeout: Period::milliseconds(200), ..server.backend() }).await);
    server.signal(Signal::STOP);
    let (answers, took) = ask_at_once(&limiter, 3 * MAX_IN_FLIGHT).await;
    let failed = |reason: &str| {
        answers.iter().filter(|answer| answer.as_ref().unwrap_err().reason() == reason).count()
    };
    assert_eq!((failed("redis_deadline"), failed("redis_busy")), (MAX_IN_FLIGHT, 2 * MAX_IN_FLIGHT));
    assert!(took >= deadline && took < PATIENCE, "{took:?}");
    // From now on nobody waits.
    let (answers, took) = ask_at_once(&limiter, 5_000).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Failure::Stalled | Failure::NotConnected))));
    assert!(took < LONG, "{took:?}");
    assert!(limiter.in_flight() <= MAX_IN_FLIGHT);
    // The connection is given up, and with it all that waited.
    wait_until_settled(&limiter).await;
    wait_until_lost(&limiter).await;
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "redis_not_connected");
    server.signal(Signal::CONT);
    wait_until_connected(&limiter).await;
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "decided");
}

#[tokio::test]
async fn callers_who_leave_do_not_let_more_wait_for_a_stopped_server() {
    let server = Server::start();
    let limiter = connected(&server.backend()).await;
    server.signal(Signal::STOP);
    let bucket = bucket("alice", 9);
    for _ in 0..2 * MAX_IN_FLIGHT {
        let mut asking = std::pin::pin!(limiter.decide(&bucket.key, &bucket.arguments));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(asking.as_mut().poll(context))).await;
        assert!(polled.is_pending() || matches!(polled, std::task::Poll::Ready(Err(Failure::Busy))));
        tokio::task::yield_now().await;
    }
    assert_eq!(limiter.in_flight(), MAX_IN_FLIGHT);
    server.signal(Signal::CONT);
    wait_until_settled(&limiter).await;
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test]
async fn a_slow_server_is_asked_again_when_its_answer_has_come() {
    let server = Server::start();
    let limiter = connected(&RedisBackend { timeout: Period::milliseconds(50), ..server.backend() }).await;
    let bucket = bucket("alice", 9);
    let pause = |millis: u64| {
        redis::cmd("CLIENT").arg("PAUSE").arg(millis).arg("ALL").exec(&mut server.admin()).unwrap();
    };
    pause(500);
    assert_eq!(reason(&limiter, &bucket).await, "redis_deadline");
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(reason(&limiter, &bucket).await, "redis_stalled");
    }
    assert!(start.elapsed() < Duration::from_millis(400), "a stalled request waits for nothing");
    wait_until_settled(&limiter).await;
    assert!(limiter.is_connected(), "slow is not dead");
    let mut last = "";
    for _ in 0..10 {
        last = reason(&limiter, &bucket).await;
        wait_until_settled(&limiter).await;
    }
    assert_eq!(last, "decided");
}

#[tokio::test]
async fn a_user_of_its_own_needs_only_what_is_documented() {
    let server = Server::start();
    let rights = ["~apigw:rl:*", "+evalsha", "+eval", "+time", "+get", "+set"];
    redis::cmd("ACL")
        .arg("SETUSER")
        .arg("gateway")
        .arg("on")
        .arg(">open sesame")
        .arg(&rights)
        .exec(&mut server.admin())
        .unwrap();
    let with_password = |password: &str| {
        let password = Secret::new(password.into()).unwrap();
        let credentials = RedisCredentials::new(Some("gateway".into()), Some(password)).unwrap();
        RedisBackend { credentials, ..server.backend() }
    };
    let limiter = connected(&with_password("open sesame")).await;
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "decided");
    let elsewhere = RouteName::new("orders").unwrap();
    let quota = Quota::new(1.0, 1.0).unwrap();
    let foreign = RedisKey::new("other", &elsewhere, &quota, &ScopeValue::Route);
    let foreign = Bucket { key: foreign, arguments: ScriptArguments::new(&quota) };
    assert_eq!(reason(&limiter, &foreign).await, "redis_refused");
    assert!(limiter.is_connected(), "a refusal is an answer");

    let client = connection::Client::new(&with_password("wrong secret"), &Roots::Platform);
    let error = client.unwrap().connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?} {}", error.cause()).contains("wrong secret"));
}

#[tokio::test]
async fn a_database_of_its_own_is_used() {
    let server = Server::start();
    let servers = RedisServers::single(vec![server::address(server.port)], 5).unwrap();
    let limiter = connected(&server::backend(servers)).await;
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "decided");
    let mut admin = server.admin();
    let keys_in = |database: u8, admin: &mut redis::Connection| {
        redis::cmd("SELECT").arg(database).exec(admin).unwrap();
        redis::cmd("DBSIZE").query::<u32>(admin).unwrap()
    };
    assert_eq!((keys_in(0, &mut admin), keys_in(5, &mut admin)), (0, 1));
}

#[tokio::test]
async fn without_a_server_requests_fail_at_once() {
    let [port] = server::free_ports();
    let servers = RedisServers::single(vec![server::address(port)], 0).unwrap();
    let limiter = RedisLimiter::start(&server::backend(servers), &Roots::Platform).unwrap();
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "redis_not_connected");
}
