//! What the database itself guarantees.

use fleet_gateway::{InitSettings, Secret, SystemClock, UuidIds, init};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::stage::{Database, at, cluster, on};

async fn app(database: &Database) -> PgConnection {
    PgConnection::connect(database.app.as_str()).await.unwrap()
}

async fn denied(connection: &mut PgConnection, sql: &str) -> String {
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
    {
        Err(sqlx::Error::Database(e)) => e.code().unwrap().into_owned(),
        other => panic!("{sql}: {other:?}"),
    }
}

const JOURNAL_ROW: &str =
    "INSERT INTO fleet.admitted (tenant_id, key, id, digest, principal, body, outcome, admitted_at)
    VALUES ('default', 'k', gen_random_uuid(), 'd', 'p', '{}', 'done', now())";

#[tokio::test]
async fn a_tenant_sees_and_writes_only_its_own_rows() {
    let database = Database::new().await;
    on(
        &database.owner,
        "SET fleet.tenant = 'other'; INSERT INTO fleet.tenants (tenant_id) VALUES ('other')",
    )
    .await;
    let mut connection = app(&database).await;
    let rooms = "SELECT count(*) FROM fleet.rooms";
    let tenants = "SELECT count(*) FROM fleet.tenants";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(rooms)
            .fetch_one(&mut connection)
            .await
            .unwrap(),
        0,
        "unset shows nothing"
    );
    sqlx::raw_sql("SET fleet.tenant = 'other'")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        sqlx::query_scalar::<_, i64>(rooms)
            .fetch_one(&mut connection)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        sqlx::query_scalar::<_, i64>(tenants)
            .fetch_one(&mut connection)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        denied(&mut connection, JOURNAL_ROW).await,
        "42501",
        "another tenant's row"
    );
    sqlx::raw_sql("SET fleet.tenant = 'default'")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        sqlx::query_scalar::<_, i64>(rooms)
            .fetch_one(&mut connection)
            .await
            .unwrap(),
        6
    );
    sqlx::raw_sql(JOURNAL_ROW)
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_table_is_behind_forced_row_level_security() {
    let database = Database::new().await;
    let open = database
        .count(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'fleet' AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
               AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await;
    assert_eq!(open, 0);
    let owned = database
        .count("SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = 'fleet_app')")
        .await;
    assert_eq!(owned, 0, "fleet_app owns nothing");
}

#[tokio::test]
async fn the_journal_cannot_be_changed() {
    let database = Database::new().await;
    let mut connection = app(&database).await;
    sqlx::raw_sql("SET fleet.tenant = 'default'")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(JOURNAL_ROW)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        denied(&mut connection, JOURNAL_ROW).await,
        "23505",
        "a key is unique for ever"
    );
    for sql in [
        "UPDATE fleet.admitted SET outcome = 'failed'",
        "DELETE FROM fleet.admitted",
        "TRUNCATE fleet.admitted",
        "DELETE FROM fleet.outbox",
        "UPDATE fleet.outbox SET post = '{}'",
        "UPDATE fleet.audit SET action = 'x'",
        "INSERT INTO fleet.tenants (tenant_id) VALUES ('mine')",
        "UPDATE fleet.tokens SET scopes = '{operator}'",
    ] {
        assert_eq!(denied(&mut connection, sql).await, "42501", "{sql}");
    }
}

#[tokio::test]
async fn numbers_grow_without_a_lock() {
    let database = Database::new().await;
    let (mut one, mut two) = (app(&database).await, app(&database).await);
    for connection in [&mut one, &mut two] {
        sqlx::raw_sql("BEGIN; SET LOCAL fleet.tenant = 'default'; SET LOCAL lock_timeout = '1s'")
            .execute(connection)
            .await
            .unwrap();
    }
    let next = "SELECT fleet.next_number(ordinal, 'task') FROM fleet.tenants";
    let first: i32 = sqlx::query_scalar(next).fetch_one(&mut one).await.unwrap();
    let second: i32 = sqlx::query_scalar(next).fetch_one(&mut two).await.unwrap();
    assert_eq!((first, second), (1, 2));
}

/// A user named like the schema leads its own search path with it.
#[tokio::test]
async fn an_owner_named_fleet_who_is_no_superuser_can_own_the_register() {
    let database = Database::new().await;
    let (owner, _) = cluster();
    let name = format!("fleet_owned_{}", std::process::id());
    on(owner, "DO $$ BEGIN CREATE ROLE fleet LOGIN CREATEROLE; EXCEPTION WHEN duplicate_object THEN NULL; END $$").await;
    on(owner, &format!("CREATE DATABASE {name} OWNER fleet")).await;
    let url = at(&database.owner, Some("fleet"), &name);
    let settings = InitSettings {
        owner_url: Secret::new(url.to_string()),
        tenant: "acme".parse().unwrap(),
        zone: "UTC".into(),
        operator: Some("@op:test".parse().unwrap()),
        tokens: Vec::new(),
    };
    for _ in 0..2 {
        init(&settings, &SystemClock, &UuidIds).await.unwrap();
    }
    let mut connection = PgConnection::connect(at(&database.app, None, &name).as_str())
        .await
        .unwrap();
    sqlx::raw_sql("SET fleet.tenant = 'acme'")
        .execute(&mut connection)
        .await
        .unwrap();
    let rooms: i64 = sqlx::query_scalar("SELECT count(*) FROM fleet.rooms")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(rooms, 6);
    let found = sqlx::query("SELECT * FROM fleet.find_token('\\x00')")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(found.is_empty());
}

/// The descriptions of SQL that a build without a database trusts must fit the migrated schema.
#[tokio::test]
async fn every_described_statement_prepares_on_the_migrated_register() {
    let database = Database::new().await;
    let mut connection = app(&database).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let mut prepared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = described["query"].as_str().unwrap();
        // `init` alone writes tenants and tokens, as the owner.
        let prepare = AssertSqlSafe(format!("PREPARE q AS {sql}; DEALLOCATE q"));
        sqlx::raw_sql(prepare)
            .execute(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        prepared += 1;
    }
    assert!(prepared > 30, "{prepared} statements");
}
