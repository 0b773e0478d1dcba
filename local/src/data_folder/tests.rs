use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_second_holder_is_refused_with_the_first_s_process_id() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("fleet");
    let first = DataFolder::open(&root).unwrap();
    let error = DataFolder::open(&root).unwrap_err();
    let us = std::process::id().to_string();
    assert!(
        matches!(&error, DataFolderError::InUse { holder, .. } if *holder == us),
        "{error}"
    );
    drop(first);
    DataFolder::open(&root).unwrap();
}

#[test]
fn secrets_are_made_once_and_closed_to_others() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("fleet");
    let folder = DataFolder::open(&root).unwrap();
    let secret = folder.secret("registration").unwrap();
    assert_eq!(secret.expose().len(), 64);
    assert_ne!(secret, folder.secret("bot-password").unwrap());
    assert_eq!(mode(&folder.secret_file("registration").unwrap()), 0o600);
    folder.store_secret("token", &Secret::new("abc")).unwrap();
    drop(folder);

    fs::set_permissions(root.join("secrets"), Permissions::from_mode(0o755)).unwrap();
    let again = DataFolder::open(&root).unwrap();
    assert_eq!(again.secret("registration").unwrap(), secret);
    assert_eq!(
        again.stored_secret("token").unwrap(),
        Some(Secret::new("abc"))
    );
    assert_eq!(again.stored_secret("absent").unwrap(), None);
    assert_eq!(mode(&root.join("secrets")), 0o700);
    assert_eq!(mode(&root) & 0o066, 0, "others may at most pass");
}

#[test]
fn a_damaged_secret_and_a_bad_name_are_told() {
    let place = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(place.path()).unwrap();
    fs::write(folder.secret_file("empty").unwrap(), "\n").unwrap();
    assert!(matches!(
        folder.secret("empty"),
        Err(DataFolderError::DamagedSecret(_))
    ));
    for name in ["../lock", "", ".new", "a/b"] {
        assert!(
            matches!(folder.secret(name), Err(DataFolderError::BadName(_))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_port_is_kept_for_the_next_start() {
    let place = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(place.path()).unwrap();
    let ip = IpAddr::from([127, 0, 0, 1]);
    let first = folder.port("gateway", ip, None, 0).await.unwrap();
    assert_ne!(first, 0);
    assert_eq!(folder.port("gateway", ip, None, 0).await.unwrap(), first);
    let holder = std::net::TcpListener::bind((ip, first)).unwrap();
    let refused = folder.port("gateway", ip, Some(first), 0).await;
    assert!(matches!(refused, Err(DataFolderError::Port(_))));
    // Let go while it is waited for: the same port again.
    let (port, ()) = tokio::join!(folder.port("gateway", ip, None, 0), async { drop(holder) });
    assert_eq!(port.unwrap(), first);
    let _holder = std::net::TcpListener::bind((ip, first)).unwrap();
    assert_ne!(folder.port("gateway", ip, None, 0).await.unwrap(), first);
}

#[test]
fn a_cluster_that_cannot_be_here_is_elsewhere_for_good() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o700)).unwrap();
    let root = place.path().join("fleet");
    let folder = DataFolder::open(&root).unwrap();
    let cluster = folder.postgres().unwrap();
    assert_eq!(folder.postgres().unwrap(), cluster);
    // `place` is 0700: as root PostgreSQL's user cannot enter it; as anybody else it is ours.
    let expected = rustix::process::geteuid().is_root();
    assert_eq!(!cluster.starts_with(root.canonicalize().unwrap()), expected);
    folder.remove().unwrap();
    assert!(!root.exists() && (!expected || !cluster.parent().unwrap().exists()));
}
