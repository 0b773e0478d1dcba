use super::*;
use std::sync::Mutex;

const NOTHING: Requirements = Requirements {
    name: "nothing",
    lock: "# no package\n",
};

#[test]
fn supported_versions() {
    let table = [
        ("3.10", false),
        ("3.11", true),
        ("3.13", true),
        ("3.14", false),
        ("2.7", false),
        ("", false),
    ];
    for (version, expected) in table {
        assert_eq!(is_supported(version), expected, "{version}");
    }
}

#[test]
fn another_lock_file_is_another_environment() {
    let other = Requirements {
        lock: "# other\n",
        ..NOTHING
    };
    assert_ne!(NOTHING.folder_name(), other.folder_name());
    assert!(NOTHING.folder_name().starts_with("nothing-"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_once_by_two_at_once_and_again_after_an_interrupted_build() {
    let cache = tempfile::tempdir().unwrap();
    let built = Mutex::new(0);
    let progress = |line: &str| {
        if line.starts_with("making") {
            *built.lock().unwrap() += 1;
        }
    };
    let one = environment(&NOTHING, cache.path(), &progress);
    let two = environment(&NOTHING, cache.path(), &progress);
    let (one, two) = tokio::join!(one, two);
    let one = one.unwrap();
    assert_eq!(one, two.unwrap());
    assert_eq!(*built.lock().unwrap(), 1);
    assert!(one.site_packages().unwrap().is_dir());

    std::fs::remove_file(one.root.join(MARKER)).unwrap();
    std::fs::write(one.root.join("half"), "").unwrap();
    environment(&NOTHING, cache.path(), &progress)
        .await
        .unwrap();
    assert_eq!(*built.lock().unwrap(), 2);
    assert!(!one.root.join("half").exists());
}

#[tokio::test]
async fn a_wrong_hash_is_refused_and_leaves_no_complete_environment() {
    const WRONG: Requirements = Requirements {
        name: "wrong",
        lock: "six==1.17.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
    };
    let cache = tempfile::tempdir().unwrap();
    let error = environment(&WRONG, cache.path(), &|_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            PythonError::Failed {
                step: "pip install",
                ..
            }
        ),
        "{error}"
    );
    assert!(!is_complete(&cache.path().join(WRONG.folder_name())).await);
}
