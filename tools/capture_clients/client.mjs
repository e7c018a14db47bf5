// Node's clients, each against each ending: prints one JSON object a line.
// Usage: node client.mjs LIBRARY BASE-URL REFUSED-URL FULL-URL ENDING…
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import http from "node:http";
import https from "node:https";
import { readFileSync } from "node:fs";

const [name, base, refused, full, ...endings] = process.argv.slice(2);
const here = createRequire(process.cwd() + "/package.json");
const load = async (what) => import(pathToFileURL(here.resolve(what)).href);
const versionOf = (what) => JSON.parse(readFileSync(`${process.cwd()}/node_modules/${what}/package.json`)).version;
const LIMIT_MS = 800;
const body = JSON.stringify({ model: "gpt-image-2", prompt: "a cat" });
const headers = { "content-type": "application/json" };

async function checked(answer) {
  if (!answer.ok) throw new Error(`HTTP error! status: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

const clients = {
  fetch: async () => {
    const { Agent, setGlobalDispatcher } = await load("undici");
    setGlobalDispatcher(new Agent({ headersTimeout: LIMIT_MS, bodyTimeout: LIMIT_MS, connectTimeout: LIMIT_MS }));
    const { fetch } = await load("undici");
    return { version: "undici " + versionOf("undici"), ask: async (url) => checked(await fetch(url, { method: "POST", body, headers })) };
  },
  "abort-signal": async () => ({
    version: "Node " + process.version,
    ask: async (url) => checked(await fetch(url, { method: "POST", body, headers, signal: AbortSignal.timeout(LIMIT_MS) })),
  }),
  "abort-controller": async () => ({
    version: "Node " + process.version,
    ask: async (url) => {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(), LIMIT_MS);
      try {
        return await checked(await fetch(url, { method: "POST", body, headers, signal: controller.signal }));
      } finally {
        clearTimeout(timer);
      }
    },
  }),
  axios: async () => {
    const axios = (await load("axios")).default;
    return {
      version: "axios " + versionOf("axios"),
      ask: async (url) => (await axios.post(url, body, { timeout: LIMIT_MS, headers, proxy: false })).data,
    };
  },
  got: async () => {
    const got = (await load("got")).default;
    return {
      version: "got " + versionOf("got"),
      ask: async (url) => got.post(url, { body, headers, timeout: { request: LIMIT_MS }, retry: { limit: 0 } }).text(),
    };
  },
  "node-fetch": async () => {
    const nodeFetch = (await load("node-fetch")).default;
    return {
      version: "node-fetch " + versionOf("node-fetch"),
      ask: async (url) => checked(await nodeFetch(url, { method: "POST", body, headers, timeout: LIMIT_MS })),
    };
  },
  "openai-node": async () => {
    const OpenAI = (await load("openai")).default;
    return {
      version: "openai " + versionOf("openai"),
      ask: async (url) =>
        new OpenAI({ apiKey: "none", baseURL: url, timeout: LIMIT_MS, maxRetries: 0 }).images.generate({ model: "gpt-image-2", prompt: "a cat" }),
    };
  },
  ky: async () => {
    const ky = (await load("ky")).default;
    return {
      version: "ky " + versionOf("ky"),
      ask: async (url) => ky.post(url, { body, headers, timeout: LIMIT_MS, retry: 0 }).text(),
    };
  },
  superagent: async () => {
    const superagent = (await load("superagent")).default;
    return {
      version: "superagent " + versionOf("superagent"),
      ask: async (url) => (await superagent.post(url).set(headers).timeout({ response: LIMIT_MS, deadline: 2 * LIMIT_MS }).send(body)).text,
    };
  },
  "ai-sdk": async () => {
    const { generateImage } = await load("ai");
    const { createOpenAI } = await load("@ai-sdk/openai");
    return {
      version: `ai ${versionOf("ai")}, @ai-sdk/openai ${versionOf("@ai-sdk/openai")}`,
      ask: async (url) =>
        generateImage({
          model: createOpenAI({ apiKey: "none", baseURL: url }).image("gpt-image-2"),
          prompt: "a cat",
          maxRetries: 0,
          abortSignal: AbortSignal.timeout(LIMIT_MS),
        }),
    };
  },
  "aws-sdk-js": async () => {
    const { BedrockRuntimeClient, InvokeModelCommand } = await load("@aws-sdk/client-bedrock-runtime");
    const { NodeHttpHandler } = await load("@smithy/node-http-handler");
    return {
      version: "@aws-sdk/client-bedrock-runtime " + versionOf("@aws-sdk/client-bedrock-runtime"),
      ask: async (url) =>
        new BedrockRuntimeClient({
          region: "us-east-1",
          endpoint: url,
          maxAttempts: 1,
          credentials: { accessKeyId: "none", secretAccessKey: "none" },
          requestHandler: new NodeHttpHandler({
            connectionTimeout: LIMIT_MS / 2,
            requestTimeout: LIMIT_MS,
            throwOnRequestTimeout: true,
          }),
        }).send(new InvokeModelCommand({ modelId: "one", contentType: "application/json", body })),
    };
  },
  bun: async () => ({
    version: "Bun " + process.versions.bun,
    ask: async (url) => checked(await fetch(url, { method: "POST", body, headers, signal: AbortSignal.timeout(LIMIT_MS) })),
  }),
  deno: async () => ({
    version: "Deno " + process.versions.deno,
    ask: async (url) => checked(await fetch(url, { method: "POST", body, headers, signal: AbortSignal.timeout(LIMIT_MS) })),
  }),
  "node-http": async () => ({
    version: "Node " + process.version,
    ask: (url) =>
      new Promise((resolve, reject) => {
        const request = (url.startsWith("https:") ? https : http).request(url, { method: "POST", headers, timeout: LIMIT_MS }, (answer) => {
          let text = "";
          answer.on("data", (piece) => (text += piece));
          answer.on("error", reject);
          answer.on("end", () => (answer.statusCode >= 400 ? reject(new Error(`Response ${answer.statusCode}: ${text}`)) : resolve(text)));
        });
        request.on("timeout", () => request.destroy(new Error("ESOCKETTIMEDOUT")));
        request.on("error", reject);
        request.end(body);
      }),
  }),
};

const { version, ask } = await clients[name]();
for (const ending of endings) {
  const url = { refused: refused + "/x", "no-connection": full + "/x", "no-name": "http://no-such-host.invalid/x", untrusted: process.env.UNTRUSTED }[ending] ?? `${base}/${ending}`;
  let text = "";
  try {
    await ask(url);
  } catch (error) {
    text = inspect(error, { depth: 4 });
  }
  process.stdout.write(JSON.stringify({ client: name, version, ending, text }) + "\n");
}
process.exit(0);
