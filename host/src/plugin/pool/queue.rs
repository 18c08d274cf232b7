//! Ready tasks, first come first served.
//!
//! One lock and one condition variable: a task that becomes ready wakes exactly one idle
//! thread, and none if all are busy. A work-stealing executor was tried; on a call that
//! comes alone it wakes a second thread for nothing, which costs more than the call.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_task::Runnable;

/// The tasks that can go on.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
}

#[derive(Default)]
struct Inner {
    tasks: VecDeque<Runnable>,
    /// Threads in `pop` without a task.
    idle: usize,
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
        let wake = inner.idle > 0;
        drop(inner);
        if wake {
            self.ready.notify_one();
        }
    }

    /// Waits for a task; `None` when this thread is to end.
    pub(super) fn pop(&self, retire: &AtomicBool) -> Option<Runnable> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if inner.closed || retire.load(Ordering::SeqCst) {
                // The wake-up this thread may have got was for somebody who stays.
                if !inner.tasks.is_empty() {
                    self.ready.notify_one();
                }
                return None;
            }
            if let Some(task) = inner.tasks.pop_front() {
                return Some(task);
            }
            inner.idle += 1;
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
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
