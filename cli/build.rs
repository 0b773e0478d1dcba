//! How the program is linked.

use std::process::Command;

/// The first release of the GNU C library that reads packed addresses.
const READS_PACKED: (u32, u32) = (2, 36);

/// Packs the addresses that are known only when the program starts: of several megabytes a few pages are
/// left, in each process of the program. Only for a machine that is known to start such a program: the one
/// that builds it.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|v| v == value);
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let is_native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if is_gnu && is_native && glibc().is_some_and(|version| version >= READS_PACKED) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
