use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::config::{Config, Flags};

/// A line whose client holds the other end, and what is taken at most without being read.
fn line(room: usize) -> (Line<DuplexStream>, DuplexStream, Arc<Pulse>, Arc<Limits>) {
    let settings = Config::load_with(&Flags::default(), &|_| None).unwrap().limits;
    let limits = Arc::new(Limits::new(&settings, 0));
    let pulse = Arc::new(Pulse::default());
    let (own, client) = tokio::io::duplex(room);
    (Line::new(own, Protocol::Http1, Arc::clone(&pulse), Arc::clone(&limits)), client, pulse, limits)
}

/// Reads once; returns how many bytes came, and after how many seconds.
async fn read(line: &mut Line<DuplexStream>) -> (io::Result<usize>, u64) {
    let began = Instant::now();
    let read = line.read(&mut [0; 64]).await;
    (read, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn who_connects_and_says_nothing_is_hung_up_on() {
    let (mut line, _client, ..) = line(64);
    let (read, after) = read(&mut line).await;
    assert_eq!((read.unwrap(), after), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_has_one_deadline() {
    let (mut line, mut client, ..) = line(1024);
    let slow = async {
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
            if client.write_all(b"x").await.is_err() {
                break;
            }
        }
    };
    let began = Instant::now();
    let late = async {
        loop {
            if let Err(error) = line.read(&mut [0; 64]).await {
                break error;
            }
        }
    };
    let error = tokio::select! {
        error = late => error,
        () = slow => panic!("the client gave up"),
    };
    assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 10));
    let mut told = vec![0; 1024];
    let length = client.read(&mut told).await.unwrap();
    let told = String::from_utf8_lossy(&told[..length]).into_owned();
    assert!(told.starts_with("HTTP/1.1 408 ") && told.ends_with("in time\"}"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn between_requests_there_is_more_time_and_it_begins_anew() {
    let (mut line, mut client, pulse, _) = line(64);
    for _ in 0..3 {
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut line).await.0.unwrap(), 3);
        drop(pulse.begin());
        let within = tokio::time::timeout(Duration::from_secs(70), line.read(&mut [0; 64])).await;
        assert!(within.is_err());
    }
    drop(pulse.begin());
    let (read, after) = read(&mut line).await;
    assert_eq!((read.unwrap(), after), (0, 75));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_may_be_silent() {
    let (mut line, mut client, pulse, _) = line(64);
    client.write_all(b"GET").await.unwrap();
    assert_eq!(read(&mut line).await.0.unwrap(), 3);
    let serving = pulse.begin();
    assert!(tokio::time::timeout(Duration::from_secs(3600), line.read(&mut [0; 64])).await.is_err());
    // Nothing is read again because the answer has ended.
    let ((read, after), ()) = tokio::join!(read(&mut line), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(serving);
    });
    assert_eq!((read.unwrap(), after), (0, 175));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_slow_to_read_is_silent_no_longer_than_others() {
    let (mut line, mut client, pulse, _) = line(8);
    let serving = pulse.begin();
    line.write_all(&[0; 8]).await.unwrap();
    // The timer is set for what is not read.
    let (written, ()) = tokio::join!(line.write_all(&[0; 4]), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.read_exact(&mut [0; 4]).await.unwrap();
    });
    written.unwrap();
    let ((read, after), ()) = tokio::join!(read(&mut line), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(serving);
    });
    assert_eq!((read.unwrap(), after), (0, 85));
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_what_it_is_sent_is_cut_off() {
    let (mut line, mut client, ..) = line(8);
    let began = Instant::now();
    line.write_all(&[0; 8]).await.unwrap();
    // As long as something is taken now and then, all is well.
    for _ in 0..4 {
        let (written, ()) = tokio::join!(line.write_all(&[0; 4]), async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            client.read_exact(&mut [0; 4]).await.unwrap();
        });
        written.unwrap();
    }
    let error = line.write_all(&[0; 4]).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 520));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_last_can_be_read_by_who_still_sends() {
    let (mut line, mut client, ..) = line(8);
    let began = Instant::now();
    let (shut, sent) = tokio::join!(line.shutdown(), async {
        client.write_all(&[0; 64]).await?;
        client.shutdown().await
    });
    assert!(shut.is_ok() && sent.is_ok() && began.elapsed() < LINGER);
    // Not for ever.
    let (mut line, _client, pulse, _) = self::line(8);
    let began = Instant::now();
    line.shutdown().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    pulse.hurry();
}
