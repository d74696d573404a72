//! The live state of all data planes, of any kind of rows, gathered over their streams.
//!
//! A data plane that does not answer in time delays nobody beyond the deadline; its name stands in the shortfall.

use std::{collections::BTreeMap, time::Duration};

use apigw_proto::v1::query;
use prost::Message;
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use crate::{
    fleet::{Answer, Listener, MemberId, Question},
    observation::Row,
};

/// How long all data planes together may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// The most rows of one answer.
const MAX_ROWS: usize = 1_000_000;
/// The most bytes of one answer, as encoded.
const MAX_BYTES: usize = 512 << 20;
/// Parts of answers that wait to be put together; each is at most 1 MiB.
const WAITING_ANSWERS: usize = 64;
/// The most names in a shortfall's text.
const MAX_NAMES: usize = 10;

/// What came in time.
#[derive(Debug)]
pub(super) struct Gathered<R> {
    /// By data plane's name, then in the order in which it tells them.
    pub(super) rows: Vec<R>,
    /// None when it is all there is.
    pub(super) shortfall: Option<Shortfall>,
}

/// Why rows are missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shortfall {
    /// Some data planes did not answer, or not to the end.
    #[error("no whole answer within {} s from {}", DEADLINE.as_secs(), listed(.names))]
    Silent { names: Vec<String> },
    /// More rows than one answer may have.
    #[error("there are more than {MAX_ROWS} rows; ask the data planes one by one")]
    TooManyRows,
    /// More bytes than one answer may have.
    #[error("the rows take more than {MAX_BYTES} bytes; ask the data planes one by one")]
    TooManyBytes,
}

impl From<Shortfall> for Status {
    fn from(shortfall: Shortfall) -> Self {
        match shortfall {
            Shortfall::Silent { .. } => Self::deadline_exceeded(shortfall.to_string()),
            Shortfall::TooManyRows | Shortfall::TooManyBytes => {
                Self::resource_exhausted(shortfall.to_string())
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().take(MAX_NAMES).map(|name| format!("{name:?}")).collect();
    let more = match names.len() - quoted.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    quoted.join(", ") + &more
}

/// Asks every one of them and waits until all have answered or the time is up.
pub(super) async fn gather<R: Row>(asked: &query::Question, listeners: Vec<Listener>) -> Gathered<R> {
    gather_within(Room { rows: MAX_ROWS, bytes: MAX_BYTES }, asked, listeners).await
}

async fn gather_within<R: Row>(
    mut room: Room,
    asked: &query::Question,
    listeners: Vec<Listener>,
) -> Gathered<R> {
    let deadline = Instant::now() + DEADLINE;
    let (sender, mut answers) = mpsc::channel(WAITING_ANSWERS);
    for listener in &listeners {
        // One that takes no question keeps silent, and is named for it below.
        let question = Question { asked: asked.clone(), answers: sender.clone() };
        let _ = listener.questions.try_send(question);
    }
    drop(sender);
    let mut parts: BTreeMap<MemberId, Part<R>> = BTreeMap::new();
    // The channel closes when nobody has an answer to give any more.
    while let Ok(Some(Answer { from, page, last })) = tokio::time::timeout_at(deadline, answers.recv()).await
    {
        // One that does not know the question has not answered it.
        let Some(rows) = page.map(R::rows) else { continue };
        if let Err(shortfall) = room.take(&rows) {
            return Gathered { rows: join(&listeners, parts), shortfall: Some(shortfall) };
        }
        let part = parts.entry(from).or_default();
        part.rows.extend(rows);
        part.is_whole = last;
    }
    let is_silent = |listener: &&Listener| !parts.get(&listener.id).is_some_and(|part| part.is_whole);
    let names: Vec<_> =
        listeners.iter().filter(is_silent).map(|listener| listener.name.to_string()).collect();
    let shortfall = (!names.is_empty()).then_some(Shortfall::Silent { names });
    Gathered { rows: join(&listeners, parts), shortfall }
}

/// What one answer may still hold.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    fn take<R: Row>(&mut self, rows: &[R]) -> Result<(), Shortfall> {
        let bytes = rows.iter().map(Message::encoded_len).sum();
        self.rows = self.rows.checked_sub(rows.len()).ok_or(Shortfall::TooManyRows)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Shortfall::TooManyBytes)?;
        Ok(())
    }
}

/// What one data plane has answered so far.
struct Part<R> {
    rows: Vec<R>,
    is_whole: bool,
}

impl<R> Default for Part<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), is_whole: false }
    }
}

/// The rows in the order of the data planes, under the names by which these are known here.
fn join<R: Row>(listeners: &[Listener], mut parts: BTreeMap<MemberId, Part<R>>) -> Vec<R> {
    let mut joined = Vec::new();
    for listener in listeners {
        let rows = parts.remove(&listener.id).map(|part| part.rows).unwrap_or_default();
        joined.extend(rows.into_iter().map(|row| row.of_data_plane(listener.name.to_string())));
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apigw_proto::v1;

    use super::*;
    use crate::{
        fleet::{Fleet, Membership},
        greeting::tests::greeting,
    };

    const LIMITS: query::Question = query::Question::Limits(v1::LimitsRequest {});

    fn row(route: &str) -> v1::RouteLimits {
        v1::RouteLimits { data_plane: "a lie".into(), route: route.into(), ..v1::RouteLimits::default() }
    }

    fn answer(from: &Membership, rows: Vec<v1::RouteLimits>, last: bool) -> Answer {
        let page = Some(v1::observation::Answer::Limits(v1::LimitsResponse { rows }));
        Answer { from: from.id(), page, last }
    }

    fn join_fleet(fleet: &Arc<Fleet>, name: &str) -> (Membership, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(1);
        (fleet.join(greeting(name, 1), questions).0, asked)
    }

    fn routes(gathered: &Gathered<v1::RouteLimits>) -> Vec<(&str, &str)> {
        gathered.rows.iter().map(|row| (row.data_plane.as_str(), row.route.as_str())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn rows_of_all_are_joined_by_name_in_order() {
        let fleet = Arc::new(Fleet::default());
        let (b, mut b_asked) = join_fleet(&fleet, "b");
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let answering = async {
            let (b_question, a_question) = (b_asked.recv().await.unwrap(), a_asked.recv().await.unwrap());
            b_question.answers.send(answer(&b, vec![row("r1")], false)).await.unwrap();
            a_question.answers.send(answer(&a, vec![row("r1")], true)).await.unwrap();
            b_question.answers.send(answer(&b, vec![row("r2")], true)).await.unwrap();
        };
        let (gathered, ()) = tokio::join!(gather(&LIMITS, fleet.listeners()), answering);
        assert_eq!(routes(&gathered), [("a", "r1"), ("b", "r1"), ("b", "r2")]);
        assert_eq!(gathered.shortfall, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_one_delays_to_the_deadline_and_is_named() {
        let fleet = Arc::new(Fleet::default());
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let (silent, mut silent_asked) = join_fleet(&fleet, "silent");
        let answering = async {
            let question = a_asked.recv().await.unwrap();
            question.answers.send(answer(&a, vec![row("r1")], true)).await.unwrap();
            // It begins to answer, but does not finish.
            let unfinished = silent_asked.recv().await.unwrap();
            unfinished.answers.send(answer(&silent, vec![row("r1")], false)).await.unwrap();
            unfinished
        };
        let began = Instant::now();
        let (gathered, _unanswered) = tokio::join!(gather(&LIMITS, fleet.listeners()), answering);
        assert_eq!(began.elapsed(), DEADLINE);
        assert_eq!(routes(&gathered), [("a", "r1"), ("silent", "r1")]);
        assert_eq!(gathered.shortfall, Some(Shortfall::Silent { names: vec!["silent".into()] }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_goes_is_not_waited_for() {
        let fleet = Arc::new(Fleet::default());
        let (_member, mut asked) = join_fleet(&fleet, "gone");
        let began = Instant::now();
        let gathering = gather::<v1::RouteLimits>(&LIMITS, fleet.listeners());
        let (gathered, ()) = tokio::join!(gathering, async { drop(asked.recv().await) });
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(gathered.shortfall, Some(Shortfall::Silent { names: vec!["gone".into()] }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_row_too_many_ends_the_gathering() {
        let fleet = Arc::new(Fleet::default());
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let answering = async {
            let question = a_asked.recv().await.unwrap();
            for (count, last) in [(MAX_ROWS, false), (1, true)] {
                let rows = vec![v1::RouteLimits::default(); count];
                question.answers.send(answer(&a, rows, last)).await.unwrap();
            }
        };
        let (gathered, ()) = tokio::join!(gather::<v1::RouteLimits>(&LIMITS, fleet.listeners()), answering);
        assert_eq!((gathered.rows.len(), gathered.shortfall), (MAX_ROWS, Some(Shortfall::TooManyRows)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_too_many_ends_the_gathering() {
        let fleet = Arc::new(Fleet::default());
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let answering = async {
            let question = a_asked.recv().await.unwrap();
            question.answers.send(answer(&a, vec![row("r1")], false)).await.unwrap();
            question.answers.send(answer(&a, vec![row("r2")], true)).await.unwrap();
        };
        let room = Room { rows: MAX_ROWS, bytes: 2 * row("r1").encoded_len() - 1 };
        let (gathered, ()) = tokio::join!(gather_within(room, &LIMITS, fleet.listeners()), answering);
        assert_eq!(routes(&gathered), [("a", "r1")]);
        assert_eq!(gathered.shortfall, Some(Shortfall::TooManyBytes));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_know_the_question_is_named() {
        let fleet = Arc::new(Fleet::default());
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let (older, mut older_asked) = join_fleet(&fleet, "older");
        let auth = query::Question::Auth(v1::AuthRequest {});
        let answering = async {
            let question = a_asked.recv().await.unwrap();
            assert_eq!(question.asked, auth);
            let provider = v1::ProviderState { provider: "staff".into(), ..v1::ProviderState::default() };
            let page = v1::AuthResponse { providers: vec![provider] };
            let page = Some(v1::observation::Answer::Auth(page));
            question.answers.send(Answer { from: a.id(), page, last: true }).await.unwrap();
            let nothing = Answer { from: older.id(), page: None, last: true };
            older_asked.recv().await.unwrap().answers.send(nothing).await.unwrap();
        };
        let (gathered, ()) = tokio::join!(gather::<v1::ProviderState>(&auth, fleet.listeners()), answering);
        let rows = gathered.rows.iter().map(|row| (row.data_plane.as_str(), row.provider.as_str()));
        assert_eq!(rows.collect::<Vec<_>>(), [("a", "staff")]);
        assert_eq!(gathered.shortfall, Some(Shortfall::Silent { names: vec!["older".into()] }));
    }
}
