//! Agreement with the `kafka-protocol` crate, which has its own generator, for every message and version that
//! it has: it reads our bytes and writes the same ones, and starts from the same defaults.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use kring_wire::Message;

use crate::support::{Sample, for_each_message};
use crate::{encode, sample, versions};

const SAMPLES: u64 = 30;

/// Versions that are newer than that crate. Kafka's own classes check these and the messages below: see
/// `interop/wire-java`.
const NEWER_VERSIONS: &[(&str, RangeInclusive<i16>)] = &[
    ("AddRaftVoterRequest", 1..=1),
    ("AddRaftVoterResponse", 1..=1),
    ("BrokerHeartbeatRequest", 2..=2),
    ("BrokerHeartbeatResponse", 2..=2),
    ("DescribeLogDirsRequest", 5..=5),
    ("DescribeLogDirsResponse", 5..=5),
    ("DescribeShareGroupOffsetsRequest", 1..=1),
    ("DescribeShareGroupOffsetsResponse", 1..=1),
    ("InitProducerIdRequest", 6..=6),
    ("ListOffsetsRequest", 11..=11),
    ("ListOffsetsResponse", 11..=11),
    ("OffsetCommitRequest", 10..=10),
    ("OffsetFetchRequest", 10..=10),
    ("ReadShareGroupStateSummaryRequest", 1..=1),
    ("ReadShareGroupStateSummaryResponse", 1..=1),
    ("ShareAcknowledgeRequest", 2..=2),
    ("ShareAcknowledgeResponse", 2..=2),
    ("ShareFetchRequest", 2..=2),
    ("ShareFetchResponse", 2..=2),
    ("WriteShareGroupStateRequest", 1..=1),
    ("WriteShareGroupStateResponse", 1..=1),
    ("WriteTxnMarkersRequest", 2..=2),
    ("WriteTxnMarkersResponse", 2..=2),
];

/// Messages that it lacks, and two that it gets wrong: inside `LeaderChangeMessage` and `VotersRecord` it takes
/// the field called `version` for the version of the message.
const NOT_THERE: &[&str] = &[
    "AbortTransactionRecord",
    "AccessControlEntryRecord",
    "BeginTransactionRecord",
    "BrokerRegistrationChangeRecord",
    "ClearElrRecord",
    "ClientQuotaRecord",
    "ConfigRecord",
    "ConsumerGroupCurrentMemberAssignmentKey",
    "ConsumerGroupCurrentMemberAssignmentValue",
    "ConsumerGroupMemberMetadataKey",
    "ConsumerGroupMemberMetadataValue",
    "ConsumerGroupMetadataKey",
    "ConsumerGroupMetadataValue",
    "ConsumerGroupPartitionMetadataKey",
    "ConsumerGroupPartitionMetadataValue",
    "ConsumerGroupRegularExpressionKey",
    "ConsumerGroupRegularExpressionValue",
    "ConsumerGroupTargetAssignmentMemberKey",
    "ConsumerGroupTargetAssignmentMemberValue",
    "ConsumerGroupTargetAssignmentMetadataKey",
    "ConsumerGroupTargetAssignmentMetadataValue",
    "ControlRecordTypeSchema",
    "DelegationTokenRecord",
    "EndTransactionRecord",
    "FeatureLevelRecord",
    "FenceBrokerRecord",
    "GroupMetadataKey",
    "GroupMetadataValue",
    "LeaderChangeMessage",
    "LegacyOffsetCommitKey",
    "LegacyOffsetCommitValue",
    "NoOpRecord",
    "OffsetCommitKey",
    "OffsetCommitValue",
    "PartitionChangeRecord",
    "PartitionRecord",
    "ProducerIdsRecord",
    "ProducerSnapshot",
    "QuorumStateData",
    "RegisterBrokerRecord",
    "RegisterControllerRecord",
    "RemoteLogSegmentMetadataRecord",
    "RemoteLogSegmentMetadataSnapshotRecord",
    "RemoteLogSegmentMetadataUpdateRecord",
    "RemotePartitionDeleteMetadataRecord",
    "RemoveAccessControlEntryRecord",
    "RemoveDelegationTokenRecord",
    "RemoveTopicRecord",
    "RemoveUserScramCredentialRecord",
    "ShareGroupCurrentMemberAssignmentKey",
    "ShareGroupCurrentMemberAssignmentValue",
    "ShareGroupMemberMetadataKey",
    "ShareGroupMemberMetadataValue",
    "ShareGroupMetadataKey",
    "ShareGroupMetadataValue",
    "ShareGroupStatePartitionMetadataKey",
    "ShareGroupStatePartitionMetadataValue",
    "ShareGroupTargetAssignmentMemberKey",
    "ShareGroupTargetAssignmentMemberValue",
    "ShareGroupTargetAssignmentMetadataKey",
    "ShareGroupTargetAssignmentMetadataValue",
    "ShareSnapshotKey",
    "ShareSnapshotValue",
    "ShareUpdateKey",
    "ShareUpdateValue",
    "StreamsGroupCurrentMemberAssignmentKey",
    "StreamsGroupCurrentMemberAssignmentValue",
    "StreamsGroupDescribeRequest",
    "StreamsGroupDescribeResponse",
    "StreamsGroupHeartbeatRequest",
    "StreamsGroupHeartbeatResponse",
    "StreamsGroupMemberMetadataKey",
    "StreamsGroupMemberMetadataValue",
    "StreamsGroupMetadataKey",
    "StreamsGroupMetadataValue",
    "StreamsGroupTargetAssignmentMemberKey",
    "StreamsGroupTargetAssignmentMemberValue",
    "StreamsGroupTargetAssignmentMetadataKey",
    "StreamsGroupTargetAssignmentMetadataValue",
    "StreamsGroupTopologyKey",
    "StreamsGroupTopologyValue",
    "TopicRecord",
    "TransactionLogKey",
    "TransactionLogValue",
    "UnfenceBrokerRecord",
    "UnregisterBrokerRecord",
    "UserScramCredentialRecord",
    "VotersRecord",
    "ZkMigrationStateRecord",
];

/// Compares the versions that both have, and tells which versions only we have.
fn check<O, T>() -> RangeInclusive<i16>
where
    O: Message + Sample,
    T: TheirMessage + Encodable + Decodable + Default,
{
    for version in versions::<O>().filter(|v| (T::VERSIONS.min..=T::VERSIONS.max).contains(v)) {
        for seed in 0..SAMPLES {
            same_bytes::<O, T>(&sample(version, seed), version);
        }
        same_default::<O, T>(version);
    }
    assert!(T::VERSIONS.min <= O::MIN_VERSION, "{} misses an early version", O::NAME);
    T::VERSIONS.max + 1..=O::MAX_VERSION
}

fn same_bytes<O: Message, T: Encodable + Decodable>(message: &O, version: i16) {
    let ours = encode(message, version);
    let mut rest = ours.clone();
    let theirs = T::decode(&mut rest, version);
    let theirs = theirs.unwrap_or_else(|error| panic!("{} v{version}: {error}: {message:?}", O::NAME));
    assert!(rest.is_empty(), "{} v{version}: {} bytes left", O::NAME, rest.len());
    assert_eq!(theirs.compute_size(version).ok(), Some(ours.len()), "{} v{version}", O::NAME);
    let mut again = BytesMut::new();
    theirs.encode(&mut again, version).expect("what was read can be written");
    assert_eq!(again, ours, "{} v{version}: {message:?}", O::NAME);
}

fn same_default<O: Message, T: Encodable + Default>(version: i16) {
    let mut theirs = BytesMut::new();
    // Their default may be one that the version cannot carry; ours then has nothing to agree with.
    if T::default().encode(&mut theirs, version).is_ok() {
        assert_eq!(theirs, encode(&O::default(), version), "default {} v{version}", O::NAME);
    }
}

macro_rules! check_pairs {
    ($($module:ident::$message:ident,)*) => {
        BTreeMap::from([
            $((
                stringify!($message),
                check::<kring_wire::messages::$module::$message, kafka_protocol::messages::$message>(),
            ),)*
        ])
    };
}

macro_rules! all_versions {
    ($($message:path,)*) => { [$((<$message>::NAME, versions::<$message>()),)*] };
}

#[test]
fn the_other_implementation_reads_and_writes_the_same_bytes() {
    let compared = check_pairs! {
        add_offsets_to_txn_request::AddOffsetsToTxnRequest,
        add_offsets_to_txn_response::AddOffsetsToTxnResponse,
        add_partitions_to_txn_request::AddPartitionsToTxnRequest,
        add_partitions_to_txn_response::AddPartitionsToTxnResponse,
        add_raft_voter_request::AddRaftVoterRequest,
        add_raft_voter_response::AddRaftVoterResponse,
        allocate_producer_ids_request::AllocateProducerIdsRequest,
        allocate_producer_ids_response::AllocateProducerIdsResponse,
        alter_client_quotas_request::AlterClientQuotasRequest,
        alter_client_quotas_response::AlterClientQuotasResponse,
        alter_configs_request::AlterConfigsRequest,
        alter_configs_response::AlterConfigsResponse,
        alter_partition_reassignments_request::AlterPartitionReassignmentsRequest,
        alter_partition_reassignments_response::AlterPartitionReassignmentsResponse,
        alter_partition_request::AlterPartitionRequest,
        alter_partition_response::AlterPartitionResponse,
        alter_replica_log_dirs_request::AlterReplicaLogDirsRequest,
        alter_replica_log_dirs_response::AlterReplicaLogDirsResponse,
        alter_share_group_offsets_request::AlterShareGroupOffsetsRequest,
        alter_share_group_offsets_response::AlterShareGroupOffsetsResponse,
        alter_user_scram_credentials_request::AlterUserScramCredentialsRequest,
        alter_user_scram_credentials_response::AlterUserScramCredentialsResponse,
        api_versions_request::ApiVersionsRequest,
        api_versions_response::ApiVersionsResponse,
        assign_replicas_to_dirs_request::AssignReplicasToDirsRequest,
        assign_replicas_to_dirs_response::AssignReplicasToDirsResponse,
        begin_quorum_epoch_request::BeginQuorumEpochRequest,
        begin_quorum_epoch_response::BeginQuorumEpochResponse,
        broker_heartbeat_request::BrokerHeartbeatRequest,
        broker_heartbeat_response::BrokerHeartbeatResponse,
        broker_registration_request::BrokerRegistrationRequest,
        broker_registration_response::BrokerRegistrationResponse,
        consumer_group_describe_request::ConsumerGroupDescribeRequest,
        consumer_group_describe_response::ConsumerGroupDescribeResponse,
        consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest,
        consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse,
        consumer_protocol_assignment::ConsumerProtocolAssignment,
        consumer_protocol_subscription::ConsumerProtocolSubscription,
        controller_registration_request::ControllerRegistrationRequest,
        controller_registration_response::ControllerRegistrationResponse,
        create_acls_request::CreateAclsRequest,
        create_acls_response::CreateAclsResponse,
        create_delegation_token_request::CreateDelegationTokenRequest,
        create_delegation_token_response::CreateDelegationTokenResponse,
        create_partitions_request::CreatePartitionsRequest,
        create_partitions_response::CreatePartitionsResponse,
        create_topics_request::CreateTopicsRequest,
        create_topics_response::CreateTopicsResponse,
        default_principal_data::DefaultPrincipalData,
        delete_acls_request::DeleteAclsRequest,
        delete_acls_response::DeleteAclsResponse,
        delete_groups_request::DeleteGroupsRequest,
        delete_groups_response::DeleteGroupsResponse,
        delete_records_request::DeleteRecordsRequest,
        delete_records_response::DeleteRecordsResponse,
        delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest,
        delete_share_group_offsets_response::DeleteShareGroupOffsetsResponse,
        delete_share_group_state_request::DeleteShareGroupStateRequest,
        delete_share_group_state_response::DeleteShareGroupStateResponse,
        delete_topics_request::DeleteTopicsRequest,
        delete_topics_response::DeleteTopicsResponse,
        describe_acls_request::DescribeAclsRequest,
        describe_acls_response::DescribeAclsResponse,
        describe_client_quotas_request::DescribeClientQuotasRequest,
        describe_client_quotas_response::DescribeClientQuotasResponse,
        describe_cluster_request::DescribeClusterRequest,
        describe_cluster_response::DescribeClusterResponse,
        describe_configs_request::DescribeConfigsRequest,
        describe_configs_response::DescribeConfigsResponse,
        describe_delegation_token_request::DescribeDelegationTokenRequest,
        describe_delegation_token_response::DescribeDelegationTokenResponse,
        describe_groups_request::DescribeGroupsRequest,
        describe_groups_response::DescribeGroupsResponse,
        describe_log_dirs_request::DescribeLogDirsRequest,
        describe_log_dirs_response::DescribeLogDirsResponse,
        describe_producers_request::DescribeProducersRequest,
        describe_producers_response::DescribeProducersResponse,
        describe_quorum_request::DescribeQuorumRequest,
        describe_quorum_response::DescribeQuorumResponse,
        describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest,
        describe_share_group_offsets_response::DescribeShareGroupOffsetsResponse,
        describe_topic_partitions_request::DescribeTopicPartitionsRequest,
        describe_topic_partitions_response::DescribeTopicPartitionsResponse,
        describe_transactions_request::DescribeTransactionsRequest,
        describe_transactions_response::DescribeTransactionsResponse,
        describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest,
        describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse,
        elect_leaders_request::ElectLeadersRequest,
        elect_leaders_response::ElectLeadersResponse,
        end_quorum_epoch_request::EndQuorumEpochRequest,
        end_quorum_epoch_response::EndQuorumEpochResponse,
        end_txn_marker::EndTxnMarker,
        end_txn_request::EndTxnRequest,
        end_txn_response::EndTxnResponse,
        envelope_request::EnvelopeRequest,
        envelope_response::EnvelopeResponse,
        expire_delegation_token_request::ExpireDelegationTokenRequest,
        expire_delegation_token_response::ExpireDelegationTokenResponse,
        fetch_request::FetchRequest,
        fetch_response::FetchResponse,
        fetch_snapshot_request::FetchSnapshotRequest,
        fetch_snapshot_response::FetchSnapshotResponse,
        find_coordinator_request::FindCoordinatorRequest,
        find_coordinator_response::FindCoordinatorResponse,
        get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest,
        get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse,
        heartbeat_request::HeartbeatRequest,
        heartbeat_response::HeartbeatResponse,
        incremental_alter_configs_request::IncrementalAlterConfigsRequest,
        incremental_alter_configs_response::IncrementalAlterConfigsResponse,
        init_producer_id_request::InitProducerIdRequest,
        init_producer_id_response::InitProducerIdResponse,
        initialize_share_group_state_request::InitializeShareGroupStateRequest,
        initialize_share_group_state_response::InitializeShareGroupStateResponse,
        join_group_request::JoinGroupRequest,
        join_group_response::JoinGroupResponse,
        k_raft_version_record::KRaftVersionRecord,
        leave_group_request::LeaveGroupRequest,
        leave_group_response::LeaveGroupResponse,
        list_config_resources_request::ListConfigResourcesRequest,
        list_config_resources_response::ListConfigResourcesResponse,
        list_groups_request::ListGroupsRequest,
        list_groups_response::ListGroupsResponse,
        list_offsets_request::ListOffsetsRequest,
        list_offsets_response::ListOffsetsResponse,
        list_partition_reassignments_request::ListPartitionReassignmentsRequest,
        list_partition_reassignments_response::ListPartitionReassignmentsResponse,
        list_transactions_request::ListTransactionsRequest,
        list_transactions_response::ListTransactionsResponse,
        metadata_request::MetadataRequest,
        metadata_response::MetadataResponse,
        offset_commit_request::OffsetCommitRequest,
        offset_commit_response::OffsetCommitResponse,
        offset_delete_request::OffsetDeleteRequest,
        offset_delete_response::OffsetDeleteResponse,
        offset_fetch_request::OffsetFetchRequest,
        offset_fetch_response::OffsetFetchResponse,
        offset_for_leader_epoch_request::OffsetForLeaderEpochRequest,
        offset_for_leader_epoch_response::OffsetForLeaderEpochResponse,
        produce_request::ProduceRequest,
        produce_response::ProduceResponse,
        push_telemetry_request::PushTelemetryRequest,
        push_telemetry_response::PushTelemetryResponse,
        read_share_group_state_request::ReadShareGroupStateRequest,
        read_share_group_state_response::ReadShareGroupStateResponse,
        read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest,
        read_share_group_state_summary_response::ReadShareGroupStateSummaryResponse,
        remove_raft_voter_request::RemoveRaftVoterRequest,
        remove_raft_voter_response::RemoveRaftVoterResponse,
        renew_delegation_token_request::RenewDelegationTokenRequest,
        renew_delegation_token_response::RenewDelegationTokenResponse,
        request_header::RequestHeader,
        response_header::ResponseHeader,
        sasl_authenticate_request::SaslAuthenticateRequest,
        sasl_authenticate_response::SaslAuthenticateResponse,
        sasl_handshake_request::SaslHandshakeRequest,
        sasl_handshake_response::SaslHandshakeResponse,
        share_acknowledge_request::ShareAcknowledgeRequest,
        share_acknowledge_response::ShareAcknowledgeResponse,
        share_fetch_request::ShareFetchRequest,
        share_fetch_response::ShareFetchResponse,
        share_group_describe_request::ShareGroupDescribeRequest,
        share_group_describe_response::ShareGroupDescribeResponse,
        share_group_heartbeat_request::ShareGroupHeartbeatRequest,
        share_group_heartbeat_response::ShareGroupHeartbeatResponse,
        snapshot_footer_record::SnapshotFooterRecord,
        snapshot_header_record::SnapshotHeaderRecord,
        sync_group_request::SyncGroupRequest,
        sync_group_response::SyncGroupResponse,
        txn_offset_commit_request::TxnOffsetCommitRequest,
        txn_offset_commit_response::TxnOffsetCommitResponse,
        unregister_broker_request::UnregisterBrokerRequest,
        unregister_broker_response::UnregisterBrokerResponse,
        update_features_request::UpdateFeaturesRequest,
        update_features_response::UpdateFeaturesResponse,
        update_raft_voter_request::UpdateRaftVoterRequest,
        update_raft_voter_response::UpdateRaftVoterResponse,
        vote_request::VoteRequest,
        vote_response::VoteResponse,
        write_share_group_state_request::WriteShareGroupStateRequest,
        write_share_group_state_response::WriteShareGroupStateResponse,
        write_txn_markers_request::WriteTxnMarkersRequest,
        write_txn_markers_response::WriteTxnMarkersResponse,
    };
    let ours = for_each_message!(all_versions).into_iter();
    let (known, unknown): (Vec<_>, Vec<_>) = ours.partition(|(name, _)| compared.contains_key(name));
    let newer = known.into_iter().map(|(name, _)| (name, compared[name].clone()));
    assert_eq!(newer.filter(|(_, versions)| !versions.is_empty()).collect::<Vec<_>>(), NEWER_VERSIONS);
    assert_eq!(unknown.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), NOT_THERE);
}
