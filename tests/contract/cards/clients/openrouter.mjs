// One image through OpenRouter's SDK for JavaScript: as it comes, or `mended`; the server speaks its dialect.
import { OpenRouter } from "@openrouter/sdk";

const origin = new URL(process.env.OPENAI_BASE_URL).origin;
const mended = process.argv.includes("mended") ? { retryConfig: { strategy: "none" } } : {};
const client = new OpenRouter({
  apiKey: process.env.OPENAI_API_KEY, serverURL: `${origin}/openrouter/api/v1`, ...mended,
});
const answer = await client.images.generate({
  imageGenerationRequest: { model: "google/gemini-3-pro-image", prompt: "a quiet ramen shop" },
});
if (!answer.data?.[0]) throw new Error("no image came");
