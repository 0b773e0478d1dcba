//! The whole stack on one machine: PostgreSQL, a homeserver and the caller's services as
//! supervised children with one data folder. What the services do is not known here.

pub mod postgres;
