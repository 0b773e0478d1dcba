//! Real clusters: PostgreSQL of the system and of the wheel.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails it by panicking, as the test itself does"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use fleet_homeserver::python::Progress;
use fleet_local::data_folder::DataFolder;
use fleet_local::postgres::{Cluster, ClusterSettings, PostgresError, Source, TemporaryCluster};

const QUIET: Progress<'static> = &|_| {};

/// A folder PostgreSQL's user can enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

fn settings(folder: &Path, source: Source) -> ClusterSettings {
    ClusterSettings {
        source,
        ..ClusterSettings::new(folder.join("postgres"))
    }
}

/// One statement through `psql` of the cluster's own programs or the system's.
fn sql(url: &str, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(
        output.status.success(),
        "{statement}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Start, write, SIGKILL, start again, write, stop, a second start: what was written stays.
async fn survives_a_kill_and_resumes(source: Source, major: u32) {
    let folder = folder();
    let mut cluster = Cluster::start(settings(folder.path(), source.clone()), QUIET)
        .await
        .unwrap();
    assert_eq!(cluster.prepared().major(), major);
    let url = cluster.owner_url();
    let number = sql(&url, "SHOW server_version_num");
    assert_eq!(number.parse::<u32>().unwrap() / 10_000, major);
    assert_eq!(
        sql(
            &url,
            "SELECT current_database(), pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
        ),
        "fleet|UTF8|C"
    );
    assert_eq!(sql(&url, "SHOW fsync"), "on");
    assert_eq!(sql(&url, "SHOW listen_addresses"), "");
    sql(
        &url,
        "CREATE EXTENSION btree_gist; CREATE TABLE t (n int); INSERT INTO t VALUES (1)",
    );

    let first = cluster.pid();
    cluster.kill().await;
    assert!(!Path::new(&format!("/proc/{first}")).exists());
    cluster.restart().await.unwrap();
    assert_ne!(cluster.pid(), first);
    sql(&url, "INSERT INTO t VALUES (2)");
    cluster.stop().await;

    let again = Cluster::start(settings(folder.path(), Source::Auto), QUIET)
        .await
        .unwrap();
    assert_eq!(again.owner_url(), url);
    assert_eq!(
        again.prepared().major(),
        major,
        "the data decides which programs are used"
    );
    assert_eq!(
        sql(&url, "SELECT string_agg(n::text, ',' ORDER BY n) FROM t"),
        "1,2"
    );
    again.stop().await;
}

#[tokio::test]
async fn the_system_s_cluster_survives_a_kill_and_resumes() {
    let newest = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten();
    let newest = newest
        .filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok()))
        .max()
        .unwrap();
    survives_a_kill_and_resumes(Source::System, newest).await;
}

#[tokio::test]
async fn the_wheel_s_cluster_survives_a_kill_and_resumes() {
    survives_a_kill_and_resumes(Source::Wheel, 18).await;
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_and_untouched() {
    let folder = folder();
    let settings = settings(folder.path(), Source::System);
    Cluster::start(settings.clone(), QUIET)
        .await
        .unwrap()
        .stop()
        .await;
    let version = settings.data.join("PG_VERSION");
    std::fs::write(&version, "9\n").unwrap();
    let error = Cluster::start(settings.clone(), QUIET).await.unwrap_err();
    assert!(
        matches!(error, PostgresError::WrongMajor { made_by: 9, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(version).unwrap(), "9\n");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_refused() {
    let folder = folder();
    let settings = settings(folder.path(), Source::System);
    std::fs::create_dir(&settings.data).unwrap();
    std::fs::write(settings.data.join("thesis.odt"), "").unwrap();
    let error = Cluster::start(settings.clone(), QUIET).await.unwrap_err();
    assert!(
        matches!(error, PostgresError::NotACluster { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_pid_file_that_names_a_foreign_process_is_cleared() {
    let folder = folder();
    let mut cluster = Cluster::start(settings(folder.path(), Source::System), QUIET)
        .await
        .unwrap();
    cluster.kill().await;
    let file = folder.path().join("postgres/postmaster.pid");
    let text = std::fs::read_to_string(&file).unwrap();
    let rest = text.split_once('\n').unwrap().1;
    std::fs::write(&file, format!("{}\n{rest}", std::process::id())).unwrap();
    cluster.restart().await.unwrap();
    assert_eq!(sql(&cluster.owner_url(), "SELECT 1"), "1");
    cluster.stop().await;
}

#[tokio::test]
async fn an_interrupted_initialisation_is_done_again() {
    let folder = folder();
    let half = folder.path().join("postgres.init");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    let cluster = Cluster::start(settings(folder.path(), Source::System), QUIET)
        .await
        .unwrap();
    assert_eq!(sql(&cluster.owner_url(), "SELECT 1"), "1");
    assert!(!half.exists());
    cluster.stop().await;
}

#[tokio::test]
async fn a_data_folder_in_a_closed_home_has_its_cluster_where_postgres_can_go() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let folder = DataFolder::open(&home.path().join("fleet")).unwrap();
    let settings = ClusterSettings::new(folder.postgres().unwrap());
    let cluster = Cluster::start(settings, QUIET).await.unwrap();
    assert_eq!(sql(&cluster.owner_url(), "SELECT 1"), "1");
    cluster.stop().await;
    folder.remove().unwrap();
}

#[tokio::test]
async fn a_throw_away_cluster_leaves_no_folder() {
    let cluster = TemporaryCluster::start(20, QUIET).await.unwrap();
    assert_eq!(sql(&cluster.owner_url(), "SHOW fsync"), "off");
    let data = sql(&cluster.owner_url(), "SHOW data_directory");
    let folder = Path::new(&data).parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.join("data/PG_VERSION").exists());
}
