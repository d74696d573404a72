//! Guesses that wait, up to each bound and one past it. Nobody judges but the test.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use apigw_engine::callers::basic::presented;
use apigw_transport::tls::configured::FileBase;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{super::followed::Place, *};

/// "secret", by the least work there is.
const USERS: &str = "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

type Answered = Result<Arc<Vouched>, BasicError>;

type Asking<'p> = Pin<Box<dyn Future<Output = Answered> + 'p>>;

/// Passwords that nobody judges by himself.
struct Idle {
    passwords: Passwords,
    received: Receiver<Guess>,
    _directory: tempfile::TempDir,
}

impl Idle {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("users"), USERS).unwrap();
        let file: FilePath = "users".parse().unwrap();
        let place = Place { file: &file, key: "auth.basic.file" };
        let base = FileBase::Directory(directory.path().into());
        let read = |file: &str, content: &[u8]| {
            apigw_config::read_users(file, content).map(|users| UserTable::from(&users))
        };
        let Ok(users) = Followed::start(place, &base, read).await else { panic!("the file is of use") };
        let (passwords, received) = Passwords::idle(file, users).unwrap();
        Self { passwords, received, _directory: directory }
    }

    /// Judges all that waits, and how many that were.
    fn judge_all(&self) -> usize {
        self.received.try_iter().map(|guess| judge(&guess, &self.passwords.ledger)).count()
    }

    fn asking(&self, password: &str, client: IpAddr) -> Asking<'_> {
        let header = format!("Basic {}", STANDARD.encode(format!("alice:{password}")));
        Box::pin(self.passwords.identify(presented([header.as_bytes()]).unwrap(), client))
    }

    fn is_nothing_waiting(&self) -> bool {
        let ledger = lock(&self.passwords.ledger);
        ledger.waiting.is_empty() && ledger.of_network.is_empty()
    }
}

/// What is known by now; none: it is waited for.
fn so_far(asking: &mut Asking<'_>) -> Option<Answered> {
    match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[tokio::test]
async fn a_guess_is_judged_once() {
    let idle = Idle::new().await;
    for (password, expected) in [("secret", Ok(Some("alice"))), ("wrong", Err(BasicError::Wrong))] {
        let mut both = [idle.asking(password, address(1)), idle.asking(password, address(2))];
        assert!(both.iter_mut().all(|asking| so_far(asking).is_none()), "{password}");
        assert_eq!(idle.judge_all(), 1, "{password}");
        for asking in &mut both {
            let answer = so_far(asking).expect("it was judged");
            assert_eq!(answer.as_ref().map(|vouched| vouched.name()).map_err(|error| *error), expected);
        }
        let again = so_far(&mut idle.asking(password, address(3))).expect("it is remembered");
        assert_eq!(again.is_ok(), expected.is_ok(), "{password}");
        assert_eq!(idle.judge_all(), 0, "{password}");
    }
    assert!(idle.is_nothing_waiting());
}

#[tokio::test]
async fn as_many_guesses_wait_as_may_of_one_address_and_of_all() {
    let idle = Idle::new().await;
    let mut waiting = Vec::new();
    let networks = u8::try_from(MAX_WAITING / MAX_WAITING_OF_ONE).unwrap();
    for network in 0..networks {
        for guess in 0..MAX_WAITING_OF_ONE {
            let mut asking = idle.asking(&format!("{network} {guess}"), address(network));
            assert!(so_far(&mut asking).is_none());
            waiting.push(asking);
        }
        if network == 0 {
            let one_more = so_far(&mut idle.asking("one more", address(network)));
            assert_eq!(one_more.unwrap().unwrap_err(), BasicError::Busy);
        }
    }
    let mut elsewhere = idle.asking("secret", address(networks));
    assert_eq!(so_far(&mut elsewhere).unwrap().unwrap_err(), BasicError::Busy);
    // Who waits for what others wait for takes no room.
    assert!(so_far(&mut idle.asking("0 0", address(0))).is_none());

    assert_eq!(idle.judge_all(), MAX_WAITING);
    assert!(waiting.iter_mut().all(|asking| so_far(asking).unwrap().unwrap_err() == BasicError::Wrong));
    assert!(idle.is_nothing_waiting());
    let mut now = idle.asking("secret", address(0));
    assert!(so_far(&mut now).is_none());
    idle.judge_all();
    assert!(so_far(&mut now).unwrap().is_ok());
}

#[tokio::test]
async fn addresses_of_one_network_wait_together() {
    let idle = Idle::new().await;
    let ask = |index: usize, address: &str| {
        let mut asking = idle.asking(&format!("{index}"), address.parse().unwrap());
        (so_far(&mut asking), asking)
    };
    let waiting: Vec<_> =
        (0..MAX_WAITING_OF_ONE).map(|index| ask(index, &format!("2001:db8::{index}"))).collect();
    assert!(waiting.iter().all(|(answer, _)| answer.is_none()));
    assert_eq!(ask(100, "2001:db8::ffff:1").0.unwrap().unwrap_err(), BasicError::Busy);
    assert!(ask(101, "2001:db8:0:1::1").0.is_none());
}

#[tokio::test]
async fn a_guess_that_nobody_waits_for_is_left() {
    let idle = Idle::new().await;
    let mut asking = idle.asking("secret", address(1));
    assert!(so_far(&mut asking).is_none());
    drop(asking);
    assert_eq!(idle.judge_all(), 1);
    assert!(idle.is_nothing_waiting());
    // It was not judged, so it is not remembered.
    assert!(so_far(&mut idle.asking("secret", address(1))).is_none());
}

#[tokio::test]
async fn who_cannot_wait_goes_on_and_is_known_the_next_time() {
    let idle = Idle::new().await;
    tokio::time::pause();
    let briefly = |password: &str| {
        let header = format!("Basic {}", STANDARD.encode(format!("alice:{password}")));
        idle.passwords.identify_briefly(presented([header.as_bytes()]).unwrap(), address(1))
    };
    assert_eq!(briefly("secret").await.unwrap_err(), BasicError::Busy);
    assert_eq!(briefly("wrong").await.unwrap_err(), BasicError::Busy);
    assert_eq!(idle.judge_all(), 2, "both are judged although nobody waits");
    assert!(idle.is_nothing_waiting());
    assert!(briefly("secret").await.is_ok());
    assert_eq!(briefly("wrong").await.unwrap_err(), BasicError::Wrong);
}

#[tokio::test]
async fn who_cannot_wait_and_hangs_up_leaves_nothing_to_do() {
    let idle = Idle::new().await;
    tokio::time::pause();
    let header = format!("Basic {}", STANDARD.encode("alice:secret"));
    let mut asking: Asking<'_> =
        Box::pin(idle.passwords.identify_briefly(presented([header.as_bytes()]).unwrap(), address(1)));
    assert!(so_far(&mut asking).is_none());
    drop(asking);
    idle.judge_all();
    assert!(idle.is_nothing_waiting());
    assert!(so_far(&mut idle.asking("secret", address(1))).is_none(), "nobody has judged it");
}

#[tokio::test]
async fn few_guesses_of_nobody_are_judged() {
    let idle = Idle::new().await;
    tokio::time::pause();
    for number in 0..=MAX_OF_NOBODY {
        let header = format!("Basic {}", STANDARD.encode(format!("alice:{number}")));
        let client = address(u8::try_from(number).unwrap());
        let presented = presented([header.as_bytes()]).unwrap();
        assert_eq!(idle.passwords.identify_briefly(presented, client).await.unwrap_err(), BasicError::Busy);
    }
    idle.judge_all();
    let known = |number: usize| so_far(&mut idle.asking(&number.to_string(), address(200))).is_some();
    assert_eq!((known(MAX_OF_NOBODY - 1), known(MAX_OF_NOBODY)), (true, false));
}

#[tokio::test]
async fn nobody_waits_for_a_guess_whose_judging_ended_without_a_verdict() {
    let idle = Idle::new().await;
    let mut asking = idle.asking("secret", address(1));
    assert!(so_far(&mut asking).is_none());
    let guess = idle.received.try_recv().unwrap();
    drop(Underway { ledger: &idle.passwords.ledger, fingerprint: guess.fingerprint() });
    assert_eq!(so_far(&mut asking).unwrap().unwrap_err(), BasicError::Busy);
    assert!(idle.is_nothing_waiting());
}
