import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads the facts of `cargo run -p kring-wire --example wire_facts` and holds each against Apache Kafka's own
 * classes: versions and headers of every API, every error code, and every message, which Kafka reads and must
 * write again as the same bytes. Ends with `N passed, N failed`.
 */
public final class WireFacts {
    private static final List<String> PACKAGES = List.of(
        "org.apache.kafka.common.message.",
        "org.apache.kafka.common.metadata.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.",
        "org.apache.kafka.raft.generated.",
        "org.apache.kafka.server.log.remote.metadata.storage.generated.",
        "org.apache.kafka.storage.internals.log.generated.",
        "org.apache.kafka.server.generated.");

    private final Map<String, Class<? extends Message>> classes = new HashMap<>();
    private final Set<String> apis = new HashSet<>();
    private final Set<String> versions = new HashSet<>();
    private final Set<Short> errors = new HashSet<>();
    private final List<String> failures = new ArrayList<>();
    private int passed;

    public static void main(String[] args) throws Exception {
        WireFacts facts = new WireFacts();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            facts.check(line);
        }
        facts.nothingIsMissing();
        facts.failures.stream().limit(50).forEach(System.out::println);
        System.out.println(facts.passed + " passed, " + facts.failures.size() + " failed");
        System.exit(facts.failures.isEmpty() && facts.passed > 0 ? 0 : 1);
    }

    private void check(String line) {
        String[] words = line.split(" ", line.startsWith("error ") ? 5 : 0);
        try {
            String complaint = switch (words[0]) {
                case "api" -> api(words);
                case "error" -> error(words);
                case "default" -> defaults(words[1], Short.parseShort(words[2]), bytes(words[3]));
                case "sample" -> sample(words[1], Short.parseShort(words[2]), bytes(words[3]));
                default -> "an unknown kind of fact";
            };
            note(complaint, line);
        } catch (Exception | Error e) {
            note(e.toString(), line);
        }
    }

    private void note(String complaint, String line) {
        if (complaint == null) {
            passed++;
        } else {
            failures.add(complaint + ": " + line);
        }
    }

    private String api(String[] words) {
        short key = Short.parseShort(words[1]);
        short version = Short.parseShort(words[3]);
        apis.add(key + " " + version);
        ApiMessageType type = ApiMessageType.fromApiKey(key);
        String theirs = String.join(" ", type.name, words[3],
            "" + type.requestHeaderVersion(version), "" + type.responseHeaderVersion(version),
            "" + (version <= type.highestSupportedVersion(false)));
        String ours = String.join(" ", List.of(words).subList(2, words.length));
        return theirs.equals(ours) ? null : "Kafka says " + theirs;
    }

    private String error(String[] words) {
        Errors error = Errors.forCode(Short.parseShort(words[1]));
        errors.add(error.code());
        String theirs = String.join(" ", "" + error.code(), error.name(),
            "" + (error.exception() instanceof RetriableException), error.message());
        String ours = String.join(" ", List.of(words).subList(1, words.length));
        return theirs.equals(ours) ? null : "Kafka says " + theirs;
    }

    private String defaults(String name, short version, byte[] ours) throws Exception {
        versions.add(name + " " + version);
        Message message = create(name);
        byte[] theirs;
        try {
            theirs = write(message, version);
        } catch (NullPointerException e) {
            // Records that are not nullable start out null in Kafka; ours start out empty.
            return name.equals("FetchSnapshotResponse") ? null : "Kafka's default cannot be written";
        }
        return same(theirs, ours);
    }

    private String sample(String name, short version, byte[] ours) throws Exception {
        Message message = create(name);
        ByteBuffer buffer = ByteBuffer.wrap(ours);
        message.read(new ByteBufferAccessor(buffer), version);
        return buffer.hasRemaining() ? buffer.remaining() + " bytes left" : same(write(message, version), ours);
    }

    private static byte[] write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    private static String same(byte[] theirs, byte[] ours) {
        return java.util.Arrays.equals(theirs, ours) ? null : "Kafka writes " + HexFormat.of().formatHex(theirs);
    }

    private Message create(String name) throws Exception {
        return classes.computeIfAbsent(name, WireFacts::find).getDeclaredConstructor().newInstance();
    }

    private static Class<? extends Message> find(String name) {
        for (String candidate : List.of(name + "Data", name)) {
            for (String prefix : PACKAGES) {
                try {
                    return Class.forName(prefix + candidate).asSubclass(Message.class);
                } catch (ClassNotFoundException e) {
                    // The next package may have it.
                }
            }
        }
        throw new IllegalStateException("Kafka has no class for " + name);
    }

    private static byte[] bytes(String hex) {
        return hex.equals("-") ? new byte[0] : HexFormat.of().parseHex(hex);
    }

    /** What Kafka has and the facts do not mention. */
    private void nothingIsMissing() throws Exception {
        for (ApiMessageType type : ApiMessageType.values()) {
            for (short v = type.lowestSupportedVersion(); v <= type.highestSupportedVersion(true); v++) {
                boolean known = apis.contains(type.apiKey() + " " + v);
                note(known ? null : "missing", "api " + type.name + " " + v);
            }
        }
        for (Errors error : Errors.values()) {
            note(errors.contains(error.code()) ? null : "missing", "error " + error);
        }
        for (Map.Entry<String, Class<? extends Message>> entry : classes.entrySet()) {
            Message message = create(entry.getKey());
            for (short v = message.lowestSupportedVersion(); v <= message.highestSupportedVersion(); v++) {
                boolean known = versions.contains(entry.getKey() + " " + v);
                note(known ? null : "missing", "message " + entry.getKey() + " " + v);
            }
        }
    }
}
