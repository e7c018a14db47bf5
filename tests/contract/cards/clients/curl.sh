#!/bin/sh
# One image by curl with three retries, as scripts do it; `curl.sh --retry 0` is mended.
exec curl --silent --show-error --fail --retry 3 "$@" --output /dev/null \
    --header "Authorization: Bearer $OPENAI_API_KEY" --header "Content-Type: application/json" \
    --data '{"model": "gpt-image-2", "prompt": "a quiet ramen shop", "size": "1024x1024", "quality": "high"}' \
    "$OPENAI_BASE_URL/images/generations"
