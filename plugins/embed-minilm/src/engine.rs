//! Who runs the model, when: loaded once, on few threads, in turns.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use hotbay_plugin::{Ctx, Error, Result, error::code};
use tokio::sync::{OnceCell, Semaphore};

use crate::model::Model;

/// So many tokens are embedded in one go, or one text: the products are as fast as they get, it takes some
/// 15 MB while it lasts, and whoever waits for a thread does not wait for long.
const BATCH_TOKENS: usize = 1024;

/// No machine has more cores, and threads that may block are counted.
const MOST_THREADS: usize = 256;

/// The model of one generation of the plugin, with the threads that may run it.
pub(crate) struct Engine {
    directory: PathBuf,
    /// How the files are had, for whoever finds them missing.
    remedy: String,
    /// Filled by the first call that finds the files, and given back with the generation.
    model: OnceCell<Arc<Model>>,
    /// One permit a thread. Calls get them in turn, a batch at a time, so that a lone question waits for a
    /// batch of a great call and not for all of it.
    threads: Arc<Semaphore>,
    thread_count: usize,
}

impl Engine {
    /// Returns an engine for a directory that may still be empty.
    pub(crate) fn new(directory: PathBuf, remedy: String, threads: NonZeroUsize) -> Self {
        let thread_count = threads.get().min(MOST_THREADS);
        let threads = Arc::new(Semaphore::new(thread_count));
        Self { directory, remedy, model: OnceCell::new(), threads, thread_count }
    }

    /// Returns the vectors of texts, in order.
    ///
    /// # Errors
    /// If the model is not there or cannot be used, or the caller goes away.
    pub(crate) async fn embed(&self, ctx: &Ctx, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let model = self.model.get_or_try_init(|| self.load(ctx)).await?;
        let (reader, call) = (Arc::clone(model), ctx.clone());
        let each = move |text: &String| still_wanted(&call).and_then(|()| reader.tokens(text));
        let texts: Vec<_> = self.on_thread(ctx, move || texts.iter().map(each).collect()).await?;
        let model = Arc::clone(model);
        self.in_turns(ctx, batches(texts), move |batch| model.embed(&batch)).await
    }

    /// Works on pieces, as many at once as there are threads, and returns what comes of them in order.
    ///
    /// A piece begins only while somebody waits for the result.
    async fn in_turns<P: Send + 'static, T: Send + 'static>(
        &self,
        ctx: &Ctx,
        pieces: Vec<P>,
        work: impl Fn(P) -> Result<Vec<T>> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let work = Arc::new(work);
        let results = stream::iter(pieces).map(|piece| {
            let work = Arc::clone(&work);
            self.on_thread(ctx, move || work(piece))
        });
        results.buffered(self.thread_count).try_concat().await
    }

    /// Returns the model if it is loaded, without keeping it.
    #[cfg(test)]
    pub(crate) fn loaded(&self) -> std::sync::Weak<Model> {
        self.model.get().map(Arc::downgrade).unwrap_or_default()
    }

    async fn load(&self, ctx: &Ctx) -> Result<Arc<Model>> {
        let (directory, remedy) = (self.directory.clone(), self.remedy.clone());
        self.on_thread(ctx, move || Model::load(&directory, &remedy).map(Arc::new)).await
    }

    /// Runs work on one of the threads, when it is the call's turn.
    async fn on_thread<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = Arc::clone(&self.threads).acquire_owned().await?;
        let call = ctx.clone();
        ctx.blocking(move || {
            // Given back when the work ends, not when nobody waits for it any more.
            let _turn = turn;
            still_wanted(&call)?;
            work()
        })
        .await
    }
}

fn still_wanted(call: &Ctx) -> Result<()> {
    if call.is_cancelled() {
        return Err(Error::with_code(code::CANCELLED, "the caller went away"));
    }
    Ok(())
}

/// Cuts a list of texts into pieces of at most [`BATCH_TOKENS`], or of one text.
fn batches(texts: Vec<Vec<u32>>) -> Vec<Vec<Vec<u32>>> {
    let mut batches: Vec<Vec<Vec<u32>>> = Vec::new();
    let mut tokens = usize::MAX;
    for text in texts {
        tokens = tokens.saturating_add(text.len());
        match batches.last_mut() {
            Some(batch) if tokens <= BATCH_TOKENS => batch.push(text),
            _ => {
                tokens = text.len();
                batches.push(vec![text]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        pin::pin,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::Poll,
    };

    use hotbay_plugin::{Plugin, prelude::*, testing::TestHost};
    use tokio::sync::Notify;

    use super::*;

    #[track_caller]
    fn check(lengths: &[usize], expected: &[&[usize]]) {
        let found = batches(lengths.iter().map(|length| vec![0; *length]).collect());
        let found: Vec<Vec<_>> = found.iter().map(|batch| batch.iter().map(Vec::len).collect()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn batches_are_full_and_in_order() {
        check(&[], &[]);
        check(&[1000, 20, 4, 1], &[&[1000, 20, 4], &[1]]);
        check(&[2000, 3, 1021, 1], &[&[2000], &[3, 1021], &[1]]);
    }

    fn engine(threads: usize) -> Engine {
        Engine::new(PathBuf::new(), String::new(), NonZeroUsize::new(threads).unwrap())
    }

    /// Gives a hundred pieces up while the first two are worked on; returns how many were begun at all.
    #[tool(untyped_output)]
    async fn gives_up(ctx: &Ctx) -> Result<usize> {
        let engine = engine(2);
        let (begun, both) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (release, held) = mpsc::channel::<()>();
        let (counter, told, held) = (Arc::clone(&begun), Arc::clone(&both), Mutex::new(held));
        let work = move |_piece: usize| {
            if counter.fetch_add(1, Ordering::SeqCst) == 1 {
                told.notify_one();
            }
            // Nothing is ever sent: this waits until the test lets go.
            let _gone = held.lock().unwrap().recv();
            Ok(vec![()])
        };
        tokio::select! {
            _ = engine.in_turns(ctx, (0..100).collect(), work) => panic!("nobody let it end"),
            () = both.notified() => {}
        }
        drop(release);
        // The threads are free again: whatever was begun has ended.
        let _all = engine.threads.acquire_many(2).await?;
        Ok(begun.load(Ordering::SeqCst))
    }

    #[test]
    fn call_that_is_given_up_begins_no_more_batches() {
        let plugin = TestHost::new().open(Plugin::new("test", "0.0.0").tool(gives_up), &json!({})).unwrap();
        assert_eq!(plugin.tool("gives_up").run(&json!({})).unwrap(), json!(2));
    }

    /// Asks for work while another call has a hundred pieces of it and the first goes on; returns how
    /// many of those came first.
    #[tool(untyped_output)]
    async fn takes_turns(ctx: &Ctx) -> Result<usize> {
        let engine = engine(1);
        let (done, first) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (release, held) = mpsc::channel::<()>();
        let (counter, told, held) = (Arc::clone(&done), Arc::clone(&first), Mutex::new(held));
        let work = move |_piece: usize| {
            counter.fetch_add(1, Ordering::SeqCst);
            told.notify_one();
            // Nothing is ever sent: this waits until the test lets go.
            let _gone = held.lock().unwrap().recv();
            Ok(vec![()])
        };
        let mut many = pin!(engine.in_turns(ctx, (0..100).collect(), work));
        tokio::select! {
            _ = &mut many => panic!("nobody let it end"),
            () = first.notified() => {}
        }
        let counter = Arc::clone(&done);
        let mut lone = pin!(engine.in_turns(ctx, vec![()], move |()| Ok(vec![counter.load(Ordering::SeqCst)])));
        assert!(poll_fn(|task| Poll::Ready(lone.as_mut().poll(task).is_pending())).await, "it stands in line");
        drop(release);
        let (many, lone) = tokio::join!(many, lone);
        many?;
        Ok(lone?[0])
    }

    #[test]
    fn lone_text_does_not_wait_for_all_of_a_great_call() {
        let plugin = TestHost::new().open(Plugin::new("test", "0.0.0").tool(takes_turns), &json!({})).unwrap();
        let before: usize = plugin.tool("takes_turns").run(&json!({})).unwrap().value().unwrap();
        assert_eq!(before, 1, "it waits for what goes on and for no more");
    }
}
