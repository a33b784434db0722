// Writes the files beside it with the Java HdrHistogram library (2.2.2): each distribution in the compressed form and
// as the library prints it. java -cp HdrHistogram-2.2.2.jar Distributions.java
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import org.HdrHistogram.Histogram;

public class Distributions {
    static Histogram histogram() {
        return new Histogram(1000L, 3_600_000_000_000L, 3);
    }

    static void write(String name, Histogram histogram) throws Exception {
        ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
        int bytes = histogram.encodeIntoCompressedByteBuffer(buffer);
        try (PrintStream out = new PrintStream(name + ".b64")) {
            out.print(Base64.getEncoder().encodeToString(Arrays.copyOf(buffer.array(), bytes)));
        }
        try (PrintStream out = new PrintStream(name + ".hgrm")) {
            histogram.outputPercentileDistribution(out, 5, 1_000_000.0);
        }
    }

    public static void main(String[] args) throws Exception {
        write("empty", histogram());
        Histogram one = histogram();
        one.recordValue(1_234_567);
        write("one", one);
        Histogram hundred = histogram();
        for (int i = 1; i <= 100; i++) hundred.recordValue(i * 1_000_000L);
        write("hundred", hundred);
        Histogram million = histogram();
        long x = 88172645463325252L;
        for (int i = 0; i < 1_000_000; i++) {
            x ^= x << 13; x ^= x >>> 7; x ^= x << 17;
            double u = ((x >>> 11) + 1) / 9007199254740993.0;
            long stall = i % 1000 == 0 ? 20_000_000L + i * 50 : 0;
            million.recordValue((long) (400_000 - 900_000 * Math.log(u)) + stall);
        }
        million.recordValue(3_599_999_999_999L);
        write("million", million);
    }
}
