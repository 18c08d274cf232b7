//! The thread that makes graphs and compacts logs, one index after the other. Nobody waits for it.

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::Ordering,
        mpsc::{self, Receiver, SyncSender},
    },
};

use crate::index::{Index, Refusal};

/// How many indexes may wait. One that finds no room is told of again by what is written to it next.
const WAITING: usize = 256;

/// Tells the thread what to do. The thread ends when this is gone.
pub(crate) struct Builder {
    queue: SyncSender<Weak<Index>>,
}

impl Builder {
    pub(crate) fn start() -> io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel(WAITING);
        std::thread::Builder::new().name("vectors-builder".to_owned()).spawn(move || build_all(&waiting))?;
        Ok(Self { queue })
    }

    /// Lets the thread look at an index, if there is something to do.
    pub(crate) fn look_at(&self, index: &Arc<Index>) {
        if !index.needs_builder() || index.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.queue.try_send(Arc::downgrade(index)).is_err() {
            index.is_queued.store(false, Ordering::Release);
        }
    }
}

fn build_all(waiting: &Receiver<Weak<Index>>) {
    while let Ok(index) = waiting.recv() {
        let Some(index) = index.upgrade() else { continue };
        index.is_queued.store(false, Ordering::Release);
        // What fails is tried again after the next write; until then all rows are looked at.
        let _tried = build(&index);
    }
}

fn build(index: &Index) -> Result<(), Refusal> {
    let _alone = index.hold_building()?;
    index.compact()?;
    index.build_graph()?;
    Ok(())
}
