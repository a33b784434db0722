//! From an API key to its handler: exhaustive, so that a key without a decision does not compile.
//! Never interprets a body.

use std::rc::Rc;

use futures_util::FutureExt;
use kring_wire::{ApiKey, ApiMessage};

use super::request::{PeerFault, Request};
use super::response::{Head, Response, reply};
use super::{
    Client, Pending, classic_group, cluster, configs, delete_records, fetch, find_coordinator, group_admin,
    group_offsets, list_offsets, log_dirs, metadata, produce, producer_id, topics, versions,
};

/// Starts a request. A produce request has reached its shards when this returns; any other has not begun.
pub async fn start(client: &Rc<Client>, request: Request) -> Result<Pending, PeerFault> {
    if request.api != ApiKey::ApiVersions && !is_offered(&request) {
        return Err(PeerFault::UnsupportedApi { api: request.api, version: request.version });
    }
    if request.api == ApiKey::Produce {
        return produce::start(client, request).await;
    }
    let client = client.clone();
    Ok(async move { handle(&client, request).await }.boxed_local())
}

fn is_offered(request: &Request) -> bool {
    versions::offered(request.api).is_some_and(|versions| versions.contains(&request.version))
}

async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    use ApiKey as K;
    match request.api {
        K::ApiVersions => versions::handle(request, &client.shard.image()),
        K::Fetch => fetch::handle(client, request).await,
        K::ListOffsets => with(client, request, async |c, v, b| list_offsets::handle(c, v, b).await).await,
        K::OffsetForLeaderEpoch => {
            with(client, request, async |c, _, b| list_offsets::epoch_ends(c, b).await).await
        }
        K::DeleteRecords => with(client, request, async |c, _, b| delete_records::handle(c, b).await).await,
        K::DescribeLogDirs => with(client, request, async |c, _, b| log_dirs::handle(c, b).await).await,
        K::InitProducerId => with(client, request, async |c, _, b| producer_id::handle(c, b).await).await,
        K::Metadata | K::DescribeTopicPartitions => metadata::handle(client, request).await,
        K::CreateTopics | K::DeleteTopics | K::CreatePartitions => topics::handle(client, request).await,
        K::DescribeConfigs | K::AlterConfigs | K::IncrementalAlterConfigs => {
            configs::handle(client, request).await
        }
        K::DescribeCluster => cluster::handle(client, request).await,
        K::FindCoordinator => find_coordinator::handle(client, request).await,
        K::JoinGroup | K::SyncGroup | K::Heartbeat | K::LeaveGroup => {
            classic_group::handle(client, request).await
        }
        K::OffsetCommit | K::OffsetFetch | K::OffsetDelete => group_offsets::handle(client, request).await,
        K::ListGroups | K::DescribeGroups | K::DeleteGroups => group_admin::handle(client, request).await,
        // Not offered: `start` has closed the door. Listed so that a new key needs a decision here.
        K::LeaderAndIsr
        | K::StopReplica
        | K::UpdateMetadata
        | K::ControlledShutdown
        | K::SaslHandshake
        | K::AddPartitionsToTxn
        | K::AddOffsetsToTxn
        | K::EndTxn
        | K::WriteTxnMarkers
        | K::TxnOffsetCommit
        | K::DescribeAcls
        | K::CreateAcls
        | K::DeleteAcls
        | K::AlterReplicaLogDirs
        | K::SaslAuthenticate
        | K::CreateDelegationToken
        | K::RenewDelegationToken
        | K::ExpireDelegationToken
        | K::DescribeDelegationToken
        | K::ElectLeaders
        | K::AlterPartitionReassignments
        | K::ListPartitionReassignments
        | K::DescribeClientQuotas
        | K::AlterClientQuotas
        | K::DescribeUserScramCredentials
        | K::AlterUserScramCredentials
        | K::Vote
        | K::BeginQuorumEpoch
        | K::EndQuorumEpoch
        | K::DescribeQuorum
        | K::AlterPartition
        | K::UpdateFeatures
        | K::Envelope
        | K::FetchSnapshot
        | K::DescribeProducers
        | K::BrokerRegistration
        | K::BrokerHeartbeat
        | K::UnregisterBroker
        | K::DescribeTransactions
        | K::ListTransactions
        | K::AllocateProducerIds
        | K::ConsumerGroupHeartbeat
        | K::ConsumerGroupDescribe
        | K::ControllerRegistration
        | K::GetTelemetrySubscriptions
        | K::PushTelemetry
        | K::AssignReplicasToDirs
        | K::ListConfigResources
        | K::ShareGroupHeartbeat
        | K::ShareGroupDescribe
        | K::ShareFetch
        | K::ShareAcknowledge
        | K::AddRaftVoter
        | K::RemoveRaftVoter
        | K::UpdateRaftVoter
        | K::InitializeShareGroupState
        | K::ReadShareGroupState
        | K::WriteShareGroupState
        | K::DeleteShareGroupState
        | K::ReadShareGroupStateSummary
        | K::StreamsGroupHeartbeat
        | K::StreamsGroupDescribe
        | K::DescribeShareGroupOffsets
        | K::AlterShareGroupOffsets
        | K::DeleteShareGroupOffsets => {
            Err(PeerFault::UnsupportedApi { api: request.api, version: request.version })
        }
        K::Produce => unreachable!("started by `start`"),
    }
}

/// Decodes, handles, encodes.
pub(super) async fn with<M, R>(
    client: &Rc<Client>,
    mut request: Request,
    handler: impl AsyncFnOnce(&Rc<Client>, i16, M) -> R,
) -> Result<Response, PeerFault>
where
    M: ApiMessage,
    R: ApiMessage,
{
    let body: M = request.body()?;
    let head = Head::from(&request);
    let answer = handler(client, request.version, body).await;
    Ok(reply(&head, &answer))
}
