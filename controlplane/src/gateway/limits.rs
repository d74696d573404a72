//! The live state of all data planes, gathered over their streams.
//!
//! A data plane that does not answer in time delays nobody beyond the deadline; its name stands in the shortfall.

use std::{collections::BTreeMap, time::Duration};

use apigw_proto::v1;
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use crate::fleet::{Answer, Listener, MemberId, Question};

/// How long all data planes together may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// The most rows of one answer.
const MAX_ROWS: usize = 1_000_000;
/// Parts of answers that wait to be put together; each is at most 1 MiB.
const WAITING_ANSWERS: usize = 64;
/// The most names in a shortfall's text.
const MAX_NAMES: usize = 10;

/// What came in time.
#[derive(Debug)]
pub(super) struct Gathered {
    /// By data plane's name, then in the order of its routes.
    pub(super) rows: Vec<v1::RouteLimits>,
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
}

impl From<Shortfall> for Status {
    fn from(shortfall: Shortfall) -> Self {
        match shortfall {
            Shortfall::Silent { .. } => Self::deadline_exceeded(shortfall.to_string()),
            Shortfall::TooManyRows => Self::resource_exhausted(shortfall.to_string()),
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
pub(super) async fn gather(listeners: Vec<Listener>) -> Gathered {
    let deadline = Instant::now() + DEADLINE;
    let (sender, mut answers) = mpsc::channel(WAITING_ANSWERS);
    for listener in &listeners {
        // One that takes no question keeps silent, and is named for it below.
        let _ = listener.questions.try_send(Question { answers: sender.clone() });
    }
    drop(sender);
    let mut parts: BTreeMap<MemberId, Part> = BTreeMap::new();
    let mut room = MAX_ROWS;
    // The channel closes when nobody has an answer to give any more.
    while let Ok(Some(Answer { from, rows, last })) = tokio::time::timeout_at(deadline, answers.recv()).await
    {
        let Some(rest) = room.checked_sub(rows.len()) else {
            return Gathered { rows: join(&listeners, parts), shortfall: Some(Shortfall::TooManyRows) };
        };
        room = rest;
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

/// What one data plane has answered so far.
#[derive(Default)]
struct Part {
    rows: Vec<v1::RouteLimits>,
    is_whole: bool,
}

/// The rows in the order of the data planes, under the names by which these are known here.
fn join(listeners: &[Listener], mut parts: BTreeMap<MemberId, Part>) -> Vec<v1::RouteLimits> {
    let mut joined = Vec::new();
    for listener in listeners {
        let rows = parts.remove(&listener.id).map(|part| part.rows).unwrap_or_default();
        joined.extend(
            rows.into_iter().map(|row| v1::RouteLimits { data_plane: listener.name.to_string(), ..row }),
        );
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::{Fleet, Membership},
        greeting::tests::greeting,
    };

    fn row(route: &str) -> v1::RouteLimits {
        v1::RouteLimits { data_plane: "a lie".into(), route: route.into() }
    }

    fn join_fleet(fleet: &Arc<Fleet>, name: &str) -> (Membership, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(1);
        (fleet.join(greeting(name, 1), questions).0, asked)
    }

    fn routes(gathered: &Gathered) -> Vec<(&str, &str)> {
        gathered.rows.iter().map(|row| (row.data_plane.as_str(), row.route.as_str())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn rows_of_all_are_joined_by_name_in_order() {
        let fleet = Arc::new(Fleet::default());
        let (b, mut b_asked) = join_fleet(&fleet, "b");
        let (a, mut a_asked) = join_fleet(&fleet, "a");
        let answering = async {
            let (b_question, a_question) = (b_asked.recv().await.unwrap(), a_asked.recv().await.unwrap());
            let answer =
                |from: &Membership, route, last| Answer { from: from.id(), rows: vec![row(route)], last };
            b_question.answers.send(answer(&b, "r1", false)).await.unwrap();
            a_question.answers.send(answer(&a, "r1", true)).await.unwrap();
            b_question.answers.send(answer(&b, "r2", true)).await.unwrap();
        };
        let (gathered, ()) = tokio::join!(gather(fleet.listeners()), answering);
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
            question.answers.send(Answer { from: a.id(), rows: vec![row("r1")], last: true }).await.unwrap();
            // It begins to answer, but does not finish.
            let unfinished = silent_asked.recv().await.unwrap();
            let begun = Answer { from: silent.id(), rows: vec![row("r1")], last: false };
            unfinished.answers.send(begun).await.unwrap();
            unfinished
        };
        let began = Instant::now();
        let (gathered, _unanswered) = tokio::join!(gather(fleet.listeners()), answering);
        assert_eq!(began.elapsed(), DEADLINE);
        assert_eq!(routes(&gathered), [("a", "r1"), ("silent", "r1")]);
        assert_eq!(gathered.shortfall, Some(Shortfall::Silent { names: vec!["silent".into()] }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_goes_is_not_waited_for() {
        let fleet = Arc::new(Fleet::default());
        let (_member, mut asked) = join_fleet(&fleet, "gone");
        let began = Instant::now();
        let (gathered, ()) = tokio::join!(gather(fleet.listeners()), async { drop(asked.recv().await) });
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
                question.answers.send(Answer { from: a.id(), rows, last }).await.unwrap();
            }
        };
        let (gathered, ()) = tokio::join!(gather(fleet.listeners()), answering);
        assert_eq!((gathered.rows.len(), gathered.shortfall), (MAX_ROWS, Some(Shortfall::TooManyRows)));
    }
}
