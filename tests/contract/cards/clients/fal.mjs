// One image through fal's queue by its client for JavaScript: as it comes, or `mended`; the server speaks its dialect.
import { createFalClient } from "@fal-ai/client";
import { once } from "./once.mjs";

const origin = new URL(process.env.OPENAI_BASE_URL).origin;
const mended = process.argv.includes("mended") ? { fetch: once } : {};
const fal = createFalClient({
  credentials: process.env.OPENAI_API_KEY,
  requestMiddleware: async (request) => ({
    ...request, url: request.url.replace("https://queue.fal.run", `${origin}/fal/queue`),
  }),
  ...mended,
});
const { data } = await fal.subscribe("fal-ai/flux/dev", { input: { prompt: "a quiet ramen shop" } });
if (!data.images?.[0]) throw new Error("no image came");
