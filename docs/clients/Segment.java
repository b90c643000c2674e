// java Segment.java URL SCAN (Java 11 or newer). With a JSON library of your own, read the body by that.
import java.net.URI;
import java.net.http.*;
import java.nio.file.Path;
import java.util.regex.*;

class Segment {
    public static void main(String[] given) throws Exception {
        var scan = HttpRequest.BodyPublishers.ofFile(Path.of(given[1]));
        var request = HttpRequest.newBuilder(URI.create(given[0] + "/api/v1/segment?outputs=none")).POST(scan).build();
        HttpResponse<String> answer = null;
        for (int attempt = 0; attempt < 5; attempt++) {
            answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 503) break;
            Thread.sleep(1000 * answer.headers().firstValueAsLong("Retry-After").orElse(5));
        }
        if (answer.statusCode() != 200) throw new Exception(answer.body());
        System.out.println(value("verdict", answer.body()) + " " + value("tumor_pixels", answer.body()));
    }

    static String value(String key, String json) {
        Matcher found = Pattern.compile("\"" + key + "\": \"?(\\w+)").matcher(json);
        return found.find() ? found.group(1) : "null";
    }
}
