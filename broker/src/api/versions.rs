//! ApiVersions (KIP-511, KIP-584): what this broker offers, in one table that dispatch also obeys.
//! Never offers a version that is half there.

use std::ops::RangeInclusive;

use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::request::{PeerFault, Request};
use super::response::{Head, Response, reply};
use crate::metadata::{Image, features};

/// Every API that this broker offers, each in all versions of Kafka 4.3.1.
pub const OFFERED: [ApiKey; 28] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
];

/// The versions of an API that this broker takes; `None` when it does not take the API.
pub fn offered(api: ApiKey) -> Option<RangeInclusive<i16>> {
    OFFERED.contains(&api).then(|| api.min_version()..=api.max_stable_version())
}

/// Answers in version 0 when the client's version is unknown, so that it can try again (KIP-511).
pub fn handle(mut request: Request, image: &Image) -> Result<Response, PeerFault> {
    if !ApiKey::ApiVersions.versions().contains(&request.version) {
        let head = Head { version: 0, correlation_id: request.correlation_id };
        return Ok(reply(&head, &unsupported_version()));
    }
    let body: ApiVersionsRequest = request.body()?;
    let head = Head::from(&request);
    if request.version >= 3
        && !(is_token(&body.client_software_name) && is_token(&body.client_software_version))
    {
        return Ok(reply(&head, &refused(ErrorCode::INVALID_REQUEST)));
    }
    Ok(reply(&head, &offer(request.version, image)))
}

fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        api_keys: vec![advertise(ApiKey::ApiVersions)],
        ..refused(ErrorCode::UNSUPPORTED_VERSION)
    }
}

fn refused(error: ErrorCode) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: error.into(), ..ApiVersionsResponse::default() }
}

fn offer(version: i16, image: &Image) -> ApiVersionsResponse {
    ApiVersionsResponse {
        api_keys: OFFERED.iter().map(|api| advertise(*api)).collect(),
        supported_features: supported_features(version),
        finalized_features_epoch: image.epoch(),
        finalized_features: finalized_features(image),
        ..ApiVersionsResponse::default()
    }
}

/// Produce is advertised from 0 although 0 to 2 are gone: librdkafka up to 2.5 else never compresses
/// (KAFKA-18659).
fn advertise(api: ApiKey) -> ApiVersion {
    let range = offered(api).expect("only offered APIs are advertised");
    let min_version = if api == ApiKey::Produce { 0 } else { *range.start() };
    ApiVersion { api_key: api.as_i16(), min_version, max_version: *range.end() }
}

/// Clients before version 4 cannot read a feature whose lowest level is 0.
fn supported_features(version: i16) -> Vec<SupportedFeatureKey> {
    let features = features::SUPPORTED.iter().filter(|feature| version >= 4 || feature.min > 0);
    features
        .map(|feature| SupportedFeatureKey {
            name: Str::from_static(feature.name),
            min_version: feature.min,
            max_version: feature.max,
        })
        .collect()
}

fn finalized_features(image: &Image) -> Vec<FinalizedFeatureKey> {
    // A directory that Apache Kafka wrote may have finalised what is not here yet: clients act on what they read.
    let is_here = |name: &str| features::SUPPORTED.iter().any(|feature| feature.name == name);
    let levels = image.features().filter(|(name, level)| *level > 0 && is_here(name));
    levels
        .map(|(name, level)| FinalizedFeatureKey {
            name: name.into(),
            max_version_level: level,
            min_version_level: level,
        })
        .collect()
}

/// Kafka's rule for software names and versions: letters, digits, `.` and `-`, beginning and ending alike.
fn is_token(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn produce_is_advertised_from_version_0() {
        let produce = advertise(ApiKey::Produce);
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }

    #[test]
    fn an_unstable_latest_version_is_not_offered() {
        assert_eq!(offered(ApiKey::InitProducerId), Some(0..=5));
        assert_eq!(offered(ApiKey::EndTxn), None);
    }

    #[test]
    fn software_names_follow_kafkas_pattern() {
        assert!(is_token("apache-kafka-java") && is_token("4.3.1") && is_token("a"));
        assert!(!is_token("") && !is_token(" ") && !is_token("-a") && !is_token("a b"));
    }
}
