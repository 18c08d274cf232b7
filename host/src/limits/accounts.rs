//! What each client has taken. However many there are, they take a bounded amount of memory.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Client, Held, rate::Bucket};

/// So many can be looked up at once.
const SHARDS: usize = 16;
/// So many clients each of them knows: 65,536 in all, some 10 MB.
const CLIENTS: usize = 4096;
/// How often a shard that is full is searched for clients that are gone.
const SWEEP: Duration = Duration::from_secs(1);

/// What a client has taken.
#[derive(Debug, Default)]
pub struct Account {
    connections: AtomicUsize,
    runs: AtomicUsize,
    streams: AtomicUsize,
    pub(super) bucket: Bucket,
}

impl Account {
    fn count(&self, held: Held) -> &AtomicUsize {
        match held {
            Held::Connection => &self.connections,
            Held::Run => &self.runs,
            Held::Stream => &self.streams,
        }
    }

    /// Adds one, and returns how many there were.
    pub(super) fn add(&self, held: Held) -> usize {
        self.count(held).fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn remove(&self, held: Held) {
        self.count(held).fetch_sub(1, Ordering::Relaxed);
    }
}

/// All clients that are told apart.
#[derive(Debug)]
pub(super) struct Accounts {
    /// Absent if nothing is limited for each client.
    shards: Option<Box<[Mutex<Shard>]>>,
    // Of its own key: nobody can choose addresses that are all in one shard.
    hasher: RandomState,
    /// Those there was no room for, and everybody if clients are not told apart.
    others: Arc<Account>,
}

/// Held for a lookup, and once a second for a walk over all of it.
#[derive(Debug, Default)]
struct Shard {
    accounts: HashMap<Client, Arc<Account>>,
    swept: Duration,
}

impl Accounts {
    pub(super) fn new(is_on: bool) -> Self {
        let shards = is_on.then(|| (0..SHARDS).map(|_| Mutex::default()).collect());
        Self { shards, hasher: RandomState::new(), others: Arc::default() }
    }

    /// Returns a client's account. When there is no room for it, it shares one with others.
    pub(super) fn find(&self, client: &Client, now: impl FnOnce() -> Duration) -> Arc<Account> {
        let Some(mut shard) = self.shard(client) else { return self.others() };
        if let Some(account) = shard.accounts.get(client) {
            return Arc::clone(account);
        }
        shard.add(client, now()).unwrap_or_else(|| self.others())
    }

    /// Returns the account of those who have none.
    pub(super) fn others(&self) -> Arc<Account> {
        Arc::clone(&self.others)
    }

    /// Returns how many clients are known.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().flatten().map(|shard| lock(shard).accounts.len()).sum()
    }

    fn shard(&self, client: &Client) -> Option<MutexGuard<'_, Shard>> {
        let shards = self.shards.as_ref()?;
        let place = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or_default();
        shards.get(place).map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Makes an account, if there is room.
    fn add(&mut self, client: &Client, now: Duration) -> Option<Arc<Account>> {
        if self.accounts.len() >= CLIENTS && now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            // One that nobody uses, and that may ask as often as a new one, is not missed.
            self.accounts.retain(|_, account| Arc::strong_count(account) > 1 || !account.bucket.is_full(now));
        }
        if self.accounts.len() >= CLIENTS {
            return None;
        }
        let account = Arc::<Account>::default();
        self.accounts.insert(client.clone(), Arc::clone(&account));
        Some(account)
    }
}
