//! What expires when, with time in the tests' hands.

use tokio::time::advance;

use super::*;

fn deadlines() -> Deadlines {
    Deadlines::new(&Server::default(), &Upstream::default(), Instant::now())
}

async fn pass(deadlines: &Deadlines, time: Duration) {
    advance(time).await;
    deadlines.wake(Instant::now());
}

async fn expires_after(deadlines: &Deadlines, seconds: u64) -> Option<Expired> {
    pass(deadlines, Duration::from_secs(seconds)).await;
    deadlines.check(Instant::now()).filter(|expired| *expired != Expired::Look)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_held_up_by_all_pauses_of_its_client_together() {
    let deadlines = deadlines();
    deadlines.head_complete();
    for _ in 0..2 {
        assert!(!deadlines.was_held_up());
        deadlines.write_blocked();
        pass(&deadlines, Duration::from_millis(500)).await;
        deadlines.write_blocked();
        deadlines.write_progressed();
        pass(&deadlines, Duration::from_secs(5)).await;
    }
    assert!(deadlines.was_held_up());
    deadlines.head_complete();
    assert!(!deadlines.was_held_up(), "the next answer is another");
    deadlines.write_blocked();
    pass(&deadlines, Duration::from_secs(1)).await;
    assert!(deadlines.was_held_up());
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_the_time_of_a_head() {
    let deadlines = deadlines();
    assert_eq!(expires_after(&deadlines, 4).await, None);
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::New)));
}

#[tokio::test(start_paused = true)]
async fn a_late_first_byte_does_not_extend_the_time_of_a_head() {
    let deadlines = deadlines();
    pass(&deadlines, Duration::from_secs(4)).await;
    deadlines.bytes_read();
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Head)));
}

#[tokio::test(start_paused = true)]
async fn dripping_heads_do_not_extend_their_time() {
    let deadlines = deadlines();
    deadlines.bytes_read();
    pass(&deadlines, Duration::from_secs(4)).await;
    deadlines.bytes_read();
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Head)));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_has_the_idle_time() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.response_begins();
    deadlines.response_complete();
    deadlines.flushed();
    assert_eq!(expires_after(&deadlines, 59).await, None);
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Idle)));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_expires_and_a_moving_one_does_not() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.upstream_awaited();
    deadlines.body_begins();
    for _ in 0..10 {
        deadlines.body_awaited();
        assert_eq!(expires_after(&deadlines, 14).await, None);
        deadlines.body_bytes_read(1 << 20);
    }
    deadlines.body_awaited();
    assert_eq!(expires_after(&deadlines, 15).await, Some(Expired::Body));
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_expires() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.upstream_awaited();
    deadlines.body_begins();
    for _ in 0..14 {
        deadlines.body_awaited();
        assert_eq!(expires_after(&deadlines, 1).await, None);
        deadlines.body_bytes_read(1);
    }
    deadlines.body_awaited();
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Body));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_has_its_own_time_after_the_body() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.upstream_awaited();
    deadlines.body_begins();
    deadlines.body_awaited();
    pass(&deadlines, Duration::from_secs(10)).await;
    deadlines.body_bytes_read(5);
    assert_eq!(expires_after(&deadlines, 14).await, None);
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Upstream)));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_whole_with_the_last_of_its_body() {
    let deadlines = deadlines();
    let begin = deadlines.now();
    deadlines.head_complete();
    assert_eq!(deadlines.whole_since(begin), Some(begin), "it has none");
    deadlines.body_begins();
    pass(&deadlines, Duration::from_secs(1)).await;
    assert_eq!(deadlines.whole_since(begin), None);
    deadlines.body_bytes_read(5);
    assert_eq!(deadlines.whole_since(begin), None);
    deadlines.body_ends();
    pass(&deadlines, Duration::from_secs(1)).await;
    assert_eq!(deadlines.whole_since(begin), Some(begin + Duration::from_secs(1)));
    deadlines.head_complete();
    assert_eq!(deadlines.whole_since(begin), Some(begin), "the next one has none");
}

#[tokio::test(start_paused = true)]
async fn who_is_waited_for_has_no_more_time_while_another_is_connected_to() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.upstream_awaited();
    deadlines.hedge_begins();
    deadlines.connecting();
    assert_eq!(expires_after(&deadlines, 15).await, Some(Expired::Phase(Phase::Upstream)));
    deadlines.attempt_ends();
    deadlines.connecting();
    assert_eq!(expires_after(&deadlines, 60).await, None);
}

#[tokio::test(start_paused = true)]
async fn clients_that_accept_nothing_expire_and_streams_that_pause_do_not() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.response_begins();
    assert_eq!(expires_after(&deadlines, 3_600).await, None);
    deadlines.write_blocked();
    assert_eq!(expires_after(&deadlines, 59).await, None);
    deadlines.write_progressed();
    assert_eq!(expires_after(&deadlines, 3_600).await, None);
    deadlines.write_blocked();
    assert_eq!(expires_after(&deadlines, 60).await, Some(Expired::Write));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_answer_is_looked_after_now_and_then() {
    let deadlines = deadlines();
    deadlines.head_complete();
    for begin in [Deadlines::upstream_awaited, Deadlines::response_begins] {
        begin(&deadlines);
        for _ in 0..2 {
            pass(&deadlines, LOOK).await;
            assert_eq!(deadlines.check(Instant::now()), Some(Expired::Look));
            assert_eq!(deadlines.expired(), None, "nothing has expired by that");
        }
    }
    deadlines.response_complete();
    pass(&deadlines, LOOK).await;
    assert_eq!(deadlines.check(Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn one_request_s_deadline_is_not_the_next_one_s() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.upstream_awaited();
    assert_eq!(expires_after(&deadlines, 15).await, Some(Expired::Phase(Phase::Upstream)));
    assert!(deadlines.expired().is_some());
    deadlines.head_complete();
    assert_eq!(deadlines.expired(), None);
}

#[tokio::test(start_paused = true)]
async fn a_body_keeps_its_deadline_when_the_answer_has_begun() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.body_begins();
    deadlines.upstream_awaited();
    deadlines.response_begins();
    deadlines.response_complete();
    deadlines.body_awaited();
    deadlines.flushed();
    assert_ne!(deadlines.phase.get(), Phase::Idle, "what comes now is still the body");
    assert_eq!(expires_after(&deadlines, 15).await, Some(Expired::Body));
    deadlines.body_ends();
    deadlines.flushed();
    assert_eq!(deadlines.phase.get(), Phase::Idle);
}

#[tokio::test(start_paused = true)]
async fn the_time_to_connect_is_not_the_body_s() {
    let deadlines = deadlines();
    deadlines.head_complete();
    deadlines.body_begins();
    deadlines.connecting();
    assert_eq!(expires_after(&deadlines, 100).await, None);
    deadlines.upstream_awaited();
    deadlines.body_awaited();
    assert_eq!(expires_after(&deadlines, 14).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_may_say_a_last_word_and_an_idle_one_may_not() {
    let deadlines = deadlines();
    deadlines.hurry();
    assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::New)));
}

#[tokio::test(start_paused = true)]
async fn of_two_limits_of_an_exchange_the_nearer_holds() {
    for (caller, route, nearer) in [(2, 3, Limit::Caller), (3, 2, Limit::Route)] {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.limit_exchange(Duration::from_secs(route), Limit::Route);
        deadlines.limit_exchange(Duration::from_secs(caller), Limit::Caller);
        assert_eq!(deadlines.exchange_time_left(), Some(Duration::from_secs(2)));
        assert_eq!(expires_after(&deadlines, 2).await, Some(Expired::Exchange(nearer)));
        assert_eq!(deadlines.overdue(), Some(nearer));
        deadlines.head_complete();
        assert_eq!((deadlines.overdue(), deadlines.exchange_time_left()), (None, None));
    }
}
