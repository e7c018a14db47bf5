# Ruby's Net::HTTP and Faraday against each ending: prints one JSON object a line.
# Usage: ruby client.rb net-http|faraday BASE-URL REFUSED-URL FULL-URL ENDING…
require "json"
require "net/http"

LIMIT_S = 0.8
name, base, refused, full, *endings = ARGV

def by_net_http(url)
  uri = URI(url)
  http = Net::HTTP.new(uri.host, uri.port)
  http.open_timeout = LIMIT_S
  http.read_timeout = LIMIT_S
  http.use_ssl = uri.scheme == "https"
  http.max_retries = 0
  answer = http.post(uri.path, '{"prompt":"a cat"}', "content-type" => "application/json")
  raise "unexpected response #{answer.code}: #{answer.body}" if answer.code.to_i >= 400
end

def by_faraday(url)
  connection = Faraday.new do |one|
    one.options.timeout = LIMIT_S
    one.options.open_timeout = LIMIT_S
    one.response :raise_error
    one.adapter :net_http
  end
  connection.post(url, '{"prompt":"a cat"}')
end

version = "Ruby #{RUBY_VERSION}"
if name == "faraday"
  require "faraday"
  version = "faraday #{Faraday::VERSION}"
end
endings.each do |ending|
  url = { "refused" => "#{refused}/x", "no-connection" => "#{full}/x", "no-name" => "http://no-such-host.invalid/x", "untrusted" => ENV["UNTRUSTED"] }
        .fetch(ending, "#{base}/#{ending}")
  text = ""
  begin
    name == "faraday" ? by_faraday(url) : by_net_http(url)
  rescue StandardError, Timeout::Error => e
    text = e.full_message(highlight: false)
  end
  puts({ client: name == "faraday" ? "faraday" : "ruby", version: version, ending: ending, text: text }.to_json)
  $stdout.flush
end
