//! `timestamptz` as an instant: microseconds since 2000 on the wire (PostgreSQL, "Date/Time Types").

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// 2000-01-01T00:00Z in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// An instant as the register keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(super) Timestamp);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        *ty == PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.as_microsecond().saturating_sub(EPOCH);
        <i64 as Encode<'_, Postgres>>::encode_by_ref(&micros, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            // `2026-11-30 08:00:00+00`: no prepared statement answers like this, a raw one may.
            return Ok(Self(value.as_str()?.replacen(' ', "T", 1).parse()?));
        }
        let micros = <i64 as Decode<'_, Postgres>>::decode(value)?;
        let since_1970 = micros.checked_add(EPOCH).ok_or("an instant out of range")?;
        Ok(Self(Timestamp::from_microsecond(since_1970)?))
    }
}
