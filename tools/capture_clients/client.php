<?php
// PHP's cURL, streams and Guzzle (of the system's packages) against each ending: prints one JSON object a line.
// Usage: php client.php curl|streams|guzzle BASE-URL REFUSED-URL FULL-URL ENDING…
[, $name, $base, $refused, $full] = $argv;
$GLOBALS["warned"] = "";
set_error_handler(function (int $level, string $message): bool {
    $GLOBALS["warned"] = "PHP Warning:  " . $message;
    return true;
});

function by_curl(string $url): string
{
    $handle = curl_init($url);
    curl_setopt_array($handle, [
        CURLOPT_RETURNTRANSFER => true, CURLOPT_POSTFIELDS => '{"prompt":"a cat"}',
        CURLOPT_TIMEOUT_MS => 800, CURLOPT_CONNECTTIMEOUT_MS => 400, CURLOPT_FAILONERROR => true,
    ]);
    curl_exec($handle);
    return curl_errno($handle) ? "cURL error " . curl_errno($handle) . ": " . curl_error($handle) : "";
}

function by_streams(string $url): string
{
    $GLOBALS["warned"] = "";
    $context = stream_context_create(["http" => ["method" => "POST", "content" => "{}", "timeout" => 0.8]]);
    file_get_contents($url, false, $context);
    return $GLOBALS["warned"];
}

function by_guzzle(string $url): string
{
    $client = new GuzzleHttp\Client(["timeout" => 0.8, "connect_timeout" => 0.4]);
    try {
        $client->post($url, ["body" => '{"prompt":"a cat"}']);
    } catch (Throwable $error) {
        return "PHP Fatal error:  Uncaught $error";
    }
    return "";
}

if ($name === "guzzle") {
    require "GuzzleHttp/autoload.php";
}
foreach (array_slice($argv, 5) as $ending) {
    $url = match ($ending) {
        "refused" => "$refused/x",
        "no-connection" => "$full/x",
        "no-name" => "http://no-such-host.invalid/x",
        "untrusted" => getenv("UNTRUSTED"),
        default => "$base/$ending",
    };
    $text = match ($name) { "curl" => by_curl($url), "guzzle" => by_guzzle($url), default => by_streams($url) };
    $version = "PHP " . PHP_VERSION . ($name === "curl" ? ", libcurl " . curl_version()["version"] : "");
    if ($name === "guzzle") {
        $version = "Guzzle " . GuzzleHttp\ClientInterface::MAJOR_VERSION . " (Debian's php-guzzlehttp-guzzle), " . $version;
    }
    echo json_encode(["client" => $name === "guzzle" ? "guzzle" : "php-$name", "version" => $version, "ending" => $ending, "text" => $text]), "\n";
}
