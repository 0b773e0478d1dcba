//! The two ambient inputs, time and ids, as values that are passed in.

use fleet_protocol::Timestamp;
use uuid::Uuid;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Makes ids that nobody has made before.
pub trait Ids: Send + Sync + 'static {
    /// A UUIDv7: new ones sort behind older ones.
    fn next(&self) -> Uuid;

    /// 32 bytes that nobody can guess.
    fn secret(&self) -> [u8; 32];
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        // PostgreSQL keeps microseconds: what is compared later must not hold more.
        let now = jiff::Timestamp::now();
        Timestamp(jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }
}

/// UUIDs from the machine's clock and its source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidIds;

impl Ids for UuidIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that makes ids"
    )]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that draws secrets"
    )]
    fn secret(&self) -> [u8; 32] {
        // Three UUIDv4 hold 366 bits from the operating system's generator.
        let mut digest = <sha2::Sha256 as sha2::Digest>::new();
        for _ in 0..3 {
            sha2::Digest::update(&mut digest, Uuid::new_v4().as_bytes());
        }
        sha2::Digest::finalize(digest).into()
    }
}
