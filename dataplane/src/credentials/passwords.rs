//! Whether passwords are right. To find out takes as long as the hash in the file asks for, so it is done by threads of their
//! own, one guess after the other, and remembered.
//!
//! Who floods a gateway with guesses is held by three bounds: the threads, which leave half of the machine to requests; the
//! guesses that wait for them; and of these, those that wait from one address. Beyond them the answer is quick, and so it is
//! for a guess that was made before. Whoever's password was found right before waits for nobody.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use apigw_config::{names::FilePath, problem::Problem};
use apigw_engine::{
    callers::{
        Vouched,
        basic::{BasicError, Basis, Credentials, Fingerprint, Guess, UserTable},
        remembered::{JudgedGuesses, Verdict},
    },
    client::Network,
};
use aws_lc_rs::{hmac, rand::SystemRandom};
use tokio::{sync::watch, time::timeout};

use super::followed::Followed;
use crate::gateway::problem;

/// The most guesses that wait.
const MAX_WAITING: usize = 64;

/// The most of them from one address (of IPv6: one network of 64 bits).
const MAX_WAITING_OF_ONE: usize = 8;

/// How long a request waits to be judged where nothing follows from that.
const BRIEFLY: Duration = Duration::from_millis(250);

/// The most guesses that wait although nobody waits for them any more, so that those in earnest find the rest of the room.
const MAX_OF_NOBODY: usize = 8;

/// The most threads.
const MAX_THREADS: usize = 4;

/// The most guesses that are remembered, of those that were right, and of those that were wrong.
const REMEMBERED: usize = 10_000;

/// The users of a file, and whether guesses at their passwords are right.
#[derive(Debug)]
pub(crate) struct Passwords {
    file: FilePath,
    users: Followed<UserTable>,
    /// Under which guesses are remembered; drawn when it is made.
    key: hmac::Key,
    queue: SyncSender<Guess>,
    ledger: Arc<Mutex<Ledger>>,
}

/// What became of guesses, and which are waiting.
#[derive(Debug)]
struct Ledger {
    judged: JudgedGuesses,
    waiting: HashMap<Fingerprint, Waiting>,
    /// How many of the waiting ones each network has.
    of_network: HashMap<Network, usize>,
}

#[derive(Debug)]
struct Waiting {
    network: Network,
    verdict: watch::Sender<Option<Verdict>>,
    /// Held where the guess is to be judged although whoever made it has gone on; none: those who wait want that.
    of_nobody: Option<watch::Receiver<Option<Verdict>>>,
}

/// Who it is if a guess is right, and what says so.
struct Supposed {
    caller: Arc<Vouched>,
    basis: Basis,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none, or no randomness.
    pub(super) fn start(file: FilePath, users: Followed<UserTable>) -> Result<Self, Vec<Problem>> {
        let (passwords, received) = Self::idle(file, users)?;
        let received = Arc::new(Mutex::new(received));
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for _ in 0..(cores / 2).clamp(1, MAX_THREADS) {
            let (received, ledger) = (Arc::clone(&received), Arc::clone(&passwords.ledger));
            let started =
                thread::Builder::new().name("passwords".into()).spawn(move || judge_all(&received, &ledger));
            started.map_err(|error| of_basic(&format!("cannot start a thread: {error}")))?;
        }
        Ok(passwords)
    }

    /// With nobody yet to find out; whoever does receives the guesses.
    fn idle(file: FilePath, users: Followed<UserTable>) -> Result<(Self, Receiver<Guess>), Vec<Problem>> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| of_basic("the system gives no random key"))?;
        let (queue, received) = sync_channel(MAX_WAITING);
        let ledger = Arc::new(Mutex::new(Ledger {
            judged: JudgedGuesses::new(REMEMBERED),
            waiting: HashMap::new(),
            of_network: HashMap::new(),
        }));
        Ok((Self { file, users, key, queue, ledger }, received))
    }

    /// The file of the users.
    pub(super) fn file(&self) -> &FilePath {
        &self.file
    }

    /// The users as they are now.
    pub(super) fn users(&self) -> &Followed<UserTable> {
        &self.users
    }

    /// Who has this name and password. Waits until somebody has found out; dropped before that, it leaves the guess to
    /// others who wait for the same, or to nobody.
    ///
    /// # Errors
    /// When nobody has, or as many guesses wait as may.
    pub(crate) async fn identify(
        &self,
        credentials: Credentials,
        client: IpAddr,
    ) -> Result<Arc<Vouched>, BasicError> {
        let guess = self.users.now().guess(credentials, &self.key);
        let supposed = Supposed::by(&guess);
        let verdict = match self.recall_or_ask(guess, Network::of(client))? {
            Answer::Known(verdict) => Some(verdict),
            Answer::Awaited(verdict) => awaited(verdict).await,
        };
        self.settle(supposed, verdict)
    }

    /// The same for a request that passes in any case, and does not wait long therefore. A guess that takes longer is judged
    /// all the same, for when it is made again, unless many such wait. Dropped before, it is like the other.
    ///
    /// # Errors
    /// When nobody has, or it is not known yet.
    pub(crate) async fn identify_briefly(
        &self,
        credentials: Credentials,
        client: IpAddr,
    ) -> Result<Arc<Vouched>, BasicError> {
        let guess = self.users.now().guess(credentials, &self.key);
        let (supposed, fingerprint) = (Supposed::by(&guess), guess.fingerprint());
        let verdict = match self.recall_or_ask(guess, Network::of(client))? {
            Answer::Known(verdict) => Some(verdict),
            Answer::Awaited(verdict) => match timeout(BRIEFLY, awaited(verdict.clone())).await {
                Ok(verdict) => verdict,
                Err(_elapsed) => {
                    lock(&self.ledger).keep(fingerprint, verdict);
                    None
                }
            },
        };
        self.settle(supposed, verdict)
    }

    fn settle(&self, supposed: Supposed, verdict: Option<Verdict>) -> Result<Arc<Vouched>, BasicError> {
        match verdict.ok_or(BasicError::Busy)? {
            // It may have waited while the file was changed.
            Verdict::Right if self.users.now().has(&supposed.basis) => Ok(supposed.caller),
            Verdict::Right => Err(BasicError::Wrong),
            Verdict::Wrong => Err(BasicError::Wrong),
        }
    }

    /// The same for whoever has time, and no claim to be remembered.
    ///
    /// # Errors
    /// When nobody has.
    pub(crate) fn find(&self, credentials: Credentials) -> Result<Arc<Vouched>, BasicError> {
        let guess = self.users.now().guess(credentials, &self.key);
        if guess.is_right() { Ok(Arc::clone(guess.caller())) } else { Err(BasicError::Wrong) }
    }

    fn recall_or_ask(&self, guess: Guess, network: Network) -> Result<Answer, BasicError> {
        let fingerprint = guess.fingerprint();
        let mut ledger = lock(&self.ledger);
        if let Some(verdict) = ledger.judged.recall(fingerprint) {
            return Ok(Answer::Known(verdict));
        }
        if let Some(waiting) = ledger.waiting.get(&fingerprint) {
            return Ok(Answer::Awaited(waiting.verdict.subscribe()));
        }
        let of_network = ledger.of_network.get(&network).copied().unwrap_or_default();
        if of_network >= MAX_WAITING_OF_ONE || self.queue.try_send(guess).is_err() {
            return Err(BasicError::Busy);
        }
        // No thread looks into the ledger before this lock is given back.
        let (verdict, awaited) = watch::channel(None);
        ledger.waiting.insert(fingerprint, Waiting { network, verdict, of_nobody: None });
        *ledger.of_network.entry(network).or_default() += 1;
        Ok(Answer::Awaited(awaited))
    }
}

fn of_basic(message: &str) -> Vec<Problem> {
    vec![problem("auth.basic", message.into())]
}

impl Supposed {
    fn by(guess: &Guess) -> Self {
        Self { caller: Arc::clone(guess.caller()), basis: guess.basis() }
    }
}

/// What somebody finds out. None: judging it has failed.
async fn awaited(mut verdict: watch::Receiver<Option<Verdict>>) -> Option<Verdict> {
    verdict.wait_for(Option::is_some).await.ok().and_then(|verdict| *verdict)
}

/// What is known of a guess.
enum Answer {
    Known(Verdict),
    Awaited(watch::Receiver<Option<Verdict>>),
}

/// Judges guesses one after the other, until nobody can make any.
fn judge_all(received: &Mutex<Receiver<Guess>>, ledger: &Mutex<Ledger>) {
    loop {
        let next = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(guess) = next else { return };
        judge(&guess, ledger);
    }
}

fn judge(guess: &Guess, ledger: &Mutex<Ledger>) {
    let fingerprint = guess.fingerprint();
    if lock(ledger).leave_if_unawaited(fingerprint) {
        return;
    }
    let underway = Underway { ledger, fingerprint };
    let verdict = if guess.is_right() { Verdict::Right } else { Verdict::Wrong };
    lock(underway.ledger).conclude(fingerprint, verdict);
}

/// A guess that is being judged. However that ends, nobody waits for it any more.
struct Underway<'l> {
    ledger: &'l Mutex<Ledger>,
    fingerprint: Fingerprint,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        drop(lock(self.ledger).take(self.fingerprint));
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // Nothing that can panic runs while it is held.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Leaves a guess that nobody waits for any more, so that who hangs up costs nothing. Whether it was left.
    fn leave_if_unawaited(&mut self, guess: Fingerprint) -> bool {
        let is_unawaited = self.waiting.get(&guess).is_none_or(|waiting| waiting.verdict.is_closed());
        if is_unawaited {
            drop(self.take(guess));
        }
        is_unawaited
    }

    /// Has a guess be judged whether anybody waits for it or not, if that has not happened yet and there are not many such.
    fn keep(&mut self, guess: Fingerprint, verdict: watch::Receiver<Option<Verdict>>) {
        let of_nobody = self.waiting.values().filter(|waiting| waiting.of_nobody.is_some()).count();
        if of_nobody < MAX_OF_NOBODY
            && let Some(waiting) = self.waiting.get_mut(&guess)
        {
            waiting.of_nobody = Some(verdict);
        }
    }

    fn conclude(&mut self, guess: Fingerprint, verdict: Verdict) {
        self.judged.remember(guess, verdict);
        if let Some(waiting) = self.take(guess) {
            waiting.verdict.send_replace(Some(verdict));
        }
    }

    fn take(&mut self, guess: Fingerprint) -> Option<Waiting> {
        let waiting = self.waiting.remove(&guess)?;
        if let Some(count) = self.of_network.get_mut(&waiting.network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&waiting.network);
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
