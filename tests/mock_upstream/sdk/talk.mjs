// What the official Node SDK sees of the mock; it prints one JSON object. Usage: node talk.mjs BASE_URL
import OpenAI, { toFile } from "openai";

const prompt = "a ramen shop at two in the morning";
const client = new OpenAI({ apiKey: "sk-talk", baseURL: process.argv[2], maxRetries: 0, timeout: 20000 });
const kind = (b64) => ({ "89504e47": "png", ffd8ffe0: "jpeg" })[Buffer.from(b64, "base64").toString("hex", 0, 4)];
const told = (error) => ({
  class: error.constructor.name,
  status: error.status ?? null,
  code: error.code ?? null,
  type: error.type ?? null,
});
const seen = {};

const answer = await client.images.generate({ model: "gpt-image-2", prompt });
seen.plain = [kind(answer.data[0].b64_json), answer.usage.output_tokens];
seen.stream = [];
for await (const event of await client.images.generate({ prompt, stream: true, partial_images: 2 })) {
  seen.stream.push([event.type, kind(event.b64_json)]);
}
const hat = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const image = await toFile(hat, "a.png", { type: "image/png" });
const edit = await client.images.edit({ image, prompt: "a hat" });
seen.edit = kind(edit.data[0].b64_json);

const refused = async (name, body, fault) => {
  try {
    await client.images.generate({ prompt, ...body }, { headers: fault ? { "x-mock-fault": fault } : {} });
  } catch (error) {
    seen[name] = told(error);
  }
};
await refused("unknown_parameter", { response_format: "url" });
await refused("server_error", {}, "server_error");
await refused("rate_limited", {}, "rate_limited");
await refused("html_524", {}, "html_5xx");
await refused("reset", {}, "reset_before_headers");
await refused("moderated", { prompt: "mickey mouse riding a bike" });
try {
  await client.withOptions({ apiKey: "sk-revoked" }).images.generate({ prompt });
} catch (error) {
  seen.wrong_key = told(error);
}
try {
  const stream = await client.images.generate({ prompt: "mickey mouse on a bike", stream: true, partial_images: 1 });
  for await (const event of stream) event.type;
} catch (error) {
  seen.moderated_stream = told(error);
}
const headers = { "x-mock-fault": "first_attempt_hangs" };
const again = await client.images.generate({ prompt: "again" }, { headers, maxRetries: 2, timeout: 1000 });
seen.retry_answers = kind(again.data[0].b64_json);
console.log(JSON.stringify(seen));
