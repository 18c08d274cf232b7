//! Ready tasks, first come first served.
//!
//! One lock and one condition variable: a task that becomes ready wakes exactly one idle
//! thread, and none if all are busy. A work-stealing executor was tried; on a call that
//! comes alone it wakes a second thread for nothing, which costs more than the call.
//!
//! Sleeping and waking cost several microseconds each, more than most calls. So a thread
//! that has run out of tasks first lets others run for a moment: under load these are the
//! host's threads, which bring the next tasks, and nobody had to be woken.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use async_task::Runnable;

/// How often a thread without tasks lets others run before it sleeps. Few: where nobody else
/// wants to run this is time spent for nothing.
const YIELDS: usize = 4;

/// The tasks that can go on.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
}

#[derive(Default)]
struct Inner {
    tasks: VecDeque<Runnable>,
    /// Threads that sleep until there is a task.
    idle: usize,
    /// A thread looks for a task before it sleeps. One is enough.
    looking: bool,
    closed: bool,
}

impl Queue {
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
        // Who looks finds it, and wakes another if there are more.
        let wake = inner.idle > 0 && !inner.looking;
        drop(inner);
        if wake {
            self.ready.notify_one();
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
                    self.ready.notify_one();
                }
                return None;
            }
            if let Some(task) = inner.tasks.pop_front() {
                // Tasks that came while this thread looked woke nobody: their turn now.
                if !inner.tasks.is_empty() && inner.idle > 0 && !inner.looking {
                    self.ready.notify_one();
                }
                return Some(task);
            }
            if !inner.looking && !has_looked {
                has_looked = true;
                inner = self.look(inner);
                continue;
            }
            has_looked = false;
            inner.idle += 1;
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    /// Gives others some chances to bring a task. Returns with the lock held.
    fn look<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.looking = true;
        for _ in 0..YIELDS {
            drop(inner);
            thread::yield_now();
            inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if !inner.tasks.is_empty() || inner.closed {
                break;
            }
        }
        inner.looking = false;
        inner
    }

    /// Makes idle threads look whether they are to end.
    pub(super) fn wake_all(&self) {
        // Under the lock, so that a thread between its look and its wait is not missed.
        let _inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.notify_all();
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
