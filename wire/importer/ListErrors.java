import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.Errors;

/** Prints wire/schema/errors.txt: `java -cp CLASSPATH ListErrors.java > wire/schema/errors.txt`. */
public final class ListErrors {
    public static void main(String[] args) {
        for (Errors error : Errors.values()) {
            String kind = error.exception() instanceof RetriableException ? "retriable" : "final";
            System.out.println(error.code() + " " + error.name() + " " + kind + " " + error.message());
        }
    }
}
