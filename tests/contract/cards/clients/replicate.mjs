// One image through Replicate's client for JavaScript: as it comes, or `mended`; the server speaks its dialect.
import Replicate from "replicate";
import { once } from "./once.mjs";

const origin = new URL(process.env.OPENAI_BASE_URL).origin;
const mended = process.argv.includes("mended") ? { fetch: once } : {};
const client = new Replicate({
  auth: process.env.OPENAI_API_KEY, baseUrl: `${origin}/replicate/v1`, ...mended,
});
const answer = await client.run("black-forest-labs/flux-dev", { input: { prompt: "a quiet ramen shop" } });
if (!answer) throw new Error("no image came");
