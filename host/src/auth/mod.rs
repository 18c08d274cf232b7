//! Who callers are: the tokens operators give out, and JWT of an identity provider.
//!
//! Knows no HTTP: what a caller shows is a text. What each may do is in the route table, what
//! belongs to whom is the handlers' to check; both ask the [`Caller`] this makes of the text.

mod cryptography;
pub mod jwt;
mod refresh;
pub mod settings;
pub mod token;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    store::{Mark, Store, StoreError, tokens::Tokens},
    types::{caller::Caller, id::Millis},
};
use jwt::{Jwt, JwtError};
use refresh::Refresh;
use settings::AuthSettings;
use token::Known;

/// How often tokens of the store are read again: how long one that was revoked elsewhere still counts.
const REFRESH: Duration = Duration::from_secs(2);
/// How soon a token that is not known may cause them to be read again.
const SOONEST: Duration = Duration::from_millis(250);

/// How often a token is looked at again that is used for long: clocks are set.
const LOOK: Duration = Duration::from_secs(60);

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// From when on what they showed lets nobody in.
    pub until: Millis,
}

/// Tells who callers are. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    shared: Arc<Shared>,
}

struct Shared {
    is_required: bool,
    store: Store,
    known: Known,
    reading: Refresh,
    jwt: Option<Jwt>,
    /// Told whenever something may let nobody in any more.
    changes: watch::Sender<()>,
}

/// Why authentication cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Tokens of the store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token's text is not where the configuration says.
    #[error("the token `{name}` has no text: {reason}")]
    NoText {
        /// The token.
        name: String,
        /// Why.
        reason: String,
    },
    /// The keys of JWT cannot be read.
    #[error(transparent)]
    Jwt(#[from] JwtError),
}

impl Auth {
    /// Reads what is known of callers.
    ///
    /// # Errors
    /// If tokens or keys cannot be read; keys at a URL may come later.
    pub async fn start(
        settings: &AuthSettings,
        store: Store,
        variable: fn(&str) -> Option<String>,
    ) -> Result<Self, AuthError> {
        let known = Known::new(&settings.tokens, variable)?;
        let changes = watch::Sender::default();
        let jwt = match &settings.jwt {
            Some(settings) => Some(Jwt::start(settings, changes.clone()).await?),
            None => None,
        };
        let is_required = settings.is_required();
        let shared = Shared { is_required, store, known, reading: Refresh::new(SOONEST), jwt, changes };
        let auth = Self { shared: Arc::new(shared) };
        if auth.is_required() {
            auth.read().await?;
        }
        Ok(auth)
    }

    /// Whether callers are asked who they are.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.shared.is_required
    }

    /// Whether there is anything that would let somebody in.
    #[must_use]
    pub fn can_let_anybody_in(&self) -> bool {
        self.shared.jwt.is_some() || !self.shared.known.is_empty()
    }

    /// Returns who shows this, `None` if it lets nobody in.
    pub async fn who(&self, shown: &str) -> Option<Admitted> {
        let now = Millis::now();
        if let Some(admitted) = self.shared.known.find(shown, now) {
            return Some(admitted);
        }
        if let Some(jwt) = &self.shared.jwt
            && jwt::looks_like_one(shown)
        {
            return jwt.who(shown).await;
        }
        // Made by another process a moment ago, perhaps. Whoever guesses cannot cause more reads by it.
        if token::looks_like_one(shown) && self.shared.reading.again(self.read_from_store()).await {
            return self.shared.known.find(shown, now);
        }
        None
    }

    /// Waits until what somebody shows lets nobody in any more: its time is over, or it was revoked.
    pub async fn lapse(&self, shown: &str) {
        let mut changes = self.shared.changes.subscribe();
        while let Some(Admitted { until, .. }) = self.who(shown).await {
            let left = until.0.saturating_sub(Millis::now().0);
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            // Whether something has changed or the time has come, it is looked at again.
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(left.min(LOOK)) => {}
            }
        }
    }

    /// Reads the tokens of the store now: one was made or revoked.
    ///
    /// # Errors
    /// If they cannot be read; those that were known stay.
    pub async fn read(&self) -> Result<(), StoreError> {
        self.shared.reading.now(self.read_from_store()).await
    }

    /// Returns the tokens of the store.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.shared.store.tokens()
    }

    /// Keeps up with what others change, until it is told to end.
    pub async fn keep(self, cancel: CancellationToken) {
        if !self.is_required() {
            return;
        }
        let jwt = async {
            match &self.shared.jwt {
                Some(jwt) => jwt.keep().await,
                None => std::future::pending().await,
            }
        };
        let tokens = async {
            let mut mark = Mark::default();
            loop {
                tokio::time::sleep(REFRESH).await;
                let used = self.shared.known.used();
                if used.is_empty() && mark.holds() {
                    continue;
                }
                let written = if used.is_empty() { Ok(()) } else { self.tokens().used(used).await };
                mark = self.shared.store.mark();
                if let Err(error) = written.and(self.read().await) {
                    tracing::warn!(%error, "what was known of callers still counts");
                    mark = Mark::default();
                }
            }
        };
        cancel.run_until_cancelled(async { tokio::join!(jwt, tokens) }).await;
    }

    async fn read_from_store(&self) -> Result<(), StoreError> {
        if self.shared.known.replace(self.tokens().standing().await?) {
            self.shared.changes.send_replace(());
        }
        Ok(())
    }
}
