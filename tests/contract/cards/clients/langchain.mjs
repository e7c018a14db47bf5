// One image through LangChain JS and the Responses API: as it comes, or `mended`; the environment names server and key.
import { ChatOpenAI, tools } from "@langchain/openai";

const mended = process.argv.includes("mended") ? { maxRetries: 0 } : {};
const model = new ChatOpenAI({
  model: "gpt-5.2", useResponsesApi: true, configuration: { baseURL: process.env.OPENAI_BASE_URL }, ...mended,
});
const answer = await model.bindTools([tools.imageGeneration()]).invoke("a quiet ramen shop");
if (!answer) throw new Error("no image came");
