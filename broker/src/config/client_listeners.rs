//! Decides which listeners open and what clients are told about each.
//! Never resolves a name and never binds. Runs once, at start, on the main thread.

use super::listeners::{self, Endpoint, HostPort, SecurityProtocol};
use super::sources::{ConfigError, Settings};
use super::typed::Typed;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// An address to bind, and what to tell clients about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub protocol: SecurityProtocol,
    pub bind: HostPort,
    pub advertised: Advertised,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// The address that was bound; for every interface, this machine's name.
    AsBound,
    At(HostPort),
    /// `advertised.listeners` leaves it out: bound, and told to nobody.
    Nowhere,
}

/// The client listeners with what is advertised, and the name of the one between brokers.
pub(super) fn read_listeners(
    settings: &Settings,
    typed: &Typed<'_>,
) -> Result<(Vec<Listener>, String), ConfigError> {
    let protocols = read_protocols(settings, typed)?;
    let endpoints = client_endpoints(settings, typed)?;
    let advertised = read_advertised(settings, typed, &endpoints)?;
    let mut listeners = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let protocol = protocol_of(&endpoint.name, &protocols)
            .map_err(|message| settings.error("listeners", message))?;
        listeners.push(Listener {
            advertised: advertised_of(&endpoint.name, advertised.as_deref()),
            name: endpoint.name,
            protocol,
            bind: endpoint.address,
        });
    }
    let inter_broker = inter_broker_name(settings, typed, &listeners)?;
    Ok((listeners, inter_broker))
}

fn read_protocols(
    settings: &Settings,
    typed: &Typed<'_>,
) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
    let key = "listener.security.protocol.map";
    let text = typed.text(key);
    let map = listeners::parse_protocol_map(&text);
    map.map_err(|message| settings.error(key, format!("{message} defined in {key}")))
}

/// All listeners but those for controllers, which one node alone does not open.
fn client_endpoints(settings: &Settings, typed: &Typed<'_>) -> Result<Vec<Endpoint>, ConfigError> {
    let of_controllers = typed.list("controller.listener.names");
    let is_controllers =
        |endpoint: &Endpoint| of_controllers.iter().any(|name| name.eq_ignore_ascii_case(&endpoint.name));
    let mut endpoints = listeners::parse_endpoints(&typed.list("listeners"))
        .map_err(|message| settings.error("listeners", message))?;
    endpoints.retain(|endpoint| !is_controllers(endpoint));
    if endpoints.is_empty() {
        let message = "there is no listener for clients: all are in controller.listener.names";
        return Err(settings.error("listeners", message));
    }
    check_ports(&endpoints).map_err(|message| settings.error("listeners", message))?;
    Ok(endpoints)
}

/// Two listeners share a port only if one is IPv4 and the other IPv6.
fn check_ports(endpoints: &[Endpoint]) -> Result<(), String> {
    for (index, one) in endpoints.iter().enumerate() {
        for other in &endpoints[index + 1..] {
            let is_same = one.address.port == other.address.port && one.address.port != 0;
            if is_same && !are_both_families(&one.address.host, &other.address.host) {
                let (one, other) = (&one.name, &other.name);
                return Err(format!(
                    "each listener must have a different port, but {one} and {other} share one"
                ));
            }
        }
    }
    Ok(())
}

fn are_both_families(one: &str, other: &str) -> bool {
    let parse = |host: &str| host.parse::<IpAddr>();
    match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    }
}

fn protocol_of(
    name: &str,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<SecurityProtocol, String> {
    match protocols.get(name) {
        None => Err(format!("No security protocol defined for listener {name}")),
        Some(SecurityProtocol::Plaintext) => Ok(SecurityProtocol::Plaintext),
        Some(other) => Err(format!(
            "listener {name} uses {}, which Kring does not support yet: only PLAINTEXT works",
            other.name()
        )),
    }
}

fn read_advertised(
    settings: &Settings,
    typed: &Typed<'_>,
    bound: &[Endpoint],
) -> Result<Option<Vec<Endpoint>>, ConfigError> {
    let key = "advertised.listeners";
    let Some(items) = typed.optional_list(key) else {
        return Ok(None);
    };
    let of_controllers = typed.list("controller.listener.names");
    let is_controllers = |name: &str| of_controllers.iter().any(|other| other.eq_ignore_ascii_case(name));
    let mut endpoints = listeners::parse_endpoints(&items).map_err(|message| settings.error(key, message))?;
    endpoints.retain(|endpoint| !is_controllers(&endpoint.name));
    for endpoint in &endpoints {
        check_advertised(endpoint, bound).map_err(|message| settings.error(key, message))?;
    }
    Ok(Some(endpoints))
}

fn check_advertised(endpoint: &Endpoint, bound: &[Endpoint]) -> Result<(), String> {
    let name = &endpoint.name;
    if !bound.iter().any(|listener| listener.name == *name) {
        return Err(format!("{name} is advertised, but is not in listeners"));
    }
    if matches!(endpoint.address.host.as_str(), "0.0.0.0" | "::") {
        return Err(format!(
            "advertised.listeners cannot use the nonroutable meta-address {}. \
             Use a routable IP address.",
            endpoint.address.host
        ));
    }
    Ok(())
}

fn advertised_of(name: &str, advertised: Option<&[Endpoint]>) -> Advertised {
    let Some(endpoints) = advertised else {
        return Advertised::AsBound;
    };
    match endpoints.iter().find(|endpoint| endpoint.name == name) {
        None => Advertised::Nowhere,
        Some(endpoint) if endpoint.address.host.is_empty() => Advertised::AsBound,
        Some(endpoint) => Advertised::At(endpoint.address.clone()),
    }
}

/// By its own property, else by protocol, else PLAINTEXT, else the first that is advertised.
fn inter_broker_name(
    settings: &Settings,
    typed: &Typed<'_>,
    listeners: &[Listener],
) -> Result<String, ConfigError> {
    let (by_name, by_protocol) = ("inter.broker.listener.name", "security.inter.broker.protocol");
    if settings.is_set(by_name) && settings.is_set(by_protocol) {
        let message = format!("Only one of {by_name} and {by_protocol} should be set.");
        return Err(settings.error(by_name, message));
    }
    let is_shown = |listener: &&Listener| listener.advertised != Advertised::Nowhere;
    let named = typed.optional_text(by_name);
    let wanted = named.clone().unwrap_or_else(|| typed.text(by_protocol));
    let mut shown = listeners.iter().filter(is_shown);
    let found = shown.find(|listener| listener.name.eq_ignore_ascii_case(&wanted));
    let fallback = || listeners.iter().find(is_shown).filter(|_| named.is_none());
    match found.or_else(fallback) {
        Some(listener) => Ok(listener.name.clone()),
        None => {
            let message = format!("{wanted} is not the name of a listener that is advertised");
            Err(settings.error(by_name, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Flags};

    fn read(text: &str) -> Result<BrokerConfig, String> {
        BrokerConfig::from_sources(Some(("f", text)), &[], &Flags::default())
            .map(|(config, _)| config)
            .map_err(|error| error.to_string())
    }

    fn host_port(text: &str) -> HostPort {
        HostPort::parse(text).unwrap()
    }

    #[test]
    fn without_a_word_it_is_localhost_9092() {
        let config = read("").unwrap();
        assert_eq!(
            config.listeners,
            [Listener {
                name: "PLAINTEXT".into(),
                protocol: SecurityProtocol::Plaintext,
                bind: host_port("localhost:9092"),
                advertised: Advertised::AsBound,
            }]
        );
        assert_eq!(config.inter_broker_listener, "PLAINTEXT");
    }

    #[test]
    fn a_controller_listener_is_not_opened() {
        let config =
            read("listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER");
        assert_eq!(config.unwrap().listeners.len(), 1);
        let none = read("listeners=A://:1\ncontroller.listener.names=A").unwrap_err();
        assert!(none.contains("no listener for clients"), "{none}");
    }

    #[test]
    fn each_listener_may_be_advertised_elsewhere() {
        let config = read(
            "listeners=IN://:1,OUT://[::1]:2,HID://:3\n\
             advertised.listeners=IN://10.0.0.1:1,OUT://broker.example.com:9\n\
             listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,HID:PLAINTEXT\n\
             inter.broker.listener.name=IN\n",
        )
        .unwrap();
        let advertised: Vec<_> = config.listeners.iter().map(|l| l.advertised.clone()).collect();
        assert_eq!(
            advertised,
            [
                Advertised::At(host_port("10.0.0.1:1")),
                Advertised::At(host_port("broker.example.com:9")),
                Advertised::Nowhere,
            ]
        );
        assert_eq!(config.inter_broker_listener, "IN");
    }

    #[test]
    fn encryption_and_sasl_are_refused_in_clear_words() {
        for (name, protocol) in [("SSL", "SSL"), ("SASL_PLAINTEXT", "SASL_PLAINTEXT")] {
            let error = read(&format!("\nlisteners={name}://:9092")).unwrap_err();
            assert_eq!(
                error,
                format!(
                    "f:2: listeners: listener {name} uses {protocol}, which Kring does not \
                     support yet: only PLAINTEXT works"
                )
            );
        }
    }

    #[test]
    fn a_listener_needs_a_protocol() {
        let error = read("listeners=FOO://:9092").unwrap_err();
        assert!(error.contains("No security protocol defined for listener FOO"));
    }

    #[test]
    fn ports_may_be_shared_by_the_two_ip_families_only() {
        let map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\n";
        let same = read(&format!("{map}listeners=A://127.0.0.1:5,B://localhost:5"));
        assert!(same.unwrap_err().contains("A and B share one"));
        assert!(read(&format!("{map}listeners=A://127.0.0.1:5,B://[::1]:5")).is_ok());
        assert!(read(&format!("{map}listeners=A://:0,B://:0")).is_ok());
    }

    #[test]
    fn what_is_advertised_must_be_bound_and_routable() {
        let unbound = read("advertised.listeners=SSL://h:1").unwrap_err();
        assert!(unbound.contains("SSL is advertised, but is not in listeners"));
        let meta = read("advertised.listeners=PLAINTEXT://0.0.0.0:1").unwrap_err();
        assert!(meta.contains("nonroutable meta-address 0.0.0.0"));
    }

    #[test]
    fn the_listener_between_brokers_must_exist() {
        let error = read("inter.broker.listener.name=X").unwrap_err();
        assert!(error.contains("X is not the name of a listener"));
        let both = "inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT";
        assert!(read(both).unwrap_err().contains("Only one of"));
    }

    #[test]
    fn the_listen_flag_drops_what_the_file_says_of_listeners() {
        let file = "listeners=IN://:1\nlistener.security.protocol.map=IN:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
                    advertised.listeners=IN://h:1\ninter.broker.listener.name=IN\n";
        let flags = Flags { listen: Some("[::1]:0".into()), ..Flags::default() };
        let (config, _) = BrokerConfig::from_sources(Some(("f", file)), &[], &flags).unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.listeners[0].bind, host_port("[::1]:0"));
    }
}
