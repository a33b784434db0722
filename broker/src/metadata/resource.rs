//! What configurations belong to: a topic, a broker, the cluster. Never knows a property. Any core.

use std::fmt;

use kring_wire::Str;

/// Kafka's numbers for kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceKind {
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            8 => Some(Self::BrokerLogger),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }

    /// As Kafka's messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The owner of a set of configurations. A broker without a name stands for all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ResourceKind,
    pub name: Str,
}

impl ConfigResource {
    pub fn topic(name: impl Into<Str>) -> Self {
        Self { kind: ResourceKind::Topic, name: name.into() }
    }

    pub fn broker(id: i32) -> Self {
        Self { kind: ResourceKind::Broker, name: id.to_string().into() }
    }

    /// The defaults of all brokers.
    pub fn cluster() -> Self {
        Self { kind: ResourceKind::Broker, name: Str::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        let known: Vec<_> = (i8::MIN..=i8::MAX).filter_map(ResourceKind::from_code).collect();
        assert_eq!(known.len(), 5);
        assert!(known.iter().all(|kind| ResourceKind::from_code(kind.code()) == Some(*kind)));
    }
}
