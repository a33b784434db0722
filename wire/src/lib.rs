//! The bytes of Kafka's protocol: messages in every version, record batches, error codes.
//!
//! Nothing here does I/O, reads a clock, or panics on bytes that a peer sent. It runs on whichever core
//! holds the bytes.

pub mod record;
