//! The whole stack on one machine: PostgreSQL, a homeserver and the caller's services as
//! supervised children with one data folder. What the services do is not known here.

pub mod data_folder;
pub mod ports;
pub mod postgres;
pub mod stack;
pub mod supervisor;
