"""Clients of this environment, async, so that every check can be tried on them in virtual time."""

import openai


def sdk(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    """The SDK as it comes."""
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key)


def sdk_without_retries(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    """The SDK without retries."""
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0)
