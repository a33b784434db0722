"""kafkajs and franz-go: small programs under interop/clients, each claim printed by name."""

from kit import harness, needs, paths


def run_kafkajs(ctx):
    broker = ctx.broker(num__partitions=1)
    target = needs.node_clients()
    ctx.program(["node", paths.INTEROP / "clients" / "node" / "suite.js", broker.address],
                env=ctx.env(NODE_PATH=target / "node_modules", KAFKAJS_NO_PARTITIONER_WARNING=1))


def run_franz_go(ctx):
    broker = ctx.broker(num__partitions=1)
    ctx.program([needs.go_client(), broker.address])


KAFKAJS = harness.Suite("kafkajs", run_kafkajs, needs=(needs.kafka, needs.node_clients), minutes=4,
                        about="kafkajs: producer, groups, admin, codecs")
FRANZ_GO = harness.Suite("franz-go", run_franz_go, needs=(needs.kafka, needs.go_client), minutes=4,
                         about="franz-go: kgo and kadm")
