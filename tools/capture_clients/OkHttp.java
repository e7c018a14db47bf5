// OkHttp against each ending: prints one JSON object a line.
// Usage: java -cp OKHTTP-JAR:OKIO-JAR OkHttp.java read|call BASE-URL REFUSED-URL FULL-URL ENDING…   (whose timer is set)

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.TimeUnit;
import okhttp3.Call;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okhttp3.internal.Version;

public class OkHttp {
    static final int LIMIT_MS = 800;

    public static void main(String[] args) {
        boolean whole = args[0].equals("call");
        OkHttpClient.Builder builder = new OkHttpClient.Builder().retryOnConnectionFailure(false)
            .connectTimeout(LIMIT_MS / 2, TimeUnit.MILLISECONDS).readTimeout(whole ? 0 : LIMIT_MS, TimeUnit.MILLISECONDS);
        OkHttpClient client = (whole ? builder.callTimeout(LIMIT_MS, TimeUnit.MILLISECONDS) : builder).build();
        for (int number = 4; number < args.length; number++) {
            String ending = args[number];
            String url = switch (ending) {
                case "refused" -> args[2] + "/x";
                case "no-connection" -> args[3] + "/x";
                case "no-name" -> "http://no-such-host.invalid/x";
                case "untrusted" -> System.getenv("UNTRUSTED");
                case "canceled" -> args[1] + "/hang";
                default -> args[1] + "/" + ending;
            };
            String text = "";
            Call call = client.newCall(new Request.Builder().url(url)
                .post(RequestBody.create(MediaType.get("application/json"), "{\"prompt\":\"a cat\"}")).build());
            if (ending.equals("canceled")) new Thread(() -> cancelSoon(call)).start();
            try (Response answer = call.execute()) {
                String body = answer.body().string();
                if (!answer.isSuccessful()) throw new IllegalStateException("Unexpected code " + answer + " " + body);
            } catch (Exception error) {
                StringWriter written = new StringWriter();
                error.printStackTrace(new PrintWriter(written));
                text = written.toString();
            }
            System.out.println("{\"client\": \"okhttp-" + args[0] + "\", \"version\": \"" + Version.userAgent()
                + "\", \"ending\": \"" + ending + "\", \"text\": \"" + quoted(text) + "\"}");
        }
        System.exit(0);
    }

    static void cancelSoon(Call call) {
        try {
            Thread.sleep(LIMIT_MS / 4);
        } catch (InterruptedException error) {
            return;
        }
        call.cancel();
    }

    static String quoted(String text) {
        return text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "");
    }
}
