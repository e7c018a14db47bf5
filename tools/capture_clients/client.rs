// reqwest against each ending: prints one JSON object a line.
// Usage: client chain|debug BASE-URL REFUSED-URL FULL-URL ENDING…   (how the error is printed)
use std::error::Error;
use std::time::Duration;

const LIMIT: Duration = Duration::from_millis(800);
const VERSION: &str = env!("REQWEST_VERSION");

fn quoted(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('"', "\\\"");
    plain.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "")
}

fn chain(error: &dyn Error) -> String {
    let mut text = format!("Error: {}", error);
    let mut inner = error.source();
    let mut number = 0;
    while let Some(cause) = inner {
        if number == 0 {
            text.push_str("\n\nCaused by:");
        }
        text.push_str(&format!("\n    {}: {}", number, cause));
        inner = cause.source();
        number += 1;
    }
    text
}

async fn ask(url: &str) -> Result<(), reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).connect_timeout(LIMIT / 2).build()?;
    let answer = client.post(url).body("{\"prompt\":\"a cat\"}").send().await?.error_for_status()?;
    answer.bytes().await.map(|_| ())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let given: Vec<String> = std::env::args().collect();
    let client = if given[1] == "debug" { "reqwest-debug" } else { "reqwest" };
    for ending in &given[5..] {
        let url = match ending.as_str() {
            "refused" => format!("{}/x", given[3]),
            "no-connection" => format!("{}/x", given[4]),
            "no-name" => "http://no-such-host.invalid/x".to_string(),
            "untrusted" => std::env::var("UNTRUSTED").unwrap_or_default(),
            _ => format!("{}/{}", given[2], ending),
        };
        let text = match ask(&url).await {
            Ok(()) => String::new(),
            Err(error) if given[1] == "debug" => format!("{:?}", error),
            Err(error) => chain(&error),
        };
        println!(
            "{{\"client\": \"{}\", \"version\": \"reqwest {}\", \"ending\": \"{}\", \"text\": \"{}\"}}",
            client, VERSION, ending, quoted(&text)
        );
    }
}
