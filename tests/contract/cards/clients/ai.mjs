// One image through the AI SDK: as it comes, or `mended`; the environment names server and key.
import { createOpenAI } from "@ai-sdk/openai";
import { generateImage } from "ai";

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const mended = process.argv.includes("mended") ? { maxRetries: 0 } : {};
const { image } = await generateImage({
  model: openai.image("gpt-image-2"), prompt: "a quiet ramen shop", size: "1024x1024", ...mended,
});
if (!image.base64) throw new Error("no image came");
