//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: settings of topics, the broker, all brokers, groups.
//! Never judges a setting: the configuration does when it describes, the controller when it changes.

use std::rc::Rc;

use kring_wire::messages::alter_configs_request::AlterConfigsRequest;
use kring_wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};
use kring_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kring_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kring_wire::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use kring_wire::messages::incremental_alter_configs_response::{
    self as incremental, IncrementalAlterConfigsResponse,
};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::config::{
    BrokerConfig, ConfigEntry, ConfigSynonym, describe_broker, describe_cluster_default, describe_group,
    describe_topic,
};
use crate::controller::{
    AlteredResource, ConfigAlteration, ConfigChanges, ControllerReply, ControllerRequest, Refused,
};
use crate::metadata::{ConfigResource, Image, ResourceKind, names};

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::DescribeConfigs => {
            with(client, request, async |c, _, b| describe(&b, &c.shard.image(), &c.shard.config())).await
        }
        ApiKey::AlterConfigs => with(client, request, async |c, _, b| replace(c, b).await).await,
        _ => with(client, request, async |c, _, b| change(c, b).await).await,
    }
}

fn describe(body: &DescribeConfigsRequest, image: &Image, config: &BrokerConfig) -> DescribeConfigsResponse {
    let is_known =
        |resource: &DescribeConfigsResource| ResourceKind::from_code(resource.resource_type).is_some();
    let results = if body.resources.iter().all(is_known) {
        let form = Form { synonyms: body.include_synonyms, documentation: body.include_documentation };
        body.resources
            .iter()
            .map(|resource| result(resource, entries(resource, image, config), form))
            .collect()
    } else {
        // One kind that nobody knows spoils the request, as in Kafka.
        let refusal = || Err(Refused::plain(ErrorCode::INVALID_REQUEST));
        body.resources.iter().map(|resource| result(resource, refusal(), Form::default())).collect()
    };
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

/// What a client wants to see of each entry.
#[derive(Clone, Copy, Default)]
struct Form {
    synonyms: bool,
    documentation: bool,
}

fn entries(
    resource: &DescribeConfigsResource,
    image: &Image,
    config: &BrokerConfig,
) -> Result<Vec<ConfigEntry>, Refused> {
    let name = &resource.resource_name;
    match ResourceKind::from_code(resource.resource_type) {
        Some(ResourceKind::Topic) => topic_entries(name, image, config),
        Some(ResourceKind::Broker) if name.is_empty() => Ok(describe_cluster_default(config)),
        Some(ResourceKind::Broker) => {
            check_id(name, config, "or empty string, but")?;
            Ok(describe_broker(config))
        }
        Some(ResourceKind::BrokerLogger) if name.is_empty() => Err(invalid("Broker id must not be empty")),
        // There are no loggers by Java's class names.
        Some(ResourceKind::BrokerLogger) => check_id(name, config, "but").map(|()| Vec::new()),
        Some(ResourceKind::Group) if name.is_empty() => Err(invalid("Group name must not be empty")),
        Some(ResourceKind::Group) => {
            let resource = ConfigResource { kind: ResourceKind::Group, name: name.clone() };
            let own = image.configs(&resource).cloned().unwrap_or_default();
            Ok(describe_group(config, &own))
        }
        Some(kind @ ResourceKind::ClientMetrics) => {
            Err(invalid(format!("Unsupported resource type: {kind}")))
        }
        None => Err(Refused::plain(ErrorCode::INVALID_REQUEST)),
    }
}

fn topic_entries(name: &str, image: &Image, config: &BrokerConfig) -> Result<Vec<ConfigEntry>, Refused> {
    names::check_topic_name(name).map_err(|text| Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text))?;
    match image.topic_id(name) {
        Some(_) => Ok(describe_topic(config, &image.topic_configs(name))),
        None => Err(Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "")),
    }
}

fn check_id(name: &str, config: &BrokerConfig, link: &str) -> Result<(), Refused> {
    let expected = config.node.id;
    match name.parse::<i32>() {
        Ok(id) if id == expected => Ok(()),
        Ok(_) => Err(invalid(format!("Unexpected broker id, expected {expected} {link} received {name}"))),
        Err(_) => Err(invalid(format!("Broker id must be an integer, but it is: {name}"))),
    }
}

fn invalid(message: impl Into<Str>) -> Refused {
    Refused::new(ErrorCode::INVALID_REQUEST, message)
}

fn result(
    resource: &DescribeConfigsResource,
    entries: Result<Vec<ConfigEntry>, Refused>,
    form: Form,
) -> DescribeConfigsResult {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    let is_wanted = |entry: &ConfigEntry| keys.is_empty() || keys.iter().any(|key| **key == *entry.name);
    let result = DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..DescribeConfigsResult::default()
    };
    match entries {
        Ok(entries) => {
            let wanted = entries.into_iter().filter(is_wanted);
            DescribeConfigsResult { configs: wanted.map(|entry| shown(entry, form)).collect(), ..result }
        }
        Err(refused) => DescribeConfigsResult {
            error_code: refused.code.into(),
            error_message: refused.message,
            ..result
        },
    }
}

fn shown(entry: ConfigEntry, form: Form) -> DescribeConfigsResourceResult {
    let (config_type, config_source) = (entry.kind_code(), entry.source.code());
    let synonyms = if form.synonyms { entry.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.is_read_only,
        config_source,
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type,
        documentation: entry.documentation.filter(|_| form.documentation).map(Str::from),
    }
}

fn synonym(synonym: ConfigSynonym) -> DescribeConfigsSynonym {
    let (name, value) = (synonym.name.into(), synonym.value.map(Str::from));
    DescribeConfigsSynonym { name, value, source: synonym.source.code() }
}

async fn replace(client: &Rc<Client>, body: AlterConfigsRequest) -> AlterConfigsResponse {
    let alteration = |resource: kring_wire::messages::alter_configs_request::AlterConfigsResource| {
        let wanted = resource.configs.into_iter().map(|config| (config.name, config.value));
        ConfigAlteration {
            resource: AlteredResource { kind: resource.resource_type, name: resource.resource_name },
            changes: ConfigChanges::Replace(wanted.collect()),
        }
    };
    let alterations = body.resources.into_iter().map(alteration).collect();
    let responses = alter(client, alterations, body.validate_only).await.into_iter().map(|altered| {
        AlterConfigsResourceResponse {
            error_code: altered.code.into(),
            error_message: altered.message,
            resource_type: altered.resource.kind,
            resource_name: altered.resource.name,
        }
    });
    AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() }
}

async fn change(
    client: &Rc<Client>,
    body: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let alteration =
        |resource: kring_wire::messages::incremental_alter_configs_request::AlterConfigsResource| {
            let changes = resource.configs.into_iter().map(|c| (c.name, c.config_operation, c.value));
            ConfigAlteration {
                resource: AlteredResource { kind: resource.resource_type, name: resource.resource_name },
                changes: ConfigChanges::Change(changes.collect()),
            }
        };
    let alterations = body.resources.into_iter().map(alteration).collect();
    let responses = alter(client, alterations, body.validate_only).await.into_iter().map(|altered| {
        incremental::AlterConfigsResourceResponse {
            error_code: altered.code.into(),
            error_message: altered.message,
            resource_type: altered.resource.kind,
            resource_name: altered.resource.name,
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

/// One resource of the answer.
struct Altered {
    resource: AlteredResource,
    code: ErrorCode,
    message: Option<Str>,
}

async fn alter(client: &Rc<Client>, resources: Vec<ConfigAlteration>, validate_only: bool) -> Vec<Altered> {
    let names: Vec<AlteredResource> =
        resources.iter().map(|alteration| alteration.resource.clone()).collect();
    let request = ControllerRequest::AlterConfigs { resources, validate_only };
    let results = match client.shard.ask_controller(request).await {
        Ok(ControllerReply::Configs(results)) => results,
        Ok(other) => unreachable!("AlterConfigs is answered with {other:?}"),
        Err(_) => {
            let away = || Err(Refused::plain(ErrorCode::NOT_CONTROLLER));
            names.into_iter().map(|resource| (resource, away())).collect()
        }
    };
    let altered = |(resource, result): (AlteredResource, Result<(), Refused>)| match result {
        Ok(()) => Altered { resource, code: ErrorCode::NONE, message: None },
        Err(refused) => Altered { resource, code: refused.code, message: refused.message },
    };
    results.into_iter().map(altered).collect()
}

#[cfg(test)]
#[path = "configs_tests.rs"]
mod tests;
