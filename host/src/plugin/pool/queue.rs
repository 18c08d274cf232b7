//! Ready tasks, first come first served.
//!
//! One lock and one condition variable: a task that becomes ready wakes exactly one idle
//! thread, and none if all are busy. A work-stealing executor was tried; on a call that
//! comes alone it wakes a second thread for nothing, which costs more than the call.
//!
//! Sleeping and waking cost several microseconds each, more than most calls. So a thread
//! that has run out of tasks first lets others run for a moment: under load these are the
//! host's threads, which bring the next tasks, and nobody had to be woken.
//!
//! Where tasks come from outside of the process, threads without one sleep at their [`Source`]:
//! who hears of a task runs it itself, and nobody has to be woken for that either.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use async_task::Runnable;

/// How often a thread without tasks lets others run before it sleeps. Few: where nobody else
/// wants to run this is time spent for nothing.
const YIELDS: usize = 4;

/// Where tasks come from, and where threads of a pool sleep that have none.
pub(crate) trait Source: Send + Sync {
    /// Sleeps until there is something to take or somebody calls [`Source::wake`]; returns whether
    /// there is something. Called by several threads at once; one hears of what came.
    fn wait(&self) -> bool;
    /// Makes tasks of what came. Called once for each time that `wait` has said so; does not block.
    fn take(&self);
    /// Wakes one of those who sleep; if there are none, the next to come does not sleep.
    fn wake(&self);
}

/// The tasks that can go on.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
    /// Threads sleep there if there is one, else at `ready`.
    source: Option<Arc<dyn Source>>,
}

#[derive(Default)]
struct Inner {
    tasks: VecDeque<Runnable>,
    /// Threads that sleep until there is a task.
    idle: usize,
    /// Threads that look for a task before they sleep, or make tasks of what came to the source.
    looking: usize,
    /// One that sleeps was woken and is on its way.
    coming: bool,
    closed: bool,
}

impl Inner {
    /// Whether somebody is to be woken for a task; whoever asks does so then.
    fn needs_one(&mut self) -> bool {
        // Who looks or comes finds it, and wakes another if there are more.
        let needs = !self.tasks.is_empty() && self.idle > 0 && self.looking == 0 && !self.coming;
        self.coming |= needs;
        needs
    }

    /// Takes note that one sleeps no more, whatever it was woken for.
    fn has_woken(&mut self) {
        self.idle -= 1;
        self.coming = false;
    }
}

impl Queue {
    pub(super) fn new(source: Option<Arc<dyn Source>>) -> Self {
        Self { source, ..Self::default() }
    }

    /// Adds a task. After the close it is dropped instead, which cancels it.
    pub(super) fn push(&self, task: Runnable) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            // Dropping runs the future's drop, which may push others: not under the lock.
            drop(inner);
            drop(task);
            return;
        }
        inner.tasks.push_back(task);
        let needs_one = inner.needs_one();
        drop(inner);
        if needs_one {
            self.wake();
        }
    }

    fn wake(&self) {
        match &self.source {
            Some(source) => source.wake(),
            None => self.ready.notify_one(),
        }
    }

    /// Waits for a task; `None` when this thread is to end.
    pub(super) fn pop(&self, retire: &AtomicBool) -> Option<Runnable> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut has_looked = false;
        loop {
            if inner.closed || retire.load(Ordering::SeqCst) {
                // The wake-up this thread may have got was for somebody who stays.
                if !inner.tasks.is_empty() {
                    self.wake();
                }
                return None;
            }
            if let Some(task) = inner.tasks.pop_front() {
                // Tasks that came while this thread looked or was on its way woke nobody: their turn now.
                if inner.needs_one() {
                    self.wake();
                }
                return Some(task);
            }
            if let Some(source) = &self.source {
                inner = self.wait_at(&**source, inner);
                continue;
            }
            // One that looks is enough.
            if inner.looking == 0 && !has_looked {
                has_looked = true;
                inner = self.look(inner);
                continue;
            }
            has_looked = false;
            inner.idle += 1;
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.has_woken();
        }
    }

    /// Sleeps at the source and takes what came. Returns with the lock held.
    fn wait_at<'a>(&'a self, source: &dyn Source, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.idle += 1;
        drop(inner);
        let has_come = source.wait();
        inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.has_woken();
        if has_come {
            // The first task is this thread's own, so that nobody is woken for it.
            inner.looking += 1;
            drop(inner);
            source.take();
            inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.looking -= 1;
        }
        inner
    }

    /// Gives others some chances to bring a task. Returns with the lock held.
    fn look<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.looking += 1;
        for _ in 0..YIELDS {
            drop(inner);
            thread::yield_now();
            inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if !inner.tasks.is_empty() || inner.closed {
                break;
            }
        }
        inner.looking -= 1;
        inner
    }

    /// Makes idle threads look whether they are to end. At a source one does, and others as they are woken.
    pub(super) fn wake_all(&self) {
        // Under the lock, so that a thread between its look and its wait is not missed.
        let _inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.notify_all();
        if let Some(source) = &self.source {
            source.wake();
        }
    }

    /// Ends all threads and drops what is waiting.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        let left = std::mem::take(&mut inner.tasks);
        self.ready.notify_all();
        drop(inner);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_woken_at_a_time_and_another_for_what_is_left() {
        let task = || async_task::spawn(async {}, |_| {}).0;
        let mut inner = Inner { tasks: [task(), task()].into(), idle: 2, ..Inner::default() };
        assert!(inner.needs_one());
        assert!(!inner.needs_one(), "one is on its way");
        inner.has_woken();
        inner.tasks.pop_front();
        assert!(inner.needs_one(), "who came has a task, and there is another");
        inner.has_woken();
        assert!(!inner.needs_one(), "nobody sleeps");
        inner.idle = 1;
        inner.looking = 1;
        assert!(!inner.needs_one(), "one looks");
        inner.looking = 0;
        inner.tasks.clear();
        assert!(!inner.needs_one(), "there is nothing");
    }
}
