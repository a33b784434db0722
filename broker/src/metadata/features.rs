//! Features that this release can follow, as ApiVersions offers them (KIP-584). Never says which are on.

/// A range of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supported {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
}

/// The metadata version of Apache Kafka 4.3: its record formats are the ones written here.
pub const METADATA_VERSION: i16 = 30;
pub const METADATA_FEATURE: &str = "metadata.version";

/// Kafka's lowest metadata version is 7. Groups, transactions and the rest have their own features, which are
/// listed when they are there: clients choose their protocol by them.
pub const SUPPORTED: &[Supported] = &[Supported { name: METADATA_FEATURE, min: 7, max: METADATA_VERSION }];
