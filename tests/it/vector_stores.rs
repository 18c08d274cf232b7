//! The vector stores on servers, as a host loads them: what they say without one, and PostgreSQL shared by two hosts.

use hotbay_tests::TestHost;
use serde_json::json;

#[tokio::test]
async fn stores_without_a_server_are_loaded_and_say_what_to_set() {
    let host =
        TestHost::builder().plugin("hotbay-vector-pgvector").plugin("hotbay-vector-qdrant").start().await.unwrap();
    let (_, listed) = host.get_json("/api/vectors").await.unwrap();
    let stores: Vec<_> = listed["vectors"].as_array().unwrap().iter().map(|store| &store["id"]).collect();
    assert_eq!(stores, [&json!("pgvector"), &json!("qdrant")]);
    for store in ["pgvector", "qdrant"] {
        let (status, answer) = host.get_json(&format!("/api/vector/{store}/indexes")).await.unwrap();
        let sentence = format!("set `url` in [plugins.hotbay-vector-{store}.config]");
        assert!(status == 503 && answer["error"].as_str().unwrap().contains(&sentence), "{status} {answer}");
    }
}

#[tokio::test]
async fn server_that_is_away_is_a_503_and_no_password_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[plugins.hotbay-vector-pgvector.config]\nurl = {{ secret = \"vectors\" }}\n\
         [plugins.hotbay-vector-qdrant.config]\nurl = \"http://127.0.0.1:{free}\"\napi_key = {{ secret = \"key\" }}\n\
         [secrets]\nvectors = \"postgres://hotbay:hidden@127.0.0.1:{free}/x\"\nkey = \"hidden\"\n"
    );
    let host = TestHost::builder()
        .plugin("hotbay-vector-pgvector")
        .plugin("hotbay-vector-qdrant")
        .config_text(config)
        .start()
        .await
        .unwrap();
    for store in ["pgvector", "qdrant"] {
        let create = json!({"indexName": "docs", "dimension": 2});
        let (status, answer) = host.post_json(&format!("/api/vector/{store}/create-index"), &create).await.unwrap();
        assert!(status == 503 && answer["error"].as_str().unwrap().contains("no connection"), "{status} {answer}");
        assert!(!answer.to_string().contains("hidden"), "{answer}");
    }
    assert!(!host.log().contains("hidden"), "{}", host.log());
}

/// A schema of the test's own, which goes with it.
#[cfg(hotbay_test_pgvector)]
struct Schema(String);

#[cfg(hotbay_test_pgvector)]
impl Schema {
    async fn new() -> Self {
        let schema = Self(format!("hotbay_it_{}", std::process::id()));
        schema.run("DROP SCHEMA IF EXISTS").await;
        schema
    }

    #[expect(clippy::disallowed_methods, reason = "not the host: where the tests' server is")]
    fn url() -> String {
        std::env::var("HOTBAY_TEST_PGVECTOR_URL").expect("it was set when this was built")
    }

    async fn run(&self, command: &str) {
        use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&Self::url()).await.unwrap();
        connection.execute(AssertSqlSafe(format!("{command} {} CASCADE", self.0))).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn host(&self) -> TestHost {
        let config = format!(
            "[plugins.hotbay-vector-pgvector.config]\nurl = {{ secret = \"vectors\" }}\nschema = \"{}\"\n\
             [secrets]\nvectors = \"{}\"\n",
            self.0,
            Self::url()
        );
        TestHost::builder().plugin("hotbay-vector-pgvector").config_text(config).start().await.unwrap()
    }
}

#[cfg(hotbay_test_pgvector)]
#[tokio::test]
async fn two_hosts_share_what_is_in_postgresql() {
    let schema = Schema::new().await;
    let (one, other) = (schema.host().await, schema.host().await);
    let path = |what: &str| format!("/api/vector/pgvector/{what}");
    let create = json!({"indexName": "docs", "dimension": 2, "metric": "euclidean"});
    let (first, second) = tokio::join!(one.post_json("/api/vector/pgvector/create-index", &create), async {
        other.post_json("/api/vector/pgvector/create-index", &create).await
    });
    assert_eq!((first.unwrap().0, second.unwrap().0), (200, 200));
    let upsert =
        json!({"indexName": "docs", "ids": ["a", "b"], "vectors": [[1, 0], [3, 0]], "metadata": [{"n": 1}, {"n": 2}]});
    assert_eq!(one.post_json(&path("upsert"), &upsert).await.unwrap().0, 200);
    let query =
        json!({"indexName": "docs", "queryVector": [3, 0], "filter": {"n": {"$gte": 1}}, "includeVector": true});
    let (_, hits) = other.post_json(&path("query"), &query).await.unwrap();
    assert_eq!(hits[0], json!({"id": "b", "score": 1.0, "metadata": {"n": 2}, "vector": [3.0, 0.0]}));
    assert_eq!(hits.as_array().unwrap().len(), 2);
    let wrong = json!({"indexName": "docs", "queryVector": [3]});
    assert_eq!(other.post_json(&path("query"), &wrong).await.unwrap().0, 400);
    let unknown = json!({"indexName": "nope", "queryVector": [3]});
    assert_eq!(other.post_json(&path("query"), &unknown).await.unwrap().0, 404);
    // A swap closes the connections of the generation that ends, and the next one goes on.
    let (status, answer) = other.post_json("/api/plugins/hotbay-vector-pgvector/reload", &json!({})).await.unwrap();
    assert_eq!((status, &answer["state"]), (200, &json!("serving")));
    let (_, described) = other.get_json(&path("indexes/docs")).await.unwrap();
    assert_eq!(described, json!({"dimension": 2, "count": 2, "metric": "euclidean"}));
    drop((one, other));
    schema.run("DROP SCHEMA").await;
}
