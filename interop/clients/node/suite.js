// kafkajs as its users write it: producer, consumer group, admin. Argument: HOST:PORT.
// Claims are printed as `ok NAME`, `not ok NAME :: WHY`, and last `1..N`, which interop/run counts.
"use strict";

const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require("kafkajs");
const snappy = require("kafkajs-snappy");
const { ZstdCodec } = require("zstd-codec");

const SERVER = process.argv[2];
CompressionCodecs[CompressionTypes.Snappy] = snappy;

let count = 0;
let failures = 0;

async function claim(name, body) {
  count += 1;
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`not ok ${name} :: ${String(error.stack || error).split("\n").slice(0, 3).join(" ")}`);
  }
}

function assert(truth, why) {
  if (!truth) throw new Error(why);
}

function same(got, wanted) {
  assert(JSON.stringify(got) === JSON.stringify(wanted),
    `got ${JSON.stringify(got).slice(0, 300)}, wanted ${JSON.stringify(wanted).slice(0, 300)}`);
}

async function until(what, probe, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    if (await probe()) return;
    assert(Date.now() < deadline, `not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function zstd() {
  return new Promise((resolve) => ZstdCodec.run((z) => {
    const simple = new z.Simple();
    resolve(() => ({
      compress: async (encoder) => Buffer.from(simple.compress(encoder.buffer, 3)),
      decompress: async (buffer) => Buffer.from(simple.decompress(buffer)),
    }));
  }));
}

// One member of a group: what it was assigned, and what it read.
class Member {
  constructor(kafka, groupId, topic) {
    this.consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300,
      rebalanceTimeout: 10000, maxWaitTimeInMs: 100 });
    this.topic = topic;
    this.read = [];
    this.parts = [];
    this.consumer.on("consumer.group_join", ({ payload }) => {
      this.parts = payload.memberAssignment[topic] || [];
    });
  }

  async start(fromBeginning = true) {
    await this.consumer.connect();
    await this.consumer.subscribe({ topic: this.topic, fromBeginning });
    await this.consumer.run({
      eachMessage: async ({ partition, message }) => {
        this.read.push({ partition, offset: Number(message.offset), key: String(message.key),
          value: String(message.value), headers: message.headers });
      },
    });
  }

  async stop() {
    await this.consumer.disconnect();
  }
}

async function codecs(kafka, admin) {
  CompressionCodecs[CompressionTypes.ZSTD] = await zstd();
  for (const name of ["None", "GZIP", "Snappy", "ZSTD"]) {
    const topic = `kafkajs-${name.toLowerCase()}`;
    await claim(`${name}: 300 records with keys and headers there and back`, async () => {
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
      const producer = kafka.producer({ idempotent: name === "GZIP" });
      await producer.connect();
      const messages = Array.from({ length: 300 }, (_, i) => (
        { key: `k${i}`, value: `value ${i} ${"x".repeat(40)}`, headers: { n: String(i) } }));
      const [meta] = await producer.send({ topic, messages, acks: -1,
        compression: CompressionTypes[name] });
      same([meta.topicName, meta.partition, meta.baseOffset], [topic, 0, "0"]);
      await producer.disconnect();
      const member = new Member(kafka, `read-${topic}`, topic);
      await member.start();
      try {
        await until("300 records", () => member.read.length >= 300);
      } finally {
        await member.stop();
      }
      same(member.read.map((r) => r.value), messages.map((m) => m.value));
      same(member.read.map((r) => r.offset), messages.map((_, i) => i));
      same(String(member.read[7].headers.n), "7");
    });
  }
}

async function groups(kafka, admin) {
  const topic = "kafkajs-shared";
  const groupId = "kafkajs-group";
  await admin.createTopics({ topics: [{ topic, numPartitions: 4 }], waitForLeaders: true });
  const first = new Member(kafka, groupId, topic);
  const second = new Member(kafka, groupId, topic);
  await claim("a lone member gets every partition", async () => {
    await first.start();
    await until("four", () => first.parts.length === 4);
  });
  await claim("a second member takes half of them", async () => {
    await second.start();
    await until("two and two", () => first.parts.length === 2 && second.parts.length === 2);
    same([...first.parts, ...second.parts].sort(), [0, 1, 2, 3]);
  });
  await claim("every record reaches one of the two", async () => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, messages: Array.from({ length: 100 }, (_, i) => (
      { value: String(i), partition: i % 4 })) });
    await producer.disconnect();
    await until("100 records", () => first.read.length + second.read.length >= 100);
    const all = [...first.read, ...second.read].map((r) => Number(r.value)).sort((a, b) => a - b);
    same(all, Array.from({ length: 100 }, (_, i) => i));
  });
  await claim("the group is described while it lives", async () => {
    const { groups: [info] } = await admin.describeGroups([groupId]);
    same([info.state, info.members.length, info.protocolType], ["Stable", 2, "consumer"]);
  });
  await claim("when one leaves, the other takes over", async () => {
    await second.stop();
    await until("four", () => first.parts.length === 4);
    await first.stop();
  });
  await claim("committed offsets are there, and can be reset", async () => {
    const total = async () => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] });
      return partitions.reduce((sum, p) => sum + Number(p.offset), 0);
    };
    same(await total(), 100);
    await admin.setOffsets({ groupId, topic, partitions: [0, 1, 2, 3].map((partition) => (
      { partition, offset: "3" })) });
    same(await total(), 12);
  });
  await claim("a group is listed and deleted", async () => {
    const list = async () => (await admin.listGroups()).groups.map((g) => g.groupId);
    assert((await list()).includes(groupId), "not listed");
    await admin.deleteGroups([groupId]);
    assert(!(await list()).includes(groupId), "still listed");
  });
}

async function administration(admin) {
  await claim("admin: offsets of a topic, by time and at the ends", async () => {
    const [end] = await admin.fetchTopicOffsets("kafkajs-gzip");
    same([end.low, end.high], ["0", "300"]);
    const [byTime] = await admin.fetchTopicOffsetsByTimestamp("kafkajs-gzip", 1000);
    same(byTime.offset, "0");
  });
  await claim("admin: more partitions, settings, metadata", async () => {
    await admin.createPartitions({ topicPartitions: [{ topic: "kafkajs-shared", count: 6 }] });
    await until("six", async () => (
      await admin.fetchTopicMetadata({ topics: ["kafkajs-shared"] })).topics[0].partitions.length === 6);
    await admin.alterConfigs({ resources: [{ type: 2, name: "kafkajs-shared",
      configEntries: [{ name: "retention.ms", value: "77000" }] }] });
    await until("the new value", async () => {
      const { resources: [described] } = await admin.describeConfigs({ includeSynonyms: true,
        resources: [{ type: 2, name: "kafkajs-shared" }] });
      return described.configEntries.some((e) => e.configName === "retention.ms"
        && e.configValue === "77000");
    });
  });
  await claim("admin: delete records moves the start", async () => {
    await admin.deleteTopicRecords({ topic: "kafkajs-gzip",
      partitions: [{ partition: 0, offset: "10" }] });
    same((await admin.fetchTopicOffsets("kafkajs-gzip"))[0].low, "10");
  });
  await claim("admin: describe the cluster, list and delete topics", async () => {
    const { brokers, clusterId } = await admin.describeCluster();
    same([brokers.length, brokers[0].port], [1, Number(SERVER.split(":")[1])]);
    assert(clusterId, "no cluster id");
    await admin.deleteTopics({ topics: ["kafkajs-shared"] });
    await until("it is gone", async () => !(await admin.listTopics()).includes("kafkajs-shared"));
  });
}

async function main() {
  const kafka = new Kafka({ clientId: "interop", brokers: [SERVER], logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 } });
  const admin = kafka.admin();
  await admin.connect();
  await codecs(kafka, admin);
  await groups(kafka, admin);
  await administration(admin);
  await admin.disconnect();
  console.log(`1..${count}`);
  process.exit(failures ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(2);
});
