import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/**
 * A Kafka Streams application with everything that asks something of a broker: repartition topics and their purging,
 * changelogs (compacted, and compacted with deletion), restoring from them, a join with a table, a global table.
 * Prints `ok CLAIM` or `not ok CLAIM :: WHY` for each claim, and `1..N` last. Arguments: HOST:PORT DIRECTORY.
 */
public final class Streams {
    private static final int RECORDS = 3_000;
    private static final String APP = "app";
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final List<String> WORDS = List.of("ring", "shard", "core", "log", "batch", "epoch", "group");

    private final String bootstrap;
    private final Path states;
    private int claims = 0;
    private int failed = 0;

    private Streams(String bootstrap, Path states) {
        this.bootstrap = bootstrap;
        this.states = states;
    }

    public static void main(String[] args) throws Exception {
        Streams suite = new Streams(args[0], Path.of(args[1]));
        suite.run();
        System.out.println("1.." + suite.claims);
        System.exit(suite.failed == 0 ? 0 : 1);
    }

    private void run() throws Exception {
        createTopics();
        Map<String, Long> wanted = new TreeMap<>();
        try (KafkaStreams streams = start("first", 2)) {
            send(0, RECORDS, wanted);
            claim("a count over a repartition topic is complete", () -> awaitCounts(streams, wanted));
            claim("its updates reach the output topic", () -> awaitOutput("counts", wanted));
            claim("a stream is joined with a table", () -> awaitJoined(RECORDS));
            claim("the repartition topic is purged behind the application", this::awaitPurged);
            claim("the topics of the application have the settings it asked for", this::checkTopics);
        }
        try (KafkaStreams streams = start("second", 3)) {
            claim("a new instance restores its state from the changelog", () -> awaitCounts(streams, wanted));
            send(RECORDS, 2 * RECORDS, wanted);
            claim("and goes on counting from it", () -> awaitCounts(streams, wanted));
            claim("no record is joined twice or left out", () -> awaitJoined(2 * RECORDS));
        }
    }

    private void createTopics() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic("lines", 3, (short) 1), new NewTopic("counts", 2, (short) 1),
                new NewTopic("joined", 2, (short) 1), new NewTopic("windows", 1, (short) 1),
                new NewTopic("ranks", 3, (short) 1).configs(Map.of("cleanup.policy", "compact")),
                new NewTopic("names", 1, (short) 1).configs(Map.of("cleanup.policy", "compact")))).all().get();
        }
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < WORDS.size(); i++) {
                producer.send(new ProducerRecord<>("ranks", WORDS.get(i), "rank-" + i));
                producer.send(new ProducerRecord<>("names", "rank-" + i, "name-" + i));
            }
        }
    }

    private Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> lines = builder.stream("lines", Consumed.with(Serdes.String(), Serdes.String()));
        KStream<String, String> words = lines.selectKey((key, word) -> word);
        KTable<String, Long> counts = words.groupByKey(Grouped.with("by-word", Serdes.String(), Serdes.String()))
            .count(Materialized.as("counts-store"));
        counts.toStream().to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        KTable<String, String> ranks = builder.table("ranks", Materialized.as("ranks-store"));
        var names = builder.<String, String>globalTable("names");
        words.join(ranks, (word, rank) -> rank, Joined.with(Serdes.String(), Serdes.String(), Serdes.String(), "join"))
            .join(names, (word, rank) -> rank, (rank, name) -> name).to("joined");
        words.groupByKey(Grouped.as("by-window")).windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMinutes(5)))
            .count(Materialized.as("window-store")).toStream((window, count) -> window.key())
            .to("windows", Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    /** Each instance keeps its state in a directory of its own. */
    private KafkaStreams start(String instance, int threads) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, APP);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.STATE_DIR_CONFIG, states.resolve(instance).toString());
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put("repartition.purge.interval.ms", 200);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        config.put("consumer.auto.offset.reset", "earliest");
        // an instance that ends does not leave its group
        config.put("consumer.session.timeout.ms", 6_000);
        KafkaStreams streams = new KafkaStreams(topology(), config);
        streams.start();
        return streams;
    }

    private KafkaProducer<String, String> producer() {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "compression.type", "lz4");
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    private void send(int from, int to, Map<String, Long> wanted) {
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = from; i < to; i++) {
                String word = WORDS.get((i * 31 + i / 7) % WORDS.size());
                producer.send(new ProducerRecord<>("lines", "key-" + i, word));
                wanted.merge(word, 1L, Long::sum);
            }
        }
    }

    private void awaitCounts(KafkaStreams streams, Map<String, Long> wanted) throws Exception {
        await("the store", wanted, () -> {
            if (streams.state() != KafkaStreams.State.RUNNING) return Map.of("state", streams.state());
            ReadOnlyKeyValueStore<String, Long> store = streams.store(
                StoreQueryParameters.fromNameAndType("counts-store", QueryableStoreTypes.keyValueStore()));
            Map<String, Long> found = new TreeMap<>();
            try (var all = store.all()) {
                while (all.hasNext()) {
                    KeyValue<String, Long> next = all.next();
                    found.put(next.key, next.value);
                }
            }
            return found;
        });
    }

    private void awaitOutput(String topic, Map<String, Long> wanted) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new LongDeserializer())) {
            assign(consumer, topic);
            Map<String, Long> last = new TreeMap<>();
            await(topic, wanted, () -> {
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                    last.put(record.key(), record.value());
                }
                return new TreeMap<>(last);
            });
        }
    }

    private void awaitJoined(long wanted) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            assign(consumer, "joined");
            long[] seen = {0};
            await("joined", wanted, () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    if (!record.value().equals("name-" + WORDS.indexOf(record.key()))) return record.toString();
                    seen[0]++;
                }
                return seen[0];
            });
        }
    }

    private static void assign(KafkaConsumer<?, ?> consumer, String topic) {
        List<TopicPartition> all = new ArrayList<>();
        consumer.partitionsFor(topic).forEach(info -> all.add(new TopicPartition(topic, info.partition())));
        consumer.assign(all);
    }

    private void awaitPurged() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            String topic = APP + "-by-word-repartition";
            Map<TopicPartition, OffsetSpec> starts = new HashMap<>();
            Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
            for (int partition = 0; partition < 3; partition++) {
                starts.put(new TopicPartition(topic, partition), OffsetSpec.earliest());
                ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
            }
            await("its first offsets", sum(admin, ends), () -> sum(admin, starts));
        }
    }

    private static long sum(Admin admin, Map<TopicPartition, OffsetSpec> specs) throws Exception {
        return admin.listOffsets(specs).all().get().values().stream().mapToLong(found -> found.offset()).sum();
    }

    private void checkTopics() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<String, String> wanted = new TreeMap<>();
            wanted.put(APP + "-counts-store-changelog", "compact");
            wanted.put(APP + "-window-store-changelog", "compact,delete");
            wanted.put(APP + "-by-word-repartition", "delete");
            Map<String, String> found = new TreeMap<>();
            for (String topic : wanted.keySet()) {
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                var config = admin.describeConfigs(Collections.singleton(resource)).all().get().get(resource);
                found.put(topic, config.get("cleanup.policy").value());
            }
            if (!found.equals(wanted)) throw new AssertionError(found.toString());
        }
    }

    private interface Step {
        void run() throws Exception;
    }

    private interface Look {
        Object now() throws Exception;
    }

    private static void await(String what, Object wanted, Look look) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        Object found = null;
        while (System.nanoTime() < end) {
            try {
                found = look.now();
            } catch (RuntimeException notYet) {
                found = notYet;
            }
            if (wanted.equals(found)) return;
            TimeUnit.MILLISECONDS.sleep(50);
        }
        throw new AssertionError(what + ": " + found + ", not " + wanted);
    }

    private void claim(String name, Step step) {
        claims++;
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed++;
            System.out.println("not ok " + name + " :: " + String.valueOf(error).replace('\n', ' '));
        }
        System.out.flush();
    }
}
