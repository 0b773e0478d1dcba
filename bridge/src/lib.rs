//! Between Matrix and the fleet's language, without I/O: an event of a room becomes an envelope
//! ([`inbound`]), and a row of the outbox becomes an event to send ([`outbound`]).

pub mod inbound;
pub mod outbound;
