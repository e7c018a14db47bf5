// One image through Google's SDK for JavaScript, as it comes; the server speaks its dialect.
import { GoogleGenAI } from "@google/genai";

const origin = new URL(process.env.OPENAI_BASE_URL).origin;
const client = new GoogleGenAI({ apiKey: process.env.OPENAI_API_KEY, httpOptions: { baseUrl: `${origin}/gemini` } });
const answer = await client.models.generateContent({ model: "gemini-3-pro-image", contents: "a quiet ramen shop" });
if (!answer.candidates?.[0]) throw new Error("no image came");
