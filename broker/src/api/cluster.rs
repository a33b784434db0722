//! DescribeCluster (KIP-700, KIP-919, KIP-1073): the brokers and who controls them. Never asks another core.

use std::rc::Rc;

use kring_wire::messages::describe_cluster_request::DescribeClusterRequest;
use kring_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use kring_wire::{ErrorCode, Str};

use super::dispatch::with;
use super::{Client, PeerFault, Request, Response, operations};
use crate::metadata::{Broker, Image};

/// Kafka's numbers for kinds of endpoints. Every listener here is a broker's.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    with(client, request, async |c, _, body| {
        let node = c.shard.config().node.id;
        respond(&body, &c.shard.image(), &c.listener, c.shard.cluster_id.clone(), node)
    })
    .await
}

fn respond(
    body: &DescribeClusterRequest,
    image: &Image,
    listener: &str,
    cluster_id: Str,
    controller_id: i32,
) -> DescribeClusterResponse {
    match body.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
                           CONTROLLER";
            return refuse(ErrorCode::MISMATCHED_ENDPOINT_TYPE, message.into());
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refuse(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, message.into());
        }
    }
    let is_shown = |broker: &&Broker| !broker.is_fenced || body.include_fenced_brokers;
    let shown = image.brokers().values().filter(is_shown);
    let asks_for_operations = body.include_cluster_authorized_operations;
    DescribeClusterResponse {
        cluster_id,
        controller_id,
        brokers: shown.filter_map(|broker| describe(broker, listener)).collect(),
        cluster_authorized_operations: if asks_for_operations {
            operations::CLUSTER
        } else {
            operations::NOT_ASKED
        },
        ..DescribeClusterResponse::default()
    }
}

fn describe(broker: &Broker, listener: &str) -> Option<DescribeClusterBroker> {
    let endpoint = broker.endpoint(listener)?;
    Some(DescribeClusterBroker {
        broker_id: broker.id,
        host: endpoint.host.clone(),
        port: endpoint.port.into(),
        rack: broker.rack.clone(),
        is_fenced: broker.is_fenced,
    })
}

fn refuse(error: ErrorCode, message: Str) -> DescribeClusterResponse {
    let error_message = Some(message);
    DescribeClusterResponse { error_code: error.into(), error_message, ..DescribeClusterResponse::default() }
}

#[cfg(test)]
mod tests {
    use kring_wire::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};
    use kring_wire::{Message, Writer};

    use super::*;

    fn image() -> Image {
        let endpoint =
            BrokerEndpoint { name: "L".into(), host: "h".into(), port: 9092, security_protocol: 0 };
        let broker = |broker_id, fenced| RegisterBrokerRecord {
            broker_id,
            fenced,
            end_points: vec![endpoint.clone()],
            ..RegisterBrokerRecord::default()
        };
        let mut image = Image::default();
        image.apply(&broker(1, false).into()).expect("a broker needs nothing");
        image.apply(&broker(2, true).into()).expect("a broker needs nothing");
        image
    }

    fn ask(body: &DescribeClusterRequest) -> DescribeClusterResponse {
        respond(body, &image(), "L", "c".into(), 1)
    }

    #[test]
    fn every_version_gets_the_brokers_it_asked_for() {
        for version in 0..=2 {
            let body = DescribeClusterRequest { include_fenced_brokers: version == 2, ..Default::default() };
            let answer = ask(&body);
            let ids: Vec<_> = answer.brokers.iter().map(|b| (b.broker_id, b.port, b.is_fenced)).collect();
            let fenced = (version == 2).then_some((2, 9092, true));
            let expected: Vec<_> = [(1, 9092, false)].into_iter().chain(fenced).collect();
            assert_eq!((ids, answer.controller_id, &*answer.cluster_id), (expected, 1, "c"));
            assert_eq!(answer.cluster_authorized_operations, i32::MIN);
            answer.encode(&mut Writer::new(), version).expect("the version has the fields");
        }
    }

    #[test]
    fn endpoints_other_than_brokers_are_refused() {
        let ask = |endpoint_type| ask(&DescribeClusterRequest { endpoint_type, ..Default::default() });
        let said = |answer: &DescribeClusterResponse| {
            (answer.error_code, answer.error_message.as_deref().unwrap_or_default().to_string())
        };
        assert_eq!(said(&ask(3)), (115, "Unsupported endpoint type 3".into()));
        let mismatch = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
                        CONTROLLER";
        assert_eq!(said(&ask(2)), (114, mismatch.into()));
        assert_eq!((ask(2).controller_id, ask(2).brokers), (-1, vec![]));
    }

    #[test]
    fn operations_are_told_when_asked_for() {
        let body =
            DescribeClusterRequest { include_cluster_authorized_operations: true, ..Default::default() };
        assert_eq!(ask(&body).cluster_authorized_operations, 8096);
    }
}
