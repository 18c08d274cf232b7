use super::{subscription::LOOK, *};
use crate::{
    tasks::Tasks,
    types::{event::EventKind, log::Level},
};

/// Events of which so many are kept, and the task that wakes readers.
fn events(kept: usize) -> (Events, Tasks) {
    let (events, tasks) = (Events::with_room(kept, usize::MAX), Tasks::default());
    let waking = events.clone();
    tasks.spawn("events", |cancel| waking.wake_readers(cancel));
    (events, tasks)
}

fn tell(events: &Events, count: usize) {
    for _ in 0..count {
        events.publish(|| Event::now(EventKind::Run, "began"));
    }
}

/// Reads until an event with this number has come; returns all numbers and all that was missed.
async fn until(reader: &mut Subscription, last: u64) -> (Vec<u64>, u64) {
    let (mut numbers, mut missed) = (Vec::new(), 0);
    while numbers.last() != Some(&last) {
        let batch = reader.next().await;
        if let Some(Gap::Missed(count)) = batch.gap {
            missed += count;
        }
        numbers.extend(batch.events.iter().map(|published| published.number));
    }
    (numbers, missed)
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_what_happens_after_it_came_in_order() {
    let (events, _tasks) = events(10_000);
    tell(&events, 3);
    let mut reader = events.subscribe(EventFilter::default(), From::Now);
    tell(&events, 1000);
    assert_eq!(until(&mut reader, 1003).await, ((4..=1003).collect(), 0));
    assert_eq!(reader.place().number, 1003);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken() {
    let (events, _tasks) = events(100);
    let mut reader = events.subscribe(EventFilter::default(), From::Now);
    let telling = events.clone();
    let (read, ()) = tokio::join!(until(&mut reader, 1), async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        tell(&telling, 1);
    });
    assert_eq!(read, (vec![1], 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_goes_on_where_it_was() {
    let (events, _tasks) = events(100);
    let mut reader = events.subscribe(EventFilter::default(), From::Now);
    tell(&events, 5);
    until(&mut reader, 5).await;
    let place = reader.place();
    drop(reader);
    tell(&events, 5);
    let mut reader = events.subscribe(EventFilter::default(), From::After(place));
    assert_eq!(until(&mut reader, 10).await, ((6..=10).collect(), 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_stalls_is_told_how_much_it_missed() {
    let (events, _tasks) = events(100);
    let mut reader = events.subscribe(EventFilter::default(), From::Now);
    tell(&events, 1000);
    assert_eq!(until(&mut reader, 1000).await, ((901..=1000).collect(), 900));
    assert_eq!(events.statistics().missed, 900);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_start_is_followed_by_a_gap_and_all_there_is() {
    let (events, _tasks) = events(100);
    drop(events.subscribe(EventFilter::default(), From::Now));
    tell(&events, 7);
    let other = EventId { epoch: 1, number: 3 };
    let mut reader = events.subscribe(EventFilter::default(), From::After(other));
    let batch = reader.next().await;
    assert_eq!(batch.gap, Some(Gap::Restarted));
    assert_eq!(batch.events.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_few_events_is_found_them_among_many_others() {
    let (events, _tasks) = events(100_000);
    let filter = EventFilter { level: Some(Level::Error), ..EventFilter::default() };
    let mut reader = events.subscribe(filter, From::Now);
    tell(&events, 3 * LOOK);
    events.publish(|| Event::now(EventKind::Log, "written").level(Level::Error));
    assert_eq!(until(&mut reader, 3 * LOOK as u64 + 1).await, (vec![3 * LOOK as u64 + 1], 0));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_hears_is_counted_and_not_made() {
    let (events, _tasks) = events(100);
    events.publish(|| panic!("nobody has ever listened"));
    let mut reader = events.subscribe(EventFilter::default(), From::Now);
    tell(&events, 1);
    assert_eq!(until(&mut reader, 2).await, (vec![2], 0));
    let place = reader.place();
    drop(reader);
    tokio::time::sleep(REMEMBER / 4).await;
    tell(&events, 1);
    assert_eq!(events.statistics().kept, 2, "it may come back");
    tokio::time::sleep(2 * REMEMBER).await;
    events.publish(|| panic!("nobody comes back"));
    assert_eq!((events.statistics().kept, events.statistics().published), (0, 4));
    let mut reader = events.subscribe(EventFilter::default(), From::After(place));
    tell(&events, 1);
    assert_eq!(until(&mut reader, 5).await, (vec![5], 2));
}

#[tokio::test]
async fn words_are_made_once_for_all_readers() {
    let (events, _tasks) = events(10);
    let mut readers = [(); 2].map(|()| events.subscribe(EventFilter::default(), From::Now));
    tell(&events, 1);
    for (index, reader) in readers.iter_mut().enumerate() {
        let batch = reader.next().await;
        let words = batch.events[0].words(|_| Bytes::from(index.to_string()));
        assert_eq!(words, "0");
    }
}

#[tokio::test(start_paused = true)]
async fn many_readers_get_everything_though_some_never_read() {
    let (events, tasks) = events(1000);
    let stalled: Vec<_> = (0..100).map(|_| events.subscribe(EventFilter::default(), From::Now)).collect();
    let (told, mut ended) = tokio::sync::mpsc::channel(900);
    for _ in 0..900 {
        let (mut reader, told) = (events.subscribe(EventFilter::default(), From::Now), told.clone());
        tasks.spawn("reader", |_| async move {
            told.send(until(&mut reader, 3000).await).await.unwrap();
        });
    }
    assert_eq!(events.statistics().readers, 1000);
    for _ in 0..300 {
        tell(&events, 10);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..900 {
        let (numbers, missed) = ended.recv().await.unwrap();
        assert_eq!((numbers.len() as u64 + missed, missed), (3000, 0));
    }
    drop(stalled);
    assert_eq!(events.statistics().readers, 0);
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = EventId { epoch: 1_700_000_000_123, number: 42 };
    assert_eq!(EventId::parse(&id.to_string()), Some(id));
    for text in ["", "-", "42", "x-1", "1-x", "1-2-3"] {
        assert_eq!(EventId::parse(text), None, "{text}");
    }
}
