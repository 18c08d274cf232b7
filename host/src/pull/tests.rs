use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::*;
use crate::tasks::Tasks;

const TOKENIZER: &[u8] = br#"{"version": "1.0"}"#;

/// A file of tensors as long as its table of contents says.
fn tensors() -> Vec<u8> {
    let contents =
        br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[250000],"data_offsets":[0,1000000]}}"#;
    let mut file = (contents.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(contents);
    file.resize(file.len() + 1_000_000, 7);
    file
}

/// What the server does when it is asked for a file.
#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// Says how long the file is and breaks off after so many bytes.
    Part(Vec<u8>, usize),
    /// Does not say how long the file is, and breaks off after so many bytes.
    PartUnsaid(Vec<u8>, usize),
    Status(&'static str),
    To(String),
    /// Gives half of the file and keeps the connection.
    Stall(Vec<u8>),
}

/// Sends exactly what a test wants, which a server of good manners would not.
struct Hub {
    base: String,
    asked: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl Hub {
    async fn start(weights: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/model", listener.local_addr().unwrap());
        let answers = HashMap::from([
            ("/model/tokenizer.json".to_owned(), Answer::Whole(TOKENIZER.to_vec())),
            ("/model/model.safetensors".to_owned(), weights),
            ("/elsewhere".to_owned(), Answer::Whole(tensors())),
        ]);
        let (asked, tasks) = (Arc::new(AtomicUsize::new(0)), Tasks::default());
        let counter = Arc::clone(&asked);
        tasks.spawn("hub", |cancel| async move {
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    counter.fetch_add(1, Ordering::SeqCst);
                    answer(stream, &answers).await;
                }
            };
            tokio::select! { () = serve => {}, () = cancel.cancelled() => {} }
        });
        Self { base, asked, _tasks: tasks }
    }

    fn source(&self) -> Source {
        Source::parse(&self.base)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One request, one answer, and the connection ends.
async fn answer(mut stream: TcpStream, answers: &HashMap<String, Answer>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let length =
        |file: &[u8]| format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", file.len());
    let (head, body) = match answers.get(path).cloned().unwrap_or(Answer::Status("404 Not Found")) {
        Answer::Whole(file) => (length(&file), file),
        Answer::Part(file, end) => (length(&file), file[..end].to_vec()),
        Answer::PartUnsaid(file, end) => ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".into(), file[..end].to_vec()),
        Answer::Status(status) => {
            (format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"), vec![])
        }
        Answer::To(place) => {
            let head =
                format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (head, vec![])
        }
        Answer::Stall(file) => {
            stream.write_all(length(&file).as_bytes()).await.unwrap();
            stream.write_all(&file[..file.len() / 2]).await.unwrap();
            return std::future::pending().await;
        }
    };
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.shutdown().await.unwrap();
}

fn known() -> &'static Known {
    Known::of("all-minilm-l6-v2").unwrap()
}

async fn pull_quietly(from: &Source, data: &Path) -> Result<(), PullError> {
    pull(known(), from, data, |_| {}).await
}

/// The names in the model's directory, sorted.
fn names(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(known().directory(data)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn weights(data: &Path) -> PathBuf {
    known().directory(data).join("model.safetensors")
}

/// Pulls what a server gives and checks what is said, and that nothing half is left.
#[track_caller]
fn check_refused(answer: Answer, expected: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (data, hub) = (TempDir::new().unwrap(), Hub::start(answer).await);
        let message = pull_quietly(&hub.source(), data.path()).await.unwrap_err().to_string();
        for part in expected {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert_eq!(names(data.path()), [".lock", "tokenizer.json"]);
        assert!(!known().is_here(data.path()));
    });
}

#[tokio::test]
async fn files_come_whole_and_are_not_asked_for_again() {
    let (data, hub) = (TempDir::new().unwrap(), Hub::start(Answer::Whole(tensors())).await);
    let mut done = Vec::new();
    let mut last = (0, None);
    pull(known(), &hub.source(), data.path(), |progress| match progress {
        Progress::Done { bytes, blake3, .. } => done.push((bytes, blake3.to_owned())),
        Progress::Coming { bytes, of, .. } => last = (bytes, of),
        Progress::Kept { .. } => panic!("nothing was there"),
    })
    .await
    .unwrap();
    let hash = |bytes: &[u8]| (bytes.len() as u64, blake3::hash(bytes).to_hex().to_string());
    assert_eq!(done, [hash(TOKENIZER), hash(&tensors())]);
    assert_eq!(last, (tensors().len() as u64, Some(tensors().len() as u64)));
    assert_eq!(fs::read(weights(data.path())).unwrap(), tensors());
    assert_eq!(names(data.path()), [".lock", "model.safetensors", "tokenizer.json"]);
    assert!(known().is_here(data.path()));

    let asked = hub.asked();
    let mut kept = 0;
    let tell = |progress: Progress<'_>| kept += usize::from(matches!(progress, Progress::Kept { .. }));
    pull(known(), &hub.source(), data.path(), tell).await.unwrap();
    assert_eq!((kept, hub.asked()), (2, asked));
}

#[tokio::test]
async fn damaged_file_is_fetched_again() {
    let (data, hub) = (TempDir::new().unwrap(), Hub::start(Answer::Whole(tensors())).await);
    pull_quietly(&hub.source(), data.path()).await.unwrap();
    let file = File::options().write(true).open(weights(data.path())).unwrap();
    file.set_len(1000).unwrap();
    assert!(!known().is_here(data.path()));
    pull_quietly(&hub.source(), data.path()).await.unwrap();
    assert_eq!(fs::read(weights(data.path())).unwrap(), tensors());
}

#[tokio::test]
async fn redirect_is_followed() {
    let (data, hub) = (TempDir::new().unwrap(), Hub::start(Answer::To("/elsewhere".into())).await);
    pull_quietly(&hub.source(), data.path()).await.unwrap();
    assert_eq!(fs::read(weights(data.path())).unwrap(), tensors());
}

#[test]
fn download_that_breaks_off_leaves_nothing_half() {
    check_refused(Answer::Part(tensors(), 400_000), &["model.safetensors broke off", "pull again"]);
    check_refused(Answer::PartUnsaid(tensors(), 400_000), &["it has 400000 bytes of 1000", "pull again"]);
    check_refused(Answer::PartUnsaid(tensors(), 50), &["table of contents is damaged or not complete"]);
    check_refused(Answer::PartUnsaid(tensors(), 0), &["it has no table of contents"]);
}

#[test]
fn what_is_no_file_of_tensors_is_refused() {
    check_refused(Answer::Whole(b"<!DOCTYPE html><html>Sign in</html>".to_vec()), &["it has no table of contents"]);
    let longer = [tensors(), vec![0]].concat();
    check_refused(Answer::Whole(longer), &["bytes of"]);
}

#[test]
fn refusals_say_what_to_do() {
    check_refused(Answer::Status("404 Not Found"), &["/model/model.safetensors answered 404", "appended to"]);
    check_refused(Answer::Status("401 Unauthorized"), &["answered 401", "--from"]);
    check_refused(Answer::Status("503 Service Unavailable"), &["answered 503", "try again later"]);
}

#[tokio::test]
async fn nobody_there_is_said_with_another_way() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = Source::Url(format!("http://{}", held.local_addr().unwrap()));
    drop(held);
    let data = TempDir::new().unwrap();
    let message = pull_quietly(&from, data.path()).await.unwrap_err().to_string();
    assert!(message.contains("cannot reach http://127.0.0.1") && message.contains("--from"), "{message}");
}

#[tokio::test]
async fn pull_that_is_stopped_leaves_nothing_half_and_lets_others_begin() {
    let (data, hub) = (TempDir::new().unwrap(), Hub::start(Answer::Stall(tensors())).await);
    let coming = Notify::new();
    let tell = |progress: Progress<'_>| {
        if matches!(progress, Progress::Coming { file: "model.safetensors", .. }) {
            coming.notify_one();
        }
    };
    let from = hub.source();
    let mut first = Box::pin(pull(known(), &from, data.path(), tell));
    tokio::select! {
        done = &mut first => panic!("it ends by itself: {done:?}"),
        () = coming.notified() => {}
    }
    assert!(names(data.path()).iter().any(|name| name.starts_with(UNFINISHED)));

    let second = pull_quietly(&from, data.path()).await.unwrap_err();
    assert!(matches!(second, PullError::Busy { .. }), "{second}");
    drop(first);
    assert_eq!(names(data.path()), [".lock", "tokenizer.json"]);
}

#[tokio::test]
async fn what_a_killed_pull_left_is_removed() {
    let (data, hub) = (TempDir::new().unwrap(), Hub::start(Answer::Whole(tensors())).await);
    let directory = known().directory(data.path());
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(".pull-Xy12"), "half").unwrap();
    pull_quietly(&hub.source(), data.path()).await.unwrap();
    assert_eq!(names(data.path()), [".lock", "model.safetensors", "tokenizer.json"]);
}

#[tokio::test]
async fn directory_is_a_source_too() {
    let (data, from) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let source = Source::parse(from.path().to_str().unwrap());
    fs::write(from.path().join("tokenizer.json"), TOKENIZER).unwrap();
    let message = pull_quietly(&source, data.path()).await.unwrap_err().to_string();
    assert!(message.contains("cannot read") && message.contains("model.safetensors"), "{message}");

    fs::write(from.path().join("model.safetensors"), tensors()).unwrap();
    pull_quietly(&source, data.path()).await.unwrap();
    assert_eq!(fs::read(weights(data.path())).unwrap(), tensors());
}

#[tokio::test]
async fn directory_that_cannot_be_made_is_named() {
    let data = TempDir::new().unwrap();
    fs::write(data.path().join("models"), "a file").unwrap();
    let error = pull_quietly(&Source::parse("/nowhere"), data.path()).await.unwrap_err();
    assert!(matches!(&error, PullError::Disk { path, .. } if *path == known().directory(data.path())), "{error}");
}

#[test]
fn full_disk_is_said_with_what_helps() {
    let source = io::Error::from(io::ErrorKind::StorageFull);
    let message = PullError::Disk { path: "/data/x".into(), source }.to_string();
    assert!(message.contains("/data/x") && message.contains("make room"), "{message}");
}

#[test]
fn unknown_name_is_told_from_a_known_one() {
    let message = Known::of("all-minilm").unwrap_err().to_string();
    assert!(message.contains("`all-minilm`") && message.contains("hotbay model list"), "{message}");
}
