// One image through openai-node as it comes: sdk.mjs [MAX_RETRIES]; the environment names server and key.
import OpenAI from "openai";

const retries = process.argv[2] === undefined ? {} : { maxRetries: Number(process.argv[2]) };
const client = new OpenAI(retries);
const answer = await client.images.generate({
  model: "gpt-image-2", prompt: "a quiet ramen shop", size: "1024x1024", quality: "high",
});
if (!answer.data?.[0]?.b64_json) throw new Error("no image came");
