use super::*;

fn settings(data: &Path, software: Software) -> HomeserverSettings {
    HomeserverSettings {
        config: Settings {
            data: data.to_owned(),
            ..config::example()
        },
        software,
        log: data.join("log"),
        cache: None,
    }
}

#[tokio::test]
async fn the_data_s_maker_is_not_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(config::conduit::FILE), "").unwrap();
    let error = choose(&settings(folder.path(), Software::Synapse), &|_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            HomeserverError::OtherSoftware {
                made_by: "Conduit",
                ..
            }
        ),
        "{error}"
    );
    let named = Software::Conduit(PathBuf::from("/opt/conduit"));
    let chosen = choose(&settings(folder.path(), named), &|_| {})
        .await
        .unwrap();
    assert!(matches!(chosen, Program::Conduit(path) if path == Path::new("/opt/conduit")));
}

#[tokio::test]
async fn a_conduit_is_started_with_its_configuration() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("conduit");
    std::fs::write(&binary, "#!/bin/sh\ncat \"$CONDUIT_CONFIG\"\nexit 3\n").unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let error = Homeserver::start(settings(&data, Software::Conduit(binary)), &|_| {})
        .await
        .unwrap_err();
    let HomeserverError::Ended { status, tail, .. } = error else {
        panic!("{error}")
    };
    assert!(
        status.contains('3') && tail.contains("fleet.localhost"),
        "{status}: {tail}"
    );
    let mode = data
        .join(config::conduit::FILE)
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
