//! Which operations a client may do on a resource, as responses say it: one bit for each (KIP-430).
//! Never refuses anything: there is no authoriser yet, so every client may do whatever the resource knows.

const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const CREATE: i32 = 1 << 5;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// The client did not ask.
pub const NOT_ASKED: i32 = i32::MIN;
pub const TOPIC: i32 = READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
pub const CLUSTER: i32 =
    CREATE | ALTER | DESCRIBE | CLUSTER_ACTION | DESCRIBE_CONFIGS | ALTER_CONFIGS | IDEMPOTENT_WRITE;

#[cfg(test)]
mod tests {
    use super::*;

    /// As Apache Kafka 4.3.1 answers without an authoriser.
    #[test]
    fn the_sets_are_kafkas() {
        assert_eq!((TOPIC, CLUSTER), (3576, 8096));
    }
}
