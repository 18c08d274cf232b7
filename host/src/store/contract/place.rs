//! A database of a test's own, and how it goes away again.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;

use super::super::{Store, StoreError, StoreSettings, database::Dialect};
use crate::tasks::Tasks;

/// How long what was handed over may take to be written.
const CLOSING: std::time::Duration = std::time::Duration::from_secs(30);

/// Where a store can be opened, more than once.
pub(in crate::store) struct Place {
    pub(in crate::store) settings: StoreSettings,
    pub(super) dialect: Dialect,
    data: TempDir,
    /// The server's own database, and ours on it.
    #[cfg(hotbay_test_postgres)]
    server: Option<(String, String)>,
}

/// An open store and what writes it.
pub(in crate::store) struct Opened {
    pub(in crate::store) store: Store,
    tasks: Tasks,
}

impl Opened {
    /// Ends as a host does.
    pub(in crate::store) async fn close(self) {
        self.tasks.shut_down(CLOSING).await;
        self.store.close().await;
    }
}

impl Place {
    pub(in crate::store) async fn sqlite() -> Self {
        let data = TempDir::new().unwrap();
        let settings = StoreSettings { data: data.path().to_owned(), url: None, fault: None };
        Self {
            settings,
            dialect: Dialect::Sqlite,
            data,
            #[cfg(hotbay_test_postgres)]
            server: None,
        }
    }

    /// Makes a database on the server that `HOTBAY_TEST_POSTGRES_URL` names.
    #[cfg(hotbay_test_postgres)]
    #[expect(clippy::disallowed_methods, reason = "not the host: where the tests' server is")]
    pub(in crate::store) async fn postgres() -> Self {
        const VARIABLE: &str = "HOTBAY_TEST_POSTGRES_URL";
        let server = std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} was set when this was built"));
        let name = format!("hotbay_test_{}", uuid::Uuid::now_v7().simple());
        command(&server, &format!("CREATE DATABASE {name}")).await;
        let mut url = reqwest::Url::parse(&server).unwrap_or_else(|error| panic!("{VARIABLE} is no URL: {error}"));
        url.set_path(&name);
        let data = TempDir::new().unwrap();
        let settings = StoreSettings { data: data.path().to_owned(), url: Some(url.into()), fault: None };
        Self { settings, dialect: Dialect::Postgres, data, server: Some((server, name)) }
    }

    /// Opens the store and runs its writer.
    pub(in crate::store) async fn open(&self) -> Result<Opened, StoreError> {
        open(&self.settings).await
    }

    /// Returns the place of another host for the same database: another data directory,
    /// if the database is not in that.
    pub(super) fn of_another_host(&self) -> (StoreSettings, Option<TempDir>) {
        let mut settings = self.settings.clone();
        match self.dialect {
            Dialect::Sqlite => (settings, None),
            Dialect::Postgres => {
                let data = TempDir::new().unwrap();
                settings.data = data.path().to_owned();
                (settings, Some(data))
            }
        }
    }

    /// Connects to the database without a store.
    pub(in crate::store) async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let file = format!("sqlite://{}", self.data.path().join("hotbay.db").display());
        AnyConnection::connect(self.settings.url.as_deref().unwrap_or(&file)).await.unwrap()
    }

    /// Runs a case on an open store.
    pub(in crate::store) async fn with_store(self, case: impl AsyncFnOnce(&Store)) {
        self.with_place(async |place: &Self| {
            let opened = place.open().await.unwrap();
            case(&opened.store).await;
            opened.close().await;
        })
        .await;
    }

    /// Runs a case that opens the store itself, and takes the database away however it ends.
    pub(in crate::store) async fn with_place(self, case: impl AsyncFnOnce(&Self)) {
        let done = AssertUnwindSafe(case(&self)).catch_unwind().await;
        #[cfg(hotbay_test_postgres)]
        if let Some((server, name)) = &self.server {
            command(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        if let Err(panic) = done {
            resume_unwind(panic);
        }
    }
}

/// Opens a store and runs its writer.
pub(in crate::store) async fn open(settings: &StoreSettings) -> Result<Opened, StoreError> {
    let (store, writer) = Store::open(settings).await?;
    let tasks = Tasks::default();
    if let Some(writer) = writer {
        tasks.spawn("store-writer", |cancel| writer.run(cancel));
    }
    Ok(Opened { store, tasks })
}

/// Has the server do something that concerns a whole database.
#[cfg(hotbay_test_postgres)]
async fn command(server: &str, sql: &str) {
    use sqlx::{AssertSqlSafe, Executor};

    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server)
        .await
        .unwrap_or_else(|error| panic!("HOTBAY_TEST_POSTGRES_URL names a server that does not answer: {error}"));
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}
