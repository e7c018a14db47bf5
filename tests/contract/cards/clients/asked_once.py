"""What LiteLLM's proxy loads as a callback, beside its configuration: requests for images are sent once."""

import litellm
import openai
from litellm.integrations.custom_logger import CustomLogger
from once import AsyncOnce

litellm.aclient_session = openai.DefaultAsyncHttpxClient(transport=AsyncOnce())
handler = CustomLogger()
