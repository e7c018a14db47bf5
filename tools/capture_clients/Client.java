// Java's two clients against each ending: prints one JSON object a line.
// Usage: java Client.java http|urlconnection BASE-URL REFUSED-URL FULL-URL ENDING…

import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class Client {
    static final int LIMIT_MS = 800;

    public static void main(String[] args) {
        for (int number = 4; number < args.length; number++) {
            String ending = args[number];
            String url = switch (ending) {
                case "refused" -> args[2] + "/x";
                case "no-connection" -> args[3] + "/x";
                case "no-name" -> "http://no-such-host.invalid/x";
                case "untrusted" -> System.getenv("UNTRUSTED");
                default -> args[1] + "/" + ending;
            };
            String text = "";
            try {
                if (args[0].equals("http")) byHttpClient(url); else byUrlConnection(url);
            } catch (Exception error) {
                StringWriter written = new StringWriter();
                error.printStackTrace(new PrintWriter(written));
                text = written.toString();
            }
            System.out.println("{\"client\": \"java-" + args[0] + "\", \"version\": \"Java " + System.getProperty("java.version")
                + "\", \"ending\": \"" + ending + "\", \"text\": \"" + quoted(text) + "\"}");
        }
        System.exit(0);
    }

    static void byHttpClient(String url) throws Exception {
        HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofMillis(LIMIT_MS / 2)).version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofMillis(LIMIT_MS))
            .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"a cat\"}")).build();
        HttpResponse<String> answer = url.contains("in-body")
            ? client.sendAsync(request, HttpResponse.BodyHandlers.ofString()).get(3, java.util.concurrent.TimeUnit.SECONDS)
            : client.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 400) throw new IllegalStateException("Unexpected response status: " + answer.statusCode() + " " + answer.body());
    }

    static void byUrlConnection(String url) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setConnectTimeout(LIMIT_MS);
        connection.setReadTimeout(LIMIT_MS);
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        connection.getOutputStream().write("{}".getBytes());
        connection.getInputStream().readAllBytes();
    }

    static String quoted(String text) {
        return text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "");
    }
}
