// One image through openai-node: as it comes, or `mended`; the environment names server and key.
import OpenAI from "openai";

const client = process.argv.includes("mended") ? new OpenAI({ maxRetries: 0 }) : new OpenAI();
const answer = await client.images.generate({
  model: "gpt-image-2", prompt: "a quiet ramen shop", size: "1024x1024", quality: "high",
});
if (!answer.data?.[0]?.b64_json) throw new Error("no image came");
